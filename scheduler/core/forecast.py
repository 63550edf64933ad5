"""The forecast error: the one number in which everything unseen shows.

What we believed the level would be just after a request, less what the server then said. A tenant's spending, charges
that are not as estimated, answers that overtook each other: their damage shows here, whatever the cause. The largest
recent error is kept; it is halved every 83 s, linearly in between, so that a cushion that is made of it costs its size
once and is given back.

**The invariant**: between two notes the error does not grow.
"""

from scheduler.core.tuning import Tuning


class Forecast:
    """The largest recent forecast error of an account, in scaled units."""

    __slots__ = ("_at", "_error", "_half_life")

    def __init__(self, tuning: Tuning, now: int) -> None:
        """Begin with no error."""
        self._half_life = tuning.half_life
        self._error = 0
        self._at = now

    def error(self, now: int) -> int:
        """Return the largest recent error, faded."""
        if not self._error:
            return 0
        halves, rest = divmod(max(0, now - self._at), self._half_life)
        error = self._error >> min(halves, 200)
        return error - error * rest // (2 * self._half_life)

    def note(self, error: int, now: int, most: int) -> None:
        """Note an error, but not above *most*; a smaller one than is remembered changes nothing."""
        if error > self.error(now):
            self._error = min(most, error)
            self._at = now
