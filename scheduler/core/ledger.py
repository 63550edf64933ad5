"""The ledger: what has been charged to a bucket, and when the next may go.

A request may go when the level covers its charge and some caution. It is made elsewhere (see ``reconcile``) and used
here:

- **Cushion**: a level kept back for what cannot be seen.
- **Doubt**: spending that no answer has confirmed counts twice. At the start it lets half of a full bucket go before
  the first answer and half of the rest before the next; when saturated it is about zero. See ``anchor`` for why it
  stays when answers have confirmed the level.
- **Pace** and **hidden** windows: how fast, and how much at once.

They yield. No request is ever asked to wait for more than 98 % of the capacity, or for its own charge and a second of
refill (2 % of the capacity where that is less). Where that is more than the bucket holds, the caution is time: the
bucket has been full for so long. Without it, a quota of one request a minute has no caution at all, and one hop of the
network that is slower than the last is a refusal. A wait that is named is exact, whatever mixture of these makes it.

**The invariants**: ``total`` never falls, except where the provider itself lowers charges (``correct``, ``used``); a
charge comes back at most once; the level is never above the capacity; a request that fits the limit gets its turn.
"""

from typing import TYPE_CHECKING

from scheduler.core.bucket import NEVER, Bucket, bucket_for
from scheduler.core.forecast import Forecast
from scheduler.core.history import History, Mark, slot_of
from scheduler.core.limits import LimitWatch
from scheduler.core.pace import Pace
from scheduler.core.quota import SECOND, Dimension, Quota, Refill
from scheduler.core.schedule import Schedule
from scheduler.core.settlement import SettlementWatch
from scheduler.core.share import Share
from scheduler.core.ticket import Ticket
from scheduler.core.tuning import WHOLE, Tuning
from scheduler.core.unseen import Unseen

if TYPE_CHECKING:
    from scheduler.core.hidden import Hidden


class Ledger:
    """A bucket and what it is charged. Instants are passed in, and do not go back."""

    __slots__ = (
        "_anchor_high",
        "_answers",
        "_began",
        "_bounced",
        "_brim_at",
        "_corrected",
        "_cut_at",
        "_excess",
        "_flying",
        "_forecast",
        "_full_at",
        "_highest",
        "_history",
        "_hold",
        "_hold_until",
        "_informed_at",
        "_marks_at",
        "_puzzle",
        "_raised",
        "_ratio",
        "_share",
        "_size_at",
        "_told",
        "_tuning",
        "_usual",
        "_watch_until",
        "acquitted",
        "anchored",
        "anchored_total",
        "asked",
        "blind",
        "bucket",
        "configured",
        "confirmed",
        "cushion",
        "dimension",
        "explained",
        "guessed",
        "hidden",
        "known",
        "lag",
        "limits",
        "pace",
        "refusals",
        "scope",
        "settlement",
        "spent",
        "total",
        "unseen",
    )

    def __init__(
        self, quota: Quota, now: int, *, known: bool, scope: str, tuning: Tuning, schedule: Schedule | None
    ) -> None:
        self._tuning = tuning
        self.scope = scope
        self.dimension: Dimension = quota.dimension
        self.bucket: Bucket = bucket_for(quota, now, schedule=schedule)
        self.known = known
        self.confirmed = known
        self.configured: int | None = None  # the limit that its owner has named, whatever answers say
        self.limits = LimitWatch()
        self.total = 0  # units charged since the beginning
        self.anchored = -1  # the instant that the newest answer speaks of: when its request was sent
        self.anchored_total = 0  # total at that instant
        self.acquitted = False  # whether refusals without numbers that were blamed on it were not its own
        self.lag = 0  # by how much answers are older than that
        self.blind = 0
        self.asked = 0  # recent refusals: what the provider said they would have taken ...
        self.guessed = 0  # ... and what we had estimated
        self.spent = 0  # units of requests that were answered
        self.refusals = 0
        self.explained = 0  # of these, refusals that a hidden window explained
        self.settlement = SettlementWatch()
        self.unseen = Unseen()
        self._anchor_high = 0  # most that the level can have been just after it, in scaled units
        self._answers = 0
        self._began = now
        self._bounced = 0  # units of requests that were not taken
        self._brim_at = -NEVER  # when the bucket is full, or was: as told to who has to wait for all of it
        self._corrected = 0  # units by which charges have been lowered
        self._cut_at = -1
        self._excess = 0
        self._flying = 0
        self._forecast = Forecast(tuning, now)
        self._full_at = now  # when a charge was last taken from a full bucket
        self._highest = 0  # scaled units: the most that answers have told to be there, as a part of this limit
        self._history = History()
        self._hold = tuning.hold
        self._hold_until = -NEVER
        self._informed_at = NEVER  # forecasts made before this say nothing about our forecasting
        self._marks_at = -NEVER
        self._puzzle: tuple[int, int, Ticket] | None = None
        self._raised = 0  # scaled units by which the level was ever raised otherwise than by its refill
        self._ratio = 0  # thousandths: what the last refusal's body said, over what we had estimated
        self._share = Share()
        self._told = -1  # whole units that the anchor told, where they count all before it and nothing else; or -1
        self._usual = 0  # forecast error of late, of either sign, in scaled units
        self._watch_until = now  # a new acquaintance is watched with a larger cushion
        self.hidden: Hidden | None = None
        self.pace: Pace | None = None
        if quota.refill is Refill.CONTINUOUS:
            self.pace = Pace(self.bucket.capacity, quota.window, now)
        self.cushion = self._size_cushion(now)

    # ---- deciding

    def ready_at(self, units: int, now: int, kept: int = 0) -> int:
        """Return the first instant from *now* on at which a request of *units* may go, or ``NEVER``.

        It leaves *kept* scaled units to others, if the capacity allows that.
        """
        bucket = self.bucket
        bucket.advance(now)
        if not self.known:
            return now
        need = (self.charge_for(units) if self.guessed else units) * bucket.scale
        if need > bucket.capacity:
            if self._flying or not self.fits(units):
                return NEVER  # larger than a limit that is not certain: alone, from a full bucket
            need = bucket.capacity
        unsure = self._unconfirmed(now) if self._flying and self.blind <= self._tuning.blind else 0
        keep = self.cushion + kept
        ready = now if bucket.level >= need + keep + unsure else self._covered_at(need, keep, unsure, now)
        if self.pace is not None:
            ready = max(ready, self.pace.ready_at(need, now))
        if self.hidden is not None:
            ready = max(ready, self.hidden.ready_at(need, now))
        return ready

    def spares_at(self, units: int, theirs: int, until: int, now: int) -> int:
        """Return from when on a request of *units* may go without delaying one of *theirs* that goes at *until*.

        What it takes before *until* is missing then, whenever it goes; so it goes now or not before *until*. Where
        *until* is not known, what is refilled helps, as nobody can say how much of it comes before.
        """
        bucket = self.bucket
        bucket.advance(now)
        need = (self.charge_for(units) + self.charge_for(theirs)) * bucket.scale + self.cushion
        if until >= NEVER:
            return bucket.ready_at(need, now)
        return now if bucket.level_at(until) >= need else max(until, now + 1)

    def fits(self, units: int) -> bool:
        """Whether a request of *units* can ever go."""
        return not self.confirmed or units <= self.bucket.quota.burst

    @property
    def largest(self) -> int:
        """Units of the largest request that can go."""
        return self.bucket.quota.burst

    @property
    def share(self) -> int:
        """Thousandths of the refill that are used: less than all only where no header tells."""
        return self._share.permille

    def charge_for(self, units: int) -> int:
        """Correct an estimate by what recent refusals said that such requests take; between half and three times."""
        if not self.guessed:
            return units
        return min(3 * units, max(-(-units // 2), -(-units * self.asked // self.guessed)))

    def forecast_error(self, now: int) -> int:
        """The largest recent forecast error, faded, in scaled units."""
        return self._forecast.error(now)

    def traffic(self, at: int, span: int) -> tuple[int, int]:
        """Return the units charged in *span* nanoseconds until an instant, and in as many of the six spans before."""
        total = self._history.total_at(at, self.total, later=True)
        there = self._history.total_at(at - span, self.total, later=False)
        before = self._history.total_at(at - 7 * span, self.total, later=True)
        return max(0, total - there), max(0, there - before) // 6

    def _unconfirmed(self, now: int) -> int:
        """What was charged since the anchor, beyond the refill, in scaled units."""
        bucket = self.bucket
        charged = (self.total - self.anchored_total) * bucket.scale
        if charged <= 0:
            return 0
        if not bucket.rate and (self.anchored >= 0 or bucket.quota.refill is Refill.RELEASE):
            return 0  # what comes all at once is doubted once: before anything has confirmed the level
        return max(0, charged - bucket.rate * (now - max(self._began, self.anchored)))

    def _covered_at(self, need: int, keep: int, unconfirmed: int, now: int) -> int:
        """Solve level(t) >= min(need + keep + doubt(t), ceiling), where doubt falls as the level rises."""
        bucket = self.bucket
        ceiling = max(need, bucket.capacity * self._tuning.ceiling // 1000)
        if not bucket.rate:
            return min(bucket.ready_at(ceiling, now), bucket.ready_at(need + keep + unconfirmed, now))
        ceiling = max(ceiling, need + self._least())
        full = bucket.ready_at(ceiling, now) if ceiling <= bucket.capacity else self._past_brim(ceiling, now)
        missing = need + keep - bucket.level
        if missing > unconfirmed or not unconfirmed:
            return min(full, bucket.ready_at(need + keep, now))
        return min(full, now - (-(missing + unconfirmed) // (2 * bucket.rate)))

    def _past_brim(self, need: int, now: int) -> int:
        """Return when the level would reach *need*, which is more than the capacity, if the bucket had no brim."""
        bucket = self.bucket
        room = bucket.capacity - bucket.level
        self._brim_at = now - (-room // bucket.rate) if room else min(self._brim_at, now)
        return max(now, self._brim_at - ((bucket.capacity - need) // bucket.rate))

    # ---- spending

    def spend(self, units: int, now: int, notes: list[int]) -> None:
        """Charge a request of *units*, and note what its ticket will say: NOTES numbers.

        A ticket is made of its notes only when an answer comes. Ten million reservations a day need not make forty
        million objects that the garbage collector has to look at.
        """
        charged = self.charge_for(units) if self.guessed else units
        bucket = self.bucket
        if now >= self._marks_at:
            self._marks_at = self._history.mark(self._mark(now))
        self.total += charged
        self._flying += 1
        if self.known:
            scaled = charged * bucket.scale
            if bucket.level == bucket.capacity:
                self._full_at = now
            bucket.take(scaled)
            if self.pace is not None:
                self.pace.take(scaled)
            if self.hidden is not None:
                self.hidden.take(scaled)
        notes += (charged, self.total, bucket.level, self._raised)

    def _mark(self, now: int) -> Mark:
        level, unused, corrected, bounced = self.bucket.level, self.settlement.unused, self._corrected, self._bounced
        return Mark(slot_of(now), self.total, level, self.anchored, self.anchored_total, unused, corrected, bounced)

    def release(self, ticket: Ticket, now: int) -> None:
        """Note that a request is no longer in flight; concurrency comes back."""
        self._flying -= 1
        if self.bucket.quota.refill is Refill.RELEASE:
            self.bucket.advance(now)
            self.bucket.give(ticket.charged, ticket.at)

    def refund(self, ticket: Ticket, now: int) -> None:
        """Give back, once, the charge of a request that the provider has not charged. Its total stands: it errs low.

        Without the charge the bucket would have been full sooner, and an answer to a later request has told of a level
        without it: what that makes of the charge is all that comes back.
        """
        bucket = self.bucket
        bucket.advance(now)
        if not self.known or ticket.refunded or bucket.quota.refill is Refill.RELEASE:
            return
        ticket.refunded = True
        self._bounced += ticket.charged
        scaled = ticket.charged * bucket.scale
        back = self._lacking(scaled, ticket, ticket.at)
        if ticket.total <= self.anchored_total:
            back = max(0, min(back, self._at_most(now) - bucket.level))
        self._give(back, ticket.at)
        if self.pace is not None:
            self.pace.give(scaled)
        if self.hidden is not None:
            self.hidden.give(scaled)

    def correct(self, ticket: Ticket, units: int, now: int) -> None:
        """Change a charge to *units*, where the provider does so too when it knows the usage. The total follows."""
        bucket = self.bucket
        bucket.advance(now)
        difference = units - ticket.charged
        ticket.charged = units
        if difference < 0:
            self._lower(-difference, ticket.at)
            return
        self.total += difference
        if self.known:
            bucket.take(difference * bucket.scale)

    def _lower(self, units: int, since: int) -> None:
        """Take back *units* of what was charged *since* an instant."""
        self.total -= units
        self._corrected += units
        if self.known:
            self._give(units * self.bucket.scale, since)

    def _give(self, scaled: int, since: int) -> None:
        before = self.bucket.level
        self.bucket.give(scaled, since)
        self._raised += self.bucket.level - before

    def _put(self, level: int) -> None:
        self._raised += max(0, level - self.bucket.level)
        self.bucket.put(level)

    def _lacking(self, scaled: int, ticket: Ticket, since: int) -> int:
        """How much of what was missing from the level at a ticket must be missing still."""
        return self.bucket.lacking(scaled, ticket.expected + self._raised - ticket.raised, since)

    def _at_most(self, now: int) -> int:
        """The highest level that the anchor allows."""
        bucket = self.bucket
        charged_after = (self.total - self.anchored_total) * bucket.scale
        return min(bucket.capacity, self._anchor_high + bucket.refill(self.anchored, now) - charged_after)

    def _least(self) -> int:
        return min(self.bucket.rate * self._tuning.least, self.bucket.capacity // 50)

    def _size_cushion(self, now: int) -> int:
        bucket, tuning = self.bucket, self._tuning
        self._size_at = now + SECOND
        if not self.known or bucket.quota.refill is Refill.RELEASE:
            return 0
        if not bucket.rate:  # what comes all at once has no rate to lower: a part of it is left
            error = min(bucket.capacity * tuning.most // 1000, tuning.safety * self._forecast.error(now))
            return max(error, bucket.capacity * (WHOLE - self._share.permille) // WHOLE)
        most = bucket.capacity * tuning.most // 1000  # a limit may have been lowered since the error was seen
        error = self._forecast.error(now)
        least = self._least()
        if self.blind <= tuning.blind and self._informed_at < NEVER:
            least = min(least, max(bucket.rate * tuning.tolerance, tuning.trust * error))
        error *= tuning.safety
        if now < self._watch_until:
            least = max(least, bucket.capacity * tuning.watched // 1000)
        size = min(most, max(least, error))
        return min(size, self._highest * 3 // 2) if self._highest else size
