"""What errors of APIs have in common that do not speak OpenAI's language.

Their bodies come as JSON, as a list with JSON in it, as JSON encoded once more in a string or in a message, cut short,
or as HTML of something that stands before the API. At most 64 KB are looked at, and a field of the wrong kind counts as
absent.
"""

import re
from typing import Any

import msgspec

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Cause, Observation
from scheduler.providers.durations import whole_number
from scheduler.providers.error_bodies import BODY
from scheduler.providers.refusals import PARSED

_STATUSES = {
    401: Cause.AUTH,
    402: Cause.BILLING,
    403: Cause.AUTH,
    408: Cause.TIMEOUT,
    409: Cause.CONFLICT,
    413: Cause.TOO_LARGE,
    429: Cause.RATE,
    503: Cause.OVERLOAD,
    504: Cause.TIMEOUT,
    529: Cause.OVERLOAD,
}
_OURS = range(300, 500)  # a redirect is a wrong url: a key goes nowhere but to its own origin
_EDGE = re.compile(r"error code: 10(?:15|27)\b", re.IGNORECASE)
_SPELLINGS = 3  # times that JSON is looked for within strings of JSON

WINDOWS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY}
"""Windows by the words for them."""


def json_of(body: bytes | None) -> Any:
    """Return what a body says, as far as it is JSON; text that is none as a string, cut to 2,000 characters."""
    cut = bytes(body[:BODY]) if body else b""
    value = _decoded(cut)
    if value is None:
        return cut[: 4 * PARSED].decode("utf-8", "replace")[:PARSED]
    for _ in range(_SPELLINGS):
        if isinstance(value, list):
            value = value[0] if value else None
        inner = _decoded(value.encode("utf-8", "replace")) if isinstance(value, str) and value[:1] in "[{" else None
        if inner is None:
            break
        value = inner
    return value


def within(value: Any, *path: str) -> Any:
    """Return what lies at *path* in nested objects, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_at(value: Any, *path: str) -> str:
    """Return the text that lies at *path* in nested objects, cut to 2,000 characters, or ""."""
    found = within(value, *path)
    return found[:PARSED] if isinstance(found, str) else ""


def cause_of_status(status: int, message: str) -> Cause:
    """Return why a request did not succeed whose body does not say."""
    if _EDGE.search(message):
        return Cause.EDGE
    return _STATUSES.get(status) or (Cause.BAD_REQUEST if status in _OURS else Cause.SERVER)


def exhausted(dimension: Dimension, limit: str, window: int) -> Observation | None:
    """Return what a refusal proves that names a limit and not how much of it was left; None for an unusable limit.

    Less was left than the request would have taken. Of requests that is nothing; of tokens nothing is the most that is
    proven to be there.
    """
    amount = whole_number(limit.replace(",", ""))
    return Observation(dimension, amount, 0, window) if amount else None


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
