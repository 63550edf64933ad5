"""The pace: how fast a bucket may be emptied, apart from what lies in it.

A level says how much may be spent; it does not say how fast. Two things make speed matter. At the start nobody has
confirmed the level: if the configured limit is twice the true one, or the bucket was left empty by yesterday's
program, a burst at full level is a burst of refusals. And a provider may enforce a shorter, hidden window as well
(60 a minute as 1 a second), which no header shows.

Both are one small bucket, the *purse*, beside the big one. Its refill is ``pace`` times the quota's own.

- **Slow start.** The pace begins at 4 and doubles with every confirmed round (an answer to a request that was sent
  within the round). That is nearly free: a bucket loses nothing until it is full, and at 4 times the refill it is
  being emptied. Without it a wrong level costs 20 to 130 refusals in 1,000 in simulation. From 256 on it is off.
- **Hidden window.** Where a refusal shows that the minute had room, the purse holds one second of the limit and its
  pace is 0.95, then 0.96 of what it was at each further refusal, and climbs by 0.001 a second, as answers come. 15 %
  of the purse is kept back, since arrival is not as even as sending.

**The invariant**: ``purse <= size``; a request larger than the purse passes when the purse is full and takes it into
debt, so nothing starves. Nothing but an event changes the pace, so that a wait is exact. The pace is counted in
thousandths and the purse in thousandths of scaled units: integers.
"""

from scheduler.core.quota import MINUTE, SECOND

_START = 4_000
_FREE = 256_000
_HIDDEN_FIRST, _HIDDEN_MOST, _HIDDEN_LEAST, _HIDDEN_DROP = 950, 980, 300, 960
_KEPT_BACK = 150
_BREADTH = 300_000_000  # ns of the pace that the purse holds during slow start


class Pace:
    """A purse that refills at a multiple of the quota's own refill."""

    __slots__ = ("_at", "_climbed_at", "_purse", "_round_at", "_since", "_unused", "base", "hidden", "permille")

    def __init__(self, capacity: int, window: int, now: int) -> None:
        """Begin a slow start at *now* for a bucket of *capacity* scaled units and *window* nanoseconds."""
        self.permille = _START
        self.hidden = False
        self._round_at = now
        self._at = self._climbed_at = self._since = now
        self._purse = 0
        self._unused = True  # the very first request always passes: it is the probe
        self.base = _base(capacity, window)

    @property
    def free(self) -> bool:
        """Whether the pace no longer holds anything back."""
        return self.permille >= _FREE and not self.hidden

    @property
    def _rate(self) -> int:
        return self.base * self.permille

    @property
    def _size(self) -> int:
        return self.base * 1000 * SECOND if self.hidden else self._rate * _BREADTH

    def retune(self, capacity: int, window: int, now: int) -> None:
        """Follow a changed limit."""
        self._advance(now)
        self.base = _base(capacity, window)
        self._purse = min(self._purse, self._size)

    def restart(self, permille: int, now: int) -> None:
        """Go back to a slow start at *permille* thousandths of the refill."""
        if not self.hidden:
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
        size = self._size
        want = min(charge * 1000 + (size * _KEPT_BACK // 1000 if self.hidden else 0), size)
        return now if self._purse >= want else self._at + -(-(want - self._purse) // self._rate)

    def take(self, charge: int) -> None:
        """Spend *charge* scaled units."""
        if not self._unused:
            self._purse -= charge * 1000
        self._unused = False

    def give(self, charge: int, since: int) -> None:
        """Take back *charge* scaled units, taken at *since*, that were not spent."""
        if since >= self._since:  # what was taken before the purse was emptied is not missing in it
            self._purse = min(self._size, self._purse + charge * 1000)

    def answered(self, sent: int, now: int) -> None:
        """Double the pace if a request sent in this round was answered; climb, under a hidden window."""
        if self.hidden:
            seconds = (now - self._climbed_at) // SECOND
            if seconds > 0 and self.permille < _HIDDEN_MOST:
                self._advance(now)
                self.permille = min(_HIDDEN_MOST, self.permille + seconds)
                self._climbed_at += seconds * SECOND
        elif sent >= self._round_at:
            self._advance(now)
            self.permille = min(_FREE, 2 * self.permille)
            self._round_at = now

    def narrow(self, now: int) -> None:
        """A shorter, hidden window refused: pace to it."""
        self._advance(now)
        self._climbed_at = self._since = now
        self.permille = max(_HIDDEN_LEAST, self.permille * _HIDDEN_DROP // 1000) if self.hidden else _HIDDEN_FIRST
        self.hidden = True
        self._unused = False
        self._purse = min(self._purse, 0)


def _base(capacity: int, window: int) -> int:
    """Return scaled units a nanosecond; a window longer than a minute is paced as if it were to last a minute."""
    return max(1, capacity // min(window, MINUTE))
