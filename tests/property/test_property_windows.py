"""Windows of every kind: steps, waits, backlogs, and what a provider whose clock differs sees of them."""

import copy
from collections import Counter

from drawn import parts, spans
from hypothesis import given, strategies as st

from scheduler.core.bucket import NEVER, Bucket, FixedBucket, bucket_for, eta
from scheduler.core.fixed import Given
from scheduler.core.quota import WHOLE, Dimension, Quota, Refill
from scheduler.core.spread import allowed_at, kept

WINDOWS = st.sampled_from([24, 1_000]) | st.integers(8, 1_000)
KINDS = ["fixed", "by the wall clock", "floating", "sliding", "continuous"]


class WallClock:
    """Windows by a wall clock that can be set."""

    def __init__(self, window: int, shift: int) -> None:
        self.window = window
        self.shift = shift

    def number(self, instant: int) -> int:
        return (instant + self.shift) // self.window

    def begins(self, number: int) -> int:
        return number * self.window - self.shift


@st.composite
def windowed(draw: st.DrawFn, kinds: list[str] | None = None, most: int = 60, *, spread: bool = False) -> Bucket:
    """Draw a bucket of few units and short windows, as it is at 0."""
    kind = draw(st.sampled_from(kinds or KINDS))
    amount = draw(st.integers(1, 5) | st.integers(1, most))
    window = draw(WINDOWS) if kind != "by the wall clock" else 24
    slack = draw(st.just(0) | st.integers(0, window // 4))
    thousandths = draw(st.integers(1, WHOLE)) if spread else 0
    if kind == "continuous":
        return bucket_for(Quota(Dimension.TOKENS, amount, window, draw(st.integers(1, 2 * amount))), 0)
    if kind == "sliding":
        return bucket_for(Quota(Dimension.TOKENS, amount, window, 0, Refill.SLIDING, 0, "", slack), 0)
    anchor = None if kind != "fixed" else draw(st.integers(-2 * window, 2 * window))
    zone = "UTC" if kind == "by the wall clock" else ""
    burst = draw(st.just(0) | st.integers(1, 3 * amount)) if kind == "fixed" and not spread else 0
    clock = WallClock(window, draw(st.integers(0, 10**6)))
    quota = Quota(Dimension.TOKENS, amount, window, burst, Refill.FIXED, anchor, zone, slack, thousandths)
    return bucket_for(quota, 0, schedule=clock if zone else None)


def use(bucket: Bucket, data: st.DataObject, *, debt: bool = True) -> int:
    """Take a few charges, perhaps into debt, and return the instant of the last."""
    now = 0
    for _ in range(data.draw(st.integers(0, 5), "charges")):
        now += data.draw(spans(bucket.quota.window), "pause")
        bucket.advance(now)
        units = data.draw(parts(bucket.quota.burst * (2 if debt else 1)), "units")
        units = units if debt else min(units, max(0, bucket.whole))
        bucket.take(units * bucket.scale)
        if units and data.draw(st.booleans(), "given back"):
            bucket.give(data.draw(parts(units), "back") * bucket.scale, now)
    return now


@given(bucket=windowed(), data=st.data())
def test_many_steps_equal_one(bucket: Bucket, data: st.DataObject) -> None:
    """However often a bucket is looked at, its level is the same, and so is what its refill adds up to."""
    now = use(bucket, data)
    at_once = copy.deepcopy(bucket)
    end = now
    for step in data.draw(st.lists(spans(bucket.quota.window), min_size=1, max_size=8)):
        end += step
        bucket.advance(end)
    at_once.advance(end)
    assert bucket.level == at_once.level
    assert bucket.refill(now, end) == at_once.refill(now, end)


@given(bucket=windowed(), data=st.data())
def test_a_wait_is_sufficient_and_one_nanosecond_less_is_not(bucket: Bucket, data: st.DataObject) -> None:
    """With slack, by the wall clock, and where nobody knows the instants."""
    now = use(bucket, data)
    need = data.draw(parts(bucket.quota.burst), "need") * bucket.scale
    ready = bucket.ready_at(need, now)
    assert ready < NEVER
    if ready > now:
        early = copy.deepcopy(bucket)
        early.advance(ready - 1)
        assert early.level < need
    bucket.advance(ready)
    assert bucket.level >= need


@given(bucket=windowed(most=8), data=st.data())
def test_a_backlog_is_through_when_it_is_told(bucket: Bucket, data: st.DataObject) -> None:
    """Units that are taken one by one, each as soon as it is there, are through at the instant named at the start."""
    now = use(bucket, data)
    units = data.draw(st.integers(1, 40), "backlog")
    told = eta(bucket, units, now)
    for _ in range(units):
        now = bucket.ready_at(bucket.scale, now)
        bucket.advance(now)
        bucket.take(bucket.scale)
    assert told is not None
    if bucket.capacity >= bucket.scale + bucket.rate:
        assert told == now
    else:  # so small a burst loses part of a nanosecond's refill with every unit
        assert told <= now <= told + units


@given(bucket=windowed(["fixed", "by the wall clock", "floating"]), data=st.data())
def test_no_window_of_the_provider_gets_more_than_the_amount(bucket: Bucket, data: st.DataObject) -> None:
    """Its instants lie up to the slack from ours, and requests take their time: every window holds what it may.

    Where nobody knows its instants they may lie anywhere.
    """
    quota = bucket.quota
    amount = quota.burst
    if quota.floating:
        begin, most = data.draw(st.integers(0, quota.window), "first instant"), quota.slack
    else:
        assert isinstance(bucket, FixedBucket)
        off = data.draw(st.integers(-quota.slack, quota.slack), "how far its instants lie from ours")
        begin, most = bucket.schedule.begins(0) + off, quota.slack + off
    windows: Counter[int] = Counter()
    now = 0
    for _ in range(data.draw(st.integers(1, 25), "charges")):
        now += data.draw(spans(quota.window) | st.integers(0, 2), "pause")
        if data.draw(st.booleans(), "waits"):
            now = bucket.ready_at(1, now)
        bucket.advance(now)
        units = min(data.draw(parts(max(0, bucket.level)), "units"), max(0, bucket.level))
        bucket.take(units)
        windows[(now + data.draw(st.integers(0, most), "transit") - begin) // quota.window] += units
    if quota.burst == quota.amount:
        assert max(windows.values()) <= amount


@given(bucket=windowed(["by the wall clock"]), data=st.data())
def test_no_window_is_given_twice_whatever_the_wall_clock_does(bucket: Bucket, data: st.DataObject) -> None:
    """It is set back and forth: what comes is never more than the amount for each window that was entered."""
    assert isinstance(bucket, FixedBucket)
    clock = bucket.schedule
    assert isinstance(clock, WallClock)
    entered = {bucket.window}
    came = now = 0
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        clock.shift += data.draw(st.integers(-60, 60), "set by")
        now += data.draw(st.integers(1, 30), "pause")
        before, window = bucket.level, bucket.window
        bucket.advance(now)
        came += bucket.level - before
        entered |= set(range(window + 1, bucket.window + 1))
        assert came <= bucket.quota.amount * (len(entered) - 1)
        assert bucket.level <= bucket.capacity
        ready = bucket.ready_at(bucket.capacity, now)
        early = copy.deepcopy(bucket)
        early.advance(max(now, ready - 1))
        assert ready == now or early.level < bucket.capacity
        early.advance(ready)
        assert early.level == bucket.capacity
        bucket.take(data.draw(parts(2 * bucket.capacity), "units"))


@given(steps=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 8), st.booleans()), max_size=12), first=st.integers())
def test_windows_that_were_given_are_given_once(steps: list[tuple[int, int, bool]], first: int) -> None:
    """Counting, naming and noting agree, and nothing that was noted is ever left again."""
    given_windows, at, noted = Given(first), first, {first}
    for ahead, most, back in steps:
        until = at + ahead
        left = given_windows.left(at, until)
        assert left == sum(given_windows.left(number - 1, number) for number in range(at + 1, until + 1))
        if left:
            assert at < given_windows.nth(at, left) <= until
        assert given_windows.nth(at, left + 1) > until
        free = [number for number in range(at + 1, until + 1) if given_windows.left(number - 1, number)]
        number = min(most, left)
        given_windows.note(until, number)
        noted |= set(free[len(free) - number :])
        assert not any(given_windows.left(each - 1, each) for each in noted)
        at = until - (ahead + 1) * back


@given(bucket=windowed(["fixed", "by the wall clock"], spread=True), data=st.data())
def test_what_is_kept_is_left_and_not_for_a_nanosecond_too_long(bucket: Bucket, data: st.DataObject) -> None:
    """At the instant named the units leave what is kept then, or the bucket is full; a nanosecond before neither."""
    now = use(bucket, data)
    units = data.draw(parts(bucket.capacity), "units")

    def allowed(instant: int) -> bool:
        then = copy.deepcopy(bucket)
        then.advance(instant)
        full = then.level >= then.capacity
        return then.level >= units and (full or then.level - units >= kept(then, instant))

    instant = allowed_at(bucket, units, now)
    assert allowed(instant)
    assert instant == now or not allowed(instant - 1)
    between = data.draw(st.integers(now, instant), "between")
    assert between == instant or not allowed(between)


@given(bucket=windowed(), data=st.data())
def test_what_is_not_spread_is_not_kept(bucket: Bucket, data: st.DataObject) -> None:
    """Without a spread less important work waits for the level alone."""
    now = use(bucket, data)
    units = data.draw(parts(bucket.quota.burst), "units")
    assert kept(bucket, now) == 0
    assert allowed_at(bucket, units, now) == bucket.ready_at(units * bucket.scale, now)
