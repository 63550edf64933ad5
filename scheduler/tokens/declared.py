"""What a request declares besides what it says: tools, and the form that the answer is to have."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

PER_TOKEN = 6
"""Bytes of a declaration's JSON to a token that is billed: 5.6 and 7.0 in two recorded calls with one function."""


def tools(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the tools of a body, and the functions that were tools before there were tools."""
    for name in ("tools", "functions"):
        declared = body.get(name)
        if isinstance(declared, list):
            yield from declared


def schemas(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the schema that the answer is to follow: in ``response_format`` for chat, in ``text.format`` otherwise."""
    text = body.get("text")
    for form in (body.get("response_format"), text.get("format") if isinstance(text, Mapping) else None):
        if isinstance(form, Mapping) and form.get("type") == "json_schema":
            yield form


def json_of(value: Any) -> str:
    """Return the compact JSON of *value*, or "" where it is none."""
    return _encoded(value).decode()


def declared_bytes(body: Mapping[str, Any]) -> int:
    """Return the bytes of the compact JSON of all that *body* declares; what is no JSON has none. Never raises."""
    declared = [*tools(body), *schemas(body)]
    return max(0, len(_encoded(declared)) - 2) if declared else 0


def _encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""
