"""The limit of an account: taken over, guessed, and how what depends on it follows.

When a limit turns out to be another one, what was spent stays spent, the level is what the answer says that told it,
and the bucket is emptied slowly at first: at the old rate where the new limit is higher, at twice the refill where it
is lower. A refusal without numbers that is the first of all tells that a full bucket and its refill have been spent:
that much is guessed, and the guess may be exceeded later (see ``share``).
"""

from dataclasses import replace

from scheduler.core.anchor import Anchored
from scheduler.core.bucket import NEVER, bucket_for
from scheduler.core.limits import Verdict
from scheduler.core.pace import START, Pace
from scheduler.core.quota import SECOND, Quota, Refill
from scheduler.core.ticket import Ticket

_HANDFUL = 8  # requests that tell nothing of a limit
_FAST = 20  # times a guess that a wait may make of it: what a share can take back, should it be wrong


class Limited(Anchored):
    """An account's ledger under a limit that may change."""

    __slots__ = ()

    def ease(self, now: int) -> None:
        """Start slowly again, after a pause in which a level has gathered."""
        if self.known:
            self._restart(START, now)

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
        self._excess = 0
        if self._informed_at < NEVER:
            self._informed_at = now
        self._follow(now)
        self.cushion = self._size_cushion(now)

    def _retune(self, quota: Quota, now: int) -> None:
        self.bucket.advance(now)
        before, whole = self.bucket.level, self.bucket.capacity
        self.bucket.retune(quota, now)
        self._raised += max(0, self.bucket.level - before)
        self._highest = self._highest * self.bucket.capacity // whole
        self._scale_rate()

    def _restart(self, permille: int, now: int) -> None:
        bucket = self.bucket
        if bucket.quota.refill is Refill.CONTINUOUS:
            if self.pace is None:
                self.pace = Pace(bucket.capacity, bucket.quota.window, now)
            self.pace.restart(permille, now)

    def _follow(self, now: int) -> None:
        """Let pace and hidden window follow a changed limit."""
        bucket = self.bucket
        if self.pace is not None:
            self.pace.retune(bucket.capacity, bucket.quota.window, now)
        if self.hidden is not None:
            self.hidden.retune(bucket.quota.amount, bucket.capacity)

    def _judge(self, limit: int, remaining: int, sent: int, ticket: Ticket) -> Verdict:
        if not self.known:
            return Verdict.ADOPT
        newest = sent >= self.anchored
        return self.limits.judge(self.bucket.quota, limit, remaining, sent, ticket.total, newest=newest)

    def _adopt(self, limit: int, remaining: int, sent: int, ticket: Ticket, now: int) -> None:
        bucket = self.bucket
        old = bucket.quota
        burst = limit * old.burst // old.amount if self.known else limit
        quota = replace(old, amount=limit, burst=max(1, burst))
        self.limits.adopted(old if self.known else None, limit)
        if self.known:
            self._restart(max(1, 2000 * old.amount // limit) if limit > old.amount else 2000, now)
        self._retune(quota, now)
        self.known = self.confirmed = True
        self._follow(now)
        charged_after = (self.total - ticket.total) * bucket.scale
        level = min(bucket.capacity, remaining * bucket.scale + bucket.refill(sent, now) - charged_after)
        self._informed_at = now
        if sent < self.anchored:
            self._put(min(bucket.level, level))  # a newer answer has spoken since: this one tells the limit only
            return
        self._put(level)
        self._watch(sent, now)
        self.anchored, self.anchored_total = sent, ticket.total
        self._anchor_high = (remaining + 1) * bucket.scale

    def _beware(self, limit: int, remaining: int, ticket: Ticket, sent: int, now: int) -> None:
        """A lower limit is not believed yet; but what it would leave may be all there is."""
        bucket = self.bucket
        if bucket.rate and sent >= self.anchored and self.limits.suspects(limit):
            refilled = bucket.refill(sent, now) * limit // bucket.quota.amount
            level = (remaining + 1 - self.total + ticket.total) * bucket.scale + refilled
            bucket.put(min(bucket.level, level))

    def _guess(self, ticket: Ticket, now: int, asked: int | None) -> bool:
        """The first refusal ever, without a number: a full bucket and its refill have been spent. Return if it tells.

        That takes the bucket for one that holds its whole window. What the server has *asked* to wait tells more, where
        it is no mere "a second": a bucket that refills evenly brings no less than this request in that time. Without it
        a bucket of 10 with 1,200 a minute is used at 7 a minute, and 40 requests take 80 s where now they take 5. Later
        in a window what has passed is a measurement, and is believed. A handful of requests without such a wait tells
        nothing: somebody's spasm would bind for minutes.
        """
        quota = self.bucket.quota
        passed = ticket.total - ticket.charged - self._bounced
        limit = burst = max(passed * quota.window // (quota.window + now - self._began), 2 * ticket.charged, 1)
        few = passed < _HANDFUL * ticket.charged
        if few and not asked:
            return False
        early = now - self._began < quota.window // 4
        if asked and (few or (early and asked % SECOND)):
            brought = ticket.charged * quota.window // asked
            limit = max(limit, brought if few else min(brought, _FAST * burst))
        self.bucket = self.bucket.anew(replace(quota, amount=limit, burst=burst), now, 0)
        self.known = True
        self.pace = None
        return True

    def _hurry(self, sent: int, now: int) -> None:
        """Let pace and hidden window know of an answer."""
        if self.pace is not None and self.known:
            self.pace.answered(sent, now)
            if self.pace.free:
                self.pace = None
        if self.hidden is not None:
            self.hidden.answered(sent, now)
            if self.hidden.gone:
                self.hidden = None

    def _scale_rate(self) -> None:
        if self.bucket.rate:
            self.bucket.rate = max(1, self.bucket.quota.amount * self._share.permille // 1000)
