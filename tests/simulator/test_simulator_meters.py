"""Each kind of refill, by hand and against random histories."""

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from scheduler.simulator.meters import SECOND, Cells, Slice
from scheduler.simulator.windows import FixedWindow, Occupancy, SlidingWindow

MINUTE = 60 * SECOND


def test_a_continuous_limit_refills_evenly() -> None:
    """What was taken comes back at limit a window, and not before."""
    meter = Cells(0, 60, MINUTE, 60)
    meter.take(0, 60)
    assert meter.level(0) == 0
    assert meter.level(SECOND // 2) == Fraction(1, 2)
    assert meter.whole(SECOND - 1) == 0
    assert meter.whole(SECOND) == 1
    assert meter.level(2 * MINUTE) == 60


def test_openai_s_recorded_wait_is_met_to_the_nanosecond() -> None:
    """With 29,937 of 30,000 used, 385 fit after 644 ms and not a nanosecond before."""
    meter = Cells(0, 30_000, MINUTE, 30_000)
    meter.take(0, 29_937)
    assert meter.wait(0, 385) == 644_000_000
    assert meter.wait(643_999_999, 385) == 1
    assert meter.wait(644_000_000, 385) == 0


def test_a_burst_other_than_the_limit_is_the_size_of_the_bucket() -> None:
    """A bucket of 10 at 60 a minute admits ten at once and then one a second."""
    meter = Cells(0, 60, MINUTE, 10)
    meter.take(0, 10)
    assert meter.wait(0, 1) == SECOND
    assert meter.level(MINUTE) == 10


def test_a_start_level_is_a_share_of_full() -> None:
    """A quarter of 60 is 15, and the rest takes 45 seconds."""
    meter = Cells(0, 60, MINUTE, 60, 0.25)
    assert meter.level(0) == 15
    assert meter.full_in(0) == 45 * SECOND


def test_what_is_given_back_never_lies_above_full() -> None:
    """Giving back more than is missing fills the bucket, and says how much counted."""
    meter = Cells(0, 60, MINUTE, 60)
    receipt = meter.take(0, 10)
    assert meter.give_back(4 * SECOND, 10, receipt) == 6
    assert meter.level(4 * SECOND) == 60
    assert meter.wait(4 * SECOND, 61) != 0


@pytest.mark.parametrize(("amount", "level"), [(30, 30), (50, 40), (120, 40), (0, 0)])
def test_a_changed_limit_keeps_the_level_as_far_as_it_holds_it(amount: int, level: int) -> None:
    """After a change the level is what it was, cut to the new limit; it then refills at the new rate."""
    meter = Cells(0, 60, MINUTE, 60)
    meter.take(0, 30)
    meter.change(10 * SECOND, amount, amount)
    assert meter.level(10 * SECOND) == level
    assert meter.level(20 * SECOND) == min(amount, level + Fraction(amount, 6))


def test_a_fixed_window_is_full_again_at_its_end() -> None:
    """Nothing comes back within a window, all of it at its end."""
    meter = FixedWindow(0, 60, MINUTE, 60)
    meter.take(10 * SECOND, 60)
    assert meter.wait(20 * SECOND, 1) == 40 * SECOND
    assert meter.level(MINUTE - 1) == 0
    assert meter.level(MINUTE) == 60


def test_a_fixed_window_takes_nothing_back_after_its_end() -> None:
    """A receipt of a window that has closed counts for nothing."""
    meter = FixedWindow(0, 60, MINUTE, 60)
    receipt = meter.take(0, 40)
    assert meter.give_back(SECOND, 10, receipt) == 10
    meter.take(MINUTE, 5)
    assert meter.give_back(MINUTE, 20, receipt) == 0
    assert meter.level(MINUTE) == 55


def test_a_sliding_window_forgets_each_use_a_window_later() -> None:
    """Uses at 0 and at 30 seconds come back at 60 and at 90."""
    meter = SlidingWindow(0, 60, MINUTE, 60)
    meter.take(0, 40)
    meter.take(30 * SECOND, 20)
    assert meter.wait(30 * SECOND, 40) == 30 * SECOND
    assert meter.wait(30 * SECOND, 41) == 60 * SECOND
    assert meter.level(MINUTE) == 40
    assert meter.full_in(MINUTE) == 30 * SECOND


def test_a_sliding_window_gives_back_within_its_entry() -> None:
    """What comes back is taken out of the entry that it belongs to, while that counts."""
    meter = SlidingWindow(0, 60, MINUTE, 60)
    first = meter.take(0, 40)
    second = meter.take(30 * SECOND, 20)
    assert meter.give_back(31 * SECOND, 15, second) == 15
    assert meter.level(31 * SECOND) == 15
    assert meter.give_back(61 * SECOND, 5, first) == 0


def test_a_request_larger_than_a_slice_passes_when_it_is_full_and_leaves_debt() -> None:
    """At 60 a minute by the second, 5 at once pass, and the next waits five seconds."""
    part = Slice(0, 60, MINUTE, SECOND)
    assert part.wait(0, 5) == 0
    part.take(0, 5)
    assert part.wait(0, 1) == 5 * SECOND
    assert part.wait(5 * SECOND, 1) == 0


def test_occupancy_is_freed_by_release_only() -> None:
    """A place is free again when somebody leaves, and no time makes one."""
    meter = Occupancy(1)
    receipt = meter.take(0, 1)
    assert meter.wait(10 * MINUTE, 1) is None
    meter.give_back(0, 1, receipt)
    assert meter.wait(0, 1) == 0


history = st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 50)), min_size=1, max_size=60)
limits = st.tuples(st.integers(1, 97), st.integers(50, 120))


def grants(meter: Cells | SlidingWindow | FixedWindow, steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    now, granted = 0, []
    for pause, units in steps:
        now += pause
        if units <= meter.burst and meter.wait(now, units) == 0:
            meter.take(now, units)
            granted.append((now, units))
    return granted


@given(history, limits)
def test_no_interval_is_granted_more_than_burst_and_refill(
    steps: list[tuple[int, int]], limit: tuple[int, int]
) -> None:
    """Over any interval a continuous limit grants at most burst + limit x interval / window."""
    amount, burst = limit
    granted = grants(Cells(0, amount, MINUTE, burst), steps)
    for i, (begin, _) in enumerate(granted):
        total = 0
        for end, units in granted[i:]:
            total += units
            assert total * MINUTE <= burst * MINUTE + amount * (end - begin)


@given(history, st.integers(50, 90))
def test_no_window_of_a_sliding_limit_is_granted_more_than_the_limit(steps: list[tuple[int, int]], amount: int) -> None:
    """In any window that ends at a grant, at most the limit is granted."""
    granted = grants(SlidingWindow(0, amount, MINUTE, amount), steps)
    for end, _ in granted:
        assert sum(units for at, units in granted if end - MINUTE < at <= end) <= amount


@given(history, st.integers(50, 90))
def test_no_fixed_window_is_granted_more_than_the_limit(steps: list[tuple[int, int]], amount: int) -> None:
    """In each window counted from the start, at most the limit is granted."""
    granted = grants(FixedWindow(0, amount, MINUTE, amount), steps)
    for number in {at // MINUTE for at, _ in granted}:
        assert sum(units for at, units in granted if at // MINUTE == number) <= amount


@given(history, limits, st.sampled_from([Cells, FixedWindow, SlidingWindow]), st.integers(1, 50))
def test_a_wait_is_enough_and_one_nanosecond_less_is_not(
    steps: list[tuple[int, int]],
    limit: tuple[int, int],
    kind: type[Cells | FixedWindow | SlidingWindow],
    units: int,
) -> None:
    """After the wait that a meter names its units fit, and just before they do not."""
    meter = kind(0, limit[0], MINUTE, limit[1])
    grants(meter, steps)
    now = sum(pause for pause, _ in steps)
    wait = meter.wait(now, units)
    assert wait is not None
    if wait:
        assert meter.wait(now + wait - 1, units) != 0
    assert meter.wait(now + wait, units) == 0
    assert meter.whole(now + wait) >= units


@given(history, limits, st.integers(1, 20 * SECOND), st.lists(st.integers(1, 10**9), max_size=5))
def test_looking_does_not_change_a_continuous_limit(
    steps: list[tuple[int, int]], limit: tuple[int, int], pause: int, looks: list[int]
) -> None:
    """A meter that was looked at in between says the same as one that was not."""
    one, other = Cells(0, limit[0], MINUTE, limit[1]), Cells(0, limit[0], MINUTE, limit[1])
    grants(one, steps)
    grants(other, steps)
    now = sum(step[0] for step in steps)
    for look in sorted(looks):
        one.level(now + look)
        one.wait(now + look, 7)
    later = now + 10**9 + pause
    assert one.level(later) == other.level(later)
    assert one.full_in(later) == other.full_in(later)
