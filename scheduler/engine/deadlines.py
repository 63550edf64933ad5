"""The deadlines of those who wait, earliest first.

Most are never met: their waiters go before. These are marked and skipped, and when they are more than half of the heap
it is rebuilt, so that it holds no waiter, and nothing that hangs on one, for long.
"""

import heapq
from itertools import count

from scheduler.engine.waiter import Waiter

_SMALL = 64  # smaller heaps are not worth it


class Deadlines:
    """A heap of waiters by deadline."""

    __slots__ = ("_heap", "_number", "_over")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Waiter]] = []
        self._number = count()  # tries of one request may have one deadline and one arrival
        self._over = 0  # of the heap, those that wait no more

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, waiter: Waiter, deadline: int) -> None:
        """Add a waiter."""
        heapq.heappush(self._heap, (deadline, next(self._number), waiter))

    def left(self) -> None:
        """A waiter that has a deadline waits no more."""
        self._over += 1
        if self._over * 2 > len(self._heap) > _SMALL:
            self._heap = [entry for entry in self._heap if entry[2].place is not None]
            heapq.heapify(self._heap)
            self._over = 0

    def waiters(self) -> list[Waiter]:
        """Return all who still wait."""
        return [entry[2] for entry in self._heap if entry[2].place is not None]

    def first(self) -> int | None:
        """Return the earliest deadline of those who still wait."""
        while self._heap:
            deadline, _, waiter = self._heap[0]
            if waiter.place is not None:
                return deadline
            self._pop()
        return None

    def pop_due(self, now: int) -> Waiter | None:
        """Remove and return one whose deadline has come, if there is one."""
        first = self.first()
        return self._pop() if first is not None and first <= now else None

    def _pop(self) -> Waiter:
        waiter = heapq.heappop(self._heap)[2]
        self._over -= waiter.place is None
        return waiter
