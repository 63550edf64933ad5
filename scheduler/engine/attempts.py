"""The attempt loop, without I/O: what follows from the outcome of each attempt.

A driver, asynchronous or not, reserves, sends, and asks ``after`` what to do: the request is done, or it waits out a
delay beside the queue and comes back with its first arrival, or it has failed for good with an error that says why.
Only this loop retries. What each cause leads to:

===============  =================================================================================================
rate             back to its place in the queue after the server's delay; no retry is drawn from the budget where
                 the refusal proved a level
overload, ramp,  backoff; the scope's gate is closed meanwhile
edge
server,          backoff
conflict,
timeout
unknown          backoff, where the policy allows: it may have been carried out
never sent       backoff; the charge came back
too large,       never retried; nor is anything of which the provider says so
limit zero,
billing, auth,
bad request
===============  =================================================================================================

A server's delay is a minimum: jitter only adds to it. One that ends after the deadline fails at once, and so does one
beyond ``longest_delay``, unless the refusal proved a level, which says when there is room as surely as a header can.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from scheduler.core.backoff import Backoff, RetryBudget
from scheduler.core.quota import SECOND
from scheduler.errors import (
    DeadlineUnattainable,
    ProviderOverloaded,
    QuotaExhausted,
    RateLimited,
    RequestFailed,
    SchedulerError,
)
from scheduler.providers.base import Cause, Outcome, Reading

_FINAL = {Cause.TOO_LARGE, Cause.LIMIT_ZERO, Cause.AUTH, Cause.BAD_REQUEST}

_MAY_BE_DONE = {Cause.SERVER, Cause.TIMEOUT}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request may be tried, and how long apart.

    Attributes:
        max_attempts: Times that it may be sent.
        backoff: Delays between attempts.
        longest_delay: Nanoseconds that a server may ask to wait; if it asks for more, the request fails at once.
        retry_unknown: Whether a request that was sent and not answered is sent again.
    """

    max_attempts: int = 10
    backoff: Backoff = field(default_factory=Backoff)
    longest_delay: int = 900 * SECOND
    retry_unknown: bool = True


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after *delay* nanoseconds."""

    delay: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Give up with *error*."""

    error: SchedulerError


Step: TypeAlias = Again | Failed


class Attempts:
    """The attempts of one request."""

    __slots__ = ("_began", "_budget", "_chance", "_deadline", "_policy", "sent")

    def __init__(
        self, policy: RetryPolicy, budget: RetryBudget, chance: Callable[[], float], now: int, deadline: int | None
    ) -> None:
        """Begin a request at *now*; *deadline* is the instant after which no other attempt begins, or None."""
        self._policy = policy
        self._budget = budget
        self._chance = chance
        self._began = now
        self._deadline = deadline
        self.sent = 0
        budget.deposit(now)

    def after(self, reading: Reading, status: int, now: int, *, repeatable: bool = True) -> Step:
        """Decide what follows an answer that is not a success.

        Args:
            reading: What it means.
            status: Its HTTP status.
            now: The instant.
            repeatable: Whether carrying it out twice does no harm: a fault may have come after all else.
        """
        self.sent += 1
        final = self._final(reading, status)
        if final is None and not repeatable and reading.cause in _MAY_BE_DONE:
            final = self._exhausted(reading, status)
        if final is not None:
            return Failed(final)
        if self.sent >= self._policy.max_attempts:
            return Failed(self._exhausted(reading, status))
        if reading.outcome is Outcome.THROTTLED and reading.refused is not None:
            return self._again(0 if reading.delay is None else self._delay(reading), now, reading, status)
        if reading.delay is not None and reading.delay > self._policy.longest_delay:
            return Failed(self._exhausted(reading, status))
        return self._again(max(self._delay(reading), self._budget.withdraw(now)), now, reading, status)

    def after_silence(self, message: str, now: int, *, sent: bool, repeatable: bool = True) -> Step:
        """Decide what follows when no answer came.

        Args:
            message: The transport's words.
            now: The instant.
            sent: Whether the request may have reached the provider.
            repeatable: Whether sending it again may help and does no harm.
        """
        self.sent += 1
        cause = "no answer" if sent else "no connection"
        unwanted = not repeatable or (sent and not self._policy.retry_unknown)
        if unwanted or self.sent >= self._policy.max_attempts:
            return Failed(RequestFailed(cause, self.sent, None, message, unknown=sent))
        delay = max(self._policy.backoff.delay(self.sent, self._chance), self._budget.withdraw(now))
        if self._deadline is not None and now + delay > self._deadline:
            return Failed(RequestFailed(cause, self.sent, None, message, unknown=sent))
        return Again(delay)

    def _delay(self, reading: Reading) -> int:
        return self._policy.backoff.delay(self.sent, self._chance, reading.delay)

    def _again(self, delay: int, now: int, reading: Reading, status: int) -> Step:
        if self._deadline is not None and now + delay > self._deadline:
            if reading.outcome is Outcome.THROTTLED:
                return Failed(DeadlineUnattainable((now - self._began) / SECOND, delay / SECOND))
            return Failed(self._exhausted(reading, status))
        return Again(delay)

    def _final(self, reading: Reading, status: int) -> SchedulerError | None:
        if reading.cause is Cause.BILLING:
            return QuotaExhausted(reading.message, reading.code)
        if reading.cause is not None and (reading.cause in _FINAL or reading.final):
            return RequestFailed(reading.cause.value.replace("_", " "), self.sent, status, reading.message)
        return None

    def _exhausted(self, reading: Reading, status: int) -> SchedulerError:
        wait = None if reading.delay is None else reading.delay / SECOND
        if reading.outcome is Outcome.THROTTLED:
            return RateLimited(self.sent, reading.message, wait)
        if reading.outcome is Outcome.OVERLOADED:
            return ProviderOverloaded(self.sent, reading.message, wait)
        cause = reading.cause.value if reading.cause else "failed"
        return RequestFailed(cause, self.sent, status, reading.message)
