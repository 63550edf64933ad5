"""The lines of a job that wait to be submitted, with a window for each model.

Were there one window for all, the lines of a model whose limit is reached would fill it, and those of other models,
whose limits are idle, would wait behind them. Among the models with room the first line by priority goes next; of one
priority the tenants take turns, so that all of them are in the window for the scheduler to share the limits between.
"""

from collections import Counter, deque
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
        self.waiting: deque[tuple[int, int, Item]] = deque()  # with priority, and turn among its tenant's
        self.out = 0
        self.bytes_out = 0
        self.offered = False

    def has_room(self, lines: int, size: int) -> bool:
        """Whether the first that waits may go out beside *lines* at most and *size* bytes."""
        return bool(self.waiting) and (
            not self.out or (self.out < lines and self.bytes_out + self.waiting[0][2].length <= size)
        )


class Backlog:
    """Hands out items, lowest priority number first, as far as there is room."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Begin with *items* waiting."""
        self._windows: dict[tuple[str, str | None], _Window] = {}
        self._offers: list[tuple[int, int, int, _Window]] = []  # by priority, turn and line
        self._left = 0
        self._room = anyio.Event()
        turns: Counter[tuple[int, str | None]] = Counter()
        ordered = []
        for item in items:
            turns[item.priority, item.tenant] += 1
            ordered.append((item.priority, turns[item.priority, item.tenant], item.line, item))
        for priority, turn, _, item in sorted(ordered):  # lines differ, so items are not compared
            self._windows.setdefault((item.pool, item.project), _Window()).waiting.append((priority, turn, item))
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
        _, _, _, window = heappop(self._offers)
        window.offered = False
        _, _, item = window.waiting.popleft()
        window.out += 1
        window.bytes_out += item.length
        self._left -= 1
        self._offer(window)
        return item

    def ended(self, item: Item) -> None:
        """Free the room of an item that was taken."""
        window = self._windows[item.pool, item.project]
        window.out -= 1
        window.bytes_out -= item.length
        self._offer(window)
        self._room.set()

    def _offer(self, window: _Window) -> None:
        if not window.offered and window.has_room(self._lines, self._size):
            window.offered = True
            priority, turn, first = window.waiting[0]
            heappush(self._offers, (priority, turn, first.line, window))
