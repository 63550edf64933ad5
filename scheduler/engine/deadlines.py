"""The deadlines of those who wait, earliest first.

Most are never met: their waiters go before. Searching their entries would be O(n), so these are emptied and skipped,
and when they are more than half of the heap it is rebuilt. An emptied entry holds nothing: whoever was let through is
a reservation now, which must expire as soon as its owner has forgotten it.
"""

import heapq
from itertools import count
from typing import Any

from scheduler.engine.waiter import Waiter

_SMALL = 64  # smaller heaps are not worth it


class Deadlines:
    """A heap of waiters by deadline."""

    __slots__ = ("_emptied", "_heap", "_number")

    def __init__(self) -> None:
        self._heap: list[list[Any]] = []  # deadline, number, and the waiter, or None where he waits no more
        self._number = count()  # tries of one request may have one deadline and one arrival
        self._emptied = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, waiter: Waiter, deadline: int) -> None:
        """Add a waiter."""
        waiter.due = [deadline, next(self._number), waiter]
        heapq.heappush(self._heap, waiter.due)

    def left(self, waiter: Waiter) -> None:
        """A waiter who is here waits no more."""
        due, waiter.due = waiter.due, None
        assert due is not None
        due[2] = None
        self._emptied += 1
        if self._emptied * 2 > len(self._heap) > _SMALL:
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapq.heapify(self._heap)
            self._emptied = 0

    def waiters(self) -> list[Waiter]:
        """Return all who wait."""
        return [waiter for _, _, waiter in self._heap if waiter is not None]

    def first(self) -> int | None:
        """Return the earliest deadline of those who wait."""
        while self._heap:
            deadline, _, waiter = self._heap[0]
            if waiter is not None:
                return int(deadline)
            heapq.heappop(self._heap)
            self._emptied -= 1
        return None

    def pop_due(self, now: int) -> Waiter | None:
        """Remove and return one whose deadline has come, if there is one."""
        first = self.first()
        if first is None or first > now:
            return None
        waiter: Waiter = heapq.heappop(self._heap)[2]
        waiter.due = None
        return waiter
