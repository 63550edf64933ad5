"""The share of a limit's refill that is used where no header tells.

**Naive**: AIMD. Each refusal lowers the share by a tenth, and it climbs by a constant a second. Where the limit is half
of what was configured it takes seven events to come down, and then one every 20 s for ever: 60 refusals in 1,000.

**The idea: measure.** At a refusal the provider's bucket was empty, or its body says what was left. So between two
refusals it went from a known level to a known level, and what passed in between, plus the difference, is what it
refilled for us: with all tenants, wrong charges and wrong limits in it. The second refusal sets the share to three
percent less than that (blended with what was believed, by 2 s of refill, as a short time measures badly).

Below the measured share the provider's bucket fills slowly, so that the climb back is free until it has been emptied
again: the share may spend an hour climbing by three percent without losing anything but what does not fit the bucket.
It climbs with the square of the time since the refusal, three percent in the first *patience*, which is half a minute
at first and doubles with each refusal that confirms the last measurement: a steady world is tested ever more seldom, a
changed one is found out soon.

Where the limit itself was only guessed the share may climb above one.

What comes back all at once has no rate to lower. Of it the rest of the share is left untouched: 30 % more at each
event, of which there is one a window at most, and 2 % less in each window after.

**The invariant**: 0.05 <= share <= 1, or 16 for a guess.
"""

from scheduler.core.quota import SECOND
from scheduler.core.tuning import WHOLE

_LEAST = 50
_GUESS_MOST = 16 * WHOLE
_BELOW = 970  # of what was measured
_BLEND = 2 * SECOND
_TELLING = 5 * SECOND
_AGREE = 100  # thousandths
_CLIMB = 30  # thousandths of the share, in the first patience
_LOSE, _REGAIN = 700, 20  # thousandths
_PATIENCE, _PATIENCE_MOST = 30 * SECOND, 240 * SECOND


class Share:
    """The share of the refill that is used, in thousandths."""

    __slots__ = ("_base", "_from", "_looked_at", "_measured", "_patience", "_since", "permille")

    def __init__(self) -> None:
        """Begin with the whole refill."""
        self.permille = WHOLE
        self._base = WHOLE  # just after the last refusal
        self._since = 0  # when that was
        self._looked_at = 0
        self._from: tuple[int, int] | None = None  # when it was, and what had passed, less the level
        self._measured = 0
        self._patience = _PATIENCE

    def whole(self) -> bool:
        """Use the whole refill again, because answers tell the level; return whether that is a change."""
        self._from = None
        self._measured = 0
        changed = self.permille != WHOLE
        self.permille = self._base = WHOLE
        return changed

    def refused(self, sent: int, now: int, passed: int, left: int, amount: int, window: int) -> bool:
        """A refusal has shown that *left* units were there, when *passed* units had gone through.

        Returns:
            Whether that can be: a bucket that was empty before, and got a fifth of its refill to pay at most since,
            is not empty again. Something else has refused.

        Args:
            sent: When its request was sent.
            now: The instant.
            passed: Units that the provider has taken, ever.
            left: Units that were left at the refusal.
            amount: Units that the limit is believed to bring ...
            window: ... in so many nanoseconds.
        """
        before, self._from = self._from, (sent, passed + left)
        if before is not None and sent > before[0]:
            span = sent - before[0]
            got = max(0, passed + left - before[1])
            if span >= _TELLING and 5 * got * WHOLE * window < self.permille * amount * span:
                return False
            believed = self.permille * amount * _BLEND // (WHOLE * window)
            measured = (got + believed) * WHOLE * window // (amount * (span + _BLEND))
            agrees = abs(measured - self._measured) * WHOLE <= _AGREE * self._measured
            self._patience = min(_PATIENCE_MOST, 2 * self._patience) if agrees else _PATIENCE
            self._measured = measured
            self.permille = max(_LEAST, min(self.permille * _BELOW // WHOLE, measured * _BELOW // WHOLE))
        self._base = self.permille
        self._since = self._looked_at = now
        return True

    def climb(self, now: int, *, guessed: bool) -> bool:
        """Climb, where a second has passed since the last look; return whether that is a change."""
        if now < self._looked_at + SECOND:
            return False
        self._looked_at = now
        before = self.permille
        tenths = 10 * (now - self._since) // self._patience
        climbed = self._base + self._base * _CLIMB * tenths * tenths // (100 * WHOLE)
        self.permille = min(climbed, _GUESS_MOST if guessed else WHOLE)
        return self.permille != before

    def lose(self, now: int) -> None:
        """A refusal, where everything comes back at once: leave a larger part of it."""
        self.permille = max(_LEAST, self.permille * _LOSE // WHOLE)
        self._looked_at = now

    def regain(self, now: int, window: int) -> None:
        """Leave a smaller part, for each *window* nanoseconds without a refusal."""
        if self.permille < WHOLE:
            steps = (now - self._looked_at) // window
            self.permille = min(WHOLE, self.permille + _REGAIN * steps)
            self._looked_at += steps * window
