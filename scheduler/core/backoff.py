"""When to try again, and how much of the traffic may be tries.

**Why jitter.** A thousand requests that failed together and wait 1, 2, 4 seconds come back together. Full jitter draws
the delay evenly between nothing and the exponential bound, which spreads them over the whole interval. A delay that the
server names is a minimum: the jitter is added to it, never taken from it.

**Why a budget and not only a number of tries.** Three tries of everything turn an outage into three times the traffic
at the moment when the provider can bear least. The retry budget is a bucket: each first attempt pays in a share of a
retry, each retry takes one out, and a small steady refill keeps quiet programs able to retry at all. Whoever finds it
empty waits for the refill; the budget loses no work by itself, a deadline does. Refusals that prove a level do not draw
on it: they go back to the queue and pay again there, which bounds them better.

**The invariant**: over any interval, retries <= reserve + refill · length + share · first attempts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.core.quota import SECOND

_MICRO = 1_000_000  # rates and shares are counted in millionths of a retry
_RETRY = _MICRO * SECOND  # and levels so that a nanosecond's refill is whole


@dataclass(frozen=True, slots=True)
class Backoff:
    """An exponential schedule with full jitter, in nanoseconds.

    Attributes:
        first: Bound of the first delay.
        most: Bound that the doubling stops at.
        floor: Added to every delay that no server named, so that no retry is immediate.
    """

    first: int = SECOND // 2
    most: int = 60 * SECOND
    floor: int = SECOND // 100

    def delay(self, attempt: int, random: Callable[[], float], server: int | None = None) -> int:
        """Return the delay after *attempt* failed attempts (1 is the first).

        Args:
            attempt: How many attempts have failed.
            random: Draws evenly from [0, 1).
            server: The delay that the server asked for, a minimum; its jitter is at most a tenth of it or *first*.
        """
        bound = min(self.most, self.first << min(attempt - 1, 40))
        if server is None:
            return self.floor + int(bound * random())
        return server + int(min(bound, max(self.first, server // 10)) * random())


class RetryBudget:
    """A bucket of retries: refilled by time and by first attempts."""

    __slots__ = ("_at", "_level", "_most", "_per_second", "_share")

    def __init__(self, *, share: float = 0.2, per_second: float = 2.0, reserve: int = 100, now: int = 0) -> None:
        """Begin with *reserve* retries, which is also the most that it holds."""
        self._share = round(share * _MICRO) * SECOND
        self._per_second = max(1, round(per_second * _MICRO))
        self._most = self._level = reserve * _RETRY
        self._at = now

    def _advance(self, now: int) -> None:
        if now > self._at:
            self._level = min(self._most, self._level + (now - self._at) * self._per_second)
            self._at = now

    def deposit(self, now: int) -> None:
        """Pay in for a first attempt."""
        self._advance(now)
        self._level = min(self._most, self._level + self._share)

    def withdraw(self, now: int) -> int:
        """Take one retry out, into debt if need be, and return the nanoseconds until it is paid for."""
        self._advance(now)
        self._level -= _RETRY
        return max(0, -(self._level // self._per_second))
