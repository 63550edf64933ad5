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
less what the server then said. Three kinds of caution are made of it and its absence:

- **Cushion**: twice the largest recent forecast error, fading over two minutes, at least 0.6 s of refill (requests in
  transit while the server's bucket is full are clipped by about that) or 2 % of the capacity, whichever is less, and at
  most 15 %. It is a level, not a rate: it costs its size once.
- **Doubt**: spending that no answer has confirmed counts twice. At the start it lets half of a full bucket go before
  the first answer and half of the rest before the next; when saturated it is about zero.
- **Pace**: see ``pace``.

They yield: no request is ever asked to wait for more than 98 % of the capacity, or for its own charge if that is more.

**Without headers** nothing anchors. Ten answers in a row without any switch doubt off, and a refusal lowers the *share*
of the refill that is used by a tenth, once for all requests that were in flight; it climbs back by 0.3 % a second.

**What is held and given back**, concurrency, is known exactly: nothing is learned about it.

**The invariants**: ``total`` never falls, except where the provider itself lowers a charge (``Account.correct``); the
anchor never goes back; the level is never above the capacity; 0.05 <= share <= 1; a request that fits the limit gets
its turn.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace

from scheduler.core.bucket import NEVER, Bucket, bucket_for
from scheduler.core.limits import LimitWatch, Verdict
from scheduler.core.pace import Pace
from scheduler.core.quota import MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants of the controller, in nanoseconds and thousandths, with what speaks for each value."""

    tolerance: int = SECOND // 4  # above the usual spread of the network; costs 0.25 s of optimism, held by the cushion
    rise: int = 400  # 700 doubled the refusals under stale headers
    safety: int = 2  # cushion over the largest recent forecast error
    least: int = 6 * SECOND // 10  # of refill: what requests in transit may lose to a full bucket
    most: int = 150  # of the capacity
    half_life: int = 83 * SECOND  # of the forecast error: e-fold in two minutes
    ceiling: int = 980  # of the capacity: nothing waits for more
    hold: int = 4 * SECOND  # no rise so soon after a refusal; doubles while refusals repeat
    hold_most: int = 30 * SECOND
    event_error: int = 5  # of the capacity: what each event of refusals adds to the forecast error
    blind: int = 10  # answers in a row without a usable header
    share_drop: int = 900
    share_climb: int = 3  # a second
    share_least: int = 50
    burst_drop: int = 700  # where everything comes back at once: one event a window at most
    burst_climb: int = 20  # a window


DEFAULT = Tuning()

WHOLE = 1000
"""Shares are counted in thousandths."""

_SLOT = 1 << 26  # ns (67 ms): how finely the history of ``total`` is kept
_HISTORY = 4096  # slots: 4.6 minutes


NOTES = 4
"""Numbers that a ticket is made of: charged, total, expected, raised."""


class Ticket:
    """What one request was charged in one account, and what was believed just after."""

    __slots__ = ("account", "at", "charged", "expected", "raised", "refunded", "total", "units")

    def __init__(
        self, account: "Account", at: int, units: int, charged: int, total: int, expected: int, raised: int
    ) -> None:
        self.account = account
        self.at = at  # when it was charged
        self.units = units  # as estimated
        self.charged = charged  # as charged, after what refusals taught about charges
        self.total = total  # of the account, with this request
        self.expected = expected  # scaled level just after it
        self.raised = raised  # by how much the level had ever been raised
        self.refunded = False


class Account:
    """A bucket, and what has been learned about how true it is. Instants are passed in, and do not go back."""

    __slots__ = (
        "_anchor_high",
        "_answers",
        "_began",
        "_cut_at",
        "_error",
        "_error_at",
        "_excess",
        "_flying",
        "_hold",
        "_hold_until",
        "_informed_at",
        "_marks",
        "_puzzle",
        "_raised",
        "_share_at",
        "_size_at",
        "_tuning",
        "anchored",
        "anchored_total",
        "asked",
        "blind",
        "bucket",
        "confirmed",
        "cushion",
        "dimension",
        "guessed",
        "known",
        "limits",
        "pace",
        "refusals",
        "scope",
        "share",
        "spent",
        "total",
    )

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
        self._tuning = tuning
        self.scope = scope
        self.dimension: Dimension = quota.dimension
        self.bucket: Bucket = bucket_for(quota, now, schedule=schedule)
        self.known = known
        self.confirmed = known
        self.limits = LimitWatch()
        self.total = 0  # units charged since the beginning
        self.anchored = -1  # when the newest answer's request was sent
        self.anchored_total = 0  # total at that request
        self.share = WHOLE
        self.blind = 0
        self.asked = 0  # recent refusals: what the provider said they would have taken ...
        self.guessed = 0  # ... and what we had estimated
        self.spent = 0  # units of requests that were answered
        self.refusals = 0
        self._anchor_high = 0  # most that the level can have been just after it, in scaled units
        self._began = now
        self._informed_at = NEVER  # forecasts made before this say nothing about our forecasting
        self._error = 0
        self._error_at = now
        self._excess = 0
        self._raised = 0  # scaled units by which the level was ever raised otherwise than by its refill
        self._flying = 0
        self._answers = 0
        self._cut_at = -1
        self._hold = tuning.hold
        self._hold_until = -NEVER
        self._puzzle: tuple[int, int] | None = None
        self._share_at = now
        self._marks: list[tuple[int, int]] = []  # (slot, total before it), for slots in which something was charged
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
        doubt = self._doubt(now) if self.blind <= self._tuning.blind else 0
        keep = self.cushion + kept
        ready = now if bucket.level >= need + keep + doubt else self._covered_at(need, keep, doubt, now)
        if self.pace is not None:
            ready = max(ready, self.pace.ready_at(need, now))
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

    def charge_for(self, units: int) -> int:
        """Correct an estimate by what recent refusals said that such requests take; between half and three times."""
        if not self.guessed:
            return units
        return min(3 * units, max(-(-units // 2), -(-units * self.asked // self.guessed)))

    def _doubt(self, now: int) -> int:
        bucket = self.bucket
        if not self._flying or (not bucket.rate and (self.anchored >= 0 or bucket.quota.refill is Refill.RELEASE)):
            return 0  # what comes all at once is doubted once: before anything has confirmed the level
        unconfirmed = (self.total - self.anchored_total) * bucket.scale
        return max(0, unconfirmed - bucket.rate * (now - max(self._began, self.anchored)))

    def _covered_at(self, need: int, keep: int, doubt: int, now: int) -> int:
        """Solve level(t) >= min(need + keep + doubt(t), ceiling), where doubt falls as fast as the level rises."""
        bucket = self.bucket
        ceiling = max(need, bucket.capacity * self._tuning.ceiling // 1000)
        full = bucket.ready_at(ceiling, now)
        missing = need + keep - bucket.level
        if not bucket.rate:
            return min(full, bucket.ready_at(need + keep + doubt, now))
        if missing > doubt or not doubt:
            return min(full, bucket.ready_at(need + keep, now))
        return min(full, now - (-(missing + doubt) // (2 * bucket.rate)))

    # ---- spending

    def charge(self, units: int, now: int) -> Ticket:
        """Charge a request of *units*; ``ready_at`` has advanced the bucket to *now*."""
        notes: list[int] = []
        self.spend(units, now, notes)
        return Ticket(self, now, units, *notes)

    def spend(self, units: int, now: int, notes: list[int]) -> None:
        """Charge a request of *units*, and note what its ticket will say: NOTES numbers.

        A ticket is made of its notes only when an answer comes. Ten million reservations a day need not make forty
        million objects that the garbage collector has to look at.
        """
        charged = self.charge_for(units) if self.guessed else units
        bucket = self.bucket
        slot = now // _SLOT
        marks = self._marks
        if not marks or marks[-1][0] != slot:
            marks.append((slot, self.total))
            half = len(marks) // 2
            if marks[half][0] < slot - _HISTORY:
                del marks[:half]
        self.total += charged
        self._flying += 1
        if self.known:
            scaled = charged * bucket.scale
            bucket.take(scaled)
            if self.pace is not None:
                self.pace.take(scaled)
        notes += (charged, self.total, bucket.level, self._raised)

    def unheard(self, charged: int, at: int, sent: int, now: int) -> None:
        """A request of *charged* units, charged *at* an instant, has ended, and nobody told what its answer said."""
        self._flying -= 1
        self._answers += 1
        self.spent += charged
        self.blind += 1
        if self.share < WHOLE:
            self._climb(now)
        if self.pace is not None and self.known:
            self._pace_answered(sent, now)
        if not self.bucket.rate and self.bucket.quota.refill is Refill.RELEASE:
            self.bucket.advance(now)
            self.bucket.give(charged, at)
        if now >= self._size_at:
            self.cushion = self._size_cushion(now)

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
        scaled = ticket.charged * bucket.scale
        back = self._lacking(scaled, ticket, ticket.at)
        if ticket.total <= self.anchored_total:
            back = max(0, min(back, self._at_most(now) - bucket.level))
        self._give(back, ticket.at)
        if self.pace is not None:
            self.pace.give(scaled, ticket.at)

    def correct(self, ticket: Ticket, units: int, now: int) -> None:
        """Change a charge to *units*, where the provider does so too when it knows the usage. The total follows."""
        bucket = self.bucket
        bucket.advance(now)
        difference = units - ticket.charged
        ticket.charged = units
        self.total += difference
        if self.known and difference > 0:
            bucket.take(difference * bucket.scale)
        elif self.known:
            self._give(-difference * bucket.scale, ticket.at)

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

    # ---- learning from answers

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
            verdict = self._judge(limit, remaining, sent, ticket)
            if verdict is Verdict.ADOPT:
                changed = True
                self._adopt(limit, remaining, sent, ticket, now)
            if verdict is Verdict.OTHER:
                self._blinded(now)
            else:
                self._informed(ticket, sent, remaining, now)
        if self.pace is not None and self.known:
            self._pace_answered(sent, now)
        self.cushion = self._size_cushion(now)
        return changed

    def refused(
        self, ticket: Ticket, sent: int, now: int, body: tuple[int, int, int] | None, *, charged: bool = False
    ) -> bool:
        """Learn from a refusal that this bucket caused, and return whether the limit changed.

        Args:
            ticket: The request's ticket here.
            sent: When it was sent.
            now: When the refusal came.
            body: What it states: limit, units remaining without this request, units requested; or None.
            charged: Whether the provider charges refused requests here.
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
        if body is not None:
            limit, remaining, requested = body
            changed = self._learn_body(ticket, sent, now, limit, remaining, requested)
            if remaining >= requested and limit == bucket.quota.amount:
                if event:  # the minute had room: a shorter, hidden window refused
                    self._narrow(now)
                self.cushion = self._size_cushion(now)
                return changed
            if not changed and bucket.level > believed:
                self._put(believed)
        elif self.known:
            self._suspect(ticket, sent, now)
        else:
            self._guess(ticket, now)
        if event:
            self._event(now)
        self.cushion = self._size_cushion(now)
        return changed

    def _suspect(self, ticket: Ticket, sent: int, now: int) -> None:
        """A refusal without numbers: there was less than its charge, if it was this bucket that refused."""
        bucket = self.bucket
        self._puzzle = (sent, ticket.charged)
        if bucket.rate or bucket.quota.window <= MINUTE:  # a mere suspicion must not cost the rest of a day
            since = bucket.rate * (now - sent) - (self.total - ticket.total) * bucket.scale
            self._put(min(bucket.level, ticket.charged * bucket.scale // 2 + since))

    def assume(self, window: int) -> None:
        """Take it that the limit, which is not known yet, is over *window* nanoseconds."""
        old = self.bucket.quota
        if not self.known and window != old.window:
            self.bucket = bucket_for(Quota(old.dimension, old.amount, window, 0, old.refill), self.bucket.at)

    def begin(self, remaining: int, sent: int, now: int, charged_after: int) -> None:
        """Set the level of a new account by the answer that told of it, *charged_after* units being charged since."""
        bucket = self.bucket
        bucket.advance(now)
        self._put(min(bucket.capacity, (remaining - charged_after) * bucket.scale + bucket.refill(sent, now)))
        self.anchored = sent

    def retune(self, quota: Quota, now: int) -> None:
        """Go on under another quota, as its owner says."""
        self._retune(quota, now)
        self.known = self.confirmed = True
        self._scale_rate()
        self._excess = 0
        if self._informed_at < NEVER:
            self._informed_at = now
        if self.pace is not None:
            self.pace.retune(self.bucket.capacity, quota.window, now)
        self.cushion = self._size_cushion(now)

    # ---- parts of learning

    def _retune(self, quota: Quota, now: int) -> None:
        self.bucket.advance(now)
        before = self.bucket.level
        self.bucket.retune(quota, now)
        self._raised += max(0, self.bucket.level - before)

    def _judge(self, limit: int, remaining: int, sent: int, ticket: Ticket) -> Verdict:
        if not self.known:
            return Verdict.ADOPT
        newest = sent >= self.anchored
        return self.limits.judge(self.bucket.quota, limit, remaining, sent, ticket.total, newest=newest)

    def _informed(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        self.blind = 0
        if self.share != WHOLE:
            self.share = WHOLE
            self._scale_rate()
        self._note_error(ticket, sent, remaining, now)
        self._anchor(ticket, sent, remaining, now)
        self._informed_at = min(self._informed_at, now)
        self._solve_puzzle(ticket, sent, remaining, now)

    def _blinded(self, now: int) -> None:
        self.blind += 1
        if self.share < WHOLE:
            self._climb(now)

    def _climb(self, now: int) -> None:
        tuning, climb, span = self._tuning, self._tuning.share_climb, SECOND
        if not self.bucket.rate:
            climb, span = tuning.burst_climb, self.bucket.quota.window
        steps = (now - self._share_at) // span
        if self.blind > tuning.blind and steps > 0:
            self.share = min(WHOLE, self.share + climb * steps)
            self._share_at += steps * span
            self._scale_rate()

    def _pace_answered(self, sent: int, now: int) -> None:
        assert self.pace is not None
        self.pace.answered(sent, now)
        if self.pace.free:
            self.pace = None

    def _scale_rate(self) -> None:
        if self.bucket.rate:
            self.bucket.rate = max(1, self.bucket.quota.amount * self.share // 1000)

    def _note_error(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        if sent >= self._informed_at:
            bucket = self.bucket
            sooner = self._total_at(sent + self._tuning.tolerance, later=True) - ticket.total  # if they overtook it
            error = ticket.expected - (remaining + 1 + sooner) * bucket.scale
            if error > self.forecast_error(now):
                self._set_error(error, now)

    def forecast_error(self, now: int) -> int:
        """The largest recent forecast error, faded: halved every half-life, linearly in between."""
        halves, rest = divmod(max(0, now - self._error_at), self._tuning.half_life)
        error = self._error >> min(halves, 200)
        return error - error * rest // (2 * self._tuning.half_life)

    def _set_error(self, error: int, now: int) -> None:
        most = self.bucket.capacity * self._tuning.most // (1000 * self._tuning.safety)
        self._error = min(most, error)
        self._error_at = now

    def _size_cushion(self, now: int) -> int:
        bucket = self.bucket
        self._size_at = now + SECOND
        if not self.known or bucket.quota.refill is Refill.RELEASE:
            return 0
        most = bucket.capacity * self._tuning.most // 1000  # a limit may have been lowered since the error was seen
        cushion = min(most, self._tuning.safety * self.forecast_error(now))
        if not bucket.rate:  # what comes all at once has no rate to lower: a part of it is left
            return max(cushion, bucket.capacity * (WHOLE - self.share) // WHOLE)
        return max(cushion, min(bucket.rate * self._tuning.least, bucket.capacity // 50))

    def _total_at(self, instant: int, *, later: bool) -> int:
        """The total at an instant, to a slot's accuracy: not too small if *later*, else not too large."""
        index = bisect_left(self._marks, (instant // _SLOT + later,))
        return self._marks[index][1] if index < len(self._marks) else self.total

    def _anchor(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        if sent < self.anchored:
            return
        bucket, tuning = self.bucket, self._tuning
        self.anchored, self.anchored_total = sent, ticket.total
        after = self._total_at(sent + tuning.tolerance, later=True) - ticket.total
        before = ticket.total - ticket.charged - self._total_at(sent - tuning.tolerance, later=False)
        self._anchor_high = (remaining + after + 1) * bucket.scale
        high = self._at_most(now)
        least = (remaining - max(0, before)) * bucket.scale - bucket.rate * tuning.tolerance
        low = least + bucket.refill(sent, now) - (self.total - ticket.total) * bucket.scale
        excess, self._excess = self._excess, 0
        if low > bucket.level and not bucket.quota.floating:  # else nobody knows what has come back since
            surplus = self._lacking(least - ticket.expected - self._raised + ticket.raised, ticket, sent)
            self._excess = min(low - bucket.level, surplus)
        if bucket.level > high:
            bucket.put(high)
        elif self._excess and now >= self._hold_until:
            self._put(min(bucket.capacity, bucket.level + min(excess, self._excess) * tuning.rise // 1000))

    def _at_most(self, now: int) -> int:
        """The highest level that the anchor allows."""
        bucket = self.bucket
        charged_after = (self.total - self.anchored_total) * bucket.scale
        return min(bucket.capacity, self._anchor_high + bucket.refill(self.anchored, now) - charged_after)

    def _adopt(self, limit: int, remaining: int, sent: int, ticket: Ticket, now: int) -> None:
        bucket = self.bucket
        old = bucket.quota
        burst = limit * old.burst // old.amount if self.known else limit
        quota = replace(old, amount=limit, burst=max(1, burst))
        self.limits.adopted(old if self.known else None, limit)
        if self.pace is not None and self.known:
            self.pace.restart(max(1, 2000 * old.amount // limit) if limit > old.amount else 2000, now)
        self._retune(quota, now)
        self._scale_rate()
        self.known = self.confirmed = True
        if self.pace is not None:
            self.pace.retune(bucket.capacity, quota.window, now)
        charged_after = (self.total - ticket.total) * bucket.scale
        level = min(bucket.capacity, remaining * bucket.scale + bucket.refill(sent, now) - charged_after)
        self._informed_at = now
        if sent < self.anchored:
            self._put(min(bucket.level, level))  # a newer answer has spoken since: this one tells the limit only
            return
        self._put(level)
        self.anchored, self.anchored_total = sent, ticket.total
        self._anchor_high = (remaining + 1) * bucket.scale

    def _learn_body(self, ticket: Ticket, sent: int, now: int, limit: int, remaining: int, requested: int) -> bool:
        if not self.guessed:  # two requests as estimated, so that the first refusal does not decide alone
            self.asked = self.guessed = 2 * ticket.units
        self.asked = self.asked * 9 // 10 + requested
        self.guessed = self.guessed * 9 // 10 + ticket.units
        changed = False
        if not self.known or self.limits.judge_body(self.bucket.quota, limit) is Verdict.ADOPT:
            self._adopt(limit, remaining, sent, ticket, now)
            changed = True
        self.confirmed = True
        if remaining < requested:
            if sent >= self._informed_at:
                self._set_error(
                    max(self.forecast_error(now), ticket.expected - (remaining + 1 - requested) * self.bucket.scale),
                    now,
                )
            self._anchor(ticket, sent, remaining, now)
        return changed

    def _guess(self, ticket: Ticket, now: int) -> None:
        """The first refusal ever, without a number: a full bucket and its refill have been spent."""
        window = self.bucket.quota.window
        limit = max(self.spent * window // (window + now - self._began), 2 * ticket.charged, 1)
        self.bucket = self.bucket.anew(replace(self.bucket.quota, amount=limit, burst=0), now, 0)
        self.known = True
        self.pace = None

    def _event(self, now: int) -> None:
        tuning = self._tuning
        repeated = now < self._hold_until + self._hold
        self._hold = min(tuning.hold_most, 2 * self._hold) if repeated else tuning.hold
        self._hold_until = now + self._hold
        self._set_error(self.forecast_error(now) + self.bucket.capacity * tuning.event_error // 1000, now)
        if self.blind > tuning.blind or self._answers <= tuning.blind:
            drop = tuning.share_drop if self.bucket.rate else tuning.burst_drop
            self.share = max(tuning.share_least, self.share * drop // 1000)
            self._share_at = now
            self._scale_rate()

    def _solve_puzzle(self, ticket: Ticket, sent: int, remaining: int, now: int) -> None:
        """A refusal without numbers: if the next answer shows room in the minute, a hidden window had refused."""
        if self._puzzle is None or sent < self._puzzle[0] - self._tuning.tolerance:
            return
        at, charged = self._puzzle
        self._puzzle = None
        bucket = self.bucket
        if sent < at + 2 * SECOND and remaining > 2 * charged + 3 * bucket.quota.amount // 100:
            self._narrow(now)
            self._hold_until = -NEVER
            level = remaining * bucket.scale - (self.total - ticket.total) * bucket.scale
            self._put(max(bucket.level, min(bucket.capacity, level)))

    def _narrow(self, now: int) -> None:
        if self.bucket.quota.window > MINUTE or not self.bucket.rate:
            return
        if self.pace is None:
            self.pace = Pace(self.bucket.capacity, self.bucket.quota.window, now)
        self.pace.narrow(now)
