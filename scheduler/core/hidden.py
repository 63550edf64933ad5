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
later. At that moment ``owed - rate · w = size - c``; hence ``size = owed + c - rate · w``. Where it names no wait,
``size < owed + c``. It also tells what is owed now. (For a request larger than the slice the formula yields ``c``; so
the smallest stands, and a slice smaller than every request is soon found to be one.)

Arrival is not as even as sending: requests that were sent apart arrive together. So *spare* nanoseconds of refill are
kept besides: the largest recent wait that a refusal named since the size was known, fading as forecast errors do.

A size that was true may be so no longer. After ten minutes without a refusal it is tested upward by a quarter every
half minute, and forgotten when it has grown to a quarter of the bucket; a test that is refused is taken back, and
doubles the time to the next.

**The invariant**: what is owed shrinks only with time, or by what comes back, and nothing but an event changes size
and spare, so that a wait is exact. A request larger than the size goes when nothing is owed, so nothing starves.
"""

from scheduler.core.quota import MINUTE, SECOND

_DRAIN = 990  # thousandths of the refill: what noise in the charges owes is paid by the rest
_SPARE_LEAST, _SPARE_FIRST, _SPARE_MOST = 100_000_000, 150_000_000, 500_000_000
_SPARE_PART = 2  # of the slice at most, where that is more
_SPARE_STEP = 60_000_000  # for each event
_EVENTS = 1  # in a thousand answers, where little is spared
_EVENTS_MORE = 6  # and more where half a second is
_BLEND = 4
_QUIET, _QUIET_MOST, _STEP = 10 * MINUTE, 160 * MINUTE, 30 * SECOND
_LEAST_RATE = 100
_CLIMBS, _CLIMBS_MOST = SECOND // 8, 4 * SECOND  # between two thousandths of climbing: doubles with every cut
_SOON = 10 * SECOND
_HURRIED = 1
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
        "_hurried",
        "_owed",
        "_quiet",
        "_refused_at",
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
        self._hurried = 0
        self._quiet = _QUIET
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
        self._tune(rate, capacity)

    def refused(
        self,
        charge: int,
        wait: int | None,
        after: int,
        arrived: int,
        now: int,
        *,
        event: bool,
        surprise: int = 0,
    ) -> None:
        """A request was refused although the minute had room; its charge has been given back.

        Args:
            charge: Its charge.
            wait: Nanoseconds after which it would have fit, or None.
            after: What has been charged since it.
            arrived: When it came to the server, about.
            now: The instant.
            event: Whether it was sent after the last event of refusals.
            surprise: How much less than usual was in the whole bucket than we believed: it was owed here too.
        """
        self._advance(now)
        since = self.rate * (now - arrived) - after
        owed = max(0, self._owed + since + surprise) + charge
        size = owed * 15 // 16 if wait is None else max(0, owed - self._whole * wait)
        if not self.refusals:
            self.size = min(self.size, self._likely(max(size, charge), wait))
        elif event and self._before:
            self.size = min(self.size, self._before)  # the test has failed
        elif event:
            self._spread(wait, now)
        if self.refusals and wait is not None:
            spare = charge + self.spare * self.rate
            self.size += ((size if size > spare else min(self.size, spare)) - self.size) // _BLEND
        if wait is not None:
            self.owe(max(0, self.size - charge) + self._whole * wait - since)
        self.refusals += 1
        if event:
            self.repeated += 1
            self._refused_at = now
            self._quiet = min(_QUIET_MOST, 2 * self._quiet) if self._before else self._quiet
            self._before = 0
            self._tests_at = now + self._quiet

    def _likely(self, size: int, wait: int | None) -> int:
        """A second is what providers speak of, and what is taken where nothing else is known."""
        second = self._whole * SECOND
        if wait is None:
            return min(size, second)
        return second if 3 * second < 4 * size < 6 * second else size

    def _spread(self, wait: int | None, now: int) -> None:
        """A request that was to fit came too early: arrival is less even than was thought, or the slice shorter."""
        self.spare = min(self.spare + _SPARE_STEP, self._spare_most)
        if wait is None:
            soon = now < self._refused_at + _SOON
            self._hurried = self._hurried + 1 if soon else 0
            self.size = self.size * 3 // 4 if soon else self.size * 15 // 16
            if self._hurried > _HURRIED:  # nobody tells what requests take: they may take more than is thought
                self.permille = max(_LEAST_RATE, self.permille * 7 // 8)
                self._every = min(_CLIMBS_MOST, 2 * self._every)
                self._tune(self._whole, self._capacity)
        elif self.spare == self._spare_most:
            self.size = self.size * 31 // 32

    @property
    def _spare_most(self) -> int:
        return max(_SPARE_MOST, self.size // (_SPARE_PART * self.rate))

    def answered(self, sent: int, now: int) -> None:
        """A request that was *sent* then has been answered: test upward where it was quiet for long enough."""
        if sent >= self._refused_at:
            self.repeated = 0
        if self.permille < _DRAIN and now >= self._climbed_at + self._every:
            self._advance(now)
            self._climbed_at = now
            self.permille += 1
            self._tune(self._whole, self._capacity)
        events = _EVENTS + _EVENTS_MORE * self.spare**2 // _SPARE_MOST**2
        self.spare = max(_SPARE_LEAST, self.spare - _SPARE_STEP * events // 1000)
        if now >= self._tests_at:
            self._before = self._before or self.size
            self.size += max(self.size // 4, self.rate * _LEAST_STEP)
            self._tests_at = now + _STEP
