"""Anthropic's errors: what a body says, and why the request did not succeed.

Bodies are ``{"type": "error", "error": {"type", "message", "details"}, "request_id"}``, as the answer or as an event of
a stream; the layer that imitates OpenAI says ``{"error": {"code", "type", "message"}}`` and puts the error's type into
``code``. One type has several meanings, so the spend limit's code and the words come first, then the type, then the
status.

Catalogue: the guides on errors and rate limits (2026), and recorded bodies of 2024 to 2026. What the words of a refusal
may name:

    This request would exceed your organization's rate limit of 30,000 input tokens per minute (org: X, model: Y).
    This request would exceed the rate limit for your organization (X) of 1,000,000 input tokens per minute.
    This request would exceed your organization's rate limit of 0 fast mode input tokens per minute.
    Number of request tokens has exceeded your per-minute rate limit
    This request would exceed your organization's maximum usage increase rate for input tokens per minute.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from scheduler.core.quota import Dimension
from scheduler.providers.base import Cause, Observation
from scheduler.providers.native_errors import WINDOWS, cause_of_status, exhausted, json_of, text_at, within
from scheduler.providers.texts import MESSAGE, NAME, cleaned

_TYPES: Mapping[str, Cause] = {
    "rate_limit_error": Cause.RATE,
    "overloaded_error": Cause.OVERLOAD,
    "api_error": Cause.SERVER,
    "timeout_error": Cause.TIMEOUT,
    "authentication_error": Cause.AUTH,
    "permission_error": Cause.AUTH,
    "billing_error": Cause.BILLING,
    "request_too_large": Cause.TOO_LARGE,
    "not_found_error": Cause.BAD_REQUEST,
    "conflict_error": Cause.CONFLICT,
}
"""Causes by type. ``invalid_request_error`` is none of them: its status and words say more."""

_WORDS: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (
        re.compile(
            r"reached your specified (?:workspace )?API usage limits|credit balance is too low"
            r"|extra usage is required",
            re.IGNORECASE,
        ),
        Cause.BILLING,
    ),
    (re.compile(r"usage increase rate|acceleration limit", re.IGNORECASE), Cause.RAMP),
    (re.compile(r"exceed(?:ed)? .{0,120}?rate limit", re.IGNORECASE), Cause.RATE),
)
"""Causes by words. A spend limit that the user has set is a bad request by type; the slope of traffic is a rate."""

_SPENT = "enforced_spend_limit_reached"
_LIMIT = re.compile(
    r"\bof ([0-9][0-9,]{0,20}) (?:fast mode )?(?:(input|output) )?(request|token)s? per (second|minute|hour|day)\b",
    re.IGNORECASE,
)
_DIMENSIONS = {
    ("", "request"): Dimension.REQUESTS,
    ("", "token"): Dimension.TOKENS,
    ("input", "token"): Dimension.INPUT_TOKENS,
    ("output", "token"): Dimension.OUTPUT_TOKENS,
}


class AnthropicError(NamedTuple):
    """An error's fields; "" where absent.

    Attributes:
        message: Its words, as sent.
        kind: Its type.
        detail: The code that tells it apart from others of its type.
        request_id: The provider's name for the request.
    """

    message: str = ""
    kind: str = ""
    detail: str = ""
    request_id: str = ""

    @property
    def shown(self) -> str:
        """The words, made safe to show."""
        return cleaned(self.message, MESSAGE)

    @property
    def name(self) -> str:
        """The detail, or else the type, made safe to show."""
        return cleaned(self.detail or self.kind, NAME)


def error_of(body: bytes | None) -> AnthropicError:
    """Find the error in a body of any kind."""
    value = json_of(body)
    if isinstance(value, str):
        return AnthropicError(value)
    inner = ("error",) if isinstance(value, dict) and isinstance(value.get("error"), dict) else ()
    kind = text_at(value, *inner, "type")
    code = text_at(value, *inner, "code")
    detail = text_at(value, *inner, "details", "error_code") or text_at(value, *inner, "error_code")
    message = text_at(value, *inner, "message") or text_at(value, "error")
    return AnthropicError(message, code if code in _TYPES else kind, detail, text_at(value, "request_id"))


def is_error(data: bytes) -> bool:
    """Whether an event of a stream is an error."""
    return isinstance(within(json_of(data), "error"), dict)


def cause_of(status: int, error: AnthropicError) -> Cause:
    """Return why a request did not succeed."""
    if error.detail == _SPENT:
        return Cause.BILLING
    for pattern, cause in _WORDS:
        if pattern.search(error.message):
            return Cause.LIMIT_ZERO if cause is Cause.RATE and _names_zero(error.message) else cause
    return _TYPES.get(error.kind) or cause_of_status(status, error.message)


def refused(message: str, seen: Iterable[Observation]) -> Observation | None:
    """Return what a refusal's words prove of the bucket that they name, with the level that its headers state of it."""
    named = _LIMIT.search(message)
    if named is None:
        return None
    dimension = _DIMENSIONS.get(((named[2] or "").lower(), named[3].lower()))
    if dimension is None:  # no one counts the input of requests
        return None
    least = exhausted(dimension, named[1], WINDOWS[named[4].lower()])
    told = (one for one in seen if least is not None and one.dimension is dimension and one.limit == least.limit)
    return next(told, least)


def _names_zero(message: str) -> bool:
    named = _LIMIT.search(message)
    return named is not None and not named[1].replace(",", "").strip("0")
