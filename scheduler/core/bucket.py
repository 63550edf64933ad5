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

- *fixed*: ``amount`` arrives at once at ``anchor + k·window``; a wait ends on such an instant.
- *sliding*: what was taken comes back one window later. The log of charges is kept in at most 1,024 slots a window;
  a slot comes back when its youngest charge does, which is never too early. For the same reason what is given back
  is taken off the oldest charges: those that stay come back last.
- *release*: what was taken comes back when it is given back, and no instant can be named: ``NEVER``.
"""

from collections import deque
from itertools import chain

from scheduler.core.quota import Quota, Refill

NEVER = 1 << 100
"""An instant that does not come: only a release, an answer or a change of limits can free what waits for it."""

_SLOTS = 1024


class Bucket:
    """A continuously refilled bucket. Levels and needs are in scaled units: whole units times ``scale``."""

    __slots__ = ("at", "capacity", "level", "quota", "rate", "scale")

    def __init__(self, quota: Quota, now: int, level: int | None = None) -> None:
        """Begin at *now* with *level* whole units, full by default."""
        self._tune(quota)
        self.level = self.capacity if level is None else min(level * self.scale, self.capacity)
        self.at = now

    def _tune(self, quota: Quota) -> None:
        self.quota = quota
        self.scale = quota.window
        self.rate = quota.amount
        self.capacity = quota.burst * quota.window

    def advance(self, now: int) -> None:
        """Make the level true at *now*; an instant in the past changes nothing."""
        span = now - self.at
        if span > 0:
            level = self.level + span * self.rate
            self.level = level if level < self.capacity else self.capacity  # noqa: FURB136 -- the hot path
            self.at = now

    def ready_at(self, need: int, now: int) -> int:
        """Return the first instant from *now* on at which the level reaches *need*, if nobody takes anything."""
        self.advance(now)
        missing = need - self.level
        if missing <= 0:
            return now
        if need > self.capacity:
            return NEVER
        return self.at + -(-missing // self.rate)

    def ready_after(self, before: int, own: int, now: int) -> int:
        """Return a lower bound of when *own* scaled units can be taken, after others have taken *before* in turn."""
        missing = before + min(own, self.capacity) - self.level
        if missing <= 0:
            return now
        return self.at + -(-missing // self.rate) if self.rate else self.ready_at(min(own, self.capacity), now)

    def refill(self, since: int, until: int) -> int:
        """Return the scaled units that arrive between two instants, before the cap."""
        return (until - since) * self.rate if until > since else 0

    def take(self, scaled: int) -> None:
        """Lower the level, below zero if need be; the bucket must be advanced."""
        self.level -= scaled

    def give(self, scaled: int, since: int) -> None:  # noqa: ARG002 -- who keeps a log of charges needs it
        """Give back what was taken at *since*, not above the capacity; the bucket must be advanced."""
        self.level = min(self.capacity, self.level + scaled)

    def put(self, level: int) -> None:
        """Correct the level to *level*, which is at most the capacity; the bucket must be advanced."""
        self.level = level

    def lacking(self, taken: int, left: int, since: int) -> int:
        """Return how much of a charge must still be missing: a bucket that filled up meanwhile lacks nothing.

        Args:
            taken: The charge, in scaled units.
            left: The level just after it.
            since: When it was taken.
        """
        return max(0, min(taken, self.capacity - left - self.refill(since, self.at)))

    def retune(self, quota: Quota, now: int) -> None:
        """Go on under another quota of the same refill.

        The level first moves to *now* at the old rate; what had been spent stays spent, so that a raised limit adds
        room. But a provider that lowers a limit makes no debts, and so neither does this: a lowered limit leaves the
        bucket empty at worst, except where what was spent comes back piece by piece. Between windows what was spent is
        rounded up by less than a scaled unit.
        """
        self.advance(now)
        before, spent, scale = self.level, self.capacity - self.level, self.scale
        self._tune(quota)
        self.level = self.capacity - -(-spent * self.scale // scale)
        if self.quota.refill in {Refill.CONTINUOUS, Refill.FIXED}:
            self.level = max(self.level, min(0, before * self.scale // scale))

    @property
    def whole(self) -> int:
        """The level in whole units, rounded down."""
        return self.level // self.scale


class FixedBucket(Bucket):
    """A bucket that gets its amount at once, at fixed instants. Nothing fractional arrives, so its scale is 1."""

    __slots__ = ()

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst

    def _windows(self, instant: int) -> int:
        return (instant - self.quota.anchor) // self.quota.window

    def advance(self, now: int) -> None:
        if now > self.at:
            self.level = min(self.capacity, self.level + self.refill(self.at, now))
            self.at = now

    def refill(self, since: int, until: int) -> int:
        return max(0, self._windows(until) - self._windows(since)) * self.quota.amount

    def ready_at(self, need: int, now: int) -> int:
        self.advance(now)
        missing = need - self.level
        if missing <= 0:
            return now
        if need > self.capacity:
            return NEVER
        return self.quota.anchor + (self._windows(self.at) - (-missing // self.quota.amount)) * self.quota.window


class SlidingBucket(Bucket):
    """A bucket that gets each charge back one window after it was taken. Its scale is 1."""

    __slots__ = ("_log", "_past")

    def __init__(self, quota: Quota, now: int, level: int | None = None) -> None:
        super().__init__(quota, now, None)
        self._log: deque[tuple[int, int]] = deque()  # (instant of the charge, units), oldest first
        self._past: deque[tuple[int, int]] = deque(maxlen=_SLOTS)  # what has come back
        if level is not None and level < quota.burst:
            self.take(quota.burst - level)

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst

    def advance(self, now: int) -> None:
        if now > self.at:
            log, gone = self._log, now - self.quota.window
            while log and log[0][0] <= gone:
                self.level += log[0][1]
                self._past.append(log.popleft())
            self.at = now

    def refill(self, since: int, until: int) -> int:
        after, last = since - self.quota.window, until - self.quota.window
        return sum(units for instant, units in chain(self._past, self._log) if after < instant <= last)

    def ready_at(self, need: int, now: int) -> int:
        self.advance(now)
        missing = need - self.level
        if missing <= 0:
            return now
        for instant, units in self._log:
            missing -= units
            if missing <= 0:
                return max(now, instant + self.quota.window)
        return NEVER

    def take(self, scaled: int) -> None:
        self.level -= scaled
        slot = max(1, self.quota.window // _SLOTS)
        if self._log and self._log[-1][0] // slot == self.at // slot:
            scaled += self._log.pop()[1]
        self._log.append((self.at, scaled))

    def give(self, scaled: int, since: int) -> None:
        if since + self.quota.window > self.at:  # otherwise it has come back already
            self.put(min(self.capacity, self.level + scaled))

    def put(self, level: int) -> None:
        if level < self.level:
            self.take(self.level - level)  # comes back a window from now, so that the log and the level stay one
            return
        given = level - self.level
        self.level = level
        while given > 0:
            instant, taken = self._log.popleft()
            if taken > given:
                self._log.appendleft((instant, taken - given))
            given -= taken

    def retune(self, quota: Quota, now: int) -> None:
        super().retune(quota, now)
        self.at = now - 1  # a shorter window may free at once
        self.advance(now)


class ReleaseBucket(Bucket):
    """A bucket that refills only by what is given back: concurrency. Its scale is 1."""

    __slots__ = ()

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst

    def advance(self, now: int) -> None:
        self.at = max(self.at, now)

    def ready_at(self, need: int, now: int) -> int:
        return now if self.level >= need else NEVER

    def ready_after(self, before: int, own: int, now: int) -> int:  # noqa: ARG002 -- places may come back at any instant
        return now

    def refill(self, since: int, until: int) -> int:  # noqa: ARG002 -- nothing arrives by itself
        return 0


_KINDS: dict[Refill, type[Bucket]] = {
    Refill.CONTINUOUS: Bucket,
    Refill.FIXED: FixedBucket,
    Refill.SLIDING: SlidingBucket,
    Refill.RELEASE: ReleaseBucket,
}


def bucket_for(quota: Quota, now: int, level: int | None = None) -> Bucket:
    """Return a bucket that refills as *quota* says, holding *level* whole units at *now* (full by default)."""
    return _KINDS[quota.refill](quota, now, level)
