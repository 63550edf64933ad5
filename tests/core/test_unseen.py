"""Unseen spending: what answers tell that we have not taken ourselves, against servers that know the truth."""

import heapq
import random

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import MINUTE, SECOND, Dimension, Quota
from scheduler.core.reconcile import DEFAULT, Account, Ticket
from scheduler.core.unseen import Unseen

LIMIT = 60_000
RATE = LIMIT // 60


class Server:
    """A bucket that others draw on at an even *rate* of units a second; what goes beyond it becomes a debt."""

    def __init__(self, others: float) -> None:
        self.level = float(LIMIT)
        self.others = others
        self.at = 0
        self.spent_by_others = 0.0

    def arrive(self, units: float, now: int) -> int:
        """Charge a request, and say what is left."""
        seconds = (now - self.at) / SECOND
        self.at = now
        self.spent_by_others += self.others * seconds
        self.level = min(LIMIT, self.level + (RATE - self.others) * seconds) - units
        return max(0, int(self.level))


def play(
    server: Server, chance: random.Random, *, until: int, transit: int, latency: int, factor: float = 1.0, rest: int = 0
) -> Account:
    """Spend what an account allows until an instant, and tell it every answer; now and then *rest*.

    Requests arrive up to *transit* late and answers come up to *latency* later, both in any order.
    """
    account = Account(Quota(Dimension.TOKENS, LIMIT, MINUTE), 0)
    coming: list[tuple[int, int, str, Ticket, int]] = []
    now = number = 0
    resting = 0
    while now < until:
        units = chance.choice((50, 300, 700, 2_000))
        ready = max(resting, account.ready_at(units, now))
        if not coming or ready <= coming[0][0]:
            now = ready
            account.ready_at(units, now)
            ticket = account.charge(units, now)
            number += 1
            heapq.heappush(coming, (now + chance.randint(0, transit), number, "arrives", ticket, 0))
            resting = now + chance.randint(0, rest) if chance.random() < 0.1 else now
            continue
        now, order, what, ticket, remaining = heapq.heappop(coming)
        if what == "arrives":
            left = server.arrive(ticket.units * factor, now)
            heapq.heappush(coming, (now + chance.randint(0, latency), order, "answered", ticket, left))
        else:
            account.release(ticket, now)
            account.answered(ticket, ticket.at, now, LIMIT, remaining)
    return account


def units(scaled: int) -> float:
    return scaled / MINUTE


@given(
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 10**9),
    transit=st.integers(0, DEFAULT.tolerance),
    latency=st.integers(0, 5 * SECOND),
)
def test_what_a_tenant_takes_is_told(share: float, seed: int, transit: int, latency: int) -> None:
    """Of a tenant that spends evenly a few percent are missing at most, and a moment's refill; nothing is invented."""
    server = Server(share * RATE)
    account = play(server, random.Random(seed), until=5 * MINUTE, transit=transit, latency=latency)
    first = share * (transit + latency) / SECOND  # what was taken before the first answer is not told
    told, taken = units(account.unseen.spent), server.spent_by_others
    assert 0.97 * taken - (2 + first) * RATE <= told <= taken + 1
    assert account.unseen.returned == 0


@given(
    seed=st.integers(0, 10**9),
    transit=st.integers(0, DEFAULT.tolerance),
    latency=st.integers(0, 5 * SECOND),
    rest=st.sampled_from([0, 10 * SECOND, 90 * SECOND]),
)
def test_where_nobody_else_spends_nothing_is_told(seed: int, transit: int, latency: int, rest: int) -> None:
    """Answers that overtake each other, requests under way to a full bucket and rounding are not taken for others."""
    account = play(Server(0), random.Random(seed), until=5 * MINUTE, transit=transit, latency=latency, rest=rest)
    assert account.unseen.spent == account.unseen.returned == 0


@pytest.mark.parametrize("factor", [1.25, 2.0])
def test_what_requests_take_beyond_their_charges_is_told(factor: float) -> None:
    """It looks like somebody else's spending, and is counted with it."""
    account = play(Server(0), random.Random(1), until=10 * MINUTE, transit=0, latency=SECOND, factor=factor)
    assert units(account.unseen.spent) == pytest.approx((factor - 1) * account.total, rel=0.05)


def test_what_requests_take_less_is_told_by_itself() -> None:
    """Returns do not cancel spending: each has its own sum."""
    account = play(Server(0), random.Random(1), until=10 * MINUTE, transit=0, latency=SECOND, factor=0.8)
    assert account.unseen.spent == 0
    assert units(account.unseen.returned) == pytest.approx(0.2 * account.total, rel=0.1)


# ---- one by one


def charged(account: Account, spent: int, now: int) -> Ticket:
    account.ready_at(spent, now)
    return account.charge(spent, now)


def told(account: Account, ticket: Ticket, now: int, remaining: int, limit: int = LIMIT) -> None:
    account.release(ticket, now)
    account.answered(ticket, ticket.at, now, limit, remaining)


def acquainted() -> Account:
    """Return an account with 30,000 units left of which an answer has told."""
    account = Account(Quota(Dimension.TOKENS, LIMIT, MINUTE), 0)
    told(account, charged(account, 30_000, 0), 0, 30_000)
    told(account, charged(account, 0, 0), 0, 30_000)
    account.unseen = Unseen()
    return account


def test_what_was_missing_at_first_is_not_spending() -> None:
    """Who begins with a bucket that others have emptied has seen nobody spend."""
    account = Account(Quota(Dimension.TOKENS, LIMIT, MINUTE), 0)
    early = [charged(account, 10, 0) for _ in range(3)]
    for ticket, remaining in zip(early, (100, 90, 80), strict=True):
        told(account, ticket, SECOND, remaining)
    assert account.bucket.whole < 2 * RATE
    assert account.unseen.spent == 0
    told(account, charged(account, 10, 2 * SECOND), 2 * SECOND, 0)
    assert units(account.unseen.spent) > RATE


def test_a_changed_limit_is_not_spending() -> None:
    """Neither when answers tell of it nor when its owner does."""
    account = acquainted()
    for second in range(1, 4):
        told(account, charged(account, 10, second * SECOND), second * SECOND, 9_000, limit=LIMIT // 2)
    assert account.bucket.quota.amount == LIMIT // 2
    account.retune(Quota(Dimension.TOKENS, LIMIT // 4, MINUTE), 5 * SECOND)
    ticket = charged(account, 10, 5 * SECOND)
    told(account, ticket, 5 * SECOND, account.bucket.whole, limit=LIMIT // 4)
    assert account.unseen.spent == 0


def test_a_refusal_s_body_tells_of_spending_and_never_of_returns() -> None:
    """It is exact where it is lower than what was believed; nothing rises by a refusal."""
    account = acquainted()
    ticket = charged(account, 1_000, SECOND)
    account.refused(ticket, SECOND, SECOND, (LIMIT, 500, 1_000))
    assert units(account.unseen.spent) == pytest.approx(30_500, rel=0.01)
    spent = account.unseen.spent
    ticket = charged(account, 70_000, 2 * SECOND)
    account.refused(ticket, 2 * SECOND, 2 * SECOND, (LIMIT, 40_000, 70_000))
    assert (account.unseen.spent, account.unseen.returned) == (spent, 0)


def test_a_bucket_that_has_been_full_explains_a_moment_s_refill_once() -> None:
    """A request under way to a full bucket leaves it full: that much is missing then, and nobody took it."""
    unseen = Unseen()
    unseen.note(300, full_at=5, transit=250)
    unseen.note(300, full_at=5, transit=250)
    assert unseen.spent == 350
    unseen.note(200, full_at=9, transit=250)
    unseen.note(-40, full_at=9, transit=250)
    unseen.note(100, full_at=9, transit=250)
    assert (unseen.spent, unseen.returned) == (400, 40)


# ---- what one request took


def sparse(account: Account, charges: list[tuple[int, int]], seconds: float = 1.0) -> list[int | None]:
    """Send requests one by one, of estimated and true charge; return what their answers tell that they took."""
    server = Server(0)
    tickets = []
    for index, (estimate, true) in enumerate(charges):
        now = int(index * seconds * SECOND)
        ticket = charged(account, estimate, now)
        told(account, ticket, now, server.arrive(true, now))
        tickets.append(ticket)
    return [ticket.taken for ticket in tickets]


def fresh() -> Account:
    return Account(Quota(Dimension.TOKENS, LIMIT, MINUTE), 0)


def test_a_request_alone_between_two_anchors_tells_what_it_took() -> None:
    """The levels of a full bucket differ by its charge, whatever was estimated."""
    assert sparse(fresh(), [(400, 500)] * 4, seconds=2) == [None, 500, 500, 500]


def test_what_others_may_have_taken_must_be_little() -> None:
    """A bucket that is not full again tells a charge beside which the refill between is small, and no other."""
    large = sparse(fresh(), [(9_000, 10_000)] * 4)
    assert large == [None, *[pytest.approx(10_000, abs=2)] * 3]
    assert sparse(fresh(), [(20_000, 20_000), (4_000, 5_000), (4_000, 5_000)]) == [None, None, None]


def test_a_request_that_was_not_alone_tells_nothing() -> None:
    """Others of ours within the tolerance, or between the anchors, may or may not be in what was told."""
    assert sparse(fresh(), [(400, 500)] * 6, seconds=0.2) == [None] * 6
    account = fresh()
    told(account, charged(account, 400, 0), 0, LIMIT - 400)
    first = charged(account, 400, 2 * SECOND)
    told(account, first, 2 * SECOND, LIMIT - 400)
    charged(account, 400, 3 * SECOND)  # nobody ever tells of it
    last = charged(account, 400, 5 * SECOND)
    told(account, last, 5 * SECOND, LIMIT - 400)
    assert (first.taken, last.taken) == (400, None)


def test_small_charges_and_old_headers_tell_nothing() -> None:
    """A single unit drowns in rounding; an answer that knows of no charge is older than its request."""
    assert sparse(fresh(), [(1, 1)] * 3, seconds=2) == [None] * 3
    assert sparse(fresh(), [(400, 0)] * 3, seconds=2) == [None] * 3


def test_a_refused_request_is_no_beginning_and_no_end() -> None:
    """What a refusal's body says is left does not count its request."""
    account = fresh()
    told(account, charged(account, 400, 0), 0, LIMIT - 400)
    told(account, charged(account, 400, 2 * SECOND), 2 * SECOND, LIMIT - 400)
    refused = charged(account, 59_000, 4 * SECOND)
    account.refused(refused, 4 * SECOND, 4 * SECOND, (LIMIT, 1_000, 59_000))
    account.release(refused, 4 * SECOND)
    after = charged(account, 400, 5 * SECOND)
    told(account, after, 5 * SECOND, 1_600)
    assert (refused.taken, after.taken) == (None, None)
