"""The level of one limit, kept as an instant in the future instead of as a number that is refilled.

The naive version keeps a level and adds ``rate x elapsed`` to it before each request. In floats it drifts: each
addition rounds, a request that should just fit misses by 1e-12, and a client that waits exactly as long as it was
told is refused. That is also how the clients of this simulator may keep their books, and a judge must not share a
mistake with those whom it judges.

So a continuous limit is kept by the generic cell rate algorithm (ITU-T I.371), which knows no level at all. It keeps
one instant: when the bucket will be full again if nobody comes. A unit costs ``window / amount`` of time. Taking *q*
units pushes the instant back by *q* such costs, starting from now if it has passed. A request fits if the instant,
pushed back, lies no further ahead than a whole bucket costs. Nothing is refilled and nothing has to be advanced: time
passes, and that is the refill. Giving back pulls the instant nearer.

Instants are whole nanoseconds since the simulator began. ``window / amount`` is seldom whole (60 s over 7,000), so the
instant is counted in *ticks* of 1/amount nanosecond: then a unit costs exactly ``window`` ticks, a nanosecond is
exactly ``amount`` ticks, and all sums are exact, at 7 or at 180,000,000 a minute. The invariant: over any interval the
units taken are at most ``burst + amount x interval / window``.

Example: 30,000 a minute, 29,937 used, 385 asked. The instant lies 29,937 x 2 ms = 59.874 s ahead; 385 would push it to
60.644 s; a bucket costs 60 s; so the request fits in 0.644 s, which is what OpenAI's bodies say to the millisecond.

A shorter slice of a limit (60 a minute as 1 a second) is the same algorithm with the same cost of a unit and a shorter
bucket. A request larger than the slice passes when the slice is full, and the instant then lies beyond the slice: debt.

Other kinds of refill, which other providers have, are in ``windows.py``.
"""

from fractions import Fraction
from typing import Protocol

SECOND = 1_000_000_000
"""Nanoseconds in a second. All instants here are whole nanoseconds since the simulator began."""


class Meter(Protocol):
    """One limit's state. Amounts are whole units, instants nanoseconds; instants never go back."""

    amount: int
    """Units that one window brings."""
    burst: int
    """Most units that can be there at once."""

    def level(self, now: int) -> Fraction:
        """Return the units that are there; below zero is debt."""
        ...

    def whole(self, now: int) -> int:
        """Return the level rounded down: never more than is there."""
        ...

    def wait(self, now: int, units: int) -> int | None:
        """Return nanoseconds until *units* fit (0: now), or None where only a release can make them fit."""
        ...

    def take(self, now: int, units: int) -> int:
        """Take *units* and return a receipt for ``give_back``. Does not ask whether they fit."""
        ...

    def give_back(self, now: int, units: int, receipt: int) -> int:
        """Give back *units* of what was taken, and return how many still counted."""
        ...

    def full_in(self, now: int) -> int:
        """Return nanoseconds until full, if nobody comes."""
        ...

    def change(self, now: int, amount: int, burst: int) -> None:
        """Change the limit."""
        ...


class Cells:
    """A continuous limit by the generic cell rate algorithm.

    Attributes:
        full_at: Instant at which the bucket is full again, in ticks of 1/amount nanosecond.
    """

    def __init__(self, now: int, amount: int, window: int, burst: int, start: float = 1.0) -> None:
        self.amount, self.window, self.burst = amount, window, burst
        missing = burst - round(start * burst)
        self.full_at = now * amount + missing * window

    def _ahead(self, now: int) -> int:
        """Return the ticks from now until full."""
        return max(0, self.full_at - now * self.amount)

    def level(self, now: int) -> Fraction:
        """Return the units that are there; below zero is debt."""
        return Fraction(self.burst * self.window - self._ahead(now), self.window)

    def whole(self, now: int) -> int:
        """Return the level rounded down."""
        return (self.burst * self.window - self._ahead(now)) // self.window

    def wait(self, now: int, units: int) -> int | None:
        """Return nanoseconds until *units* fit; more than the burst never do, and then nothing is promised."""
        over = self._ahead(now) + (units - self.burst) * self.window
        return 0 if over <= 0 else -(-over // self.amount) if self.amount else None

    def take(self, now: int, units: int) -> int:
        """Take *units*."""
        self.full_at = max(self.full_at, now * self.amount) + units * self.window
        return 0

    def give_back(self, now: int, units: int, receipt: int) -> int:
        """Give back *units*; what would lie above full is lost."""
        del receipt
        before = self._ahead(now)
        self.full_at -= units * self.window
        return min(units, before // self.window)

    def full_in(self, now: int) -> int:
        """Return nanoseconds until full."""
        return self._ahead(now) // self.amount if self.amount else 0

    def change(self, now: int, amount: int, burst: int) -> None:
        """Change the limit; the level stays, cut to the new burst."""
        ahead = (burst - self.burst) * self.window + self._ahead(now)
        self.amount, self.burst = amount, burst
        self.full_at = now * amount + max(0, ahead)


class Slice:
    """The same algorithm over a shorter bucket: *length* nanoseconds of the limit, full at the start.

    Its size in ticks is ``amount x length``, exact where the size in units is not whole.
    """

    def __init__(self, now: int, amount: int, window: int, length: int) -> None:
        self.amount, self.window, self.length = amount, window, length
        self.full_at = now * amount

    def wait(self, now: int, units: int) -> int:
        """Return nanoseconds until *units* fit, or until the slice is full where they are more than it holds."""
        size = self.amount * self.length
        over = max(0, self.full_at - now * self.amount) + min(units * self.window, size) - size
        return max(0, -(-over // self.amount))

    def take(self, now: int, units: int) -> None:
        """Take *units*; what the slice does not hold is debt."""
        self.full_at = max(self.full_at, now * self.amount) + units * self.window

    def give_back(self, units: int) -> None:
        """Give back *units*."""
        self.full_at -= units * self.window

    def change(self, now: int, amount: int) -> None:
        """Change the limit; what is missing from the slice is missing still."""
        missing = max(0, self.full_at - now * self.amount)
        self.amount, self.full_at = amount, now * amount + missing
