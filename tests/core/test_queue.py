"""The queue of a lane against a slow and obvious model."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import given, strategies as st

from scheduler.core.bucket import NEVER
from scheduler.core.fairness import Fairness, Weights
from scheduler.core.queue import Queue
from scheduler.core.quota import Charge

WEIGHTS = {"double": 2.0, "half": 0.5}
TENANTS = ["", "double", "half"]


@dataclass(eq=False)
class Item:
    priority: int = 0
    arrival: int = 0
    tenant: str = ""
    deadline: int = NEVER
    charge: Charge = field(default_factory=Charge)
    place: Any = None


def place(item: Item) -> tuple[int, int]:
    return (item.deadline, item.arrival)


class Model:
    """All items in one list, and a start for each tenant of each priority."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.starts: dict[tuple[int, str], int] = {}
        self.order: dict[tuple[int, str], int] = {}
        self.entrances = count()
        self.now: dict[int, int] = {}
        self.latest: dict[int, int] = {}

    def of(self, priority: int, tenant: str) -> list[Item]:
        return sorted((each for each in self.items if (each.priority, each.tenant) == (priority, tenant)), key=place)

    def push(self, item: Item) -> None:
        key = (item.priority, item.tenant)
        if not self.of(*key):
            self.starts[key] = max(self.starts.get(key, 0), self.now.get(item.priority, 0))
            self.order[key] = next(self.entrances)
        self.items.append(item)

    def head(self) -> Item | None:
        waiting = {(each.priority, each.tenant) for each in self.items}
        if not waiting:
            return None
        first = min(waiting, key=lambda key: (key[0], self.starts[key], self.order[key]))
        return self.of(*first)[0]

    def pop(self, cost: int) -> Item:
        item = self.head()
        assert item is not None
        self.items.remove(item)
        key = (item.priority, item.tenant)
        self.now[item.priority] = max(self.now.get(item.priority, 0), self.starts[key])
        self.starts[key] += int(cost / WEIGHTS.get(item.tenant, 1.0))
        self.latest[item.priority] = max(self.latest.get(item.priority, 0), self.starts[key])
        self.rest()
        return item

    def remove(self, item: Item) -> None:
        self.items.remove(item)
        self.rest()

    def rest(self) -> None:
        """Where nobody waits any more, all begin anew."""
        waiting = {each.priority for each in self.items}
        for priority in [priority for priority in self.latest if priority not in waiting]:
            self.now[priority] = self.latest[priority]
            self.starts = {key: start for key, start in self.starts.items() if key[0] != priority}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "pop", "remove", "back", "move"]),
        st.integers(0, 2),
        st.sampled_from(TENANTS),
        st.sampled_from([NEVER, NEVER, 5, 7]),
        st.integers(1, 9),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_serves_by_priority_then_turns_then_deadline_then_arrival(
    steps: list[tuple[str, int, str, int, int]],
) -> None:
    """Its head, length, sums and contents are the model's, with removals, retries and changes of priority."""
    queue: Queue[Item] = Queue(Fairness(Weights(WEIGHTS, floor=0.0)), (0, 1))
    model = Model()
    served: list[Item] = []
    for arrival, (step, number, tenant, deadline, tokens) in enumerate(steps):
        if step == "push":
            item = Item(number, arrival, tenant, deadline, Charge(1, tokens))
            queue.push(item)
            model.push(item)
        elif step == "pop" and model.items:
            cost = 1_000 * tokens
            item = model.pop(cost)
            assert queue.head() is item
            queue.pop(item, cost)
            assert item.place is None
            served.append(item)
        elif step in {"remove", "move"} and model.items:
            item = model.items[number % len(model.items)]
            model.remove(item)
            queue.remove(item)
            assert item.place is None
            if step == "move":
                item.priority = number
                queue.push(item)
                model.push(item)
        elif step == "back" and served:
            item = served.pop(number % len(served))
            queue.push(item)
            model.push(item)
        head = model.head()
        assert queue.head() is head
        if head is not None:
            key = queue.key()
            assert (key[0], *key[2:]) == (head.priority, *place(head))
        assert len(queue) == len(model.items)
        assert queue.units(0) == len(model.items)
        assert queue.units(1) == sum(each.charge.tokens for each in model.items)
        assert sorted(queue, key=place) == sorted(model.items, key=place)


@given(STEPS, st.integers(0, 2), st.sampled_from([NEVER, 6]))
def test_who_goes_before_whom_is_exact_for_one_tenant(
    steps: list[tuple[str, int, str, int, int]], priority: int, deadline: int
) -> None:
    """Of one tenant, exactly those with a smaller key go before, with their units; also before one yet to come."""
    queue: Queue[Item] = Queue(None, (0, 1))
    items = []
    for arrival, (_, number, _, each, tokens) in enumerate(steps):
        items.append(Item(number, arrival, "", each, Charge(1, tokens)))
        queue.push(items[-1])
    newcomer = Item(priority, len(steps), "", deadline, Charge(1, 1))
    for item in [*items, newcomer]:
        first = [each for each in items if (each.priority, *place(each)) < (item.priority, *place(item))]
        number, units = queue.before(item)
        assert number == units[0] == len(first)
        same = [each for each in items if each.priority == item.priority]
        if all(each.charge == same[0].charge for each in same):
            assert units[1] == sum(each.charge.tokens for each in first)


def test_a_light_tenant_has_few_before_it() -> None:
    """Before the first of a tenant goes one of each other and no more, however many wait; twice that at half weight."""
    for weight, before in ((1.0, 2), (0.5, 4), (2.0, 1)):
        queue: Queue[Item] = Queue(Fairness(Weights({"light": weight})), (0,))
        for arrival in range(1_000):
            queue.push(Item(0, arrival, ("heavy", "other")[arrival % 2]))
        assert queue.before(Item(0, 1_000, "light"))[0] == before


def test_places_in_long_queues_are_within_a_block() -> None:
    """In the queue of a tenant with 200,000 requests, of which half have left, a place is known to 256."""
    queue: Queue[Item] = Queue()
    items = [Item(0, arrival) for arrival in range(200_000)]
    for item in items:
        queue.push(item)
    for item in items[::2]:
        queue.remove(item)
    for place_ in (1, 777, 65_535, 65_537, 150_001, 199_999):
        number, units = queue.before(items[place_])
        assert abs(number - place_ // 2) <= 128
        assert units[0] == number


def test_those_who_left_from_the_middle_are_forgotten() -> None:
    """After many removals the queue keeps no more than it holds, and a few."""
    queue: Queue[Item] = Queue()
    items = [Item(0, arrival) for arrival in range(1_000)]
    for item in items:
        queue.push(item)
    for item in items[1:]:
        queue.remove(item)
    assert list(queue) == items[:1]
    assert len(items[0].place) == 3
    assert len(queue._classes[0].places[""].heap) <= 66
    queue.pop(items[0])
    assert not queue
    assert not queue._classes


def test_tenants_who_left_are_not_kept() -> None:
    """While one waits at the front, thousands may come and give up: the heap of tenants does not grow with them."""
    queue: Queue[Item] = Queue()
    queue.push(Item(arrival=0))
    assert queue.head() is not None
    for arrival in range(1, 2_000):
        item = Item(arrival=arrival, tenant=f"tenant {arrival}")
        queue.push(item)
        queue.remove(item)
    (each,) = queue._classes.values()
    assert len(each.heap) < 100
    assert len(queue) == 1


def test_who_comes_back_to_the_place_that_he_left_finds_it() -> None:
    """With the same deadline and arrival, beside the emptied place; and others keep theirs."""
    queue: Queue[Item] = Queue()
    items = [Item(arrival=arrival) for arrival in range(3)]
    for item in items:
        queue.push(item)
    for again in (0, 2, 0):
        queue.remove(items[again])
        queue.push(items[again])
    order = []
    while (head := queue.head()) is not None:
        queue.pop(head)
        order.append(head.arrival)
    assert order == [0, 1, 2]


def test_another_charge_changes_the_sums_and_no_place() -> None:
    """Who waits may be estimated again: the units of the queue follow, the order does not."""
    queue: Queue[Item] = Queue(positions=(0, 1))
    items = [Item(arrival=number, charge=Charge(tokens=100)) for number in range(3)]
    for item in items:
        queue.push(item)
    queue.recharge(items[1], Charge(tokens=700))
    assert (queue.units(0), queue.units(1)) == (3, 900)
    assert queue.before(items[2]) == (2, [2, 600])
    order = []
    while (head := queue.head()) is not None:
        order.append(head)
        queue.pop(head)
    assert order == items
    assert (queue.units(0), queue.units(1)) == (0, 0)
