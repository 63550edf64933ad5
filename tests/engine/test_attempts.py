"""What follows from how an attempt ended."""

import pytest

from scheduler.core.backoff import Backoff, RetryBudget
from scheduler.core.quota import SECOND, Dimension
from scheduler.engine.attempts import Again, Attempts, Failed, RetryPolicy
from scheduler.errors import DeadlineUnattainable, ProviderOverloaded, RateLimited, RequestFailed
from scheduler.providers.base import Cause, Observation, Outcome, Reading


def attempts(deadline: int | None = None, **policy: int | bool) -> Attempts:
    return Attempts(
        RetryPolicy(backoff=Backoff(), **policy),  # type: ignore[arg-type]  # one of either kind
        RetryBudget(),
        lambda: 0.5,
        0,
        deadline,
    )


@pytest.mark.parametrize("cause", [Cause.EDGE, Cause.OVERLOAD, Cause.RATE, Cause.SERVER])
def test_a_server_that_asks_for_too_long_is_not_waited_for(cause: Cause) -> None:
    """A delay beyond the longest fails at once, with what the server asked for."""
    outcome = {Cause.RATE: Outcome.THROTTLED, Cause.SERVER: Outcome.FAILED}.get(cause, Outcome.OVERLOADED)
    step = attempts(longest_delay=60 * SECOND).after(Reading(outcome, cause, delay=61 * SECOND), 429, 0)
    assert isinstance(step, Failed)
    error = {Outcome.THROTTLED: RateLimited, Outcome.FAILED: RequestFailed}.get(outcome, ProviderOverloaded)
    assert isinstance(step.error, error)
    assert getattr(step.error, "retry_after", 61) == 61


def test_a_delay_within_the_longest_is_a_minimum() -> None:
    """Jitter is added to what the server asks for, never taken from it."""
    step = attempts(longest_delay=60 * SECOND).after(Reading(Outcome.OVERLOADED, Cause.EDGE, delay=60 * SECOND), 429, 0)
    assert isinstance(step, Again)
    assert 60 * SECOND <= step.delay <= 66 * SECOND


def test_a_proven_level_is_waited_for_however_long() -> None:
    """A refusal that says how full its bucket is says when there is room: a day's limit may need an hour."""
    refused = Observation(Dimension.REQUESTS, 24, 0, 24 * 3600 * SECOND)
    reading = Reading(Outcome.THROTTLED, Cause.RATE, refused=refused, delay=3600 * SECOND)
    assert isinstance(attempts(longest_delay=60 * SECOND).after(reading, 429, 0), Again)


def test_past_the_deadline_it_fails_at_once() -> None:
    """A delay that ends after the deadline is not begun."""
    reading = Reading(Outcome.THROTTLED, Cause.RATE, delay=10 * SECOND)
    step = attempts(deadline=5 * SECOND).after(reading, 429, 0)
    assert isinstance(step, Failed)
    assert isinstance(step.error, DeadlineUnattainable)


def test_what_may_have_been_made_is_not_made_twice() -> None:
    """A request that makes something and got no answer is not sent again, nor what can never be sent; others are."""
    step = attempts().after_silence("gone", 0, sent=True, repeatable=False)
    assert isinstance(step, Failed)
    assert isinstance(step.error, RequestFailed)
    assert step.error.unknown
    assert isinstance(attempts().after_silence("nonsense", 0, sent=False, repeatable=False), Failed)
    assert isinstance(attempts().after_silence("gone", 0, sent=False), Again)
    assert isinstance(attempts().after_silence("gone", 0, sent=True), Again)
