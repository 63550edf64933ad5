"""The anchor: the newest answer, and the level that it proves.

    level now = R + rate · (now - sent) - everything charged after that request

Requests sent within the tolerance of it may have arrived in either order, which gives a band: above it the level comes
down at once, below it it rises by a part, and only as far as two successive anchors agree. See ``reconcile`` for why.

**Headers may lag**: a cache in the provider's fleet repeats what was true seconds ago. Taken for the present, such a
header says more than is left while we spend, and raises what should fall: 12 refusals in 1,000, all in the first
minute. It gives itself away: an answer says "full" although its own request, and others before it, must have been
charged. Then its age is at least the time since the first charge that was taken from a full bucket. From then on an
answer is an anchor of that earlier instant, by the same formula, and its forecast error is what was believed *then*,
less what it says. The lag is forgotten when the answer to a request that found the bucket full knows of that request.

**Errors of a burst** are errors of charges, mostly: while a full bucket is emptied, much more is on its way than
refills, and a charge that is a quarter higher than its estimate errs by a quarter of all that. Doubt had covered it,
and later, when no more goes than refills, the same charges err by a twentieth of it. Remembered whole, it kept 15 % of
the bucket from a minute's job: 59.0 s where 53.2 are ideal, and now 54.7. So an error is remembered as what it would
have been had twice the refill been on its way, if it was more. If it came from others' spending, it comes again and is
remembered whole: one refusal more in 1,000 where everything differs at once.

**The first answers** confirm the level, and yet nothing is let go for it: ending slow start and doubt then won a second
for a job that fits the bucket, and drew 32 to 170 refusals in 1,000 where a busy machine kept hundreds of requests
waiting on their way. For a quarter of a minute the level is watched instead: a larger cushion is kept where it is
there, which is free, as a bucket loses nothing until it is full.

**The invariant**: the anchor never goes back; the level is never above what it allows.
"""

from scheduler.core.bucket import NEVER
from scheduler.core.ledger import Ledger
from scheduler.core.quota import SECOND
from scheduler.core.settlement import Sight
from scheduler.core.ticket import Ticket

_COVERED = 2  # times the refill: what was charged since the anchor beyond that was doubted
_LITTLE = 8  # so many times fit into a charge: refill that others may have taken, and rounding


class Anchored(Ledger):
    """A ledger whose level follows the newest answer."""

    __slots__ = ()

    def _note_lag(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        """See whether the answer speaks of its own request, or of a time before it."""
        bucket = self.bucket
        own, full = ticket.charged * bucket.scale, bucket.capacity
        if not own or not bucket.rate:
            return
        if ticket.expected == full - own:
            if remaining * bucket.scale < full - own // 2:
                self.lag = 0
        elif remaining * bucket.scale > full - bucket.scale and sent > self._full_at:
            raised = self._raised - ticket.raised
            if ticket.expected + raised + bucket.refill(sent, now) < full - own:
                self.lag = max(self.lag, min(self._tuning.lag, sent - self._full_at))

    def _note_error(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        bucket = self.bucket
        error = ticket.expected - remaining * bucket.scale
        step = bucket.rate * SECOND // 20
        self._usual += min(step, max(-step, (error - self._usual) >> 4))
        if sent >= self._informed_at:
            sooner = self._after(ticket, sent)  # if they overtook it
            self._set_error(self._undoubted(error - (1 + sooner) * bucket.scale, ticket), now)
        elif self._informed_at < NEVER:
            return
        if self._informed_at == NEVER:
            self._watch(sent, now)

    def _undoubted(self, error: int, ticket: Ticket) -> int:
        """Return the part of an error that is not in proportion to what was doubted: see above."""
        bucket = self.bucket
        if error <= 0 or not bucket.rate:
            return error
        then = self._history.mark_at(ticket.at)
        before = None if then is None or then.anchored < 0 else self._history.mark_before(then.anchored)
        if then is None or before is None:
            return error
        charged = (ticket.total - then.anchored_total - then.bounced + before.bounced) * bucket.scale
        refilled = bucket.rate * (ticket.at - then.anchored)
        return error * _COVERED * refilled // charged if charged > _COVERED * refilled else error

    def _watch(self, sent: int, now: int) -> None:
        """Keep more for a while, where it is there: a bucket loses nothing until it is full."""
        tuning = self._tuning
        if self.bucket.level > self.bucket.capacity * 2 * tuning.watched // 1000:
            self._watch_until = now + tuning.watch + 2 * (now - sent)

    def _set_error(self, error: int, now: int) -> None:
        tuning = self._tuning
        self._forecast.note(error, now, self.bucket.capacity * tuning.most // (1000 * tuning.safety))

    def _total_at(self, instant: int, *, later: bool) -> int:
        return self._history.total_at(instant, self.total, later=later)

    def _after(self, ticket: Ticket, sent: int) -> int:
        """Units charged within the tolerance after a request; none where more than that was corrected meanwhile."""
        return max(0, self._total_at(sent + self._tuning.tolerance, later=True) - ticket.total)

    def _anchor(self, ticket: Ticket, sent: int, remaining: int, now: int, *, counted: bool = True) -> None:
        """Anchor at a request; *counted* says whether it is taken off *remaining*: a refused one is not."""
        if sent < self.anchored:
            return
        bucket, tuning = self.bucket, self._tuning
        after = self._after(ticket, sent)
        before = ticket.total - ticket.charged - self._total_at(sent - tuning.tolerance, later=False)
        self._note_taken(ticket, sent, remaining, now, alone=counted and not (before or after))
        self.anchored, self.anchored_total = sent, ticket.total
        there = remaining + ticket.charged if counted else remaining
        self._highest = max(self._highest, there * bucket.scale)
        least = (remaining - max(0, before)) * bucket.scale - bucket.rate * tuning.tolerance
        low = least + bucket.refill(sent, now) - (self.total - ticket.total) * bucket.scale
        raised = self._raised - ticket.raised
        if self._corrected:  # what was corrected later is not in *remaining*
            since = self._corrected - self._history.corrected_at(sent + tuning.tolerance, self._corrected)
            raised -= since * bucket.scale
        surplus = self._lacking(least - ticket.expected - raised, ticket, sent)
        self._move((remaining + after + 1) * bucket.scale, min(low - bucket.level, surplus), now)
        if counted and self.settlement.is_due(sent):
            self._note_settlement(ticket, sent, remaining)

    def _anchor_past(self, seen: int, remaining: int, now: int) -> None:
        """Anchor at an instant before the request: headers that lag behind."""
        if seen < self.anchored:
            return
        bucket, tuning = self.bucket, self._tuning
        self._told = -1
        self._highest = max(self._highest, remaining * bucket.scale)
        self.anchored, self.anchored_total = seen, self._total_at(seen, later=False)
        after = max(0, self._total_at(seen + tuning.tolerance, later=True) - self.anchored_total)
        before = self.anchored_total - self._total_at(seen - tuning.tolerance, later=False)
        least = (remaining - before) * bucket.scale - bucket.rate * tuning.tolerance
        believed = self._history.believed_at(seen)
        if believed is not None and seen >= self._informed_at:
            self._set_error(believed - (remaining + 1 + after) * bucket.scale, now)
        low = least + bucket.refill(seen, now) - (self.total - self.anchored_total) * bucket.scale
        self._move((remaining + after + 1) * bucket.scale, min(bucket.capacity, low) - bucket.level, now)

    def _note_taken(self, ticket: Ticket, sent: int, remaining: int, now: int, *, alone: bool) -> None:
        """Note on the ticket what the provider took, where its request was all that lay between two anchors.

        Others can have taken meanwhile what was refilled. So either the bucket was full again, had they taken half of
        that; or that is little beside the charge. So must be the rounding, in any case: a request that counts as one
        tells nothing. Nor does an answer that knows of no charge at all: it may be older than its request.

        Of a full bucket it is exact: what had been reserved before cannot have come back since. It must have been full
        even if nothing was left at the last anchor, where that tells no level. And the headers must be of the
        admission: written at the end of an answer in which about as much came back, they would tell too little, and in
        one in which twice as much did, nothing.
        """
        bucket = self.bucket
        before, self._told = self._told, remaining if alone and bucket.rate else -1
        if self._told < 0 or self.anchored < self._informed_at:
            return
        own = ticket.charged * bucket.scale
        if own < _LITTLE * bucket.scale or self.anchored_total != ticket.total - ticket.charged:
            return
        refilled = bucket.refill(self.anchored, sent)
        room = max(0, before) * bucket.scale + refilled
        full = room - refilled // 2 >= bucket.capacity
        if full or (before >= 0 and _LITTLE * refilled <= own):
            taken = min(bucket.capacity, room) // bucket.scale - remaining
            ticket.taken = taken if taken > 0 else None
            meanwhile = bucket.refill(sent, now)
            ticket.exact = full and not own < _LITTLE * meanwhile < 2 * _LITTLE * own

    def used(self, ticket: Ticket, units: int, now: int) -> None:
        """Note what a request has used, and take back the rest of its charge if answers show that the provider does."""
        if units >= ticket.charged:
            return
        self.settlement.unused += ticket.charged - units
        if self.settlement.corrected:
            self.correct(ticket, units, now)

    def _note_settlement(self, ticket: Ticket, sent: int, remaining: int) -> None:
        """See whether what was left unused has come back; if that is new, take back what was since the anchor."""
        bucket, watch, then = self.bucket, self.settlement, self._history.mark_at(ticket.at)
        if then is None or not bucket.rate or bucket.quota.floating:
            return
        quota, before = bucket.quota, watch.corrected
        total = ticket.total + then.corrected
        watch.see(Sight(sent, remaining, total, then.unused, quota.amount, then.bounced), quota.window)
        if watch.corrected and not before:
            self._lower(max(0, watch.unused - then.unused - self._corrected + then.corrected), sent)

    def _note_unseen(self, missing: int) -> None:
        """Note by how much the anchor has lowered the level, unless it was one of the first."""
        if self.anchored >= self._informed_at:
            self.unseen.note(missing, self._full_at, self.bucket.rate * self._tuning.tolerance)

    def _move(self, high: int, excess: int, now: int) -> None:
        """Bring the level into the band that the anchor proves: at once down to *high*, by a part up by *excess*."""
        bucket = self.bucket
        self._anchor_high = high
        most = self._at_most(now)
        before, self._excess = self._excess, max(0, excess)
        if bucket.quota.floating:
            self._excess = 0  # nobody knows what has come back since
        if bucket.level > most:
            bucket.put(most)
        elif self._excess and now >= self._hold_until:
            part = min(before, self._excess) * self._tuning.rise // 1000
            self._put(min(bucket.capacity, bucket.level + part))
