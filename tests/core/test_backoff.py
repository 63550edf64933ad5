"""Delays and the budget of retries."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.backoff import Backoff, RetryBudget
from scheduler.core.quota import MINUTE, SECOND

JUST_UNDER_ONE = 1 - 2**-53


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, JUST_UNDER_ONE))
def test_a_delay_is_drawn_from_the_whole_exponential_interval(attempt: int, chance: float) -> None:
    """It lies between the floor and the bound, which doubles up to the most."""
    backoff = Backoff()
    bound = min(backoff.most, backoff.first * 2 ** (attempt - 1))
    delay = backoff.delay(attempt, lambda: chance)
    assert backoff.floor <= delay <= backoff.floor + bound
    assert delay == backoff.floor + int(bound * chance)


@given(attempt=st.integers(1, 50), chance=st.floats(0, JUST_UNDER_ONE), server=st.integers(0, 10 * MINUTE))
def test_a_delay_that_the_server_names_is_a_minimum(attempt: int, chance: float, server: int) -> None:
    """Jitter is only added to it: at most a tenth of it, or the first bound."""
    backoff = Backoff()
    delay = backoff.delay(attempt, lambda: chance, server)
    assert server <= delay <= server + max(backoff.first, server // 10)


def test_retries_are_bounded_by_reserve_refill_and_share() -> None:
    """After the reserve is spent each retry waits for the refill or a share of first attempts."""
    budget = RetryBudget(share=0.25, per_second=2.0, reserve=3)
    assert [budget.withdraw(0) for _ in range(3)] == [0, 0, 0]
    assert budget.withdraw(0) == SECOND // 2
    assert budget.withdraw(0) == SECOND
    for _ in range(8):
        budget.deposit(0)
    assert budget.withdraw(0) == SECOND // 2


def test_the_reserve_is_the_most_that_is_kept() -> None:
    """Neither quiet hours nor many first attempts save up more than the reserve."""
    budget = RetryBudget(reserve=2)
    for _ in range(100):
        budget.deposit(3600 * SECOND)
    assert [budget.withdraw(3600 * SECOND) > 0 for _ in range(3)] == [False, False, True]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=200))
def test_looking_often_does_not_change_the_refill(pauses: list[int]) -> None:
    """Many small steps refill what one step does, and an instant in the past changes nothing."""
    often, once = RetryBudget(share=0, reserve=1), RetryBudget(share=0, reserve=1)
    often.withdraw(0)
    once.withdraw(0)
    now = 0
    for pause in pauses:
        now += pause
        often.deposit(now)
        often.deposit(now - 1)
    assert often.withdraw(now) == once.withdraw(now)


def test_a_budget_without_refill_waits_for_first_attempts() -> None:
    """A refill of nothing names a wait that nobody sits out, and no error."""
    budget = RetryBudget(per_second=0, reserve=0)
    assert budget.withdraw(0) >= 10**6 * SECOND


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, SECOND)), max_size=60),
    share=st.sampled_from([0.0, 0.1, 0.29, 1.0]),
)
def test_retries_never_exceed_what_was_paid_in(steps: list[tuple[bool, int]], share: float) -> None:
    """Over any interval: retries <= reserve + refill * length + share * first attempts."""
    budget = RetryBudget(share=share, per_second=2.0, reserve=5)
    now = firsts = retries = 0
    for first, pause in steps:
        now += pause
        if first:
            firsts += 1
            budget.deposit(now)
        else:
            wait = budget.withdraw(now)
            retries += 1
            assert retries <= 5 + 2 * (now + wait) / SECOND + share * firsts + 1e-6


def test_the_defaults_retry_soon_and_stop_growing_at_a_minute() -> None:
    """The first bound is half a second; the doubling ends at a minute."""
    assert Backoff().delay(1, lambda: 0.5) == pytest.approx(0.26 * SECOND)
    assert Backoff().delay(100, lambda: JUST_UNDER_ONE) <= MINUTE + SECOND // 100
