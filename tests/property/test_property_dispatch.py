"""Promises 9 to 11, without a loop or a thread: lanes that share accounts, or do not, and who goes when."""

from typing import TYPE_CHECKING, cast

from hypothesis import given, settings, strategies as st

from scheduler.core.budget import tickets_of
from scheduler.core.fairness import Fairness, Weights
from scheduler.core.gate import Gate
from scheduler.core.quota import MINUTE, SECOND, Charge, Dimension, Quota, Refill
from scheduler.core.ramp import Flow, Ramp
from scheduler.core.reconcile import NOTES, Account
from scheduler.engine.dispatch import Dispatcher
from scheduler.engine.lane import Lane, mask_of
from scheduler.engine.scopes import Scope
from scheduler.engine.waiter import Waiter

if TYPE_CHECKING:
    from scheduler.engine.admission import Admission

NOBODY = cast("Admission", None)  # nobody enters here
TICKS = 40
"""How often time may be called for one waiter, before it counts as a livelock."""


class Hall:
    """Lanes over shared and own scopes, with everything that was granted."""

    def __init__(self, own: int, shared: list[Quota], lanes: list[tuple[int, ...]], quota: Quota) -> None:
        self.now = 0
        self.dispatcher = Dispatcher(self.grant, lambda waiter, lane: None)
        names = [f"own {index}" for index in range(own)] + [f"shared {index}" for index in range(len(shared))]
        self.scopes = [
            Scope(
                name,
                None,
                [Account(each, 0, scope=name)],
                Gate(name),
                configured=True,
                fairness=Fairness(Weights(floor=0.0)),
            )
            for name, each in zip(names, [quota] * own + shared, strict=True)
        ]
        self.lanes = [Lane(tuple(self.scopes[index] for index in each), mask_of(Charge(tokens=1))) for each in lanes]
        self.granted: list[Waiter] = []
        self.waiting: dict[int, Waiter] = {}
        self.flying: list[Waiter] = []
        self.arrivals = 0

    def join(self, lane: int, tokens: int, priority: int = 0) -> Waiter:
        waiter = Waiter(NOBODY, "", None, Charge(tokens=tokens), priority)
        waiter.queue(self.lanes[lane], self.arrivals, self.now)
        self.arrivals += 1
        self.waiting[waiter.arrival] = waiter
        waiter.lane.queue.push(waiter)
        if waiter.lane.queue.head() is waiter:
            self.dispatcher.serve([waiter.lane], self.now)
        self.collect()
        return waiter

    def leave(self, waiter: Waiter) -> None:
        del self.waiting[waiter.arrival]
        waiter.lane.queue.remove(waiter)
        self.dispatcher.left(waiter.lane, self.now)
        self.collect()

    def end(self, waiter: Waiter) -> None:
        self.flying.remove(waiter)
        for scope in waiter.lane.scopes:
            scope.gate.flying -= 1
        for ticket in tickets_of(waiter.lane.draws, waiter.charge, waiter.submitted, waiter.notes):
            ticket.account.release(ticket, self.now)
            ticket.account.answered(ticket, waiter.submitted, self.now, None, 0)
        self.dispatcher.changed([*waiter.lane.stops, *(account for account, _ in waiter.lane.draws)], self.now)
        self.collect()

    def slow_down(self, index: int, tokens: int) -> None:
        """Let a provider complain, or end the ramp of its last complaint."""
        scope = self.scopes[index]
        if scope.ramp is None or tokens % 2:
            scope.ramp = scope.ramp or Ramp(scope.name, Dimension.TOKENS.position, None, self.now)
            scope.ramp.slow_down((Flow(tokens, 1), Flow(0, 0)), self.now, self.now)
        else:
            scope.ramp = None
        for lane in self.lanes:
            lane.rebuild()
        stops = [] if scope.ramp is None else [scope.ramp]
        self.dispatcher.changed([*stops, scope.gate, *scope.accounts], self.now)
        self.collect()

    def grant(self, waiter: Waiter, notes: tuple[int, ...], now: int) -> None:
        assert self.waiting.pop(waiter.arrival) is waiter, "granted once, and only who waits"
        assert len(notes) == NOTES * len(waiter.lane.draws)
        waiter.notes = notes
        waiter.submitted = now
        self.granted.append(waiter)
        self.flying.append(waiter)

    def collect(self) -> None:
        for waiter in self.waiting.values():
            assert waiter.lane.queue, "nobody is forgotten"
        assert sum(len(lane.queue) for lane in self.lanes) == len(self.waiting)

    def tick(self) -> bool:
        instant = self.dispatcher.next_instant()
        if instant is None:
            return False
        assert instant > self.now, "an instant that has passed would be called for again and again"
        self.now = instant
        self.dispatcher.tick(instant)
        self.collect()
        return True

    def run_dry(self) -> None:
        """Let time pass, and requests end, until nobody waits."""
        budget = TICKS * (len(self.waiting) + 1)
        while self.waiting:
            budget -= 1
            assert budget, "livelock"
            if not self.tick():
                assert self.flying, "deadlock: nothing flies, no instant is named, and someone waits"
                self.end(self.flying[0])

    def conserved(self) -> None:
        """Every granted waiter has been charged exactly once, everywhere."""
        for scope in self.scopes:
            drawn = [waiter for waiter in self.granted if scope in waiter.lane.scopes]
            assert scope.accounts[0].total == sum(
                waiter.charge[scope.accounts[0].dimension.position] for waiter in drawn
            )


AMOUNT = 60
QUOTA = Quota(Dimension.TOKENS, AMOUNT, MINUTE)
SHARED = [Quota(Dimension.TOKENS, 2 * AMOUNT, MINUTE), Quota(Dimension.TOKENS, 50, SECOND)]
CONCURRENCY = Quota(Dimension.CONCURRENCY, 3, 0, refill=Refill.RELEASE)
SHAPES = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(tuple), min_size=1, max_size=5)


@given(shape=SHAPES, data=st.data())
def test_nobody_is_forgotten_and_all_who_fit_go_in_the_end(shape: list[tuple[int, ...]], data: st.DataObject) -> None:
    """Whatever arrives, leaves, ends, ticks and complains: each is granted and charged once, in bounded ticks."""
    hall = Hall(3, [*SHARED, CONCURRENCY], shape, QUOTA)
    for _ in range(data.draw(st.integers(1, 30), "steps")):
        match data.draw(st.sampled_from(["join", "join", "join", "leave", "end", "tick", "wait", "slow down"]), "step"):
            case "leave" if hall.waiting:
                hall.leave(hall.waiting[data.draw(st.sampled_from(sorted(hall.waiting)))])
            case "end" if hall.flying:
                hall.end(data.draw(st.sampled_from(hall.flying)))
            case "tick":
                hall.tick()
            case "slow down":
                hall.slow_down(data.draw(st.integers(0, 5), "scope"), data.draw(st.integers(1, 30), "flow"))
            case "wait":
                due = hall.dispatcher.next_instant()
                hall.now += data.draw(st.integers(0, MINUTE if due is None else max(0, due - hall.now)), "wait")
                hall.dispatcher.tick(hall.now)
                hall.collect()
            case _:
                tokens = data.draw(st.sampled_from([1, 5, 25, 50]) | st.integers(1, 50), "tokens")
                lane = data.draw(st.integers(0, len(shape) - 1), "lane")
                hall.join(lane, tokens, data.draw(st.integers(0, 2), "priority"))
    hall.run_dry()
    hall.conserved()
    assert not hall.dispatcher.busy
    assert not hall.dispatcher._claims
    assert hall.dispatcher.next_instant() is None


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 50)), min_size=2, max_size=30),
    shares=st.booleans(),
)
def test_those_who_wait_for_one_account_go_by_priority_then_arrival(
    arrivals: list[tuple[int, int, int]], *, shares: bool
) -> None:
    """In a lane, and across lanes that are held back by the same account, the order is that of the keys."""
    hall = Hall(0, [SHARED[0]], [(0,), (0,), (0,)], QUOTA)
    for lane, priority, tokens in arrivals:
        hall.join(lane if shares else 0, tokens, priority)
    at_once = len(hall.granted)
    hall.run_dry()
    order = [(waiter.priority, waiter.arrival) for waiter in hall.granted[at_once:]]
    assert order == sorted(order)


@given(data=st.data(), others=st.integers(1, 20))
def test_a_lane_with_an_account_of_its_own_is_not_held_back(data: st.DataObject, others: int) -> None:
    """Lanes that share nothing grant what each would alone, at the same instants."""
    alone = Hall(1, [], [(0,)], QUOTA)
    beside = Hall(2, [], [(0,), (1,)], QUOTA)
    for _ in range(others):
        tokens = data.draw(st.integers(1, 50), "tokens")
        alone.join(0, tokens)
        beside.join(0, tokens)
        beside.join(1, data.draw(st.integers(1, 50), "beside"), -1)
    alone.run_dry()
    beside.run_dry()
    mine = [waiter for waiter in beside.granted if waiter.lane is beside.lanes[0]]
    assert [each.charge.tokens for each in mine] == [each.charge.tokens for each in alone.granted]
    assert [each.submitted for each in mine] == [each.submitted for each in alone.granted]


@settings(max_examples=15)
@given(small=st.integers(1, 4), two=st.booleans(), large=st.sampled_from([30, 50, 57]))
def test_a_large_head_is_not_starved_by_small_ones(*, small: int, two: bool, large: int) -> None:
    """With endless small requests on one or two accounts that it needs, a large one goes in about two windows."""
    quota = Quota(Dimension.TOKENS, 60, MINUTE)
    lanes: list[tuple[int, ...]] = [(0,), (1,), (0, 1)] if two else [(0,), (0,), (0,)]
    hall = Hall(2, [], lanes, quota)
    for _ in range(80):
        hall.join(0, small)
        hall.join(1, small)
    big = hall.join(2, large)
    for _ in range(400):
        hall.join(0, small)
        hall.join(1, small)
    while big.arrival in hall.waiting:
        assert hall.tick()
        assert len(hall.granted) < 900
        for waiter in list(hall.flying):
            hall.end(waiter)
    passed = [waiter for waiter in hall.granted if waiter.arrival > big.arrival]
    in_the_way = sum(w.charge.tokens for w in passed if w.lane is not big.lane)
    assert in_the_way <= 2 * 60, "what passes it is bounded by what it cannot use"


@given(tokens=st.lists(st.integers(1, 50), min_size=1, max_size=10), late=st.integers(1, 50))
def test_a_better_priority_that_comes_late_goes_first(tokens: list[int], late: int) -> None:
    """A request of a better priority that arrives when others wait is the next to be granted."""
    hall = Hall(0, [SHARED[0]], [(0,), (0,)], QUOTA)
    for each in [50, 50, 50, *tokens]:
        hall.join(0, each, 1)
    assert hall.waiting
    first = hall.join(1, late, 0)
    granted = len(hall.granted)
    if first.arrival in hall.waiting:
        hall.run_dry()
        assert hall.granted[granted] is first


@given(removed=st.sets(st.integers(0, 9), min_size=1), late=st.booleans())
def test_leaving_frees_the_way(*, removed: set[int], late: bool) -> None:
    """Whoever leaves, from the head or the middle, in either lane, costs the others nothing."""
    hall = Hall(0, [SHARED[0]], [(0,), (0,)], QUOTA)
    for _ in range(3):
        hall.join(0, 50)
    waiters = [hall.join(index % 2, 50 if index % 3 else 5) for index in range(10)]
    if late:
        hall.tick()
    for index in removed:
        if waiters[index].arrival in hall.waiting:
            hall.leave(waiters[index])
    before = len(hall.granted)
    hall.run_dry()
    hall.conserved()
    order = [waiter.arrival for waiter in hall.granted[before:]]
    assert order == sorted(order)


@given(tokens=st.lists(st.integers(1, 20), min_size=2, max_size=20), flow=st.integers(10, 60))
def test_lanes_that_wait_for_a_ramp_go_by_their_order_and_at_its_rate(tokens: list[int], flow: int) -> None:
    """They stand in one line, whatever else they draw on, and the first holds its place."""
    hall = Hall(
        2, [Quota(Dimension.TOKENS, 100_000, MINUTE)], [(2, 0), (2, 1)], Quota(Dimension.TOKENS, 90_000, MINUTE)
    )
    for scope in hall.scopes:
        scope.accounts[0].pace = None
    hall.slow_down(2, 2 * flow + 1)
    ramp = hall.scopes[2].ramp
    assert ramp is not None
    for index, each in enumerate(tokens):
        hall.join(index % 2, each, index % 3)
    at_once = len(hall.granted)
    hall.run_dry()
    order = [(waiter.priority, waiter.arrival) for waiter in hall.granted[at_once:]]
    assert order == sorted(order)
    assert hall.now * ramp.rate >= (sum(tokens) - max(tokens)) * SECOND * 10**6 - ramp.rate * SECOND
