"""What a Cohere answer says it billed: whole answers of both versions, and the last event of a stream."""

from typing import Annotated

import msgspec

from scheduler.providers.base import Usage

_Count = Annotated[float, msgspec.Meta(ge=0, le=10**12)]  # whole numbers are written as 5.0 here


class _Units(msgspec.Struct):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    images: _Count | None = None


class _Usage(msgspec.Struct):
    billed_units: _Units | None = None
    tokens: _Units | None = None
    cached_tokens: _Count | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    meta: _Usage | None = None


class _Body(_Answer):
    delta: _Answer | None = None  # the last event of version 2
    response: _Answer | None = None  # and of version 1


_BODY = msgspec.json.Decoder(_Body)


def usage_of(body: bytes | None) -> Usage | None:
    """Return what an answer or an event of its stream billed, or None where it does not say.

    Billed units are fewer than tokens: what Cohere puts around a prompt is free. Searches of rerank are no tokens.
    """
    if not body or b"billed_units" not in body:
        return None
    try:
        whole = _BODY.decode(body)
    except (ValueError, RecursionError):
        return None
    for answer in (whole, whole.delta, whole.response):
        usage = (answer.usage or answer.meta) if answer is not None else None
        if usage is not None and usage.billed_units is not None:
            return _usage(usage, usage.billed_units)
    return None


def _usage(usage: _Usage, billed: _Units) -> Usage:
    sent = int(billed.input_tokens or 0)
    return Usage(
        sent, min(sent, int(usage.cached_tokens or 0)), int(billed.output_tokens or 0), int(billed.images or 0)
    )
