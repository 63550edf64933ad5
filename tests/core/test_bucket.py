"""The bucket's essay, by its own examples."""

import pytest

from scheduler.core.bucket import NEVER, SlidingBucket, bucket_for
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota, Refill


def quota(amount: int, window: int = MINUTE, refill: Refill = Refill.CONTINUOUS, anchor: int = 0) -> Quota:
    return Quota(Dimension.TOKENS, amount, window, 0, refill, anchor)


def test_the_example_of_three_requests_a_minute() -> None:
    """Empty, it names 20 s for the next of three a minute; a nanosecond earlier 3 scaled units are missing."""
    bucket = bucket_for(quota(3), 0)
    assert bucket.level == 180 * 10**9
    for _ in range(3):
        bucket.take(60 * 10**9)
    assert bucket.ready_at(60 * 10**9, 0) == 20 * 10**9
    bucket.advance(19_999_999_999)
    assert bucket.level == 60 * 10**9 - 3
    bucket.advance(20 * 10**9)
    assert bucket.level == 60 * 10**9


def test_an_instant_in_the_past_changes_nothing() -> None:
    """Who looks with an older instant sees the level of the newest."""
    for refill in (Refill.CONTINUOUS, Refill.FIXED, Refill.SLIDING, Refill.RELEASE):
        bucket = bucket_for(quota(10, 0 if refill is Refill.RELEASE else MINUTE, refill), 2 * MINUTE)
        bucket.take(5)
        level = bucket.level
        bucket.advance(MINUTE)
        assert (bucket.level, bucket.at) == (level, 2 * MINUTE)


def test_a_debt_is_paid_first() -> None:
    """After twice the capacity was taken, a whole window goes by before the first unit is there."""
    bucket = bucket_for(quota(60), 0)
    bucket.take(120 * bucket.scale)
    assert bucket.ready_at(bucket.scale, 0) == 61 * SECOND


@pytest.mark.parametrize("refill", [Refill.CONTINUOUS, Refill.FIXED, Refill.SLIDING, Refill.RELEASE])
def test_a_bucket_may_begin_below_full(refill: Refill) -> None:
    """It begins with the whole units it is told, full by default, and never above the capacity."""
    limit = quota(10, 0 if refill is Refill.RELEASE else MINUTE, refill)
    assert bucket_for(limit, 0).whole == 10
    assert bucket_for(limit, 0, 4).whole == 4
    assert bucket_for(limit, 0, 14).whole == 10


@pytest.mark.parametrize("amount", [1, 3, 10**15])
@pytest.mark.parametrize("window", [SECOND, DAY])
def test_the_smallest_and_largest_limits_are_exact(amount: int, window: int) -> None:
    """One unit of any limit comes back after exactly its part of the window, rounded up."""
    bucket = bucket_for(quota(amount, window), 0)
    bucket.take(bucket.capacity)
    assert bucket.ready_at(bucket.scale, 0) == -(-window // amount)
    assert bucket.ready_at(bucket.capacity, 0) == window


def test_a_fixed_window_refills_at_its_instants() -> None:
    """Nothing comes before the instant, everything at it, and debts take several."""
    bucket = bucket_for(quota(100, DAY, Refill.FIXED, anchor=-SECOND), 0)
    bucket.take(250)
    assert bucket.ready_at(1, 0) == 2 * DAY - SECOND
    bucket.advance(DAY - SECOND - 1)
    assert bucket.level == -150
    bucket.advance(DAY - SECOND)
    assert bucket.level == -50
    bucket.advance(5 * DAY)
    assert bucket.level == 100


def test_a_sliding_window_returns_each_charge_after_a_window() -> None:
    """Charges come back one by one, each a window after it was made."""
    bucket = bucket_for(quota(10, MINUTE, Refill.SLIDING), 0)
    bucket.take(4)
    bucket.advance(30 * SECOND)
    bucket.take(6)
    assert bucket.ready_at(4, 30 * SECOND) == MINUTE
    assert bucket.ready_at(5, 30 * SECOND) == 90 * SECOND
    assert bucket.refill(30 * SECOND, MINUTE) == 4
    bucket.advance(MINUTE)
    assert bucket.level == 4
    assert bucket.refill(30 * SECOND, MINUTE) == 4
    assert bucket.refill(MINUTE, 90 * SECOND) == 6


def test_a_sliding_window_forgets_the_oldest_of_what_is_given_back() -> None:
    """What stays charged after a return comes back no sooner than the youngest charge does."""
    bucket = bucket_for(quota(20, MINUTE, Refill.SLIDING), 0)
    bucket.take(10)
    bucket.advance(30 * SECOND)
    bucket.take(10)
    bucket.give(10, 0)
    bucket.advance(MINUTE)
    assert bucket.level == 10
    bucket.give(10, 0)  # it has come back by itself
    assert bucket.level == 10
    bucket.advance(90 * SECOND)
    assert bucket.level == 20


def test_a_corrected_sliding_window_fills_up_again() -> None:
    """What a correction takes comes back a window later; what it adds is not added again."""
    bucket = bucket_for(quota(10, MINUTE, Refill.SLIDING), 0)
    bucket.put(0)
    assert bucket.ready_at(10, 0) == MINUTE
    bucket.put(7)
    bucket.advance(MINUTE)
    assert bucket.level == 10


def test_a_shorter_sliding_window_frees_at_once() -> None:
    """Charges that are older than the new window are back when it is retuned."""
    bucket = bucket_for(quota(10, MINUTE, Refill.SLIDING), 0)
    bucket.take(10)
    bucket.retune(quota(10, SECOND, Refill.SLIDING), 30 * SECOND)
    assert bucket.level == 10
    assert isinstance(bucket, SlidingBucket)


def test_released_units_come_back_by_release_only() -> None:
    """No instant can be named for concurrency, and nothing refills by itself."""
    bucket = bucket_for(quota(2, 0, Refill.RELEASE), 0)
    bucket.take(2)
    assert bucket.ready_at(1, DAY) == NEVER
    assert bucket.refill(0, DAY) == 0
    bucket.advance(DAY)
    assert bucket.level == 0
    bucket.give(1, 0)
    assert bucket.ready_at(1, DAY) == DAY


def test_retuning_adds_room_and_makes_no_debts() -> None:
    """A raised limit adds the difference, a lowered one takes it as far as it is there; a debt stays one."""
    bucket = bucket_for(quota(100), 0)
    bucket.take(80 * bucket.scale)
    bucket.retune(quota(150), 0)
    assert bucket.whole == 70
    bucket.retune(quota(50), 0)
    assert bucket.whole == 0
    bucket.take(10 * bucket.scale)
    bucket.retune(quota(20), 0)
    assert bucket.whole == -10


def test_retuning_to_the_same_limit_again_and_again_loses_nothing() -> None:
    """A configuration that is read anew every second costs no refill."""
    bucket = bucket_for(quota(3), 0)
    bucket.take(bucket.capacity)
    for second in range(1, 21):
        bucket.retune(quota(3), second * SECOND)
    assert bucket.whole == 1


def test_a_charge_is_not_lacking_once_the_bucket_was_full_again() -> None:
    """What a charge left missing shrinks as the bucket that it was taken from fills up."""
    bucket = bucket_for(quota(60), 0)
    bucket.take(10 * bucket.scale)
    left = bucket.level
    assert bucket.lacking(10 * bucket.scale, left, 0) == 10 * bucket.scale
    bucket.advance(4 * SECOND)
    assert bucket.lacking(10 * bucket.scale, left, 0) == 6 * bucket.scale
    bucket.advance(MINUTE)
    assert bucket.lacking(10 * bucket.scale, left, 0) == 0
