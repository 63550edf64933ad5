"""The queue of a lane: who goes first among those that draw on the same buckets.

Order is by priority, then arrival; a retry comes back with its first arrival, and so to its old place. The order is
one comparable key, ``(priority, arrival)``, so that a heap serves it in O(log n), and heads of different lanes compare
by the same key. Fairness between tenants and deadlines refine the key between those two, and nothing else.

Waiters leave from the middle too, when they are cancelled. Searching them would be O(n), so they are marked and
skipped when they come up; when more than half of the heap is marked it is rebuilt, which is O(1) amortised.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """What a queue holds."""

    priority: int
    arrival: int
    gone: bool
    """Set by the queue when it left."""


Item = TypeVar("Item", bound=Queued)


class Queue(Generic[Item]):
    """A priority queue with removal from the middle."""

    __slots__ = ("_gone", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Item]] = []
        self._gone = 0

    def __len__(self) -> int:
        return len(self._heap) - self._gone

    def __bool__(self) -> bool:
        return len(self._heap) > self._gone

    def __iter__(self) -> Iterator[Item]:
        """Iterate in no particular order."""
        return (item for _, _, item in self._heap if not item.gone)

    def push(self, item: Item) -> None:
        """Add an item. Arrivals are unique."""
        item.gone = False
        heapq.heappush(self._heap, (item.priority, item.arrival, item))

    def head(self) -> Item | None:
        """Return the first item without removing it, or None."""
        heap = self._heap
        while heap:
            item = heap[0][2]
            if not item.gone:
                return item
            heapq.heappop(heap)
            self._gone -= 1
        return None

    def pop(self) -> Item:
        """Remove and return the first item; the queue must not be empty."""
        while True:
            item = heapq.heappop(self._heap)[2]
            if not item.gone:
                item.gone = True
                return item
            self._gone -= 1

    def remove(self, item: Item) -> None:
        """Remove an item that is in the queue, wherever it stands."""
        item.gone = True
        self._gone += 1
        if self._gone * 2 > len(self._heap) and self._gone > 64:  # noqa: PLR2004 -- small heaps are not worth it
            self._heap = [entry for entry in self._heap if not entry[2].gone]
            heapq.heapify(self._heap)
            self._gone = 0
