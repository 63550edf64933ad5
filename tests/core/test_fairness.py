"""Fair shares between tenants, and the floor of the lowest class."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, strategies as st

from scheduler.core.bucket import NEVER
from scheduler.core.fairness import HORIZON, PROMOTED, Fairness, Weights
from scheduler.core.queue import Queue
from scheduler.core.quota import Charge


@dataclass(eq=False)
class Item:
    tenant: str = ""
    arrival: int = 0
    cost: int = 1
    priority: int = 0
    deadline: int = NEVER
    charge: Charge = field(default_factory=Charge)
    place: Any = None


def serve(queue: Queue[Item]) -> Item:
    head = queue.head()
    assert head is not None
    queue.pop(head, head.cost)
    return head


def pop(queue: Queue[Item]) -> bool:
    head = queue.head()
    assert head is not None
    return queue.pop(head, 10)


COSTS = st.lists(st.integers(1, 10_000), min_size=30, max_size=60)


@given(one=COSTS, two=COSTS, weights=st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.5, 1.0, 3.0])))
def test_shares_differ_by_one_request_each_at_most(
    one: list[int], two: list[int], weights: tuple[float, float]
) -> None:
    """Over any time in which both wait, what two tenants had over their weights differs by a request of each."""
    queue: Queue[Item] = Queue(Fairness(Weights({"one": weights[0], "two": weights[1]})))
    for arrival, cost in enumerate(one):
        queue.push(Item("one", arrival, cost))
    for arrival, cost in enumerate(two):
        queue.push(Item("two", 1_000 + arrival, cost))
    had = {"one": 0.0, "two": 0.0}
    bound = max(one) / weights[0] + max(two) / weights[1] + 2 * len(one + two)  # and roundings
    history = [dict(had)]
    left = {"one": len(one), "two": len(two)}
    while all(left.values()):
        item = serve(queue)
        left[item.tenant] -= 1
        had[item.tenant] += item.cost / weights[item.tenant == "two"]
        history.append(dict(had))
    for begin in history:
        assert abs((had["one"] - begin["one"]) - (had["two"] - begin["two"])) <= bound


def test_who_comes_back_has_saved_nothing_and_owes_nothing() -> None:
    """A tenant that paused while another was served shares from its return on, neither before nor after."""
    queue: Queue[Item] = Queue()
    for arrival in range(300):
        queue.push(Item("steady", arrival, 10))
    for _ in range(100):
        serve(queue)
    for arrival in range(300, 400):
        queue.push(Item("back", arrival, 10))
    order = [serve(queue).tenant for _ in range(100)]
    assert order.count("back") == 50
    assert abs(order[:10].count("back") - 5) <= 1


def test_lanes_of_one_scope_share_their_turns() -> None:
    """A tenant that waits in two lanes has no more than one that waits in one."""
    fairness = Fairness(Weights())
    lanes: list[Queue[Item]] = [Queue(fairness), Queue(fairness)]
    for arrival in range(300):
        lanes[0].push(Item("both", arrival, 10))
        lanes[1].push(Item("both", 1_000 + arrival, 10))
        lanes[1].push(Item("one", 2_000 + arrival, 10))
    had = {"both": 0, "one": 0}
    for _ in range(300):
        first = min((lane for lane in lanes if lane), key=lambda lane: lane.key())
        had[serve(first).tenant] += 1
    assert abs(had["both"] - had["one"]) <= 2


def test_a_scope_that_was_stuck_catches_up_by_the_horizon_only() -> None:
    """Who was held back by his own model's limit does not take all that is common when it is gone."""
    weights = Weights()
    stuck: Queue[Item] = Queue(Fairness(weights))
    free: Queue[Item] = Queue(Fairness(weights))
    step = HORIZON // 100
    for arrival in range(2_000):
        stuck.push(Item("stuck", arrival, step))
        free.push(Item("free", 10_000 + arrival, step))
    for _ in range(1_000):
        serve(free)
    order = [serve(min((stuck, free), key=lambda lane: lane.key())).tenant for _ in range(400)]
    assert order[150:].count("stuck") == 125
    assert order.count("stuck") <= 252


def test_the_lowest_class_has_its_floor_and_no_more() -> None:
    """While the classes above keep the quota busy the lowest has 2 % of it, after having been passed fifty times."""
    queue: Queue[Item] = Queue()
    for arrival in range(10_000):
        queue.push(Item(priority=50, arrival=arrival, cost=10))
        queue.push(Item(priority=100, arrival=10_000 + arrival, cost=10))
    order = [serve(queue).priority for _ in range(5_000)]
    assert 100 not in order[:49]
    assert 95 <= order.count(100) <= 100
    assert queue.key()[0] == 50


def test_the_floor_is_never_before_interactive_work() -> None:
    """However much credit it has, the lowest class does not go before an interactive request, but before all others."""
    fairness = Fairness(Weights(floor=0.5))
    queue: Queue[Item] = Queue(fairness)
    for arrival in range(50):
        queue.push(Item(priority=0, arrival=arrival))
        queue.push(Item(priority=7, arrival=100 + arrival))
        queue.push(Item(priority=9, arrival=200 + arrival))
    assert {serve(queue).priority for _ in range(50)} == {0}
    assert fairness.promoted == 9
    assert queue.key()[0] == PROMOTED
    assert serve(queue).priority == 9


def test_the_credit_is_told_when_it_comes() -> None:
    """The request that earns the lowest class its turn says so, since it may stand at the head of another lane."""
    fairness = Fairness(Weights())
    normal: Queue[Item] = Queue(fairness)
    batch: Queue[Item] = Queue(fairness)
    batch.push(Item(priority=100))
    for arrival in range(1, 200):
        normal.push(Item(priority=50, arrival=arrival, cost=10))
    assert batch.key()[0] == 100
    told = [pop(normal) for _ in range(100)]
    assert told.count(True) == 1
    assert batch.key()[0] == PROMOTED
    assert not pop(batch)
    assert fairness.promoted is None


def test_where_nobody_is_above_anybody_there_is_no_credit() -> None:
    """A single class is served as ever, and a class called 1 or less is not promoted."""
    fairness = Fairness(Weights(floor=1.0))
    queue: Queue[Item] = Queue(fairness)
    for arrival in range(10):
        queue.push(Item(priority=0, arrival=arrival))
        queue.push(Item(priority=1, arrival=10 + arrival))
    serve(queue)
    serve(queue)
    assert fairness.promoted is None
    for _ in range(18):
        serve(queue)
    assert fairness.credit is None


def test_tenants_and_priorities_are_forgotten() -> None:
    """Names and priorities come from outside: those that are not needed any more do not fill the memory."""
    fairness = Fairness(Weights())
    queue: Queue[Item] = Queue(fairness)
    for arrival in range(10_000):
        queue.push(Item(f"tenant {arrival}", arrival))
        queue.push(Item(priority=arrival, arrival=20_000 + arrival))
        serve(queue)
        serve(queue)
    assert len(fairness.turns(0)) < 300
    assert len(fairness._turns) <= 65


def test_tenants_of_a_busy_class_are_forgotten() -> None:
    """Where somebody always waits, those who came and went are forgotten once they would begin anew anyway."""
    fairness = Fairness(Weights())
    queue: Queue[Item] = Queue(fairness)
    for arrival in range(5_000):
        queue.push(Item("always", arrival, 10))
    for arrival in range(4_000):
        queue.push(Item(f"tenant {arrival}", 10_000 + arrival, 10))
        serve(queue)
        serve(queue)
    assert len(fairness.turns(0)) < 300


def test_who_comes_back_early_waits_for_his_turn() -> None:
    """A tenant that leaves and returns while others wait is where it was, or where they are if they went on."""
    fairness = Fairness(Weights())
    queue: Queue[Item] = Queue(fairness)
    for arrival in range(100):
        queue.push(Item("always", arrival, 10))
    queue.push(Item("once", 200, 50))
    assert serve(queue).tenant == "always"
    assert serve(queue).tenant == "once"
    queue.push(Item("once", 201, 50))
    assert [serve(queue).tenant for _ in range(6)].count("once") == 1
    for _ in range(20):
        serve(queue)
    queue.push(Item("once", 202, 50))
    assert "once" in [serve(queue).tenant for _ in range(2)]


def test_weights_change_from_the_next_request_on() -> None:
    """A tenant whose weight is raised while it waits is served more often from then on."""
    weights = Weights()
    queue: Queue[Item] = Queue(Fairness(weights))
    for arrival in range(400):
        queue.push(Item("one", arrival, 10))
        queue.push(Item("two", 1_000 + arrival, 10))
    before = [serve(queue).tenant for _ in range(100)]
    weights.change({"two": 3.0})
    after = [serve(queue).tenant for _ in range(100)]
    assert before.count("two") == 50
    assert 73 <= after.count("two") <= 78
