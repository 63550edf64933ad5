"""How fast traffic may grow, and how fast it may go so that no provider who counts says that it grew too fast.

OpenAI: "above 1,000,000 input tokens a minute, traffic may grow by at most 50 % in 15 minutes". Nobody says against
what the present minute is held: the minute a quarter of an hour ago, the mean of that quarter, its least minute.

**Naive**: begin at the floor and multiply the rate by 1.5 every quarter of an hour. That is a plan, and the provider
looks at what was sent: after a night without traffic the plan stands at forty times the floor, and the provider at 1.
**Better**: 1.5 times the highest minute of the past quarter. It holds against a provider who looks for the highest, and
against no other.

**The idea** is to satisfy the strictest reading, which implies the others: *no minute carries more than 1.5 times what
any earlier minute of the last quarter of an hour carried, or than the floor*. So what was sent is counted in slots, a
sixtieth of a minute each. Whatever instant a minute ends at, it holds the 59 whole slots before the slot of that
instant: their sum is at most what the provider counted in that minute, and the least of these sums in a quarter of an
hour, times 1.5, is what the present minute may hold. A purse holds a sixtieth of it, and its rate brings 58 in a
minute; the last is left for requests whose ways to the provider take unlike times:

    sent in a minute  <=  purse + rate * minute  =  1/60 of the allowed + 58/60 of the allowed

The price: 58/60 of 59/60 of the growth, so 1.43 instead of 1.5 in a quarter of an hour; from a million to twenty
millions in 127 minutes instead of 111. And a lull counts: a quarter of a minute without traffic costs the growth of a
quarter of an hour, half of one half of the traffic for as long, and a whole one leads back to the floor.

A request of more than a sixtieth of a minute, 16,000 tokens at the floor, is not covered: it goes when the purse is
full, and the minute may hold that much more.

**The invariant**: what ``roll`` returns is no more than any minute of the last span held that ended before it, for as
long as nothing is sent until the next. A minute here is a fifteenth of the span that the growth is stated for.
"""

from collections import deque
from dataclasses import dataclass

from scheduler.core.quota import MINUTE

SLOTS = 900
"""Slots in a span, of which a minute has 60."""
_MINUTE_SLOTS = 60
_WHOLE = _MINUTE_SLOTS - 1  # slots that lie wholly in any minute, whenever it ends
_SETTLING = 2 * _MINUTE_SLOTS  # a beginning whose past is not known: its first minute is no minute to compare with


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much traffic may grow, as a provider states it.

    Attributes:
        floor: Input tokens a minute up to which traffic may grow as it likes.
        permille: Thousandths of itself to which it may grow in a span: 1,500 is half as much again.
        span: Nanoseconds.
    """

    floor: int
    permille: int = 1_500
    span: int = 15 * MINUTE

    @property
    def minute(self) -> int:
        """Nanoseconds of what traffic is measured by."""
        return _MINUTE_SLOTS * self.slot

    @property
    def slot(self) -> int:
        """Nanoseconds of a slot."""
        return self.span // SLOTS


class Traffic:
    """What was sent of late, in slots, and the least that any minute of the last span can have held."""

    __slots__ = ("_from", "_least", "_now", "_recent", "_slot", "_sum")

    def __init__(self, slot: int, *, new: bool) -> None:
        """Begin in a *slot*; if *new*, nothing has been sent before, and otherwise nobody knows what."""
        self._slot = slot
        self._now = 0  # units in this slot
        self._sum = 0  # units in the whole slots of a minute that ends in this one
        self._recent: deque[tuple[int, int]] = deque()  # these slots and their units; empty ones are left out
        self._from = slot if new else slot + _SETTLING  # the first slot whose minute is known
        # Slots ascending with their sums ascending: what may yet become the least.
        self._least: deque[tuple[int, int]] = deque([(slot, 0)] if new else [])

    def add(self, units: int) -> None:
        """Count what is sent in the present slot; below 0 what was not sent after all."""
        self._now += units

    def roll(self, slot: int) -> int | None:
        """Go on to a later slot; return the least that a minute of the last span held, or None if none is known."""
        if self._now:
            self._recent.append((self._slot, self._now))
            self._sum += self._now
            self._now = 0
        self._slot = slot
        recent, least = self._recent, self._least
        while recent and recent[0][0] < slot - _WHOLE:
            self._sum -= recent.popleft()[1]
        if slot >= self._from:
            while least and least[-1][1] >= self._sum:
                least.pop()
            least.append((slot, self._sum))
        while least and least[0][0] < slot - SLOTS:
            least.popleft()
        return least[0][1] if least else None
