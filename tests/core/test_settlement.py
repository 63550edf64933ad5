"""Whether a provider gives back what was charged and not used."""

import heapq

import pytest

from scheduler.core.bucket import NEVER
from scheduler.core.quota import MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.reconcile import Account, Ticket
from scheduler.core.settlement import SettlementWatch, Sight

LIMIT = 60_000
RATE = LIMIT // 60
HALF = SECOND // 2


def watched(
    came: list[int], unused: int = 1_000, *, span: int = HALF, limit: int = LIMIT, bounced: int = 0
) -> SettlementWatch:
    """Return what has seen so much come in beyond the refill, of so much *unused* in every *span*."""
    watch = SettlementWatch()
    remaining, total = 30_000, 0
    watch.see(Sight(0, remaining, total, 0, limit, 0), MINUTE)
    for number, more in enumerate(came, 1):
        total += 1_500
        remaining += more + span * limit // MINUTE - 1_500
        watch.unused = number * unused
        if watch.is_due(number * span):
            watch.see(Sight(number * span, remaining, total, watch.unused, limit, number * bounced), MINUTE)
    return watch


def test_what_comes_back_three_times_is_expected() -> None:
    """Not sooner, and within a quarter."""
    assert not watched([1_000, 1_000]).corrected
    assert watched([1_000, 1_000, 1_000]).corrected
    assert watched([800, 1_200, 900]).corrected


@pytest.mark.parametrize("more", [0, -500, 600, 1_400, 5_000])
def test_what_is_not_what_was_left_unused_is_something_else(more: int) -> None:
    """Nothing, a tenant's spending, charges below their estimates, requests that have not arrived."""
    assert not watched([more] * 20).corrected


def test_nothing_is_learned_where_little_is_left_unused() -> None:
    """Less than a quarter of the refill could be anything."""
    assert not watched([100] * 20, unused=100).corrected
    assert not watched([0] * 20, unused=0).corrected


def test_nothing_is_learned_from_moments_and_pauses() -> None:
    """Arrival is uneven, and nobody knows what happened meanwhile."""
    assert not watched([1_000] * 4, span=HALF // 4).corrected
    assert watched([1_000] * 12, span=HALF // 4, unused=1_000).corrected
    assert not watched([30_000] * 4, unused=30_000, span=10 * SECOND).corrected


def test_nothing_is_learned_across_refusals() -> None:
    """Their charges stand in the total, and not with the provider."""
    assert not watched([1_000] * 20, bounced=1).corrected


def test_nothing_is_learned_of_a_bucket_that_is_nearly_full() -> None:
    """What comes back is lost there."""
    watch = SettlementWatch()
    for number in range(20):
        watch.see(Sight(number * HALF, 58_000, number * 1_500, number * 1_000, LIMIT, 0), MINUTE)
    assert not watch.corrected


def test_what_is_expected_and_does_not_come_is_expected_no_more() -> None:
    """Totals are those before corrections, whatever is believed."""
    watch = watched([1_000, 1_000, 1_000])
    base, number = 3 * HALF, 0
    while watch.corrected:
        assert number < 20
        number += 1
        total = 4_500 + number * 1_500
        sight = Sight(base + number * HALF, 30_000 - number * 1_000, total, 3_000 + number * 1_000, LIMIT, 0)
        watch.see(sight, MINUTE)
    assert number > 3


# ---- in an account


def charged(to: Account, units: int, now: int = 0) -> Ticket:
    to.bucket.advance(now)
    return to.charge(units, now)


def told(of: Account, ticket: Ticket, now: int, remaining: int) -> None:
    """An answer that came at *now*."""
    of.release(ticket, now)
    of.answered(ticket, ticket.at, now, LIMIT, remaining)


class Provider:
    """A provider of one account that gives back what is unused, if it *returns*. An answer takes half a second."""

    def __init__(self, *, returns: bool, quota: Quota | None = None) -> None:
        quota = quota or Quota(Dimension.TOKENS, LIMIT, MINUTE)
        self.account = Account(quota, 0)
        self.account.pace = None
        self.returns = returns
        self.level = float(LIMIT)
        self.now = 0
        self.took = 0

    def answer(self, charge: int, used: int, *, wait: int = HALF) -> None:
        """Have a request go when it may, and an answer come that says what it *used*."""
        ready = self.account.ready_at(charge, self.now)
        assert ready < NEVER
        self._pass(ready - self.now)
        ticket = self.account.charge(charge, self.now)
        self.level -= charge
        assert self.level >= 0, "refused"
        sent, remaining = self.now, int(self.level)
        self._pass(wait)
        self.level += charge - used if self.returns else 0
        self.account.answered(ticket, sent, self.now, LIMIT, remaining)
        self.account.release(ticket, self.now)
        self.account.used(ticket, used, self.now)
        self.took += 1

    def _pass(self, span: int) -> None:
        self.now += span
        rate = self.account.bucket.rate / MINUTE
        self.level = min(float(LIMIT), self.level + span * rate)


@pytest.mark.parametrize("returns", [True, False])
def test_an_account_learns_whether_what_is_unused_comes_back(*, returns: bool) -> None:
    """Requests of ten seconds' refill, of which a tenth is used, go one after the other; or every ten seconds."""
    provider = Provider(returns=returns)
    while provider.took < 40:
        provider.answer(10 * RATE, RATE)
    assert provider.account.settlement.corrected is returns
    before = provider.now
    while provider.took < 60:
        provider.answer(10 * RATE, RATE)
    each = (provider.now - before) / 20 / SECOND
    assert each == pytest.approx(0.5 if returns else 10, abs=0.1)


@pytest.mark.parametrize("seconds", [2, 10, 20])
def test_slow_answers_are_corrected_once(seconds: int) -> None:
    """What was charged before it was learned and ends after it comes back once, whole, and changes nobody's mind."""
    account = Account(Quota(Dimension.TOKENS, 10 * LIMIT, MINUTE), 0)
    level, seen, now = float(10 * LIMIT), 0, 0
    flying = list[tuple[int, int, Ticket, int, int]]()
    minds = [False]
    while now < 2 * MINUTE:
        ready = account.ready_at(1_000, now)
        before = now
        goes = not flying or ready <= flying[0][0]
        now = max(now, ready if goes else flying[0][0])
        level = min(10.0 * LIMIT, level + (now - before) * 10 * LIMIT / MINUTE)
        if goes:
            level -= 1_000
            assert level >= 0, "refused"
            seen += 1
            ends = now + seconds * SECOND + seen % 7 * SECOND // 20
            heapq.heappush(flying, (ends, seen, account.charge(1_000, now), now, int(level)))
            continue
        _, _, ticket, sent, remaining = heapq.heappop(flying)
        level = min(10.0 * LIMIT, level + 900)
        account.answered(ticket, sent, now, 10 * LIMIT, remaining)
        account.release(ticket, now)
        account.used(ticket, 100, now)
        minds += [account.settlement.corrected] if account.settlement.corrected is not minds[-1] else []
    assert minds == [False, True]
    assert account._corrected <= account.settlement.unused


def test_what_was_corrected_meanwhile_is_no_error() -> None:
    """A request whose answer is slower than a correction was not overtaken by it."""
    account = Provider(returns=True).account
    told(account, charged(account, 10), SECOND // 10, LIMIT - 10)
    large = charged(account, 30_000, 10 * SECOND)
    told(account, charged(account, 100, 11 * SECOND), 11 * SECOND, 30_900)
    slow = charged(account, 100, 12 * SECOND)
    told(account, large, 13 * SECOND, 30_000)
    error = account.forecast_error(14 * SECOND)
    account.correct(large, 3_000, 13 * SECOND)
    told(account, slow, 14 * SECOND, 31_800)
    assert account.forecast_error(14 * SECOND) == error
    assert account.bucket.whole > 59_000


def test_who_uses_all_is_told_nothing() -> None:
    """Nor who uses more than was charged."""
    provider = Provider(returns=False)
    provider.answer(100, 100)
    provider.answer(100, 150)
    assert provider.account.settlement.unused == 0


def test_a_bucket_that_refills_otherwise_learns_nothing() -> None:
    """In a fixed window a level falls only."""
    provider = Provider(returns=False, quota=Quota(Dimension.TOKENS, LIMIT, MINUTE, 0, Refill.FIXED))
    for _ in range(20):
        provider.answer(1_000, 100)
    assert not provider.account.settlement.corrected
    assert provider.account.settlement.unused == 18_000
