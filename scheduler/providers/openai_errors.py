"""OpenAI's errors: what a body says, and why the request did not succeed.

One status has several meanings: a 429 may be a reached rate, a request too large for ever, an empty account or traffic
that grew too fast. So the code decides, then the type, then the words, and the status only where those are silent.
Bodies come as ``{"error": {...}}``, with the error's fields on top, as an event of a stream, as a bare JSON string, as
text with JSON in it, as HTML. Nothing in them is trusted: at most 64 KB are looked at, and a field of the wrong kind
counts as absent.

Catalogue: OpenAI's guides on rate limits and error codes (2026), and recorded bodies of 2022 to 2026.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from scheduler.providers.base import Cause, Outcome
from scheduler.providers.refusals import PARSED, Refusal
from scheduler.providers.texts import MESSAGE, NAME, cleaned

BODY = 64 * 1024
"""Bytes of an error's body that are looked at."""

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
    (re.compile(r"rate limit (?:reached|exceeded)|exceeded the rate limit", re.IGNORECASE), Cause.RATE),
    (re.compile(r"error code: 10(?:15|27)\b", re.IGNORECASE), Cause.EDGE),
    (re.compile(r"overloaded|resource unavailable", re.IGNORECASE), Cause.OVERLOAD),
)
"""Causes by words. 1015 is the edge's block of a whole address: the host is as good as down, its header says until
when."""
_SLOW_DOWN = re.compile(r"\bslow down\b", re.IGNORECASE)

_STATUSES = {
    401: Cause.AUTH,
    403: Cause.AUTH,
    408: Cause.TIMEOUT,
    409: Cause.CONFLICT,
    429: Cause.RATE,
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

_FIELD = r'"{}"\s{{0,8}}:\s{{0,8}}"((?:[^"\\]|\\.){{0,2000}})'
_FIELDS = {name: re.compile(_FIELD.format(name)) for name in ("message", "type", "code")}


class ErrorBody(NamedTuple):
    """An error's fields; "" where absent.

    Attributes:
        message: Its words, as sent, cut to 2,000 characters.
        kind: Its type.
        code: Its code.
    """

    message: str = ""
    kind: str = ""
    code: str = ""

    @property
    def shown(self) -> str:
        """The words, made safe to show."""
        return cleaned(self.message, MESSAGE)

    @property
    def name(self) -> str:
        """The code, or else the type, made safe to show."""
        return cleaned(self.code or self.kind, NAME)


def error_of(body: bytes | None) -> ErrorBody:
    """Find the error in a body of any kind."""
    cut = bytes(body[:BODY]) if body else b""
    try:
        value = msgspec.json.decode(cut)
    except (ValueError, RecursionError):
        return _of_text(cut.decode("utf-8", "replace"))
    if isinstance(value, str):
        return ErrorBody(value[:PARSED])
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return ErrorBody()
    for path in (("error",), ("response", "error"), ()):
        found = _of_object(_inside(value, path))
        if found is not None:
            return found
    return ErrorBody()


def cause_of(status: int, error: ErrorBody, refusal: Refusal) -> Cause:
    """Return why a request did not succeed."""
    cause = _CAUSES.get(error.code) or _CAUSES.get(error.kind) or _by_words(status, error.message)
    if cause is None and error.kind == "server_error":
        cause = Cause.SERVER
    if cause is None:
        cause = _STATUSES.get(status) or (Cause.BAD_REQUEST if status in _OURS else Cause.SERVER)
    return _narrowed(cause, status, refusal)


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


def _by_words(status: int, message: str) -> Cause | None:
    for pattern, cause in _WORDS:
        if pattern.search(message):
            return cause
    # A 503 used to say "Slow Down" in place of the code. A 429 may say it of anything.
    return Cause.RAMP if status == _UNAVAILABLE and _SLOW_DOWN.search(message) else None


def _inside(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _of_object(value: Any) -> ErrorBody | None:
    """Return the error that *value* is, or None where it is none."""
    if isinstance(value, str) and value:
        return ErrorBody(value[:PARSED])
    if not isinstance(value, dict) or not {"message", "code", "type"} & value.keys():
        return None
    message, kind, code = (value.get(name) for name in ("message", "type", "code"))
    return ErrorBody(
        message[:PARSED] if isinstance(message, str) else "",
        kind[:NAME] if isinstance(kind, str) else "",
        code[:NAME] if isinstance(code, str) else "",
    )


def _of_text(text: str) -> ErrorBody:
    """Find the fields in JSON that was cut short or lies within other text; else the text is the message."""
    fields = {name: match[1] for name, pattern in _FIELDS.items() if (match := pattern.search(text))}
    return ErrorBody(fields.get("message", text[:PARSED]), fields.get("type", "")[:NAME], fields.get("code", "")[:NAME])
