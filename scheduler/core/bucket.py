"""The bucket: the level of one quota, in integers.

**The naive bucket** keeps a float level and adds ``elapsed * limit / window`` on every look. Three things break.
Rounding: 0.1 tokens refilled ten times is not one token, so that looking often changes what is granted. Livelock:
a waiter that needs 95 tokens of a level of 94.99999999999993 is told to wait 0.0 seconds, for ever; under a clock
that stands still between events, as test clocks do, this is not a rare case (a well-known limiter was seen to
re-arm its timer for one and the same instant 5,000 times). And drift: a bucket refilled by a timer loses what the
timer loses.

**First idea: count in units that make the refill whole.** A quota of ``amount`` tokens a window of ``window``
nanoseconds refills ``amount / window`` tokens a nanosecond. In units of one token ÷ ``window`` that is exactly
``amount`` a nanosecond. So a level is held as an integer of such *scaled* units: a token is ``window`` of them,
a bucket of 30,000 tokens a minute holds 30,000 · 60·10⁹ = 1.8·10¹⁵ when full, and a nanosecond adds 30,000.
Python's integers have no largest value; nothing is ever rounded, and advancing in a million steps equals advancing
in one.

**Second idea: no timer.** The level is true at ``at``; whoever looks first advances it to his own instant. An idle
bucket costs nothing.

**Third idea: the wait is a division that rounds up.** ``ceil((need - level) / amount)`` nanoseconds is enough, and
one nanosecond less is not. Example: a full minute's bucket of 3 requests holds 180·10⁹. After three charges it is
at 0; the next request needs 60·10⁹ and is told 20·10⁹ ns: 19,999,999,999 ns later the level is 3 scaled units
short, one nanosecond on it is met exactly.

**Debt**: a charge may be taken that the level does not cover (a provider tells that more was spent than we knew).
The level is then below zero, and nobody goes before the refill has paid it.

**The invariant**: ``level <= capacity``, and between two corrections ``level(t) = min(capacity, level + amount·Δt)``
less what was taken. The other kinds of refill keep the same promises with other formulas:

- *fixed* (``fixed``): ``amount`` arrives at once at the instants of a schedule; a wait ends on such an instant.
- *sliding* (``sliding``): what was taken comes back one window later. The log of charges is kept in at most 1,024
  slots a window; a slot comes back when its youngest charge does, which is never too early. For the same reason what is
  given back is taken off the oldest charges: those that stay come back last.
- *release*: what was taken comes back when it is given back, and no instant can be named: ``NEVER``.
"""

from scheduler.core.continuous import NEVER, Bucket
from scheduler.core.fixed import FixedBucket
from scheduler.core.quota import Quota, Refill
from scheduler.core.schedule import Schedule
from scheduler.core.sliding import SlidingBucket

__all__ = ["NEVER", "Bucket", "FixedBucket", "ReleaseBucket", "SlidingBucket", "bucket_for", "eta"]


class ReleaseBucket(Bucket):
    """A bucket that refills only by what is given back: concurrency. Its scale is 1."""

    __slots__ = ()

    piecemeal = True

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst

    def advance(self, now: int) -> None:
        self.at = max(self.at, now)

    def ready_at(self, need: int, now: int) -> int:
        return now if self.level >= need else NEVER

    def drained_at(self, units: int, now: int) -> int:
        return now if self.level >= units else NEVER

    def refill(self, since: int, until: int) -> int:  # noqa: ARG002 -- nothing arrives by itself
        return 0


_KINDS: dict[Refill, type[Bucket]] = {
    Refill.CONTINUOUS: Bucket,
    Refill.SLIDING: SlidingBucket,
    Refill.RELEASE: ReleaseBucket,
}


def bucket_for(quota: Quota, now: int, level: int | None = None, schedule: Schedule | None = None) -> Bucket:
    """Return a bucket that refills as *quota* says, holding *level* whole units at *now* (full by default).

    Args:
        quota: Its quota.
        now: The instant.
        level: Whole units in it.
        schedule: When fixed windows begin that follow the wall clock.

    Raises:
        ValueError: If windows follow the wall clock and there is no schedule.
    """
    if quota.floating:
        return SlidingBucket(quota, now, level)  # holds wherever the provider's windows begin
    if quota.refill is not Refill.FIXED:
        return _KINDS[quota.refill](quota, now, level)
    if quota.zone and schedule is None:
        raise ValueError(f"windows that begin by the wall clock of {quota.zone} need a schedule")
    return FixedBucket(quota, now, level, schedule)


def eta(bucket: Bucket, units: int, now: int) -> int | None:
    """Return the instant by which *units* can all have been taken if nobody else takes any; None if nobody can tell.

    It answers at submission when a request will be through that has so much before it: *units* is what stands in the
    line, and its own. Exact where requests are small beside a window's amount (a window's rest that is too small for
    the next request is not wasted here), for sliding windows to a 1,024th of the window. No windows are stepped
    through.
    """
    instant = bucket.drained_at(units, now)
    return None if instant >= NEVER else instant
