"""Whether a provider gives back what it charged and was not used: learned from successive anchors.

Most charge an estimate when a request comes and keep it. Some give the unused part back at the end of the answer, and
gateways before them do so without saying. **Never expecting it** is safe, as anchors show what is there, but slow:
where caps are 30 times the output, what is in flight counts thirtyfold, and 990 requests take 18 s where 4 are
possible. **Always expecting it** draws thousands of refusals wherever it is not so.

**The idea: see what comes in.** Between two anchors half a second apart the level gains what was refilled, and if what
is unused comes back, as much as the answers of that time left unused. Where that is so within a quarter, over a second
and a half, it is expected from then on, and the charges are corrected at the end of each answer; where it comes to be
wrong by three quarters, no more. A tenant's spending, higher charges and requests that are late all come to other sums.
It takes 9 s then, without a refusal; and in no other world of `benchmarks/scenarios.py` is anything expected, or
different.

Nothing is learned of a bucket that is nearly full, where what comes back is lost; nor across refusals, changes of the
limit, pauses, and spans in which little was left unused.

**The invariant**: nothing is expected back before three spans have shown it.
"""

from typing import NamedTuple

from scheduler.core.quota import SECOND

_SPAN, _PAUSE = SECOND // 2, 10 * SECOND
_SPANS = 3  # before anything is believed
_MEMORY = 8  # at each span one part in so many of what was seen before is forgotten
_LITTLE = 4  # what was left unused must be a quarter of the refill
_FULL = 950  # thousandths of the limit


class Sight(NamedTuple):
    """What an anchor shows.

    Attributes:
        sent: Its instant.
        remaining: Units that the provider had left.
        total: Units charged until then, before any corrections.
        unused: Units that had been left unused until then.
        limit: Units of the limit.
        bounced: Units of requests that had been refused until then.
    """

    sent: int
    remaining: int
    total: int
    unused: int
    limit: int
    bounced: int


class SettlementWatch:
    """Units that answers left unused, and whether the provider gives them back."""

    __slots__ = ("_base", "_due", "_seen", "_spans", "_wrong", "corrected", "unused")

    def __init__(self) -> None:
        """Begin with charges that are kept."""
        self.corrected = False
        """Whether what is unused comes back."""
        self.unused = 0
        """Units that have been left unused since the beginning."""
        self._base: Sight | None = None
        self._due = 0  # the instant before which an anchor shows nothing new
        self._seen = 0  # units that were left unused of late ...
        self._wrong = 0  # ... and how far what came in was from them
        self._spans = 0

    def is_due(self, sent: int) -> bool:
        """Whether an anchor of that instant may show something new."""
        return self.unused > 0 and sent >= self._due

    def see(self, sight: Sight, window: int) -> None:
        """Learn from an anchor that is due; the limit refills evenly in *window* nanoseconds."""
        base = self._base
        self._base, self._due = sight, sight.sent + _SPAN
        if base is None or base[4:] != sight[4:] or sight.sent >= base.sent + _PAUSE:
            return
        if max(base.remaining, sight.remaining) * 1000 < sight.limit * _FULL:
            self._compare(base, sight, (sight.sent - base.sent) * sight.limit // window)

    def _compare(self, base: Sight, sight: Sight, refilled: int) -> None:
        unused = sight.unused - base.unused
        if _LITTLE * unused < refilled or not unused:
            return
        more = sight.remaining - base.remaining + sight.total - base.total - refilled
        self._wrong += min(unused, abs(more - unused)) - self._wrong // _MEMORY
        self._seen += unused - self._seen // _MEMORY
        self._spans += 1
        if self._spans >= _SPANS:
            self.corrected = 4 * self._wrong < (3 if self.corrected else 1) * self._seen
