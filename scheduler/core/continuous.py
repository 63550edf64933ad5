"""The continuously refilled bucket; `bucket.py` explains it, and the others are made of it."""

from typing import ClassVar, Self

from scheduler.core.quota import Quota

NEVER = 1 << 100
"""An instant that does not come: only a release, an answer or a change of limits can free what waits for it."""


class Bucket:
    """A continuously refilled bucket. Levels and needs are in scaled units: whole units times ``scale``."""

    __slots__ = ("at", "capacity", "level", "quota", "rate", "scale")

    piecemeal: ClassVar[bool] = False
    """Whether each charge comes back by itself."""

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

    def drained_at(self, units: int, now: int) -> int:
        """Return the first instant by which *units* whole units can all have been taken, each as soon as it is there.

        ``NEVER`` where nobody can tell. Unlike ``ready_at`` it is not bound by the capacity: units may go one by one.
        """
        self.advance(now)
        missing = units * self.scale - self.level
        return now if missing <= 0 else now - (-missing // self.rate)

    def anew(self, quota: Quota, now: int, level: int) -> Self:
        """Return a bucket of another quota of the same refill that holds *level* whole units at *now*."""
        return type(self)(quota, now, level)

    def refill(self, since: int, until: int) -> int:
        """Return the scaled units that arrive between two instants, before the cap."""
        return (until - since) * self.rate if until > since else 0

    def level_at(self, instant: int) -> int:
        """Return the level at a coming instant if nobody takes anything; the bucket must be advanced."""
        return min(self.capacity, self.level + self.refill(self.at, instant))

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
        if not self.piecemeal:
            self.level = max(self.level, min(0, before * self.scale // scale))

    @property
    def whole(self) -> int:
        """The level in whole units, rounded down."""
        return self.level // self.scale
