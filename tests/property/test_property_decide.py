"""Promises 1, 2 and 4: what ``decide`` says of several accounts is exact, takes nothing and leaves nobody hanging."""

import copy
from collections.abc import Sequence

from accounts import Used, used_accounts
from drawn import parts
from hypothesis import given, strategies as st

from scheduler.core.budget import GRANTED, Decision, Draw, NotUntil, decide, take, tickets_of, too_large
from scheduler.core.quota import Charge, Refill
from scheduler.core.reconcile import Account

MANY = st.lists(used_accounts(), min_size=1, max_size=4)
TOKENS = 1


def together(several: Sequence[Used]) -> tuple[list[Draw], int]:
    """Return what a request draws on that draws on all of *several*, and the latest of their instants."""
    return [(used.account, TOKENS) for used in several], max(used.now for used in several)


def decide_alone(account: Account, charge: Charge, now: int) -> Decision:
    return decide([(copy.deepcopy(account), TOKENS)], charge, now)


def a_charge(several: Sequence[Used], data: st.DataObject) -> Charge:
    least = min(used.account.bucket.quota.burst for used in several)
    return Charge(tokens=data.draw(parts(2 * least), "tokens"))


@given(several=MANY, data=st.data())
def test_a_decision_is_sufficient_and_one_nanosecond_less_is_not(several: list[Used], data: st.DataObject) -> None:
    """At the instant that it names a request is granted, and a nanosecond before it is not; so with all caution."""
    draws, now = together(several)
    charge = a_charge(several, data)
    decision = decide(draws, charge, now)
    if isinstance(decision, NotUntil) and decision.instant is not None:
        assert decision.instant > now
        early = decide(copy.deepcopy(draws), charge, decision.instant - 1)
        assert isinstance(early, NotUntil)
        assert early.instant == decision.instant
        assert decide(draws, charge, decision.instant) is GRANTED


@given(several=MANY, data=st.data())
def test_a_decision_takes_nothing(several: list[Used], data: st.DataObject) -> None:
    """Asking again, and asking in between, gets the same answer."""
    draws, now = together(several)
    charge = a_charge(several, data)
    first = decide(draws, charge, now)
    assert decide(draws, charge, now) == first
    if isinstance(first, NotUntil) and first.instant is not None:
        between = data.draw(st.integers(now, first.instant - 1))
        assert decide(draws, charge, between) == first


@given(several=MANY, data=st.data())
def test_a_request_is_granted_by_all_or_waits_for_the_slowest(several: list[Used], data: st.DataObject) -> None:
    """The binding account is the one with the longest wait; it is granted only where each account alone grants."""
    draws, now = together(several)
    charge = a_charge(several, data)
    alone = {account: decide_alone(account, charge, now) for account, _ in draws}
    together_ = decide(draws, charge, now)
    waits = [each for each in alone.values() if isinstance(each, NotUntil)]
    if not waits:
        assert together_ is GRANTED
        return
    assert isinstance(together_, NotUntil)
    own = alone[together_.binding]
    assert isinstance(own, NotUntil)
    assert own.instant == together_.instant
    instants = [each.instant for each in waits]
    assert together_.instant == (None if None in instants else max(each for each in instants if each is not None))


@given(several=MANY, data=st.data())
def test_no_instant_is_named_only_where_no_time_helps(several: list[Used], data: st.DataObject) -> None:
    """Only for a release, alone while others fly, or too large for ever: no other wait is without an instant."""
    draws, now = together(several)
    charge = a_charge(several, data)
    decision = decide(draws, charge, now)
    if isinstance(decision, NotUntil) and decision.instant is None:
        account = decision.binding
        bucket = account.bucket
        larger = account.charge_for(charge.tokens) > bucket.quota.burst
        never = not account.fits(charge.tokens)
        assert bucket.quota.refill is Refill.RELEASE or never or (larger and account._flying)
        assert isinstance(decide(draws, charge, now + 10**30), NotUntil)


@given(used=used_accounts(), data=st.data())
def test_the_largest_size_that_fits_is_granted_in_the_end(used: Used, data: st.DataObject) -> None:
    """What is too large is told the largest size, and that size goes: caution yields, whatever has been learned."""
    account, now = used.account, used.now
    largest = account.largest
    draws: list[Draw] = [(account, TOKENS)]
    assert too_large(draws, Charge(tokens=largest)) is None
    refused = too_large(draws, Charge(tokens=largest + 1))
    assert (refused is not None) == account.confirmed
    if refused is not None:
        assert refused.largest == largest
        assert refused.binding is account
    for ticket in used.flying:  # the others come to their ends, whatever those are
        account.release(ticket, now)
        if data.draw(st.booleans(), "answered"):
            account.answered(ticket, ticket.at, now, None, 0)
    size = data.draw(parts(largest))
    decision = decide(draws, Charge(tokens=size), now)
    if isinstance(decision, NotUntil) and account.bucket.quota.refill is Refill.RELEASE and account.bucket.level < size:
        return  # a retuned or cancelled one: nothing flies that could free it
    if isinstance(decision, NotUntil):
        assert decision.instant is not None
        assert decide(draws, Charge(tokens=size), decision.instant) is GRANTED


@given(several=MANY, data=st.data())
def test_what_is_granted_is_charged_to_all(several: list[Used], data: st.DataObject) -> None:
    """Taking charges every account once, by what recent refusals have taught it of such requests."""
    draws, now = together(several)
    charge = a_charge(several, data)
    decide(draws, charge, now)
    before = [(account.bucket.level, account.total, account.known) for account, _ in draws]
    tickets = tickets_of(draws, charge, now, take(draws, charge, now))
    assert [ticket.account for ticket in tickets] == [account for account, _ in draws]
    for ticket, (level, total, known) in zip(tickets, before, strict=True):
        account = ticket.account
        assert ticket.charged == account.charge_for(charge.tokens)
        assert account.total == ticket.total == total + ticket.charged
        assert account.bucket.level == level - (ticket.charged * account.bucket.scale if known else 0)


@given(used=used_accounts(most=14))
def test_an_account_keeps_its_bounds(used: Used) -> None:
    """Whatever answers say, level, cushion, share and purse stay within their bounds."""
    account = used.account
    bucket = account.bucket
    assert bucket.level <= bucket.capacity
    most = 15 if bucket.rate else 95  # without a rate to lower, what the share leaves lies in the cushion
    assert 0 <= account.cushion <= bucket.capacity * most // 100
    assert 50 <= account.share <= (1000 if account.confirmed else 16_000)
    assert bucket.rate in {0, max(1, bucket.quota.amount * account.share // 1000)}
    if account.pace is not None:
        assert account.pace._purse <= account.pace._size


@given(used=used_accounts(), data=st.data())
def test_what_a_claim_spares_delays_nobody(used: Used, data: st.DataObject) -> None:
    """A request that goes when ``spares_at`` says so leaves enough for another at the instant that it waits for."""
    account, now = used.account, used.now
    bucket = account.bucket
    bucket.advance(now)
    most = bucket.quota.burst
    units, theirs = data.draw(parts(most), "units"), data.draw(parts(most), "theirs")
    until = now + data.draw(st.integers(1, 2 * (bucket.quota.window or 10**9)), "until")
    instant = account.spares_at(units, theirs, until, now)
    assert instant == now or instant >= until
    if instant == now:
        bucket.take(account.charge_for(units) * bucket.scale)
        assert bucket.ready_at(account.charge_for(theirs) * bucket.scale + account.cushion, now) <= until
