"""The ramp: how fast a scope's traffic may go, and grow, once its provider has said that it grew too fast.

``slow_down``: "reduce to the previous level, keep it for at least 15 minutes, then increase it gradually", whatever the
limits say. Newer: "above a million input tokens a minute, at most 50 % more in 15 minutes".

**Naive**: let every bucket of the scope be emptied more slowly, each through a purse of its own. A request needs all of
them at once; sizes differ, so now the purse of the tokens is empty and now that of the requests, and what one of them
gathers meanwhile is lost as soon as it is full. Three purses at 80 % each let 71 % through where 80 % was meant.

**The idea**: one purse, and one thing that is counted in it. That is tokens, as the provider counts traffic. Where some
of the scope's requests tell no tokens, or none does, every request weighs as many more as one had in the mean when the
provider complained: so none goes for nothing, half of the weight of that traffic is its tokens, and half is that it is
requests. The sum is linear: what any stretch of the past weighed follows from the totals that the accounts keep anyway,
and nothing is counted while there is no ramp. The cost that turns are ordered by, the time in which the scarcest limit
brings a charge, would be another common measure; but it moves with every limit that is learned, and traffic does not,
the past cannot be summed in it, and no provider states a growth in it.

- **Slowing down**: back to the rate of the minute before the last ten seconds where the traffic has grown since;
  otherwise a fifth less than that of the last ten. What has no past goes back to a quarter, and no traffic above a
  stated floor goes below it: up to there it may grow as it likes. All refusals of requests that were sent before that
  are the same event. Held for the provider's span, a quarter of an hour, from the last event.
- **Growing**: a tenth a minute. Where the provider states a growth, above its floor no faster than that, compounded
  each second (1.00045 for 1.5 in 900 s), and no faster than what was really sent allows: see ``growth``.
- **Kept from the start**: the same rule without any complaint, beginning at the floor, and for good.

**Numbers**: a weight is whole; the rate is counted in weight a million seconds, so that 1.00045 can be told from 1 at
one request in a minute. The purse holds a second.

**The invariants**: ``purse <= size``; a request that weighs more than the purse holds goes when it is full and leaves
debt, though no more than a minute's: whatever was measured, a request a minute goes. Only an event changes the rate (a
request that goes, a complaint), so that a wait is exact.
"""

from typing import NamedTuple

from scheduler.core.growth import SLOTS, Growth, Traffic
from scheduler.core.quota import MINUTE, SECOND, Charge

STRETCH = 10
"""Seconds over which traffic is measured when a provider says that it grew too fast."""
_RATE = 1_000_000  # seconds that a rate is counted in
_SCALE = _RATE * SECOND  # of a weight in the purse
_SPAN = 15 * MINUTE  # that a rate is held for where no growth is stated
_GRADUAL = 1_100  # a minute, in thousandths
_PARTS = 60  # of a minute: the purse holds one ...
_USED = _PARTS - 2  # ... the rate brings these, and one is left for the ways of requests, longer and shorter
_STEPS_MOST = 60  # by which it grows at once: what nobody asks for does not grow
_FAR = 4  # times what was too fast: the end, where no limit is known
_ONE = 1 << 40


class Flow(NamedTuple):
    """What was sent in ``STRETCH`` seconds."""

    tokens: int
    requests: int


class Ramp:
    """One purse for all requests of a scope. Instants are passed in, and do not go back."""

    __slots__ = (
        "_alone",
        "_at",
        "_began",
        "_breadth",
        "_cut_at",
        "_each",
        "_floor",
        "_gradual",
        "_growth",
        "_mix",
        "_position",
        "_purse",
        "_roll_at",
        "_rolled",
        "_slot",
        "_stated",
        "_traffic",
        "held_until",
        "kept",
        "rate",
        "scope",
    )

    def __init__(
        self, scope: str, position: int, growth: Growth | None, now: int, *, alone: bool = True, kept: bool = False
    ) -> None:
        """Begin at *now*: at a standstill until ``slow_down``, or at the floor of *growth* if that is *kept*.

        Args:
            scope: Whose traffic it is.
            position: Where a charge says its tokens.
            growth: What the provider states, or None.
            now: The instant.
            alone: Whether all requests tell their tokens, so that these are all that has to be counted.
            kept: Whether what is stated is kept from the start, without any complaint, and ever after.
        """
        self.scope = scope
        self.kept = kept
        self._began = now
        self.rate = 0  # weight in _RATE seconds
        self._position = position
        self._growth = growth
        self._alone = alone
        self._each = 0  # tokens that a request weighs besides its own
        self._mix = (1, Flow(1, 0))  # what the traffic weighed that was too fast, and what it was
        self._slot = SECOND if growth is None else growth.slot
        self._breadth = self._slot * SLOTS // 15 // _PARTS
        self._gradual = _per_slot(_GRADUAL, MINUTE, self._slot)
        self._stated = _ONE if growth is None else _per_slot(growth.permille, growth.span, growth.slot)
        self._floor = 0  # the rate up to which traffic may grow as it likes
        self._traffic: Traffic | None = None  # counted where a growth is kept
        self.held_until = now
        self._cut_at = -1
        self._purse = 0
        self._at = now
        self._rolled = now // self._slot
        self._roll_at = (self._rolled + 1) * self._slot
        if kept:
            self._watch(now)
            self.rate = self._floor
            self._purse = self._size

    @property
    def _size(self) -> int:
        return self.rate * self._breadth

    @property
    def a_minute(self) -> int:
        """The weight that it lets through in a minute: tokens, where all requests tell them."""
        return self.rate * 60 // _RATE

    def weigh(self, charge: Charge) -> int:
        """Return what a request counts here."""
        return charge[self._position] + self._each * charge.requests

    # ---- requests

    def counts(self, at: int) -> bool:
        """Whether a request that was let through *at* an instant has been taken from it."""
        return self.kept or at > self._began

    def ready_at(self, charge: Charge, now: int) -> int:
        """Return the first instant from *now* on at which a request of *charge* may go."""
        return self._holds_at(min(self.weigh(charge) * _SCALE, self._size), now)

    def drained_at(self, before: Charge, charge: Charge, now: int, *, sure: bool) -> int:
        """Return when a request of *charge* may go after others that are charged *before* in all, at the present rate.

        With *sure* the instant is no later than any to which growth may bring it.
        """
        instant = self._holds_at(self.weigh(before) * _SCALE + min(self.weigh(charge) * _SCALE, self._size), now)
        return min(instant, max(now, self.held_until)) if sure else instant

    def take(self, charge: Charge, now: int) -> None:
        """Let a request go."""
        self._advance(now)
        if now >= self._roll_at:
            self._roll(now)
        weight = self.weigh(charge)
        self._purse = max(self._purse - weight * _SCALE, -_PARTS * self._size)
        if self._traffic is not None:
            self._traffic.add(weight)

    def give(self, charge: Charge, now: int) -> None:
        """Take back a request that was not sent."""
        self._advance(now)
        self._purse = min(self._size, self._purse + self.weigh(charge) * _SCALE)
        self.uncount(charge)

    def uncount(self, charge: Charge) -> None:
        """A request was refused: the provider may not count it as traffic, from which other traffic may grow."""
        if self._traffic is not None:
            self._traffic.add(-self.weigh(charge))

    # ---- complaints

    def slow_down(self, flows: tuple[Flow, Flow] | None, sent: int, now: int) -> None:
        """The provider says that traffic grew too fast.

        Args:
            flows: What was sent in the ten seconds until then, and in ten of the minute before; None where that cannot
                be told, because a gate was closed, and then a fifth less than the rate until now is meant.
            sent: When the request was sent that was told so.
            now: The instant.
        """
        if sent < self._cut_at:
            return  # the same event
        self.hold(sent, now)
        self._cut_at = now
        self._advance(now)
        reduced = max(1, self.rate * 4 // 5) if flows is None else self._reduced(*flows, now)
        self.rate = min(self.rate, reduced) if self.rate else reduced
        self._fit()

    def _fit(self) -> None:
        """Follow a lower rate: what it holds, and what it owes, is bounded by time."""
        self._purse = max(-_PARTS * self._size, min(self._purse, self._size))

    def hold(self, sent: int, now: int) -> None:
        """A probe *sent* since has been told so again: what there is, is held for longer."""
        if sent >= self._cut_at:
            self.held_until = now + (_SPAN if self._growth is None else self._growth.span)

    def _reduced(self, recent: Flow, earlier: Flow, now: int) -> int:
        if not self.rate:
            if recent.requests and not (self._alone and recent.tokens):
                self._each = max(1, recent.tokens // recent.requests)
            self._mix = self._measure(recent), recent
            if self._growth is not None and recent.tokens:
                self._watch(now)
        elif not self._measure(recent):  # nothing but requests without tokens: what passes now is what they weigh
            self._each = self.rate * STRETCH // _RATE // max(1, recent.requests)
            return max(1, self.rate * 4 // 5)
        fast = self._measure(recent) * _RATE // STRETCH
        least = self._floor if 0 < self._floor < fast else fast // 4
        return max(1, min(fast * 4 // 5, max(least, self._measure(earlier) * _RATE // STRETCH)))

    def _measure(self, flow: Flow) -> int:
        return flow.tokens + self._each * flow.requests

    # ---- its rate

    def bound(self, amount: int, window: int, *, tokens: bool) -> int | None:
        """Return the rate that a limit on *tokens*, or on requests, lets through; None if there were none of them."""
        weight, flow = self._mix
        units = flow.tokens if tokens else flow.requests
        return amount * weight * _SCALE // (window * units) if units else None

    @property
    def far(self) -> int:
        """The rate at which it ends where no limit is known."""
        return _FAR * self._mix[0] * _RATE // STRETCH

    def _watch(self, now: int) -> None:
        """Begin to count what is sent."""
        assert self._growth is not None
        weight, flow = self._mix
        self._floor = self._rate_of(self._growth.floor * self._growth.minute * weight // (MINUTE * flow.tokens))
        self._traffic = Traffic(now // self._slot, new=self.kept)

    def _rate_of(self, allowed: int) -> int:
        """Return the rate at which a minute holds no more than is *allowed*, and a full purse."""
        assert self._growth is not None
        return allowed * _SCALE * _USED // (_PARTS * self._growth.minute)

    def _roll(self, now: int) -> None:
        """Grow by the slots that have passed, within what has been sent."""
        slot = now // self._slot
        steps = min(_STEPS_MOST, slot - max(self._rolled, -(-self.held_until // self._slot)))
        self._rolled = slot
        self._roll_at = (slot + 1) * self._slot
        if steps > 0:
            self.rate = self._grown(steps)
        if self._traffic is not None and (least := self._traffic.roll(slot)) is not None:
            assert self._growth is not None
            self.rate = min(self.rate, max(self._floor, self._rate_of(least * self._growth.permille // 1000)))
        self._fit()

    def _grown(self, steps: int) -> int:
        if self._traffic is not None and self.rate >= self._floor:
            return _multiplied(self.rate, self._stated, steps)
        grown = max(self.rate + 1, _multiplied(self.rate, self._gradual, steps))
        return grown if self._traffic is None else min(grown, self._floor)

    def _holds_at(self, want: int, now: int) -> int:
        self._advance(now)
        missing = want - self._purse
        return now if missing <= 0 else now - (-missing // self.rate)

    def _advance(self, now: int) -> None:
        span = now - self._at
        if span > 0:
            self._purse = min(self._size, self._purse + span * self.rate)
            self._at = now


def _per_slot(permille: int, span: int, slot: int) -> int:
    """Return by what a slot multiplies that *span* multiplies by *permille* thousandths."""
    return int((permille / 1000) ** (slot / span) * _ONE)


def _multiplied(rate: int, factor: int, times: int) -> int:
    for _ in range(times):
        rate = rate * factor // _ONE
    return rate
