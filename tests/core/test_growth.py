"""The growth of traffic: a server that allows half as much again in any quarter of an hour never refuses."""

from bisect import bisect_right
from collections import deque
from itertools import accumulate

import pytest
from hypothesis import example, given, settings, strategies as st

from scheduler.core.growth import Growth, Traffic
from scheduler.core.quota import HOUR, MINUTE, SECOND, Charge, Dimension
from scheduler.core.ramp import Flow, Ramp

FLOOR = 4_000
GROWTH = Growth(FLOOR)
LARGEST = 64  # tokens that a purse at the floor holds
TOKENS = Dimension.TOKENS.position
Sent = list[tuple[int, int]]


class Minutes:
    """What any minute of a trace carried, however it lies."""

    def __init__(self, sent: Sent) -> None:
        self.at = [at for at, _ in sent]
        self.sums = [0, *accumulate(units for _, units in sent)]

    def until(self, instant: int) -> int:
        """Return the units of the minute that ends at an instant."""
        return self.sums[bisect_right(self.at, instant)] - self.sums[bisect_right(self.at, instant - MINUTE)]

    def turns(self) -> list[int]:
        """Return the instants at which that may be least: just before a request, and when one leaves the minute."""
        return sorted({at - 1 for at in self.at} | {at + MINUTE for at in self.at})


def refused(sent: Sent) -> list[int]:
    """Return when the strictest server refuses: above 1.5 times any earlier minute of a quarter, and the floor."""
    minutes = Minutes(sent)
    turns = minutes.turns()
    least: deque[tuple[int, int]] = deque()
    following = 0
    found = []
    for at, _ in sent:
        while following < len(turns) and turns[following] <= at - MINUTE:
            units = minutes.until(turns[following])
            while least and least[-1][1] >= units:
                least.pop()
            least.append((turns[following], units))
            following += 1
        while least and least[0][0] < at - GROWTH.span:
            least.popleft()
        ends = [minutes.until(at - GROWTH.span), minutes.until(at - MINUTE), *(units for _, units in list(least)[:1])]
        if minutes.until(at) > max(FLOOR, 1.5 * min(ends)):
            found.append(at)
    return found


def play(ramp: Ramp, phases: list[tuple[int, int, int]]) -> Sent:
    """Send requests of some tokens for some seconds each: as many as may go, with so many milliseconds between two."""
    now, sent = 0, []
    for seconds, tokens, pause in phases:
        end = now + seconds * SECOND
        while (now := ramp.ready_at(Charge(tokens=tokens), now)) < end:
            ramp.take(Charge(tokens=tokens), now)
            sent.append((now, tokens))
            now += pause * SECOND // 1000
        now = max(now, end)
        if pause < 0:
            now = end
    return sent


PHASE = st.tuples(st.integers(1, 1_500), st.integers(1, LARGEST), st.sampled_from([0, 0, 0, 10, 500, 5_000, 90_000]))


@settings(max_examples=40, deadline=None)
@given(phases=st.lists(PHASE, min_size=1, max_size=6))
@example(phases=[(2_000, 64, 0), (45, 64, 5_000), (15, 64, 0), (2_000, 64, 0)])
@example(phases=[(3_000, 64, 0), (40, 64, 90_000), (1_000, 64, 0)])
def test_the_strictest_server_never_refuses_what_is_kept_from_the_start(phases: list[tuple[int, int, int]]) -> None:
    """Whatever comes and pauses: no minute carries more than 1.5 times any other of the quarter of an hour before."""
    sent = play(Ramp("m", TOKENS, GROWTH, 0, kept=True), phases)
    assert refused(sent) == []


def test_that_server_refuses_who_does_not_keep_to_it() -> None:
    """A trace that grows by the plan alone is refused after a pause, one that grows by 1.6 at once."""
    even = [(second * SECOND, 100) for second in range(1_200)]
    more = [(second * SECOND, 161) for second in range(1_200, 1_260)]
    assert refused(even[:40]) == []
    assert refused(even + more)
    assert refused([*even[:960], *((at + 2 * MINUTE, units) for at, units in even[960:])])


def test_who_has_enough_to_do_grows_by_what_is_allowed_but_a_few_percent() -> None:
    """From the floor, 1.43 a quarter of an hour."""
    ramp = Ramp("m", TOKENS, GROWTH, 0, kept=True)
    sent = Minutes(play(ramp, [(7_200, 40, 0)]))
    assert sent.until(14 * MINUTE) == pytest.approx(FLOOR, rel=0.04)
    assert sent.until(2 * HOUR - SECOND) > FLOOR * 1.4**6.5


def test_a_lull_counts_and_a_minute_without_traffic_leads_back_to_the_floor() -> None:
    """A quarter of a minute costs growth only, half of one half of the traffic, a whole one all above the floor."""
    for pause, left in ((15, 1.1), (30, 0.45), (61, 0.0)):
        ramp = Ramp("m", TOKENS, GROWTH, 0, kept=True)
        before = play(ramp, [(7_200, 40, 0)])
        now = before[-1][0] + pause * SECOND
        full = Minutes(before).until(before[-1][0])
        after = []
        while (now := ramp.ready_at(Charge(tokens=40), now)) < 2 * HOUR + 10 * MINUTE:
            ramp.take(Charge(tokens=40), now)
            after.append((now, 40))
        carried = Minutes(after).until(2 * HOUR + 9 * MINUTE)
        assert carried == pytest.approx(max(FLOOR, left * full), rel=0.1)


def test_what_was_refused_is_nothing_to_grow_from() -> None:
    """A provider may not count it."""
    ramp = Ramp("m", TOKENS, GROWTH, 0, kept=True)
    now = 0
    while (now := ramp.ready_at(Charge(tokens=40), now)) < HOUR:
        ramp.take(Charge(tokens=40), now)
        if now > 16 * MINUTE:
            ramp.uncount(Charge(tokens=40))
    assert ramp.rate * 60 / 1e6 == pytest.approx(FLOOR, rel=0.04)


def test_a_complaint_holds_what_is_kept_as_well() -> None:
    """It counts tokens alone; only where there are none, the requests that came weigh what had been let through."""
    ramp = Ramp("m", TOKENS, GROWTH, 0, kept=True)
    _, fast = play(ramp, [(60, 40, 0)]), Flow(600, 15)
    ramp.slow_down((fast, fast), MINUTE, MINUTE)
    assert ramp.weigh(Charge(tokens=40)) == 40
    assert ramp.rate == 48_000_000
    assert refused(play(ramp, [(3_600, 40, 0)])) == []
    before = ramp.rate
    ramp.slow_down((Flow(0, 10), Flow(0, 10)), 2 * HOUR, 2 * HOUR)
    assert ramp.rate == before * 4 // 5
    assert ramp.weigh(Charge()) * 10 == pytest.approx(before * 10 / 1e6, rel=0.1)


def test_a_past_that_is_not_known_is_not_taken_for_nothing() -> None:
    """Slots of a traffic that is counted from now on say nothing until a whole minute after the next has passed."""
    traffic = Traffic(10, new=False)
    for slot in range(11, 130):
        traffic.add(5)
        assert traffic.roll(slot) is None
    traffic.add(5)
    assert traffic.roll(130) == 59 * 5
    assert Traffic(10, new=True).roll(11) == 0


@given(
    moves=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 50)), max_size=60),
    new=st.booleans(),
)
def test_the_least_minute_is_that_of_a_naive_count(moves: list[tuple[int, int]], new: bool) -> None:  # noqa: FBT001
    """Sparse slots and their sums say what a list of all slots says."""
    traffic = Traffic(0, new=new)
    slots: dict[int, int] = {}
    slot = 0
    begin = 0 if new else 120
    for pause, units in moves:
        slots[slot] = slots.get(slot, 0) + units
        traffic.add(units)
        if pause:
            slot += pause
            said = traffic.roll(slot)
            looked = range(max(begin, slot - 900), slot + 1)
            known = [sum(slots.get(each, 0) for each in range(last - 59, last)) for last in looked]
            assert said is None or not new or said == min(known)
            if known and said is not None:
                assert said >= min(known)
