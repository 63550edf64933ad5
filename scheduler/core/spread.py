"""The spread: what is left of a window's amount for more important work, so that it is not dead by noon.

A day's budget comes at midnight, all at once. A batch that may take what it finds takes all of it by one o'clock, and
whoever is waited for by a person waits until the next midnight. **Naive**: give each hour its part. Then nothing that
the night left over is used by day, and every hour ends with a wait. **Naive too**: keep a fixed share for interactive
work. What it has not used by midnight is lost.

**The idea: a line.** Less important work must leave

    kept(t) = share · amount · (end - t) / (end - begin), rounded up, and a 500th of the amount,

so that the share comes free as the day passes. Interactive work may take everything. What it takes pulls the level
below the line, and batch work waits until the line has come down to it; what it does not take, batch work has. So
interactive work finds at least its share of the rest of the day, at any hour, as long as it asks for less than that
share of the day in all. The 500th stays to the end, for those who come in the last minutes; that is all that is lost.

Example: 10,000 a day, half of it spread, batch work without end. At midnight batch takes 4,980. At noon 2,500 and 20
are kept. If interactive work has taken 1,000 by then, batch has had 6,480; at the end of the day 20 are unused.

**The inverse** is exact, since the line is straight: with ``m`` units to spare above need and 500th, it holds from
``end - m · (end - begin) · 1000 // (share · amount)`` on, and not a nanosecond before.

It yields: from a full bucket everything goes that fits it.
"""

from scheduler.core.bucket import NEVER, Bucket
from scheduler.core.fixed import FixedBucket
from scheduler.core.quota import WHOLE, Quota

_LAST = 500
"""Part of the amount that is left to the very end."""


def kept(bucket: Bucket, now: int) -> int:
    """Return the units that less important work must leave in a bucket at *now*; 0 where nothing is spread."""
    spread = bucket.quota.spread
    if not spread or not isinstance(bucket, FixedBucket):
        return 0
    bucket.advance(now)
    _, begin, end = bucket.opening(0)
    amount = bucket.quota.amount
    rest = min(end - begin, max(0, end - now))
    return -(-spread * amount * rest // (WHOLE * (end - begin))) + amount // _LAST


def allowed_at(bucket: Bucket, units: int, now: int) -> int:
    """Return the first instant from *now* on at which *units* leave what is kept then, if nobody takes any.

    From a full bucket everything goes. ``NEVER`` where *units* do not fit the bucket at all.
    """
    if not bucket.quota.spread or not isinstance(bucket, FixedBucket):
        return bucket.ready_at(units * bucket.scale, now)
    if units > bucket.capacity:
        return NEVER
    bucket.advance(now)
    position = bucket.turns_until(units)
    while True:  # twice at most beyond the first: then the bucket is full
        level, begin, end = bucket.opening(position)
        if level >= bucket.capacity:
            return max(now, begin)
        instant = _from(bucket.quota, level - units, begin, end)
        if instant < end:
            return max(now, instant)
        position += 1


def _from(quota: Quota, left: int, begin: int, end: int) -> int:
    """Return from when on in a window *left* units are what is kept; its end if never."""
    spare = left - quota.amount // _LAST
    return max(begin, end - max(0, spare) * (end - begin) * WHOLE // (quota.spread * quota.amount))
