"""Promise 1: levels are exact, waits are sufficient and not a nanosecond longer than that."""

import copy

from drawn import TIMED, parts, quotas, spans
from hypothesis import given, strategies as st

from scheduler.core.bucket import NEVER, Bucket, bucket_for
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota, Refill


def used_bucket(data: st.DataObject, quota: Quota, *, debt: bool = True) -> tuple[Bucket, int]:
    """Return a bucket that some charges were taken from, perhaps into debt, and the instant of the last."""
    bucket, now = bucket_for(quota, 0), 0
    for _ in range(data.draw(st.integers(0, 5), "charges")):
        now += data.draw(spans(quota.window), "pause")
        bucket.advance(now)
        most = quota.burst * (2 if debt else 1)
        bucket.take(min(data.draw(parts(most), "units"), most) * bucket.scale)
    return bucket, now


@given(quota=quotas(), data=st.data())
def test_advancing_in_many_steps_equals_advancing_in_one(quota: Quota, data: st.DataObject) -> None:
    """However often a bucket is looked at, its level is the same."""
    stepwise, now = used_bucket(data, quota)
    steps = data.draw(st.lists(spans(quota.window), min_size=1, max_size=8))
    at_once = copy.deepcopy(stepwise)
    end = now
    for step in steps:
        end += step
        stepwise.advance(end)
    at_once.advance(end)
    assert at_once.level == stepwise.level
    assert stepwise.level <= stepwise.capacity


@given(quota=quotas(), data=st.data())
def test_a_wait_is_sufficient_and_one_nanosecond_less_is_not(quota: Quota, data: st.DataObject) -> None:
    """At the instant that a bucket names the need is met, and never a nanosecond before."""
    bucket, now = used_bucket(data, quota)
    now += data.draw(spans(quota.window), "pause")
    need = data.draw(parts(quota.burst), "need") * bucket.scale
    ready = bucket.ready_at(need, now)
    if ready == now:
        assert bucket.level >= need
        return
    if ready < NEVER:
        early = copy.deepcopy(bucket)
        early.advance(ready - 1)
        assert early.level < need
        bucket.advance(ready)
        assert bucket.level >= need
    else:
        assert quota.refill is Refill.RELEASE


@given(quota=quotas(), data=st.data())
def test_nothing_waits_for_more_than_the_capacity(quota: Quota, data: st.DataObject) -> None:
    """A need above the capacity is never met, and no instant is named for it."""
    bucket, now = used_bucket(data, quota)
    assert bucket.ready_at(bucket.capacity + 1, now) == NEVER


@given(quota=quotas(TIMED), data=st.data())
def test_whatever_fits_is_reached_from_any_debt(quota: Quota, data: st.DataObject) -> None:
    """A full bucket comes again after any debt, and no sooner than the debt and the charge are paid."""
    bucket, now = used_bucket(data, quota)
    missing = bucket.capacity - bucket.level
    ready = bucket.ready_at(bucket.capacity, now)
    assert bucket.refill(now, ready) >= missing
    bucket.advance(ready)
    assert bucket.level == bucket.capacity


@given(quota=quotas(), data=st.data())
def test_what_is_given_back_at_once_leaves_no_trace(quota: Quota, data: st.DataObject) -> None:
    """Taking and giving back the same charge at one instant restores the level, and every later one."""
    bucket, now = used_bucket(data, quota)
    untouched = copy.deepcopy(bucket)
    units = data.draw(parts(quota.burst)) * bucket.scale
    bucket.take(units)
    assert bucket.level == untouched.level - units
    bucket.give(units, now)
    assert bucket.level == untouched.level
    later = now + data.draw(spans(quota.window), "pause")
    bucket.advance(later)
    untouched.advance(later)
    assert bucket.level <= untouched.level  # a sliding bucket may keep the youngest of others for it
    if quota.refill is not Refill.SLIDING:
        assert bucket.level == untouched.level


@given(quota=quotas(), data=st.data())
def test_the_level_is_never_above_the_capacity(quota: Quota, data: st.DataObject) -> None:
    """No giving, correcting, waiting or retuning fills a bucket beyond its burst."""
    bucket, now = used_bucket(data, quota)
    for _ in range(data.draw(st.integers(1, 6), "steps")):
        now += data.draw(spans(quota.window), "pause")
        bucket.advance(now)
        match data.draw(st.sampled_from(["give", "put", "take", "retune"])):
            case "give":
                bucket.give(data.draw(parts(quota.burst)) * bucket.scale, now - data.draw(spans(quota.window)))
            case "put":
                bucket.put(data.draw(st.integers(-bucket.capacity, bucket.capacity)))
            case "take":
                bucket.take(data.draw(parts(quota.burst)) * bucket.scale)
            case _:
                amount = data.draw(st.integers(1, 2 * quota.amount), "amount")
                quota = Quota(quota.dimension, amount, quota.window, 0, quota.refill, quota.anchor)
                bucket.retune(quota, now)
        assert bucket.level <= bucket.capacity
    if quota.refill is not Refill.RELEASE:
        bucket.advance(bucket.ready_at(bucket.capacity, now))
        assert bucket.level == bucket.capacity


@given(quota=quotas(), data=st.data())
def test_retuning_keeps_what_was_spent(quota: Quota, data: st.DataObject) -> None:
    """Under another limit exactly what had been spent is missing, and the way back does not lose a unit."""
    bucket, now = used_bucket(data, quota)
    spent = bucket.capacity - bucket.level
    other = Quota(
        quota.dimension, data.draw(st.integers(1, 2 * quota.amount)), quota.window, 0, quota.refill, quota.anchor
    )
    debt = max(0, -bucket.level)
    bucket.retune(other, now)
    if not bucket.piecemeal:  # and a lowered limit makes no debts
        spent = min(spent, bucket.capacity + debt)
    assert bucket.capacity - bucket.level == spent
    assert bucket.quota == other
    debt = max(0, -bucket.level)
    bucket.retune(quota, now)
    if not bucket.piecemeal:
        spent = min(spent, bucket.capacity + debt)
    assert bucket.capacity - bucket.level == spent


@given(
    amount=st.integers(1, 10**6),
    old=st.sampled_from([SECOND, MINUTE, DAY]),
    new=st.sampled_from([SECOND, MINUTE, DAY]),
    data=st.data(),
)
def test_a_changed_window_keeps_what_was_spent(amount: int, old: int, new: int, data: st.DataObject) -> None:
    """A bucket that goes on over another window misses what it missed, rounded to the safe side."""
    bucket, now = used_bucket(data, Quota(Dimension.TOKENS, amount, old))
    spent = bucket.capacity - bucket.level
    bucket.retune(Quota(Dimension.TOKENS, amount, new), now)
    missing = bucket.capacity - bucket.level
    assert missing * old >= spent * new
    assert (missing - 1) * old < spent * new


class ExactLog:
    """A sliding window that remembers every charge by itself."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.log: list[tuple[int, int]] = []

    def level(self, now: int) -> int:
        return self.quota.burst - sum(units for instant, units in self.log if instant + self.quota.window > now)


@given(quota=quotas([Refill.SLIDING]), data=st.data())
def test_a_sliding_bucket_never_frees_too_early(quota: Quota, data: st.DataObject) -> None:
    """Its level is at most that of an exact log of charges, whatever is given back in between."""
    bucket, exact, now = bucket_for(quota, 0), ExactLog(quota), 0
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        now += data.draw(spans(quota.window) | st.integers(0, 1 + quota.window // 500), "pause")
        bucket.advance(now)
        gives = data.draw(st.sampled_from(["takes", "gives back"])) == "gives back"
        if exact.log and gives:
            instant, units = exact.log.pop(data.draw(st.integers(0, len(exact.log) - 1)))
            bucket.give(units, instant)
        else:
            units = data.draw(parts(quota.burst), "units")
            bucket.take(units)
            exact.log.append((now, units))
        assert bucket.level <= exact.level(now)
    last = now + quota.window
    bucket.advance(last)
    assert bucket.level == quota.burst


@given(quota=quotas([Refill.SLIDING]), data=st.data())
def test_a_sliding_bucket_frees_within_a_thousandth_of_its_window(quota: Quota, data: st.DataObject) -> None:
    """Slots cost at most a 1,024th of the window, compared with an exact log of charges."""
    bucket, exact, now = bucket_for(quota, 0), ExactLog(quota), 0
    slot = quota.window // 1024
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        now += data.draw(st.integers(0, 2 + 2 * slot) | spans(quota.window), "pause")
        bucket.advance(now)
        units = data.draw(parts(quota.burst), "units")
        bucket.take(units)
        exact.log.append((now, units))
    later = now + data.draw(spans(quota.window), "pause")
    before = exact.level(later) if later == now else exact.level(max(now, later - slot))
    bucket.advance(later)
    assert bucket.level <= exact.level(later)
    if later - slot >= now:
        assert bucket.level >= before


@given(amount=st.integers(1, 100), charges=st.lists(st.integers(0, 3 * 10**6), min_size=1, max_size=30))
def test_the_memory_of_a_sliding_bucket_is_bounded(amount: int, charges: list[int]) -> None:
    """However many charges there are, at most one entry a slot is kept."""
    window = 1024 * 1_000
    bucket = bucket_for(Quota(Dimension.TOKENS, amount, window, refill=Refill.SLIDING), 0)
    now = 0
    for pause in charges:
        for _ in range(100):
            now += pause % 701
            bucket.advance(now)
            bucket.take(1)
    log: list[tuple[int, int]] = list(bucket._log)  # type: ignore[attr-defined]  # the log is what is bounded
    assert len(log) <= 1025
    assert sum(units for _, units in log) == bucket.capacity - bucket.level


@given(quota=quotas(TIMED), data=st.data())
def test_what_is_lacking_is_what_a_bucket_without_the_charge_would_have_more(quota: Quota, data: st.DataObject) -> None:
    """A charge that is taken back raises the level to no more than if it had never been."""
    bucket, now = used_bucket(data, quota, debt=False)
    without = copy.deepcopy(bucket)
    taken = data.draw(parts(quota.burst), "charge") * bucket.scale
    since = now
    bucket.take(taken)
    left = bucket.level
    for _ in range(data.draw(st.integers(0, 4), "later charges")):
        now += data.draw(spans(quota.window), "pause")
        units = data.draw(parts(quota.burst), "units") * bucket.scale
        for each in (bucket, without):
            each.advance(now)
            each.take(units)
    bucket.give(bucket.lacking(taken, left, since), since)
    assert bucket.level <= without.level
