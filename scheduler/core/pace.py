"""The pace: how fast a bucket may be emptied, apart from what lies in it.

A level says how much may be spent; it does not say how fast. At the start nobody has confirmed the level: if the
configured limit is twice the true one, or the bucket was left empty by yesterday's program, a burst at full level is a
burst of refusals.

So beside the big bucket stands a small one, the *purse*. Its refill is ``pace`` times the quota's own, and it holds
0.3 s of that. The pace begins at 4 and doubles with every confirmed round (an answer to a request that was sent within
the round). A round lasts a quarter of a second at least: what is sent within that time may arrive in either order, and
answers confirm nothing of it. A server that answers in 10 ms would else end the slow start while the band of the anchor
(see ``anchor``) still holds a whole small bucket: up to 13 of 50 requests refused at 2,000 tokens a minute, where now
none is. That *slow start* is nearly free: a bucket loses nothing until it is full, and at 4 times the refill it is
being emptied. Without it a wrong level costs 20 to 130 refusals in 1,000 in simulation. From 256 on it is off.

A shorter hidden window is another matter, and so is traffic that grew too fast: see ``hidden`` and ``ramp``.

**The invariant**: ``purse <= size``; a request larger than the purse passes when the purse is full and takes it into
debt, so nothing starves. Nothing but an event changes the pace, so that a wait is exact. The pace is counted in
thousandths and the purse in thousandths of scaled units: integers.
"""

from scheduler.core.quota import MINUTE
from scheduler.core.tuning import DEFAULT

START = 4_000
_FREE = 256_000
_ROUND = DEFAULT.tolerance  # the shortest
_BREADTH = 300_000_000  # ns of the pace that the purse holds


class Pace:
    """A purse that refills at a multiple of the quota's own refill."""

    __slots__ = ("_at", "_purse", "_round_at", "_unused", "base", "permille")

    def __init__(self, capacity: int, window: int, now: int) -> None:
        """Begin a slow start at *now* for a bucket of *capacity* scaled units and *window* nanoseconds."""
        self.permille = START
        self._round_at = now
        self._at = now
        self._purse = 0
        self._unused = True  # the very first request always passes: it is the probe
        self.base = _base(capacity, window)

    @property
    def free(self) -> bool:
        """Whether the pace no longer holds anything back."""
        return self.permille >= _FREE

    @property
    def _rate(self) -> int:
        return self.base * self.permille

    @property
    def _size(self) -> int:
        return self._rate * _BREADTH

    def retune(self, capacity: int, window: int, now: int) -> None:
        """Follow a changed limit."""
        self._advance(now)
        self.base = _base(capacity, window)
        self._purse = min(self._purse, self._size)

    def restart(self, permille: int, now: int) -> None:
        """Go back to a slow start at *permille* thousandths of the refill."""
        self._advance(now)
        self.permille = permille
        self._round_at = now
        self._purse = min(self._purse, self._size)

    def _advance(self, now: int) -> None:
        span = now - self._at
        if span > 0:
            self._purse = min(self._size, self._purse + span * self._rate)
            self._at = now

    def ready_at(self, charge: int, now: int) -> int:
        """Return the first instant at which *charge* scaled units may be spent."""
        self._advance(now)
        if self._unused:
            return now
        want = min(charge * 1000, self._size)
        return now if self._purse >= want else self._at + -(-(want - self._purse) // self._rate)

    def take(self, charge: int) -> None:
        """Spend *charge* scaled units."""
        if not self._unused:
            self._purse -= charge * 1000
        self._unused = False

    def give(self, charge: int) -> None:
        """Take back *charge* scaled units that were not spent."""
        self._purse = min(self._size, self._purse + charge * 1000)

    def answered(self, sent: int, now: int) -> None:
        """Double the pace if a request sent in this round was answered, and the round is no shorter than it may be."""
        if sent >= self._round_at and now >= self._round_at + _ROUND:
            self._advance(now)
            self.permille = min(_FREE, 2 * self.permille)
            self._round_at = now


def _base(capacity: int, window: int) -> int:
    """Return scaled units a nanosecond; a window longer than a minute is paced as if it were to last a minute."""
    return max(1, capacity // min(window, MINUTE))
