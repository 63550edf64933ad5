"""Events of streams: what each says was billed, or the error that ends it.

Chat and completions tell their usage in the last chunk, Groq in ``x_groq`` as well; the Responses API in the
``response`` of its last event, whether it was completed, incomplete or failed; images in each image that is done. An
error comes as ``{"error": {...}}`` (chat, OpenRouter, vLLM), within ``response`` of ``response.failed``, or as an event
of its own, whose ``type`` or ``object`` says so. Most events that hold the word ``error`` are none: ``"error": null``
stands in every event of the Responses API, and the word in what a model says.

An event's fields are decoded one level deep, and what lies below only where it matters.
"""

from typing import Any

import msgspec

from scheduler.providers.base import Usage
from scheduler.providers.error_bodies import ErrorBody, error_of
from scheduler.providers.openai_usage import usage_in

_NULL = msgspec.Raw(b"null")


class _Inner(msgspec.Struct):
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class _Event(msgspec.Struct):
    type: Any = None
    object: Any = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL
    x_groq: msgspec.Raw = _NULL


_EVENT = msgspec.json.Decoder(_Event)
_INNER = msgspec.json.Decoder(_Inner)
_DONE = frozenset({"image_generation.completed", "image_edit.completed"})
_NOTHING = frozenset({b"null", b'""', b"{}", b"false"})


def event_of(data: bytes) -> tuple[Usage | None, ErrorBody | None]:
    """Return the usage and the error that one event tells, each None where it tells none. Never raises."""
    try:
        event = _EVENT.decode(data)
    except (ValueError, RecursionError):
        return None, None
    inner = _inner(event.response) or _inner(event.x_groq) or _Inner()
    usage = usage_in(event.usage) or usage_in(inner.usage)
    if isinstance(event.type, str) and event.type in _DONE:
        usage = (usage or Usage())._replace(images=1)
    stated = event.error if _said(event.error) else inner.error
    if _said(stated):
        error = error_of(b'{"error":' + bytes(stated) + b"}")
    elif event.type == "error" or event.object == "error":
        error = error_of(data)
    elif event.type == "response.failed":
        error = ErrorBody()
    else:
        return usage, None
    return usage, error if error.message or error.name or error.status else ErrorBody("the stream failed")


def _inner(raw: msgspec.Raw) -> _Inner | None:
    try:
        return _INNER.decode(raw)
    except (ValueError, RecursionError):
        return None


def _said(raw: msgspec.Raw) -> bool:
    return bytes(raw).strip() not in _NOTHING
