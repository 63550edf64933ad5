"""What an Anthropic answer says it billed: whole answers, and the events of a stream."""

from typing import Annotated

import msgspec

from scheduler.providers.base import Usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Usage(msgspec.Struct):
    input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    output_tokens: _Count | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Answer(_Message):
    message: _Message | None = None  # as the first event of a stream has it


_ANSWER = msgspec.json.Decoder(_Answer)


def usage_of(body: bytes | None) -> Usage | None:
    """Return what an answer or an event of its stream billed, or None where it does not say.

    ``input_tokens`` there is what follows the last cache breakpoint; here it is all that was sent. The first event of a
    stream tells the input, the last but one the output so far.
    """
    if not body or b'"usage"' not in body:
        return None
    try:
        answer = _ANSWER.decode(body)
    except (ValueError, RecursionError):
        return None
    usage = answer.usage or (answer.message.usage if answer.message else None)
    if usage is None:
        return None
    cached = usage.cache_read_input_tokens or 0
    sent = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    return Usage(sent, cached, usage.output_tokens or 0)
