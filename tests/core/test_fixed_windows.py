"""Fixed windows: slack around their instants, and a wall clock that is set."""

import pytest

from scheduler.core.bucket import FixedBucket, SlidingBucket, bucket_for, eta
from scheduler.core.fixed import Given
from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill

SLACK = 2 * SECOND


class WallClock:
    """Windows by a wall clock that can be set."""

    def __init__(self, window: int = DAY) -> None:
        self.window = window
        self.shift = 0

    def number(self, instant: int) -> int:
        return (instant + self.shift) // self.window

    def begins(self, number: int) -> int:
        return number * self.window - self.shift


def fixed(amount: int = 100, window: int = MINUTE, slack: int = SLACK, level: int | None = None) -> FixedBucket:
    bucket = bucket_for(Quota(Dimension.REQUESTS, amount, window, 0, Refill.FIXED, 0, "", slack), 10 * SECOND, level)
    assert isinstance(bucket, FixedBucket)
    return bucket


def daily(clock: WallClock, now: int = 12 * HOUR) -> FixedBucket:
    quota = Quota(Dimension.REQUESTS, 100, DAY, 0, Refill.FIXED, None, "UTC", 10 * SECOND)
    bucket = bucket_for(quota, now, schedule=clock)
    assert isinstance(bucket, FixedBucket)
    return bucket


def test_a_window_is_given_when_it_must_have_begun() -> None:
    """The wait ends a slack after our instant, and not a nanosecond before."""
    bucket = fixed()
    bucket.take(100)
    assert bucket.ready_at(1, 10 * SECOND) == MINUTE + SLACK
    bucket.advance(MINUTE + SLACK - 1)
    assert bucket.level == 0
    bucket.advance(MINUTE + SLACK)
    assert bucket.level == 100


def test_what_is_charged_near_the_instant_counts_in_both_windows() -> None:
    """Requests that may arrive after the window has changed are missing from the next, and from that one only."""
    bucket = fixed()
    bucket.advance(MINUTE - SLACK - 1)
    bucket.take(20)
    bucket.advance(MINUTE - SLACK)
    bucket.take(5)
    bucket.advance(MINUTE + SLACK - 1)
    bucket.take(7)
    assert bucket.level == 68
    assert bucket.ready_at(88, bucket.at) == MINUTE + SLACK
    assert bucket.ready_at(89, bucket.at) == 2 * MINUTE + SLACK
    bucket.advance(MINUTE + SLACK)
    assert bucket.level == 88
    bucket.advance(2 * MINUTE + SLACK)
    assert bucket.level == 100


def test_what_is_given_back_near_the_instant_counts_in_neither() -> None:
    """A request that was never sent is missing from no window; of another window nothing comes back."""
    bucket = fixed()
    bucket.take(10)
    bucket.advance(MINUTE)
    bucket.take(40)
    bucket.give(40, MINUTE)
    assert bucket.level == 90
    bucket.give(0, 10 * SECOND)
    bucket.advance(MINUTE + SLACK)
    assert bucket.level == 100
    bucket.take(30)
    bucket.give(10, 10 * SECOND)
    assert bucket.level == 70


def test_what_came_longer_ago_than_is_remembered_is_reckoned() -> None:
    """Answers may come many windows after they were asked for."""
    bucket = fixed()
    for number in range(1, 21):
        bucket.advance(number * MINUTE + SLACK)
    assert bucket.refill(10 * SECOND, bucket.at) == 20 * 100
    assert bucket.refill(3 * MINUTE, bucket.at) == 18 * 100
    assert bucket.refill(19 * MINUTE, bucket.at) == 2 * 100


def test_a_day_is_given_when_the_wall_clock_is_set_forward_over_midnight() -> None:
    """The wall clock is all that is known of the provider's day."""
    clock = WallClock()
    bucket = daily(clock)
    bucket.take(100)
    clock.shift = 13 * HOUR
    bucket.advance(12 * HOUR + 1)
    assert bucket.level == 100
    assert bucket.refill(12 * HOUR, 12 * HOUR + 1) == 100


def test_a_day_is_not_given_twice_when_the_wall_clock_is_set_back() -> None:
    """After it was set back over a midnight, that midnight brings nothing; the next one does."""
    clock = WallClock()
    bucket = daily(clock)
    bucket.take(100)
    bucket.advance(DAY + MINUTE)
    assert bucket.level == 100
    bucket.take(100)
    clock.shift = -HOUR  # 23:01 again
    bucket.advance(DAY + 2 * MINUTE)
    assert bucket.ready_at(1, bucket.at) == 2 * DAY + HOUR + 10 * SECOND
    bucket.advance(DAY + 2 * HOUR)  # 01:00, once more
    assert bucket.level == 0
    assert bucket.refill(DAY + 2 * MINUTE, bucket.at) == 0
    bucket.advance(2 * DAY + HOUR + 10 * SECOND)
    assert bucket.level == 100


def test_a_clock_that_was_years_ahead_costs_one_day_at_most() -> None:
    """When it is set right, the midnights that really come bring their days."""
    clock = WallClock()
    bucket = daily(clock)
    bucket.take(100)
    clock.shift = 3650 * DAY
    bucket.advance(13 * HOUR)
    assert bucket.level == 100
    bucket.take(100)
    clock.shift = 0
    bucket.advance(14 * HOUR)
    assert bucket.level == 0
    bucket.advance(DAY + HOUR)
    assert bucket.level == 100


def test_a_window_that_brought_nothing_may_still_come() -> None:
    """A day that found the bucket full is given when its midnight comes again."""
    clock = WallClock()
    bucket = daily(clock)
    bucket.advance(DAY + MINUTE)
    clock.shift = -HOUR
    bucket.advance(DAY + 2 * MINUTE)
    bucket.take(100)
    bucket.advance(DAY + 2 * HOUR)
    assert bucket.level == 100


def test_windows_given_are_remembered_in_bounded_memory() -> None:
    """The last few are known by number; everything before has been given."""
    given = Given(0)
    assert given.left(0, 3) == 3
    given.note(3, 2)
    assert [given.left(0, 1), given.left(1, 3), given.nth(0, 1), given.nth(0, 2)] == [1, 0, 1, 4]
    given.note(3, 1)
    assert given.left(0, 3) == 0
    for number in range(10, 30):
        given.note(number, 1)
    assert len(given._given) == 8
    assert given.left(5, 21) == 0
    assert given.nth(5, 1) == 30
    given.note(100, 50)
    assert given.left(0, 100) == 0
    assert given.nth(50, 2) == 102
    given.note(101, 5)
    assert given.left(0, 101) == 0


def test_a_changed_amount_keeps_the_windows_and_a_changed_anchor_begins_anew() -> None:
    """What was spent stays spent and makes no debts; the window an instant lies in under another anchor is given."""
    bucket = fixed()
    bucket.take(60)
    bucket.retune(Quota(Dimension.REQUESTS, 50, MINUTE, 0, Refill.FIXED, 0, "", SLACK), 10 * SECOND)
    assert (bucket.level, bucket.ready_at(1, 10 * SECOND)) == (0, MINUTE + SLACK)
    bucket.retune(Quota(Dimension.REQUESTS, 50, HOUR, 0, Refill.FIXED, -3 * HOUR), 10 * SECOND)
    assert (bucket.level, bucket.ready_at(1, 10 * SECOND)) == (0, HOUR)
    clock = WallClock()
    day = daily(clock)
    day.take(10)
    day.retune(Quota(Dimension.REQUESTS, 50, DAY, 0, Refill.FIXED, None, "UTC", 0), 13 * HOUR)
    assert (day.level, day.ready_at(50, 13 * HOUR)) == (40, DAY)


def test_fixed_windows_that_nobody_can_place_are_kept_as_sliding_ones() -> None:
    """A charge comes back a window and a slack after it was made, wherever the provider's windows begin."""
    bucket = bucket_for(Quota(Dimension.REQUESTS, 10, MINUTE, 0, Refill.FIXED, None, "", SECOND), 0)
    assert isinstance(bucket, SlidingBucket)
    bucket.take(10)
    assert bucket.ready_at(1, 0) == MINUTE + SECOND
    with pytest.raises(ValueError, match="schedule"):
        bucket_for(Quota(Dimension.REQUESTS, 10, DAY, 0, Refill.FIXED, None, "UTC"), 0)


def test_a_backlog_is_through_when_its_windows_have_come() -> None:
    """The instant of the last of them, without stepping through the windows; nobody can tell of what is released."""
    assert eta(fixed(level=30), 30, 10 * SECOND) == 10 * SECOND
    assert eta(fixed(level=30), 31, 10 * SECOND) == MINUTE + SLACK
    assert eta(fixed(level=30), 10**9 * 100 + 30, 10 * SECOND) == 10**9 * MINUTE + SLACK
    continuous = bucket_for(Quota(Dimension.REQUESTS, 60, MINUTE), 0)
    assert eta(continuous, 61, 0) == SECOND
    sliding = bucket_for(Quota(Dimension.REQUESTS, 60, MINUTE, 0, Refill.SLIDING), 0, 20)
    assert [eta(sliding, units, SECOND) for units in (20, 21, 60, 61, 80, 81)] == [
        SECOND,
        MINUTE,
        MINUTE,
        MINUTE + SECOND,
        MINUTE + SECOND,
        2 * MINUTE,
    ]
    places = bucket_for(Quota(Dimension.CONCURRENCY, 4, 0, refill=Refill.RELEASE), 0)
    assert (eta(places, 4, 0), eta(places, 5, 0)) == (0, None)


@pytest.mark.parametrize(
    "quota",
    [
        (10, MINUTE, 0, Refill.CONTINUOUS, 0, "UTC"),
        (10, MINUTE, 0, Refill.SLIDING, 0, "UTC"),
        (10, 7 * SECOND + 1, 0, Refill.FIXED, 0, "UTC"),
        (10, 2 * DAY, 0, Refill.FIXED, 0, "UTC"),
        (10, MINUTE, 0, Refill.FIXED, 0, "", -1),
        (10, MINUTE, 0, Refill.FIXED, 0, "", 16 * SECOND),
        (10, MINUTE, 0, Refill.CONTINUOUS, 0, "", 1),
        (10, MINUTE, 11, Refill.FIXED, None),
        (10, MINUTE, 0, Refill.CONTINUOUS, 0, "", 0, 500),
        (10, MINUTE, 0, Refill.FIXED, None, "", 0, 500),
        (10, MINUTE, 0, Refill.FIXED, 0, "", 0, 1001),
        (10, MINUTE, 0, Refill.FIXED, 0, "", 0, -1),
        (10, MINUTE, 5, Refill.FIXED, 0, "", 0, 500),
    ],
)
def test_windows_that_cannot_be_are_refused(quota: tuple[int, int, int, Refill]) -> None:
    """Zones, slacks, bursts and spreads that a refill cannot have are no quotas."""
    with pytest.raises(ValueError, match="quota"):
        Quota(Dimension.REQUESTS, *quota)
