"""Bedrock's answers: errors by their exception's name, usage by header or body, and what output counts.

The name of an exception stands in ``x-amzn-errortype`` (with a namespace behind a colon), in the body's ``__type``
(behind a hash), or in ``Error.Code`` as SDKs pass it on. It decides, and the status only where it is unknown.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from scheduler.providers.base import Cause, Usage
from scheduler.providers.durations import whole_number
from scheduler.providers.native_errors import cause_of_status, json_of, text_at

_CAUSES: Mapping[str, Cause] = {
    "ThrottlingException": Cause.RATE,
    "TooManyRequestsException": Cause.RATE,
    "ServiceQuotaExceededException": Cause.RATE,  # "resubmit your request later", says the reference
    "ModelNotReadyException": Cause.OVERLOAD,
    "ServiceUnavailableException": Cause.OVERLOAD,
    "ServiceUnavailable": Cause.OVERLOAD,
    "ModelTimeoutException": Cause.TIMEOUT,
    "ModelErrorException": Cause.SERVER,
    "ModelStreamErrorException": Cause.SERVER,
    "InternalServerException": Cause.SERVER,
    "InternalFailure": Cause.SERVER,
    "ConflictException": Cause.CONFLICT,
    "AccessDeniedException": Cause.AUTH,
    "UnrecognizedClientException": Cause.AUTH,
    "ExpiredTokenException": Cause.AUTH,
    "InvalidSignatureException": Cause.AUTH,
    "IncompleteSignature": Cause.AUTH,
    "NotAuthorized": Cause.AUTH,
    "ValidationException": Cause.BAD_REQUEST,
    "ResourceNotFoundException": Cause.BAD_REQUEST,
}
"""Causes by exception, as the runtime's reference and the guide on error codes list them."""

_NAME = re.compile(r"(?:.*#)?([A-Za-z]{1,100})(?::.*)?", re.DOTALL)
_OLD_CLAUDE = re.compile(r"claude-(?:instant|v[12]|3-(?!7))")
_BURNDOWN = (
    (re.compile(r"claude-[a-z]+-4-8"), 15),
    (re.compile(r"claude-[a-z]+-[5-9]"), 10),
)

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Usage(msgspec.Struct):
    """Converse's names and those of Anthropic's bodies."""

    inputTokens: _Count | None = None  # noqa: N815  # as the API has it
    outputTokens: _Count | None = None  # noqa: N815
    cacheReadInputTokens: _Count | None = None  # noqa: N815
    cacheWriteInputTokens: _Count | None = None  # noqa: N815
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    prompt_token_count: _Count | None = None  # as Meta's models answer
    generation_token_count: _Count | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def error_of(fields: Mapping[str, str], body: bytes | None) -> tuple[str, str]:
    """Return an exception's name and its words, as sent; "" where they are not there."""
    value = json_of(body)
    if isinstance(value, str):
        return _named(fields.get("x-amzn-errortype", "")), value
    places = (("__type",), ("Error", "Code"), ("code",))
    names = (fields.get("x-amzn-errortype", ""), *(text_at(value, *place) for place in places))
    words = (text_at(value, *place) for place in (("message",), ("Message",), ("Error", "Message")))
    return next((name for each in names if (name := _named(each))), ""), next((each for each in words if each), "")


def cause_of(status: int, code: str, message: str) -> Cause:
    """Return why a request did not succeed."""
    return _CAUSES.get(code) or cause_of_status(status, message)


def burndown(model: str) -> int:
    """Return what an output token of *model* counts in input tokens (guide on token burndown, 2026).

    Claude since 3.7 counts 5, Claude 4.8 15, and Claude 5 and later 10; all others 1.
    """
    if "claude" not in model or _OLD_CLAUDE.search(model):
        return 1
    return next((rate for pattern, rate in _BURNDOWN if pattern.search(model)), 5)


def usage_of(body: bytes | None) -> Usage | None:
    """Return what an answer billed, or None where its body does not say. Input from the cache is counted apart."""
    if not body:
        return None
    try:
        answer = _ANSWER.decode(body)
    except (ValueError, RecursionError):
        return None
    usage = answer.usage
    if usage is None:
        if answer.prompt_token_count is None:
            return None
        return Usage(answer.prompt_token_count, 0, answer.generation_token_count or 0)
    cached = usage.cacheReadInputTokens or usage.cache_read_input_tokens or 0
    written = usage.cacheWriteInputTokens or usage.cache_creation_input_tokens or 0
    sent = (usage.inputTokens or usage.input_tokens or 0) + written + cached
    return Usage(sent, cached, usage.outputTokens or usage.output_tokens or 0)


def usage_of_headers(fields: Mapping[str, str]) -> Usage | None:
    """Return what the headers of an invocation say was billed, or None: they do so where its body has its own form."""
    names = ("input", "output", "cache-read-input", "cache-write-input")
    numbers = [whole_number(fields.get(f"x-amzn-bedrock-{name}-token-count", "")) for name in names]
    sent, output, cached, written = (number or 0 for number in numbers)
    return Usage(sent + cached + written, cached, output) if numbers[0] is not None else None


def _named(text: str) -> str:
    match = _NAME.fullmatch(text.strip())
    return match[1] if match else ""
