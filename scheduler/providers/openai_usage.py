"""What an OpenAI answer says it billed. Only the few fields that matter are decoded, whatever else a body holds."""

from typing import Annotated

import msgspec

from scheduler.providers.base import Usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    prompt_cache_hit_tokens: _Count | None = None  # DeepSeek's name for what is cached
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


class _Body(_Answer):
    response: _Answer | None = None  # the last event of a Responses stream


class _Images(_Answer):
    data: list[msgspec.Raw] = msgspec.field(default_factory=list)


_USAGE = msgspec.json.Decoder(_Usage | None)
_BODY = msgspec.json.Decoder(_Body)
_IMAGES = msgspec.json.Decoder(_Images)


def usage_of(url: str, body: bytes | None) -> Usage | None:
    """Return what a successful answer billed, or None where its body does not say.

    Chat and completions name it ``prompt_tokens`` and ``completion_tokens``, Responses and images ``input_tokens`` and
    ``output_tokens``; embeddings have no output. Images are counted as they lie in ``data``.

    Args:
        url: Relative path of the endpoint, or "" where it is not known.
        body: The answer's JSON, or the JSON of a stream's last event.
    """
    if not body:
        return None
    images = 0
    try:
        if "/images/" in url:
            answer = _IMAGES.decode(body)
            images, usage = len(answer.data), answer.usage
        else:
            whole = _BODY.decode(body)
            usage = whole.usage or (whole.response.usage if whole.response else None)
    except (ValueError, RecursionError):
        return None
    if usage is None:
        return Usage(images=images) if images else None
    return _counted(usage, images)


def usage_in(raw: bytes | msgspec.Raw) -> Usage | None:
    """Return the usage that *raw* is, the JSON of the object alone; None where it is none."""
    try:
        usage = _USAGE.decode(raw)
    except (ValueError, RecursionError):
        return None
    return None if usage is None else _counted(usage, 0)


def _counted(usage: _Usage, images: int) -> Usage:
    sent = usage.prompt_tokens or usage.input_tokens or 0
    details = usage.prompt_tokens_details or usage.input_tokens_details
    cached = (details.cached_tokens if details else None) or usage.prompt_cache_hit_tokens or 0
    return Usage(sent, min(sent, cached), usage.completion_tokens or usage.output_tokens or 0, images)
