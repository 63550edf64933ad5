"""Bodies of errors: where in one the error is, and what its fields are.

Bodies come as ``{"error": {...}}``, with the error's fields on top, in a list, as an event of a stream, as a bare JSON
string, as text with JSON in it, as JSON within a message, as HTML. Nothing in them is trusted: at most 64 KB are looked
at, and a field of the wrong kind counts as absent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from scheduler.providers.durations import duration
from scheduler.providers.refusals import PARSED
from scheduler.providers.texts import MESSAGE, NAME, cleaned

BODY = 64 * 1024
"""Bytes of an error's body that are looked at."""

_FIELD = r'"{}"\s{{0,8}}:\s{{0,8}}"((?:[^"\\]|\\.){{0,2000}})'
_FIELDS = {name: re.compile(_FIELD.format(name)) for name in ("message", "type", "code")}
_ERRORS = range(400, 600)
_SERIES = 20  # details, and headers within a body, that are looked at
_NESTED = 2  # bodies within messages of bodies that are looked into


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error's fields; "" where absent.

    Attributes:
        message: Its words, as sent, cut to 2,000 characters.
        kind: Its type; or else what it calls its status, as Google does.
        code: Its code.
        status: The HTTP status that its code is, for some; or 0.
        delay: Nanoseconds that its details ask to wait (Google's ``RetryInfo``), or None.
        headers: Headers that stand in it (OpenRouter's ``metadata.headers``), their names in small letters.
    """

    message: str = ""
    kind: str = ""
    code: str = ""
    status: int = 0
    delay: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

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
    return _error_of(bytes(body[:BODY]) if body else b"", _NESTED)


def _error_of(cut: bytes, nested: int) -> ErrorBody:
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
            return _unwrapped(found, nested)
    return ErrorBody()


def _inside(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _of_object(value: Any) -> ErrorBody | None:
    """Return the error that *value* is, or None where it is none."""
    if isinstance(value, str) and value:
        return ErrorBody(value[:PARSED])
    if not isinstance(value, dict) or not {"message", "code", "type", "detail", "details"} & value.keys():
        return None
    message = next((value[name] for name in ("message", "detail", "title") if isinstance(value.get(name), str)), "")
    kind = next((value[name] for name in ("type", "status") if isinstance(value.get(name), str)), "")
    code = value.get("code")
    return ErrorBody(
        message[:PARSED],
        kind[:NAME],
        code[:NAME] if isinstance(code, str) else "",
        _status(code),
        _retry_info(value.get("details")),
        _headers(_inside(value, ("metadata", "headers"))),
    )


def _unwrapped(error: ErrorBody, nested: int) -> ErrorBody:
    """Return the error that a message holds as JSON, as proxies and Google write it; what it lacks is the outer's."""
    if nested and error.message.lstrip()[:1] in {"{", "["}:
        inner = _error_of(error.message.encode("utf-8", "replace"), nested - 1)
        if inner.message and inner.message != error.message:
            return replace(
                inner,
                kind=inner.kind or error.kind,
                code=inner.code or error.code,
                status=inner.status or error.status,
                delay=error.delay if inner.delay is None else inner.delay,
                headers={**error.headers, **inner.headers},
            )
    return error


def _status(code: Any) -> int:
    """Return the HTTP status that a code is, as a number or in digits; or 0."""
    if isinstance(code, str) and len(code) == len("429") and code.isascii() and code.isdigit():
        code = int(code)
    return code if type(code) is int and code in _ERRORS else 0


def _retry_info(details: Any) -> int | None:
    """Return the nanoseconds of Google's ``{"retryDelay": "47s"}``; -1 where that is unusable."""
    for detail in details[:_SERIES] if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            nanoseconds = duration(delay)
            return -1 if nanoseconds is None else nanoseconds
    return None


def _headers(value: Any) -> dict[str, str]:
    """Return headers that stand in a body."""
    pairs = list(value.items())[:_SERIES] if isinstance(value, dict) else ()
    return {name.lower(): str(text)[:NAME] for name, text in pairs if type(text) in {str, int}}


def _of_text(text: str) -> ErrorBody:
    """Find the fields in JSON that was cut short or lies within other text; else the text is the message."""
    fields = {name: match[1] for name, pattern in _FIELDS.items() if (match := pattern.search(text))}
    return ErrorBody(fields.get("message", text[:PARSED]), fields.get("type", "")[:NAME], fields.get("code", "")[:NAME])
