"""The queue of a lane: who goes first among those that draw on the same buckets.

Order is strict between priorities; between the tenants of one priority by their turns (see ``fairness``); within a
tenant by deadline, then arrival. A retry comes back with its first arrival, and so to its old place. The order of the
head is one comparable key, so that heads of different lanes compare by it.

So there are three levels: a few priorities, kept sorted; a heap of tenants by their starts; a heap of requests for
each. A tenant's start moves on when one of its requests is served, here or in another lane of the scope. Starts never
fall while a tenant waits, so the heap of tenants is repaired only where it is looked at: at its top. Waiters leave from
the middle too, when they are cancelled; searching them would be O(n), so their *place* is emptied, and skipped when it
comes up. A heap that is half full of those is rebuilt, which is O(1) amortised. An emptied place holds nothing that
others might wait to see forgotten.

**Who stands where.** Each request can be told how many go before it: of its own tenant counted one by one, or by
``counts`` where they are more than 512; of the others what follows from the weights; and their charges as those of all
on average.
"""

import heapq
from bisect import insort
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from scheduler.core.counts import Counts
from scheduler.core.fairness import INTERACTIVE, PROMOTED, Fairness, Tenant, Turns, Weights
from scheduler.core.quota import Charge

_SMALL = 64
_EXACT = 512  # requests of a tenant that are counted one by one

Key = tuple[int, int, int, int]
"""Priority, the tenant's start on the virtual time of all, deadline, arrival."""


class Queued(Protocol):
    """What a queue holds."""

    priority: int
    tenant: str
    deadline: int
    """An instant, or ``NEVER``."""
    arrival: int
    charge: Charge
    place: Any
    """Its entry, set by the queue; None when it does not wait, or not any more."""


Item = TypeVar("Item", bound=Queued)


class _Nobody:
    """Stands in an emptied place. Whoever comes back to the heap that he has left goes before it or after it."""

    def __lt__(self, other: object) -> bool:
        return True

    __gt__ = __lt__


_NOBODY: Any = _Nobody()


class _Place(Generic[Item]):
    """The requests of one tenant, of one priority."""

    __slots__ = ("_counts", "heap", "live", "tenant", "weight")

    def __init__(self, tenant: Tenant, weight: int) -> None:
        self.tenant = tenant
        self.weight = weight
        self.heap: list[list[Any]] = []  # deadline, arrival and the item, or nobody
        self.live = 0
        self._counts: Counts | None = None  # while there are many

    def push(self, item: Item) -> None:
        item.place = entry = [item.deadline, item.arrival, item]
        heapq.heappush(self.heap, entry)
        self.live += 1
        if self._counts is not None:
            self._counts.add(item.arrival)
        elif self.live > _EXACT:
            self._counts = Counts(entry[1] for entry in self.heap if entry[2] is not _NOBODY)

    def first(self) -> Item:
        """Return the first; there is one."""
        heap = self.heap
        while (item := heap[0][2]) is _NOBODY:
            heapq.heappop(heap)
        first: Item = item
        return first

    def forget(self, item: Item) -> None:
        """Take an item out of the counts, and drop those who left if they are too many."""
        self.live -= 1
        if self._counts is not None:
            self._counts.remove(item.arrival)
            if self.live < _EXACT // 2:
                self._counts = None
        if len(self.heap) > 2 * self.live + _SMALL:
            self.heap = [entry for entry in self.heap if entry[2] is not _NOBODY]
            heapq.heapify(self.heap)

    def units_before(self, deadline: int, arrival: int, positions: Sequence[int]) -> list[int]:
        """Return the units, by position, of those who go before a request; nothing where they are too many to add."""
        if self._counts is not None:
            return []
        mine = [deadline, arrival]
        before = [entry[2].charge for entry in self.heap if entry[2] is not _NOBODY and entry[:2] < mine]
        return [sum(charge[position] for charge in before) for position in positions]

    def before(self, deadline: int, arrival: int) -> int:
        """Return how many go before a request with that deadline and arrival."""
        if self._counts is not None:
            return self._counts.before(arrival)
        mine = [deadline, arrival]
        return sum(entry[2] is not _NOBODY and entry[:2] < mine for entry in self.heap)


class _Class(Generic[Item]):
    """All requests of one priority."""

    __slots__ = ("heap", "live", "now", "places", "priority", "turns", "units", "weight")

    def __init__(self, priority: int, turns: Turns, positions: int) -> None:
        self.priority = priority
        self.turns = turns
        self.now = turns.now  # start of whoever went last, here
        self.places: dict[str, _Place[Item]] = {}
        self.heap: list[tuple[int, int, _Place[Item]]] = []
        self.live = 0
        self.units = [0] * positions
        self.weight = 0  # of all tenants that wait

    def first(self) -> _Place[Item]:
        """Return the tenant whose turn it is, repairing the heap on the way; there is one."""
        heap = self.heap
        while True:
            start, number, place = heap[0]
            if place.live and place.tenant.start == start:
                return place
            if place.live:
                heapq.heapreplace(heap, (place.tenant.start, number, place))
            else:
                heapq.heappop(heap)


class Queue(Generic[Item]):
    """The requests that wait in one lane."""

    __slots__ = ("_classes", "_fairness", "_indexed", "_number", "_order", "_positions", "_size")

    def __init__(self, fairness: Fairness | None = None, positions: Sequence[int] = (0,)) -> None:
        """Begin empty.

        Args:
            fairness: The turns of the lane's scope.
            positions: Dimensions whose charges are summed, as positions in a ``Charge``.
        """
        self._fairness = fairness or Fairness(Weights())
        self._positions = tuple(positions)
        self._indexed = tuple(enumerate(positions))
        self._classes: dict[int, _Class[Item]] = {}
        self._order: list[int] = []
        self._size = 0
        self._number = count()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        """Iterate in no particular order."""
        for each in self._classes.values():
            for place in each.places.values():
                yield from (entry[2] for entry in place.heap if entry[2] is not _NOBODY)

    def push(self, item: Item) -> None:
        """Add an item. Arrivals are unique."""
        each = self._classes.get(item.priority) or self._open(item.priority)
        place = each.places.get(item.tenant) or self._admit(each, item.tenant)
        place.push(item)
        each.live += 1
        self._size += 1
        charge = item.charge
        for index, position in self._indexed:
            each.units[index] += charge[position]

    def head(self) -> Item | None:
        """Return the first item without removing it, or None."""
        return self._first_class().first().first() if self._size else None

    def key(self) -> Key:
        """Return the head's key; the queue must not be empty."""
        each = self._first_class()
        place = each.first()
        head = place.first()
        priority = PROMOTED if each.priority == self._fairness.promoted else each.priority
        return (priority, place.tenant.start + each.turns.offset, head.deadline, head.arrival)

    def pop(self, head: Item, cost: int = 0) -> bool:
        """Remove the head, which costs *cost*, and return whether the lowest class may go now and might not before."""
        each = self._classes[head.priority]
        place = each.places[head.tenant]
        tenant = place.tenant
        heapq.heappop(place.heap)
        if tenant.start > each.now:  # noqa: PLR1730 -- every request comes by here: a call costs more than this line
            each.now = tenant.start
        each.turns.served(tenant, cost)
        promoted = self._fairness.served(head.priority, cost)
        self._leave(each, place, head)
        return promoted

    def remove(self, item: Item) -> None:
        """Remove an item that is in the queue, wherever it stands."""
        each = self._classes[item.priority]
        item.place[2] = _NOBODY
        self._leave(each, each.places[item.tenant], item)

    def recharge(self, item: Item, charge: Charge) -> None:
        """Give an item that is in the queue another charge. Its place does not change."""
        units = self._classes[item.priority].units
        for index, position in self._indexed:
            units[index] += charge[position] - item.charge[position]
        item.charge = charge

    def units(self, position: int) -> int:
        """Return what all that wait are charged of the dimension at a position."""
        index = self._positions.index(position)
        return sum(each.units[index] for each in self._classes.values())

    def before(self, item: Item, *, sure: bool = False) -> tuple[int, list[int]]:
        """Return how many go before an item, which need not be in the queue, and their units by position.

        With *sure* only those who cannot but go before it, not what other tenants' shares are estimated to let through;
        and their units are exact for up to 512 of its own tenant, not their part of all.
        """
        number = 0
        units = [0] * len(self._positions)
        for priority in self._order:
            if priority >= item.priority:
                break
            higher = self._classes[priority]
            number += higher.live
            units = [one + other for one, other in zip(units, higher.units, strict=True)]
        each = self._classes.get(item.priority)
        if each is None:
            return number, units
        own = each.places.get(item.tenant)
        mine, weight = 0, self._fairness.weights.of(item.tenant)
        others, rest = each.live, each.weight
        if own is not None:
            mine = own.before(item.deadline, item.arrival)
            others, rest = others - own.live, rest - own.weight
        if sure and own is not None and (exact := own.units_before(item.deadline, item.arrival, self._positions)):
            return number + mine, [one + other for one, other in zip(units, exact, strict=True)]
        first = mine if sure else mine + min(others, (mine + 1) * rest // weight)
        return number + first, [one + other * first // each.live for one, other in zip(units, each.units, strict=True)]

    # ---- parts

    def _first_class(self) -> _Class[Item]:
        first = self._order[0]
        if first > INTERACTIVE and (lowest := self._fairness.promoted) is not None and lowest in self._classes:
            return self._classes[lowest]
        return self._classes[first]

    def _open(self, priority: int) -> _Class[Item]:
        insort(self._order, priority)
        turns = self._fairness.turns(priority)
        each: _Class[Item] = _Class(priority, turns, len(self._positions))
        self._classes[priority] = each
        self._fairness.came(priority)
        return each

    def _admit(self, each: _Class[Item], name: str) -> _Place[Item]:
        tenant = each.turns.enter(name, each.now)
        place: _Place[Item] = _Place(tenant, self._fairness.weights.of(name))
        each.places[name] = place
        each.weight += place.weight
        heapq.heappush(each.heap, (tenant.start, next(self._number), place))
        return place

    def _leave(self, each: _Class[Item], place: _Place[Item], item: Item) -> None:
        item.place = None
        place.forget(item)
        each.live -= 1
        self._size -= 1
        charge = item.charge
        for index, position in self._indexed:
            each.units[index] -= charge[position]
        if not place.live:
            each.turns.leave(place.tenant)
            del each.places[place.tenant.name]
            each.weight -= place.weight
            if len(each.heap) > 2 * len(each.places) + _SMALL:
                each.heap = [entry for entry in each.heap if entry[2].live]
                heapq.heapify(each.heap)
            if not each.live:
                del self._classes[each.priority]
                self._order.remove(each.priority)
                self._fairness.left(each.priority)
