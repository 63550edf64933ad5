"""Unseen spending: what answers show to be gone from a bucket though we had not taken it.

Others spend the same quota, or requests are charged more than was estimated. One wants to know how much.

**Naive**: compare each two successive anchors. The level should have changed by the refill less our charges, and what
is missing was taken. But answers are rounded, and their requests arrive early or late: at a hundred answers a second a
tenant of a third of the rate takes less between two of them than one hop of the network explains. Counted or not, each
difference is noise; dropped below a threshold all are lost, summed up all the noise is.

**The idea: the level remembers.** An anchor lowers the level only as far as the band that it proves (see ``anchor``).
What it does not prove stays in the level, and is found when enough of it has come together. So the sum of what answers
*lowered* levels by is the unseen spending, to within one band, however long it goes on: between answers nothing but
our charges and the refill moves the level, and a bucket that is full loses nothing by the spending of others.

What answers *raised* levels by is counted by itself, the *unseen returns*: reservations that the provider gave back,
charges smaller than estimated, and what an answer before had taken off too much, or a refusal without numbers. Who
wants what was taken in the end subtracts it. Levels rise with more caution than they fall (see ``anchor``), so returns
are told late, and some not at all. And what is taken and comes back between the same two answers no level can tell
apart: where a provider returns a half of every reservation, a tenant of 30 % shows as smaller returns.

Measured over the benchmark worlds with headers, where nothing is returned: what is told is within a few percent of
what the simulator knows that others took and that requests took beyond their charges; where answers take 20 s, up to
15 % less, as what passed before the first is not told. Where nobody else spends, nothing is told; 0.4 % of our own
charges under stale headers or jitter far beyond the tolerance, 2 % where headers are written at completion, with as
many returns.

Three things are not counted. What was missing at the first answer, and in answers to requests that were sent before it
came: it was gone before we looked. A changed limit, or what the first sight of a lower one takes off. And once, each
time that a bucket has been full, the refill of the tolerance: a request that is on its way to a full bucket leaves it
full until it arrives.

Where no header tells, nothing is seen here; there the ``share`` is what tells of others. Nor is seen what others take
from a bucket that has filled up again before the next answer: nobody missed it.

**The invariant**: neither sum falls. As long as the limit stays, no refusal without numbers comes, and the bucket is
not full, a level changes by refill, charges, what they give back, returns and spending, and by nothing else.
"""


class Unseen:
    """Sums of what answers changed a level by, in scaled units."""

    __slots__ = ("_full_at", "_transit", "returned", "spent")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.spent = 0
        """What was gone though we had not taken it."""
        self.returned = 0
        """What was there though we had believed it gone."""
        self._full_at = -1  # when the bucket was last left full, as far as is known here ...
        self._transit = 0  # ... and how much of what is missing since may have been clipped there

    def note(self, missing: int, full_at: int, transit: int) -> None:
        """Note that an answer has lowered a level by *missing*, or raised it if that is below zero.

        Args:
            missing: Scaled units.
            full_at: When a charge was last taken from a full bucket.
            transit: Scaled units that come while a request is on its way.
        """
        if missing <= 0:
            self.returned -= missing
            return
        if full_at > self._full_at:
            self._full_at, self._transit = full_at, transit
        explained = min(missing, self._transit)
        self._transit -= explained
        self.spent += missing - explained
