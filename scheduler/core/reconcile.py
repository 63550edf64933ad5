"""Keeping a bucket true: what an answer proves about it, and what it does not.

An answer says "remaining = R". It was written at some instant between sending and the headers' arrival; requests sent
before it may have been counted late, requests sent after it early; others may be spending the same quota; and the
provider charges neither what a tokenizer counts nor what its manual says.

**Overwriting the level with R** double-counts whatever is in flight: 1,300 to 2,000 refusals per 1,000 requests in
simulation. **Only ever lowering it** wastes after the first wrong reading, and storms where the limit or the charge is
not as configured. **Modelling each cause** (a rate for the others, a factor for the charge, a level at the start) works
alone and breaks where causes mix.

**The idea: anchor on the newest answer.** Admission comes about one network hop after sending, so

    level now = R + rate · (now - sent) - everything charged after that request

and everything unknown acts only since then, about one answer's time. Only the newest answer by send order moves the
level; an older one speaks of a past that it has superseded. Requests sent within 0.25 s of it may have arrived in
either order, which gives a band: above it the level comes down at once, below it it rises by 0.4 of the way, and only
as far as two successive anchors agree. R is a floor, so the true level lies in [R, R + 1); nothing moves by more than
that proves. In particular a rise is no larger than what R exceeded our own level by *at the sending*, and no larger
than the room that must have been left since: the formula above knows nothing of a bucket that was full in between, and
would after an idle minute count that minute's refill twice.

**What is left shows as one number**, the *forecast error*: what we believed the level would be just after a request,
less what the server then said. Caution is made of it and of its absence:

- **Cushion**: twice the largest recent forecast error, fading over two minutes, at least a second of refill (requests
  in transit while the server's bucket is full are clipped by about that, and others take as much in an answer's time)
  or 2 % of the capacity, whichever is less, and at most 15 %. It is a level, not a rate: it costs its size once. Where
  answers have shown forecasts to be right, four times the error will do instead of the second, and a quarter of it at
  least: that is one refusal more where a limit halves or a tenant arrives, and 0.75 s less for every job.
- **Doubt**: spending that no answer has confirmed counts twice; see ``ledger``, and ``anchor`` for what ends it.
- **Pace**, slow start: see ``pace``.

**A refusal** is an event for all that were in flight. Its body is an exact anchor, and teaches what requests are
charged. Where the minute had room, a shorter window refused: see ``hidden``. Without a body, either recent answers
prove that there was room, or the level is taken to have been below the charge, until the next answer explains it.

**Without headers** nothing anchors. Ten answers in a row without any switch doubt off, and refusals measure the share
of the refill that is ours: see ``share``. A bucket that is blamed for a refusal without numbers, and had hardly been
drawn on since it was blamed before, is acquitted: an observation of one bucket must not teach another.

**What is held and given back**, concurrency, is known exactly: nothing is learned about it.

The rooms: ``ledger`` decides and charges, ``anchor`` follows answers, ``limited`` follows limits, ``unseen`` counts
what answers found missing, and the account here tells what an observation is.

**The invariants**: ``total`` never falls, except where the provider itself lowers a charge (``Account.correct``); the
anchor never goes back; the level is never above the capacity; 0.05 <= share <= 1 for a limit that is not guessed; a
request that fits the limit gets its turn.
"""

from scheduler.core.bucket import NEVER
from scheduler.core.hidden import Hidden
from scheduler.core.limited import Limited
from scheduler.core.limits import Verdict
from scheduler.core.quota import MINUTE, SECOND, Quota, Refill
from scheduler.core.schedule import Schedule
from scheduler.core.ticket import NOTES, Ticket
from scheduler.core.tuning import DEFAULT, WHOLE, Tuning

_UNEVEN = 4 * SECOND  # no arrival is less even than that

__all__ = ["DEFAULT", "NOTES", "WHOLE", "Account", "Ticket", "Tuning"]


class Account(Limited):
    """A ledger, and what is learned about how true it is. Instants are passed in, and do not go back."""

    __slots__ = ()

    def __init__(
        self,
        quota: Quota,
        now: int,
        *,
        known: bool = True,
        scope: str = "",
        tuning: Tuning = DEFAULT,
        schedule: Schedule | None = None,
    ) -> None:
        """Begin with a full bucket of *quota*; if not *known*, the quota only says what is counted, and over what.

        *schedule* says when fixed windows begin that follow the wall clock.
        """
        super().__init__(quota, now, known=known, scope=scope, tuning=tuning, schedule=schedule)

    def charge(self, units: int, now: int) -> Ticket:
        """Charge a request of *units*; ``ready_at`` has advanced the bucket to *now*."""
        notes: list[int] = []
        self.spend(units, now, notes)
        return Ticket(self, now, units, *notes)

    def answered(self, ticket: Ticket, sent: int, now: int, limit: int | None, remaining: int) -> bool:
        """Learn from the answer to a request, and return whether the limit changed.

        Args:
            ticket: The request's ticket here.
            sent: When it was sent.
            now: When its headers came.
            limit: The limit that they state in whole units, or None if they say nothing of this bucket.
            remaining: The whole units that they state to remain, rounded down.
        """
        self.bucket.advance(now)
        self._answers += 1
        self.spent += ticket.charged
        changed = False
        if limit is None or self.bucket.quota.refill is Refill.RELEASE:
            self._blinded(now)
        else:
            changed = self._hear(ticket, sent, now, limit, remaining)
        self._hurry(sent, now)
        self.cushion = self._size_cushion(now)
        return changed

    def overheard(self, ticket: Ticket, sent: int, now: int, limit: int, remaining: int) -> bool:
        """Learn from what a refusal says that another bucket caused; return whether the limit changed.

        The request's charge has come back here, and is not taken off what *remains*. See ``answered``.
        """
        self.bucket.advance(now)
        changed = self._hear(ticket, sent, now, limit, remaining, counted=False)
        self.cushion = self._size_cushion(now)
        return changed

    def _hear(self, ticket: Ticket, sent: int, now: int, limit: int, remaining: int, *, counted: bool = True) -> bool:
        verdict = self._judge(limit, remaining, sent, ticket)
        if verdict is Verdict.ADOPT:
            self._adopt(limit, remaining, sent, ticket, now)
        if verdict is Verdict.OTHER:
            self._beware(limit, remaining, ticket, sent, now)
            self._blinded(now)
        else:
            self._informed(ticket, sent, remaining, now, counted=counted)
        return verdict is Verdict.ADOPT

    def unheard(self, charged: int, at: int, sent: int, now: int) -> None:
        """A request of *charged* units, charged *at* an instant, has ended, and nobody told what its answer said."""
        self._flying -= 1
        self._answers += 1
        self.spent += charged
        self._blinded(now)
        self._hurry(sent, now)
        if not self.bucket.rate and self.bucket.quota.refill is Refill.RELEASE:
            self.bucket.advance(now)
            self.bucket.give(charged, at)
        if now >= self._size_at:
            self.cushion = self._size_cushion(now)

    def refused(
        self,
        ticket: Ticket,
        sent: int,
        now: int,
        body: tuple[int, int, int] | None,
        *,
        charged: bool = False,
        wait: int | None = None,
        asked: int | None = None,
    ) -> bool:
        """Learn from a refusal that this bucket caused, and return whether the limit changed.

        Args:
            ticket: The request's ticket here.
            sent: When it was sent.
            now: When the refusal came.
            body: What it states: limit, units remaining without this request, units requested; or None.
            charged: Whether the provider charges refused requests here.
            wait: Nanoseconds after which the body says that the request would have fit, or None.
            asked: Nanoseconds that the server asks to wait, in whatever way, or None.
        """
        bucket = self.bucket
        bucket.advance(now)
        self._answers += 1
        self.refusals += 1
        if self.bucket.quota.refill is Refill.RELEASE:
            return False
        event = sent >= self._cut_at
        if event:
            self._cut_at = now
        if not charged:
            self.refund(ticket, now)
        believed = bucket.level
        changed = False
        left = ticket.charged // 2
        if body is not None:
            limit, left, requested = body
            changed = self._learn_body(ticket, sent, now, limit, left, requested)
            if left >= requested and limit == bucket.quota.amount:  # a shorter, hidden window refused
                self._narrow(ticket, (left, requested), (sent + now) // 2, now, wait, event=event)
                self.cushion = self._size_cushion(now)
                return changed
            if not changed:
                self._put(min(bucket.level, believed))
                self._note_unseen(believed - bucket.level)
        elif not self._unproven(ticket, sent, now, asked, event=event):
            return False
        if event:
            self._event(ticket, sent, now, left)
        self.cushion = self._size_cushion(now)
        return changed

    def _unproven(self, ticket: Ticket, sent: int, now: int, asked: int | None, *, event: bool) -> bool:
        """A refusal without numbers: return whether it tells of this bucket, as far as one can see."""
        if self.sliceable and self.roomy(ticket.charged, now):
            self._narrow(ticket, None, (sent + now) // 2, now, None, event=event)
            return False
        if self.known:
            self._suspect(ticket, sent, now, ticket.charged // 2)
            return True
        return self._guess(ticket, now, asked)

    def _suspect(self, ticket: Ticket, sent: int, now: int, left: int) -> None:
        """A refusal without numbers: there were no more than *left* units, if it was this bucket that refused."""
        bucket = self.bucket
        self._puzzle = (sent, (sent + now) // 2, ticket)
        if bucket.rate or bucket.quota.window <= MINUTE:  # a mere suspicion must not cost the rest of a day
            since = bucket.rate * (now - sent) - (self.total - ticket.total) * bucket.scale
            self._put(min(bucket.level, left * bucket.scale + since))

    def roomy(self, charged: int, now: int) -> bool:
        """Whether there is room for twice a charge, and 3 %, beyond all doubt, as far as recent answers tell."""
        bucket = self.bucket
        bucket.advance(now)
        if not self.known or not bucket.rate or self.blind > self._tuning.blind or self.anchored < 0:
            return False
        kept = self.cushion + self._unconfirmed(now) + 3 * bucket.capacity // 100
        return bucket.level > kept + 2 * charged * bucket.scale

    @property
    def sliceable(self) -> bool:
        """Whether a hidden window may lie in it: no longer than a minute, and evenly refilled."""
        quota = self.bucket.quota
        return quota.window <= MINUTE and quota.refill is Refill.CONTINUOUS

    def owed(self, now: int) -> int:
        """Nanoseconds of refill that the charges of the last ten seconds have left to be paid, to a slice if any."""
        bucket = self.bucket
        if not self.sliceable:
            return 0
        rate = bucket.quota.amount
        return self._history.owed(now, self.total, rate, bucket.scale, 10 * SECOND) // rate

    def _informed(self, ticket: Ticket, sent: int, remaining: int, now: int, *, counted: bool) -> None:
        self.blind = 0
        self.acquitted = False
        if self._share.whole():
            self._scale_rate()
        self._note_lag(ticket, sent, remaining, now)
        believed = self.bucket.level
        if not self.lag:
            self._note_error(ticket, sent, remaining, now)
            self._anchor(ticket, sent, remaining, now, counted=counted)
        else:
            self._anchor_past(sent - self.lag, remaining, now)
        self._note_unseen(believed - self.bucket.level)
        self._informed_at = min(self._informed_at, now)
        self._solve_puzzle(ticket, sent, remaining, now)

    def _blinded(self, now: int) -> None:
        self.blind += 1
        if self.blind <= self._tuning.blind:
            return
        if not self.bucket.rate:
            self._share.regain(now, self.bucket.quota.window)
        elif self._share.climb(now, guessed=not self.confirmed):
            self._scale_rate()

    def _learn_body(self, ticket: Ticket, sent: int, now: int, limit: int, remaining: int, requested: int) -> bool:
        self._learn_charge(ticket.units, requested)
        changed = False
        if not self.known or self.limits.judge_body(self.bucket.quota, limit) is Verdict.ADOPT:
            self._adopt(limit, remaining, sent, ticket, now)
            changed = True
        self.confirmed = True
        self.acquitted = False
        if remaining < requested:
            if sent >= self._informed_at:
                self._set_error(ticket.expected - (remaining + 1 - requested) * self.bucket.scale, now)
            self._anchor(ticket, sent, remaining, now, counted=False)
        return changed

    def _learn_charge(self, units: int, requested: int) -> None:
        """A request that was estimated at *units* would have taken what was *requested*."""
        if not self.guessed:  # two requests as estimated, so that the first refusal does not decide alone
            self.asked = self.guessed = 2 * units
        ratio = requested * WHOLE // max(1, units)
        if abs(ratio - self._ratio) <= ratio // 100:  # but two that agree do
            self.asked, self.guessed = requested, units
        self._ratio = ratio
        self.asked = self.asked * 9 // 10 + requested
        self.guessed = self.guessed * 9 // 10 + units

    def _event(self, ticket: Ticket, sent: int, now: int, left: int) -> None:
        tuning, bucket = self._tuning, self.bucket
        repeated = now < self._hold_until + self._hold
        self._hold = min(tuning.hold_most, 2 * self._hold) if repeated else tuning.hold
        self._hold_until = now + self._hold
        self._set_error(self._forecast.error(now) + bucket.capacity * tuning.event_error // 1000, now)
        if self.blind <= tuning.blind < self._answers:
            return
        if not bucket.rate:
            self._share.lose(now)
        else:
            passed = ticket.total - ticket.charged - self._bounced + ticket.refunded * ticket.charged
            if not self._share.refused(sent, now, passed, left, bucket.quota.amount, bucket.quota.window):
                self._acquit()
            self._scale_rate()

    def _acquit(self) -> None:
        """It cannot have been this bucket, nor before: forget what was blamed on it, and look elsewhere."""
        self.acquitted = True
        self._share.whole()
        self._put(max(self.bucket.level, self.bucket.capacity // 2))

    def _solve_puzzle(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        """A refusal without numbers: if the next answer shows room in the minute, a hidden window had refused."""
        if self._puzzle is None or sent < self._puzzle[0] - self._tuning.tolerance:
            return
        at, arrived, refused = self._puzzle
        self._puzzle = None
        bucket = self.bucket
        if sent < at + 2 * SECOND and remaining > 2 * refused.charged + 3 * bucket.quota.amount // 100:
            self._narrow(refused, None, arrived, now, None, event=True)
            self._hold_until = -NEVER
            level = remaining * bucket.scale - (self.total - ticket.total) * bucket.scale
            self._put(max(bucket.level, min(bucket.capacity, level)))

    def _narrow(
        self, ticket: Ticket, said: tuple[int, int] | None, arrived: int, now: int, wait: int | None, *, event: bool
    ) -> None:
        """A shorter, hidden window refused: keep to it. *said* are the units that remained, and were requested."""
        bucket = self.bucket
        if not self.sliceable:
            return
        self.explained += 1
        rate, scale = bucket.quota.amount, bucket.scale
        charge, surprise = ticket.charged, 0
        after = self.total - ticket.total
        owed = self._history.owed(now, self.total, rate, scale, 10 * SECOND) - charge * scale
        if said is not None:  # in what the provider charges, not in what we thought
            left, charge = said
            after = after * charge // max(1, ticket.charged)
            owed = owed * charge // max(1, ticket.charged)
            surprise = ticket.expected + (ticket.charged - left) * scale - scale // 2 - self._usual
            if abs(surprise) > _UNEVEN * rate:  # the bucket was not what we thought
                surprise = 0
        if self.hidden is None:
            self.hidden = Hidden(rate, bucket.capacity, now)
            self.hidden.owe(owed)
        elif not ticket.refunded:
            self.hidden.give(ticket.charged * scale)
        self.hidden.refused(charge * scale, wait, after * scale, surprise, arrived, now, event=event)
