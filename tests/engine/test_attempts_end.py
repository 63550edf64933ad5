"""The attempt loop's last word: what a provider calls of no use is not tried again."""

import pytest

from scheduler.core.backoff import RetryBudget
from scheduler.engine.attempts import Again, Attempts, Failed, RetryPolicy
from scheduler.errors import RequestFailed
from scheduler.providers.base import Cause, Outcome, Reading


@pytest.mark.parametrize("final", [False, True])
def test_a_provider_that_says_never(final: bool) -> None:  # noqa: FBT001  # a column
    """A fault at the provider is tried again, unless the provider says that this is of no use."""
    attempts = Attempts(RetryPolicy(), RetryBudget(now=0), lambda: 0.5, 0, None)
    step = attempts.after(Reading(Outcome.FAILED, Cause.SERVER, "sorry", final=final), 500, 0)
    if not final:
        assert isinstance(step, Again)
        return
    assert isinstance(step, Failed)
    assert isinstance(step.error, RequestFailed)
    assert (step.error.cause, step.error.attempts, step.error.status) == ("server", 1, 500)
