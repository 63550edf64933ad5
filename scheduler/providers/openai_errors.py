"""Errors of OpenAI and of those who speak its language: why a request did not succeed.

One status has several meanings: a 429 may be a reached rate, a request too large for ever, an empty account or traffic
that grew too fast. So the code decides, then the type, then the words, and the status only where those are silent. What
one provider means otherwise than the rest is in its ``Causes``; docs/errors.md has it all as a table.

Catalogue: OpenAI's guides on rate limits and error codes (2026), and recorded bodies of 2022 to 2026.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.providers.base import Cause, Outcome
from scheduler.providers.error_bodies import ErrorBody
from scheduler.providers.refusals import Refusal

BILLING = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
"""Codes and types of an account without credit or over a spend limit."""

_CAUSES: Mapping[str, Cause] = dict.fromkeys(BILLING, Cause.BILLING) | {
    "slow_down": Cause.RAMP,
    "server_is_overloaded": Cause.OVERLOAD,
    "service_unavailable_error": Cause.OVERLOAD,
    "overloaded_error": Cause.OVERLOAD,
    "resource_unavailable": Cause.OVERLOAD,
    "capacity_exceeded": Cause.OVERLOAD,
    "invalid_api_key": Cause.AUTH,
    "https://iana.org/assignments/http-problem-types#quota-exceeded": Cause.RATE,
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity": Cause.OVERLOAD,
    "authentication_error": Cause.AUTH,
    "permission_error": Cause.AUTH,
    "rate_limit_exceeded": Cause.RATE,
    "tokens": Cause.RATE,
    "requests": Cause.RATE,
    "images": Cause.RATE,
}
"""Causes by code or type. ``rate_limit_error`` is none of them: it also stands over ``slow_down``."""

_WORDS: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (
        re.compile(r"exceeded your current quota|billing hard limit|plan and billing details", re.IGNORECASE),
        Cause.BILLING,
    ),
    (re.compile(r"rate limit (?:is )?(?:reached|exceeded)|exceeded the rate limit", re.IGNORECASE), Cause.RATE),
    (re.compile(r"\berror(?: code)?:? 10(?:15|27)\b", re.IGNORECASE), Cause.EDGE),
    (
        re.compile(
            r"overloaded|resource unavailable|capacity exceeded|(?:over|at) capacity|high demand", re.IGNORECASE
        ),
        Cause.OVERLOAD,
    ),
)
"""Causes by words. 1015 is the edge's block of a whole address: the host is as good as down, its header says until
when."""
_SLOW_DOWN = re.compile(r"\bslow down\b", re.IGNORECASE)

_STATUSES = {
    401: Cause.AUTH,
    402: Cause.BILLING,
    403: Cause.AUTH,
    408: Cause.TIMEOUT,
    409: Cause.CONFLICT,
    429: Cause.RATE,
    498: Cause.OVERLOAD,  # Groq's, of its flex tier
    503: Cause.OVERLOAD,
    504: Cause.TIMEOUT,
    529: Cause.OVERLOAD,
}
_TOO_LARGE = 413
_UNAVAILABLE = 503
_OURS = range(300, 500)  # a redirect is a wrong url: a key goes nowhere but to its own origin
_OUTCOMES = {
    Cause.RATE: Outcome.THROTTLED,
    Cause.RAMP: Outcome.OVERLOADED,
    Cause.OVERLOAD: Outcome.OVERLOADED,
    Cause.EDGE: Outcome.OVERLOADED,
}
"""What is tried again because the provider could not take it now. Everything else failed."""


@dataclass(frozen=True, slots=True)
class Causes:
    """What a provider means otherwise than the rest.

    Attributes:
        words: Patterns, searched before anything else is looked at.
        names: Causes by code or type, before the common ones.
        statuses: Causes by status, where nothing else tells.
    """

    words: tuple[tuple[re.Pattern[str], Cause], ...] = ()
    names: Mapping[str, Cause] = field(default_factory=dict)
    statuses: Mapping[int, Cause] = field(default_factory=dict)


COMMON = Causes(_WORDS, _CAUSES, _STATUSES)
"""What all mean."""


def cause_of(status: int, error: ErrorBody, refusal: Refusal, own: Causes = COMMON) -> Cause:
    """Return why a request did not succeed; *own* is what its provider means otherwise than the rest."""
    cause = _by_words(own, error.message) if own is not COMMON else None
    for causes in (own, COMMON):
        cause = cause or causes.names.get(error.code) or causes.names.get(error.kind)
    cause = cause or _by_words(COMMON, error.message)
    # A 503 used to say "Slow Down" in place of the code. A 429 may say it of anything.
    if cause is None and status == _UNAVAILABLE and _SLOW_DOWN.search(error.message):
        cause = Cause.RAMP
    if cause is None and error.kind == "server_error":
        cause = Cause.SERVER
    if cause is None:
        cause = own.statuses.get(status) or _STATUSES.get(status)
    return _narrowed(cause or (Cause.BAD_REQUEST if status in _OURS else Cause.SERVER), status, refusal)


def outcome_of(cause: Cause) -> Outcome:
    """Return how the attempt ended."""
    return _OUTCOMES.get(cause, Outcome.FAILED)


def _narrowed(cause: Cause, status: int, refusal: Refusal) -> Cause:
    """Tell a rate that was reached from a limit that will never admit this request."""
    if cause is Cause.RATE or status == _TOO_LARGE:
        if refusal.limit == 0:
            return Cause.LIMIT_ZERO
        if refusal.never_fits:
            return Cause.TOO_LARGE
    return cause


def _by_words(causes: Causes, message: str) -> Cause | None:
    return next((cause for pattern, cause in causes.words if pattern.search(message)), None)
