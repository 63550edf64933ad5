"""What answers teach of windows that refill at once: there is no rate to lower, and no even refill to reckon with."""

import pytest

from scheduler.core.bucket import FixedBucket
from scheduler.core.gate import Gate
from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.reconcile import Account, Ticket
from scheduler.core.schedule import Every
from scheduler.engine.scopes import Scope

MIDNIGHT = Quota(Dimension.TOKENS, 1_000, DAY, 0, Refill.FIXED, None, "UTC", 10 * SECOND)
ON_THE_MINUTE = Quota(Dimension.TOKENS, 1_000, MINUTE, 0, Refill.FIXED, 0, "", 2 * SECOND)
FLOATING = Quota(Dimension.TOKENS, 1_000, MINUTE, 0, Refill.FIXED, None, "", SECOND // 4)
SLIDING = Quota(Dimension.TOKENS, 1_000, MINUTE, 0, Refill.SLIDING, 0, "", SECOND // 4)


def daily(*, known: bool = True) -> Account:
    return Account(MIDNIGHT, HOUR, known=known, schedule=Every(0, DAY))


def charge(account: Account, units: int, now: int) -> Ticket:
    account.ready_at(units, now)
    return account.charge(units, now)


def refuse(account: Account, ticket: Ticket, now: int, body: tuple[int, int, int] | None = None) -> None:
    account.refused(ticket, ticket.at, now, body, asked=HOUR)
    account.release(ticket, now)


def test_a_corrected_limit_keeps_the_days() -> None:
    """Zone, slack and schedule stay when a body or the first refusal tells another amount."""
    account = daily()
    refuse(account, charge(account, 10, HOUR), HOUR + SECOND, (500, 490, 10))
    assert account.bucket.quota == Quota(Dimension.TOKENS, 500, DAY, 0, Refill.FIXED, None, "UTC", 10 * SECOND)
    assert account.bucket.ready_at(500, HOUR + SECOND) == DAY + 10 * SECOND
    unknown = daily(known=False)
    refuse(unknown, charge(unknown, 10, HOUR), HOUR + SECOND)
    assert unknown.bucket.quota.zone == "UTC"
    assert isinstance(unknown.bucket, FixedBucket)
    assert unknown.bucket.ready_at(1, HOUR + SECOND) == DAY + 10 * SECOND


def test_a_refusal_without_numbers_does_not_cost_the_rest_of_the_day() -> None:
    """Which limit refused is a guess then; a minute may be lost by it, a day may not."""
    account = daily()
    refuse(account, charge(account, 10, HOUR), HOUR + SECOND)
    assert account.bucket.level == 1_000
    minute = Account(ON_THE_MINUTE, 10 * SECOND)
    refuse(minute, charge(minute, 10, 10 * SECOND), 11 * SECOND)
    assert minute.bucket.level == 5


@pytest.mark.parametrize("quota", [ON_THE_MINUTE, FLOATING, SLIDING])
def test_the_first_half_is_spent_before_anything_has_confirmed_the_level(quota: Quota) -> None:
    """Spending counts twice until the first answer, and never again."""
    account = Account(quota, 10 * SECOND)
    now = 10 * SECOND
    ticket = charge(account, 500, now)
    assert account.ready_at(1, now) > now
    account.answered(ticket, now, now + SECOND, 1_000, 500)
    assert account.ready_at(500, now + SECOND) == now + SECOND
    charge(account, 300, now + SECOND)
    assert account.ready_at(200, now + SECOND) == now + SECOND


def test_a_window_is_waited_for_in_full() -> None:
    """Doubt yields to a window that must have come: nothing waits beyond it."""
    account = Account(ON_THE_MINUTE, 10 * SECOND)
    charge(account, 600, 10 * SECOND)
    assert account.ready_at(990, 10 * SECOND) == MINUTE + 2 * SECOND


def test_concurrency_is_never_doubted() -> None:
    """What is held and given back is known exactly."""
    account = Account(Quota(Dimension.CONCURRENCY, 3, 0, refill=Refill.RELEASE), 0)
    for _ in range(3):
        assert account.ready_at(1, 0) == 0
        account.charge(1, 0)


def test_without_headers_a_part_of_each_window_is_left() -> None:
    """Each window's refusals take 30 % off the share, each window without them gives 2 % back."""
    account = Account(SLIDING, 0)
    now = 0
    for _ in range(12):
        ticket = charge(account, 1, now)
        account.release(ticket, now)
        account.answered(ticket, now, now, None, 0)
    refuse(account, charge(account, 1, now), now)
    assert account.share == 700
    assert account.cushion >= 300
    now = 2 * MINUTE + SECOND
    ticket = charge(account, 1, now)
    account.release(ticket, now)
    account.answered(ticket, now, now, None, 0)
    assert account.share == 740


def test_where_nobody_knows_the_windows_no_answer_raises_the_level() -> None:
    """What has come back since by their windows is not what has come back by our log."""
    for quota, rises in ((SLIDING, True), (FLOATING, False)):
        account = Account(quota, 0)
        first = charge(account, 900, 0)
        account.release(first, 0)
        for now in (SECOND, 2 * SECOND):
            ticket = charge(account, 1, now)
            account.release(ticket, now)
            account.answered(ticket, now, now, 1_000, 990)
        assert (account.bucket.level > 100) is rises


@pytest.mark.parametrize("window", [None, MINUTE, HOUR, DAY])
def test_an_answer_that_names_the_limit_of_an_uneven_window_speaks_of_it(window: int | None) -> None:
    """The window that numbers imply, of a bucket that fills evenly, says nothing there."""
    minute, day = Account(ON_THE_MINUTE, 0), Account(Quota(Dimension.TOKENS, 5_000, DAY), 0)
    scope = Scope("m", None, [day, minute], Gate(), configured=True)
    assert scope.account_for(Dimension.TOKENS, window, 1_000) is minute
    alone = Scope("m", None, [minute], Gate(), configured=True)
    assert alone.account_for(Dimension.TOKENS, window, 800) is minute
    assert scope.account_for(Dimension.TOKENS, DAY, 4_000) is day
