"""Decisions over several accounts, by example."""

from scheduler.core.budget import GRANTED, NeverFits, NotUntil, decide, take, tickets_of, too_large
from scheduler.core.quota import DAY, MINUTE, SECOND, Charge, Dimension, Quota, Refill
from scheduler.core.reconcile import Account

REQUESTS, TOKENS, CONCURRENCY = (
    dimension.position for dimension in (Dimension.REQUESTS, Dimension.TOKENS, Dimension.CONCURRENCY)
)


def test_the_longest_wait_binds() -> None:
    """A request that three accounts hold back waits for the slowest of them, and is told which that is."""
    minute = Account(Quota(Dimension.TOKENS, 6_000, MINUTE), 0)
    day = Account(Quota(Dimension.TOKENS, 6_000, DAY), 0)
    requests = Account(Quota(Dimension.REQUESTS, 60, MINUTE), 0)
    draws = [(requests, REQUESTS), (minute, TOKENS), (day, TOKENS)]
    assert decide(draws, Charge(tokens=6_000), 0) is GRANTED
    take(draws, Charge(tokens=6_000), 0)
    decision = decide(draws, Charge(tokens=100), 0)
    assert isinstance(decision, NotUntil)
    assert decision.binding is day


def test_nothing_that_binds_grants() -> None:
    """A request that draws on no account goes at once."""
    assert decide([], Charge(), 0) is GRANTED
    assert too_large([], Charge()) is None


def test_only_a_release_frees_concurrency() -> None:
    """No instant is named for a request that waits for others to end; when one ends it goes."""
    account = Account(Quota(Dimension.CONCURRENCY, 1, 0, refill=Refill.RELEASE), 0)
    draws = [(account, CONCURRENCY)]
    (ticket,) = tickets_of(draws, Charge(), 0, take(draws, Charge(), 0))
    assert decide(draws, Charge(), 0) == NotUntil(None, account)
    account.release(ticket, SECOND)
    assert decide(draws, Charge(), SECOND) is GRANTED


def test_the_largest_size_is_told_for_the_first_limit_that_is_too_small() -> None:
    """A confirmed limit refuses what it can never hold, with the largest size that it can."""
    wide = Account(Quota(Dimension.TOKENS, 10_000, MINUTE), 0)
    narrow = Account(Quota(Dimension.TOKENS, 1_000, MINUTE, burst=2_000), 0)
    draws = [(wide, TOKENS), (narrow, TOKENS)]
    assert too_large(draws, Charge(tokens=2_000)) is None
    assert too_large(draws, Charge(tokens=2_001)) == NeverFits(2_000, narrow)


def test_what_is_larger_than_an_unconfirmed_limit_goes_alone_from_a_full_bucket() -> None:
    """A limit that was only guessed refuses nothing: the request waits until nothing flies and the bucket is full."""
    account = Account(Quota(Dimension.TOKENS, 1, MINUTE), 0, known=False)
    first = account.charge(500, 0)
    second = account.charge(500, 0)
    account.answered(first, 0, 0, None, 0)
    account.release(first, 0)
    account.refused(second, 0, SECOND, None, asked=30 * SECOND)  # without a number: a limit is guessed
    limit = account.largest
    draws = [(account, TOKENS)]
    charge = Charge(tokens=3 * limit)
    assert too_large(draws, charge) is None
    assert decide(draws, charge, SECOND) == NotUntil(None, account)
    account.release(second, SECOND)
    decision = decide(draws, charge, SECOND)
    assert isinstance(decision, NotUntil)
    assert decision.instant is not None
    assert decide(draws, charge, decision.instant) is GRANTED
    assert account.bucket.level == account.bucket.capacity


def test_no_tokens_are_no_wait_in_a_full_bucket_and_wait_out_a_debt() -> None:
    """A request of no tokens passes a bucket that owes nothing."""
    account = Account(Quota(Dimension.TOKENS, 60, MINUTE), 0)
    draws = [(account, TOKENS)]
    assert decide(draws, Charge(tokens=0), 0) is GRANTED
    take(draws, Charge(tokens=90), 0)
    decision = decide(draws, Charge(tokens=0), 0)
    assert isinstance(decision, NotUntil)
    assert decision.instant is not None
    assert decision.instant > 30 * SECOND
