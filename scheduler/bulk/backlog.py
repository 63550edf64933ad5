"""The lines of a job that wait to be submitted, with a window for each model.

Were there one window for all, the lines of a model whose limit is reached would fill it, and those of other models,
whose limits are idle, would wait behind them. Among the models with room the first line by priority goes next.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

import anyio

from scheduler.bulk.reader import Item

WINDOW = 2_000
"""Lines of one model that are out at a time."""
WINDOW_BYTES = 256 << 20
"""Bytes of theirs; one line may be larger."""
_WINDOWS = 8  # more models than these share as many windows
_LEAST = 50  # lines, however many models there are


class _Window:
    """The lines of one model and project: those that wait, in order, and the room of those that are out."""

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.out = 0
        self.bytes_out = 0
        self.offered = False

    def has_room(self, lines: int, size: int) -> bool:
        """Whether the first that waits may go out beside *lines* at most and *size* bytes."""
        return bool(self.waiting) and (
            not self.out or (self.out < lines and self.bytes_out + self.waiting[0].length <= size)
        )


class Backlog:
    """Hands out items, lowest priority number first, as far as there is room."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Begin with *items* waiting."""
        self._windows: dict[tuple[str, str | None], _Window] = {}
        self._offers: list[tuple[int, int, _Window]] = []  # by priority and line
        self._left = 0
        self._room = anyio.Event()
        for item in sorted(items, key=lambda item: (item.priority, item.line)):
            self._windows.setdefault((item.model, item.project), _Window()).waiting.append(item)
            self._left += 1
        share = max(1.0, len(self._windows) / _WINDOWS)
        self._lines = max(_LEAST, int(WINDOW / share))
        self._size = int(WINDOW_BYTES / share)
        for window in self._windows.values():
            self._offer(window)

    async def take(self) -> Item | None:
        """Wait for room and return the next item, or None if all are out."""
        while not self._offers:
            if not self._left:
                return None
            self._room = anyio.Event()
            await self._room.wait()
        _, _, window = heappop(self._offers)
        window.offered = False
        item = window.waiting.popleft()
        window.out += 1
        window.bytes_out += item.length
        self._left -= 1
        self._offer(window)
        return item

    def ended(self, item: Item) -> None:
        """Free the room of an item that was taken."""
        window = self._windows[item.model, item.project]
        window.out -= 1
        window.bytes_out -= item.length
        self._offer(window)
        self._room.set()

    def _offer(self, window: _Window) -> None:
        if not window.offered and window.has_room(self._lines, self._size):
            window.offered = True
            first = window.waiting[0]
            heappush(self._offers, (first.priority, first.line, window))
