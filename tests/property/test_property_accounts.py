"""Promises 3 and 5: an account against a slow and obvious model of what the provider grants.

The server is truthful, refills continuously, charges what we estimate when a request arrives, and nobody else uses
it. Requests arrive up to a tolerance after they were sent, in any order; answers come when they like, or never.
Then the server is never below our level by more than the refill of one transit (what it clips while a request is on
its way to a full bucket), and the cushion covers that: nothing that was granted is refused, as long as the request and
the cushion fit into the bucket together. To a larger one the cushion yields, so that it goes at all.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.core.quota import MINUTE, SECOND, Dimension, Quota
from scheduler.core.reconcile import DEFAULT, Account, Ticket


@dataclass(eq=False)
class Sent:
    """A request on its way."""

    ticket: Ticket
    arrives: int
    arrived: bool = False
    remaining: int = 0
    open: bool = True
    held: bool = False
    """Not sent at all, so far."""


class Server:
    """A bucket that is advanced by exact arithmetic, and says what was left after each request."""

    def __init__(self, amount: int, window: int) -> None:
        self.amount, self.window = amount, window
        self.level = amount * window  # in units of token / window
        self.at = 0

    def advance(self, now: int) -> None:
        self.level = min(self.amount * self.window, self.level + (now - self.at) * self.amount)
        self.at = now

    def arrive(self, units: int, now: int) -> int:
        """Charge a request and return what is left in whole units."""
        self.advance(now)
        assert self.level >= units * self.window, "a granted request is refused"
        self.level -= units * self.window
        return self.level // self.window


class TruthfulServer(RuleBasedStateMachine):
    """Grants as ``decide`` would, and lets arrivals, answers and ends happen in any order."""

    flights: list[Sent]

    @initialize(
        amount=st.integers(2, 3) | st.integers(20, 400) | st.integers(10**6, 10**12),
        window=st.sampled_from([SECOND, MINUTE, 1440 * MINUTE]),
    )
    def begin(self, amount: int, window: int) -> None:
        self.amount, self.window = amount, window
        self.account = Account(Quota(Dimension.TOKENS, amount, window), 0)
        self.server = Server(amount, window)
        self.now = 0
        self.flights = []
        # the least cushion covers a transit of this length, and answers tell of no more than the tolerance
        self.transit = min(DEFAULT.tolerance, DEFAULT.least, window // 50)
        self.most = self.amount * 95 // 100  # the cushion yields to larger ones, and cannot cover them
        self.kept = self.refunded = self.corrected = 0
        self.anchored, self.total = -1, 0

    def pass_time(self, until: int) -> None:
        """Let requests arrive at the server, in the order of their arrival."""
        for each in sorted(self.flights, key=lambda each: each.arrives):
            if each.open and not each.held and not each.arrived and each.arrives <= until:
                each.arrived = True
                each.remaining = self.server.arrive(each.ticket.charged, each.arrives)
        self.server.advance(until)
        self.now = until
        self.account.bucket.advance(until)

    def send(self, units: int, transit: int) -> None:
        ticket = self.account.charge(units, self.now)
        self.kept += ticket.charged
        self.flights.append(Sent(ticket, self.now + transit % (self.transit + 1)))

    @rule(share=st.sampled_from([0, 0.01, 0.1, 1.0]) | st.floats(0, 2))
    def wait(self, share: float) -> None:
        self.pass_time(self.now + int(self.window * share))

    @rule(nanoseconds=st.integers(0, SECOND))
    def wait_a_moment(self, nanoseconds: int) -> None:
        self.pass_time(self.now + nanoseconds)

    @rule(share=st.floats(0, 1), transit=st.integers(0, SECOND))
    def reserve_if_granted(self, share: float, transit: int) -> None:
        units = int(self.most * share)
        if self.account.ready_at(units, self.now) == self.now:
            self.send(units, transit)

    @rule(share=st.floats(0, 1), transit=st.integers(0, SECOND))
    def wait_and_reserve(self, share: float, transit: int) -> None:
        units = int(self.most * share)
        ready = self.account.ready_at(units, self.now)
        self.pass_time(ready)
        assert self.account.ready_at(units, ready) == ready
        self.send(units, transit)

    @rule(share=st.floats(0, 0.2), transits=st.lists(st.integers(0, SECOND), max_size=6))
    def reserve_many(self, share: float, transits: list[int]) -> None:
        for transit in transits:
            self.reserve_if_granted(share, transit)

    @precondition(lambda self: any(each.arrived and each.open for each in self.flights))
    @rule(data=st.data(), told=st.booleans())
    def answer(self, data: st.DataObject, told: bool) -> None:  # noqa: FBT001 -- hypothesis passes by name
        each = data.draw(st.sampled_from([each for each in self.flights if each.arrived and each.open]))
        each.open = False
        limit = self.amount if told else None
        assert not self.account.answered(each.ticket, each.ticket.at, self.now, limit, each.remaining)
        self.account.release(each.ticket, self.now)

    @precondition(lambda self: any(not each.arrived and each.open for each in self.flights))
    @rule(data=st.data())
    def cancel_before_it_arrives(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from([each for each in self.flights if not each.arrived and each.open]))
        each.open = False
        before = self.account.bucket.level
        self.account.release(each.ticket, self.now)
        self.account.refund(each.ticket, self.now)
        self.refunded += each.ticket.charged
        assert before <= self.account.bucket.level <= before + each.ticket.charged * self.window
        level = self.account.bucket.level
        self.account.refund(each.ticket, self.now)
        assert self.account.bucket.level == level, "a charge comes back once"

    @rule(share=st.floats(0, 1), held=st.floats(0, 1.5))
    def hold_and_never_send(self, share: float, held: float) -> None:
        """A reservation that is held for long, and then cancelled."""
        units = int(self.most * share)
        if self.account.ready_at(units, self.now) == self.now:
            ticket = self.account.charge(units, self.now)
            self.kept += ticket.charged
            self.flights.append(Sent(ticket, self.now, held=True))
            self.pass_time(self.now + int(held * self.window))

    @invariant()
    def the_anchor_never_goes_back(self) -> None:
        assert self.account.anchored >= self.anchored
        self.anchored = self.account.anchored

    @invariant()
    def the_total_is_what_was_charged(self) -> None:
        assert self.account.total >= self.total
        self.total = self.account.total
        assert self.total == self.kept

    @invariant()
    def the_level_is_within_its_bounds(self) -> None:
        bucket = self.account.bucket
        assert bucket.level <= bucket.capacity
        assert self.account.share == 1000
        assert 0 <= self.account.cushion <= bucket.capacity * 15 // 100

    @invariant()
    def the_level_is_not_above_the_servers(self) -> None:
        """Less what one transit may clip, and with what is still on its way."""
        self.server.advance(self.now)
        on_their_way = sum(each.ticket.charged for each in self._in_transit())
        ours = self.account.bucket.level + on_their_way * self.window
        assert ours - self.transit * self.amount <= self.server.level

    def _in_transit(self) -> list[Sent]:
        return [each for each in self.flights if each.open and not each.arrived and not each.held]

    def teardown(self) -> None:
        if hasattr(self, "account"):
            self.pass_time(self.now + self.transit)


TestTruthfulServer = TruthfulServer.TestCase
