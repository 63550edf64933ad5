"""A hidden window: a shorter slice of the limit that no header shows.

A provider may enforce 60 a minute as 1 a second. It is noticed when a request is refused although the minute has room.
How long the slice is nobody says: a second, a tenth of one, longer.

**Naive**: go on at 0.95 of the refill from a purse of one second, and lower that at each refusal. It wastes 5 % where
the slice is a second, and storms where it is less (165 refusals in 1,000 at a tenth of a second, with a quarter of the
limit used), as the speed was never at fault: what is taken *at once* is.

**The idea: a second bucket of unknown size, kept by what is missing from it.** What is *owed* to a bucket that refills
at the limit's rate does not depend on its size: it grows by each charge, and shrinks with time, to nothing. The server
lets a request of ``c`` pass where ``owed <= max(0, size - c)``: one larger than the slice passes when nothing is owed.
So only the *size* is to be learned, and each refusal measures it: it says when the request would have fit, ``w``
later. At that moment ``owed - rate · w = size - c``; hence ``size = owed + c - rate · w``, unless the request is larger
than the slice: then the formula yields ``c``, and only says that the size is less. It also tells what is owed now.

**Arrival is not as even as sending**, and refusals are no fair sample of it: who is refused came just after others that
had been sent long before. Measured against our own books, sizes came out too low by up to all (a slice of a second was
used to 0.67), and whatever lowered them by refusals went on doing so. But the same others are missing from the whole
bucket, of which the refusal's body tells: the *surprise*, how much less it says than was believed, beyond what it
usually is less (others spend too), was owed here as well. Sizes are then true to some hundredths of a second under
jitter of half a second. The first is rounded to a second where it is near one, as that is what providers speak of.

For what jitter is left, *spare* nanoseconds of refill are kept. How many cannot be measured, but steered: each event of
refusals adds 60 ms, and each answer takes off as much of that as lets one event in 1,000 answers stand, more where much
is spared already, since then every request that fills the slice waits for it (6 a thousand at the most, 0.85 s, where
heavy jitter would need 1 and leave a third of the limit unused).

**Without numbers** a refusal only says ``size < owed + c``; it is taken to be a second at most. Each event makes it
smaller, those that follow soon make it much smaller, and then lower the rate too: requests may take more than is
thought.

A size that was true may be so no longer. After ten minutes without a refusal it is tested upward by a quarter every
half minute, and forgotten when it has grown to a quarter of the bucket; a test that is refused is taken back, and
doubles the time to the next.

**What cannot be had**: where a slice holds less than a request, every request waits until nothing is owed, and the
spread of arrival is lost each time. With requests of 0.25 s of refill and a spread of some 30 ms, 0.62 of the limit at
20 refusals in 1,000, or 0.55 at 5, is all there is, even with the size known.

**The invariant**: what is owed shrinks only with time, or by what comes back, and nothing but an event or an answer
changes size and spare, so that a wait is exact. A request larger than the size goes when nothing is owed, so nothing
starves.
"""

from scheduler.core.quota import MINUTE, SECOND

_DRAIN = 990  # thousandths of the refill: what noise in the charges owes is paid by the rest
_BLEND = 4  # part of the way to a newly measured size
_SPARE_LEAST, _SPARE_FIRST, _SPARE_MOST = 100_000_000, 150_000_000, 850_000_000
_SPARE_PART = 2  # of the slice at most, where that is more
_SPARE_STEP, _SPARE_STEPS = 60_000_000, 6  # for each event: so much, or this part of what is spared already
_EVENTS, _EVENTS_MORE = 1, 5  # in a thousand answers, and how many more where the most is spared
_QUIET, _QUIET_MOST, _STEP = 10 * MINUTE, 160 * MINUTE, 30 * SECOND
_LEAST_RATE = 100
_CLIMBS, _CLIMBS_MOST = SECOND // 8, 4 * SECOND  # between two thousandths of climbing: doubles with every cut
_SOON = 10 * SECOND
_LEAST_STEP = 50_000_000
_GONE = 4  # a slice of a quarter of the bucket is none


class Hidden:
    """A second bucket of the same refill and unknown size. Amounts are in scaled units."""

    __slots__ = (
        "_at",
        "_before",
        "_capacity",
        "_climbed_at",
        "_every",
        "_owed",
        "_quiet",
        "_refused_at",
        "_soon",
        "_tests_at",
        "_whole",
        "permille",
        "rate",
        "refusals",
        "repeated",
        "size",
        "spare",
    )

    def __init__(self, rate: int, capacity: int, now: int) -> None:
        """Begin at the first refusal; the size is not known yet."""
        self.permille = _DRAIN
        """Thousandths of the limit's rate that are used."""
        self._tune(rate, capacity)
        self.size = capacity
        """The most that may be taken at once, as far as is known."""
        self.spare = _SPARE_FIRST
        """Nanoseconds of refill that are kept for uneven arrival."""
        self.refusals = 0
        self.repeated = 0
        """Events of refusals in a row, without an answer to a request that was sent since."""
        self._refused_at = self._climbed_at = now
        self._owed = 0
        self._at = now
        self._every = _CLIMBS
        self._quiet = _QUIET
        self._soon = 0  # events without numbers in a row, each soon after the last
        self._before = 0  # the size before the test that is on
        self._tests_at = now + _QUIET

    def _tune(self, rate: int, capacity: int) -> None:
        self._whole = rate
        self._capacity = capacity
        self.rate = max(1, rate * self.permille // 1000)

    @property
    def gone(self) -> bool:
        """Whether it has been tested upward so far that it is none any more."""
        return self._before > 0 and self.size >= self._capacity // _GONE

    def _advance(self, now: int) -> None:
        if now > self._at:
            self._owed -= (now - self._at) * self.rate
            self._at = now

    def ready_at(self, charge: int, now: int) -> int:
        """Return the first instant at which *charge* may be taken."""
        self._advance(now)
        over = self._owed - max(0, self.size - charge) + self.spare * self.rate
        return now if over <= 0 else self._at + -(-over // self.rate)

    def take(self, charge: int) -> None:
        """Take *charge*."""
        self._owed = max(0, self._owed) + charge

    def give(self, charge: int) -> None:
        """Take back *charge*."""
        self._owed -= charge

    def owe(self, owed: int) -> None:
        """Owe at least so much: what charges of the recent past have left."""
        self._owed = max(self._owed, owed)

    def retune(self, rate: int, capacity: int) -> None:
        """Follow a changed limit: a slice is a time, so its size follows too."""
        self.size = self.size * capacity // self._capacity
        self._before = self._before * capacity // self._capacity
        self._tune(rate, capacity)

    def refused(
        self, charge: int, wait: int | None, after: int, surprise: int, arrived: int, now: int, *, event: bool
    ) -> None:
        """A request was refused although the minute had room; its charge has been given back.

        Args:
            charge: Its charge.
            wait: Nanoseconds after which it would have fit, or None.
            after: What has been charged since it.
            surprise: How much less was in the whole bucket than we believed, beyond what it usually is less.
            arrived: When it came to the server, about.
            now: The instant.
            event: Whether it was sent after the last event of refusals.
        """
        self._advance(now)
        since = self.rate * (now - arrived) - after
        size = max(0, max(0, self._owed + since) + surprise) + charge
        if wait is not None:
            size = max(charge, size - self._whole * wait)
        if not self.refusals:
            self.size = min(self.size, self._likely(size, wait))
        elif event and self._before:
            self.size = min(self.size, self._before)  # the test has failed
        elif event:
            self._narrow(charge, wait, now)
        if wait is not None:
            if self.refusals:
                self._blend(size, charge + self.spare * self.rate)
            self.owe(max(0, self.size - charge) + self._whole * wait - since)
        self.refusals += 1
        if event:
            self.repeated += 1
            self._refused_at = now
            self._quiet = min(_QUIET_MOST, 2 * self._quiet) if self._before else self._quiet
            self._before = 0
            self._tests_at = now + self._quiet

    @property
    def _step(self) -> int:
        return max(_SPARE_STEP, self.spare // _SPARE_STEPS)

    def _likely(self, size: int, wait: int | None) -> int:
        second = self._whole * SECOND
        if wait is None:
            return min(size, second)
        return second if 3 * second < 4 * size < 6 * second else size

    def _blend(self, size: int, noise: int) -> None:
        """Go a part of the way to a measured *size*; within *noise* of the charge it only says: no more."""
        self.size += ((size if size > noise else min(self.size, noise)) - self.size) // _BLEND

    def _narrow(self, charge: int, wait: int | None, now: int) -> None:
        """A request that was to fit came too early: arrival is less even than was thought, or the slice shorter."""
        most = max(_SPARE_MOST, self.size // (_SPARE_PART * self.rate), charge // self.rate)
        self.spare = max(self.spare, min(self.spare + self._step, most))
        if wait is not None:
            return
        if now >= self._refused_at + _SOON:
            self._soon = 0
            self.size = self.size * 15 // 16
            return
        self._soon += 1
        self.size = self.size * 3 // 4
        if self._soon > 1:
            self.permille = max(_LEAST_RATE, self.permille * 7 // 8)
            self._every = min(_CLIMBS_MOST, 2 * self._every)
            self._tune(self._whole, self._capacity)

    def answered(self, sent: int, now: int) -> None:
        """A request that was *sent* then has been answered: spare less, and test upward after a long quiet."""
        if sent >= self._refused_at:
            self.repeated = 0
        events = _EVENTS + _EVENTS_MORE * self.spare**2 // _SPARE_MOST**2
        self.spare = max(_SPARE_LEAST, self.spare - self._step * events // 1000)
        if self.permille < _DRAIN and now >= self._climbed_at + self._every:
            self._advance(now)
            self._climbed_at = now
            self.permille += 1
            self._tune(self._whole, self._capacity)
        if now >= self._tests_at:
            self._before = self._before or self.size
            self.size += max(self.size // 4, self.rate * _LEAST_STEP)
            self._tests_at = now + _STEP
