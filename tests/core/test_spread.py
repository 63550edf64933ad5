"""The spread, by its own example and over simulated days."""

import random
from dataclasses import dataclass, field

import pytest

from scheduler.core.bucket import NEVER, Bucket, bucket_for
from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.spread import allowed_at, kept


def daily(amount: int = 10_000, spread: int = 500, slack: int = 0) -> Bucket:
    return bucket_for(Quota(Dimension.REQUESTS, amount, DAY, 0, Refill.FIXED, 0, "", slack, spread), 0)


def test_the_example_of_half_a_day() -> None:
    """At midnight 5,020 of 10,000 are kept, at noon 2,520, at the end 20; the inverse names the nanosecond."""
    bucket = daily()
    assert [kept(bucket, instant) for instant in (0, DAY // 2, DAY - 1)] == [5_020, 2_520, 21]
    bucket = daily()
    bucket.take(6_000)
    assert allowed_at(bucket, 1_480, 0) == DAY // 2
    assert kept(bucket, DAY // 2 - 1) == 2_521


def test_what_the_rest_of_the_day_cannot_bring_waits_for_the_next() -> None:
    """From a full bucket everything goes that fits it; what does not fit never goes."""
    bucket = daily()
    bucket.take(5_000)
    assert allowed_at(bucket, 4_981, 0) == DAY
    bucket.take(6_000)  # a debt
    assert allowed_at(bucket, 8_981, HOUR) == 2 * DAY
    assert allowed_at(bucket, 10_000, HOUR) == 2 * DAY
    assert allowed_at(bucket, 4_000, HOUR) == 2 * DAY - DAY * 4_980 // 5_000
    assert allowed_at(bucket, 10_001, HOUR) == NEVER


def test_what_is_charged_about_midnight_is_missing_from_the_line_too() -> None:
    """The level that the next day begins with counts, not a full one."""
    bucket = daily(slack=10 * SECOND)
    bucket.advance(DAY)
    bucket.take(10_000)
    bucket.give(4_990, DAY)
    assert allowed_at(bucket, 4_990, DAY) == 2 * DAY + 10 * SECOND


@dataclass
class Days:
    """What came of simulated days."""

    waits: list[list[float]] = field(default_factory=list)
    """Seconds that each interactive request waited, by hour of arrival."""
    batch: list[int] = field(default_factory=list)
    """Instants at which batch requests went."""
    unused: list[int] = field(default_factory=list)
    """Units left at each day's end."""

    def worst(self) -> float:
        """Return the worst hour's 99th percentile."""
        return max(sorted(waits)[len(waits) * 99 // 100] for waits in self.waits if waits)


def simulate(bucket: Bucket, share: float, demand: float, days: int = 1) -> Days:
    """Let interactive requests arrive all day, a *share* of the amount, beside batch work of *demand* amounts."""
    amount, chance, seen = bucket.quota.amount, random.Random(1), Days([[] for _ in range(24 * days)])
    arrivals: list[int] = []
    while not arrivals or arrivals[-1] < days * DAY:
        arrivals.append((arrivals[-1] if arrivals else 0) + int(chance.expovariate(share * amount / DAY)))
    backlog, queue, now, last = int(demand * amount * days), list[int](), 0, 0
    for end in range(DAY, days * DAY + 1, DAY):
        while True:
            instants = [arrivals[0], allowed_at(bucket, 1, now) if backlog else NEVER]
            now = max(now, min(instants + [bucket.ready_at(1, now) for _ in queue[:1]]))
            if now >= end:
                break
            bucket.advance(now)
            last = bucket.level
            if arrivals[0] <= now:
                queue.append(arrivals.pop(0))
            if queue and bucket.level:
                arrival = queue.pop(0)
                seen.waits[arrival // HOUR].append((now - arrival) / SECOND)
            elif not queue and backlog and allowed_at(bucket, 1, now) == now:
                backlog -= 1
                seen.batch.append(now)
            else:
                continue
            bucket.take(1)
            last = bucket.level
        now = end
        seen.unused.append(last)
    return seen


@pytest.mark.parametrize("share", [0.05, 0.3, 0.45])
def test_a_day_with_three_times_its_budget_of_batch_work_serves_people_all_day(share: float) -> None:
    """Interactive waits stay below a second at the 99th percentile of every hour; 1 % at most is unused at the end."""
    seen = simulate(daily(), share, 3.0)
    assert seen.worst() <= 1.0
    assert sum(len(waits) for waits in seen.waits) >= 0.9 * share * 10_000
    assert seen.unused[0] <= 100


def test_without_a_spread_the_day_is_over_before_breakfast() -> None:
    """What the spread is for: batch work takes everything it finds, and whoever comes later waits until midnight."""
    seen = simulate(daily(spread=0), 0.3, 3.0, days=2)
    assert seen.batch[len(seen.batch) // 2] <= DAY
    assert seen.worst() > 12 * HOUR / SECOND


def test_every_day_is_spread_anew() -> None:
    """Batch work that two days cannot hold has its part of each, and leaves what is kept."""
    seen = simulate(daily(2_000), 0.3, 3.0, days=2)
    assert seen.worst() <= 1.0
    assert max(seen.unused) <= 20
    assert len([instant for instant in seen.batch if instant >= DAY]) >= 1_300


def test_nothing_else_is_spread() -> None:
    """A continuous bucket has no end to be spread to."""
    bucket = bucket_for(Quota(Dimension.REQUESTS, 60, MINUTE), 0, 0)
    assert (kept(bucket, 0), allowed_at(bucket, 1, 0)) == (0, SECOND)
