"""What an answer of the Gemini API says it billed: whole answers, lists of a stream's, and each of its events."""

from typing import Annotated

import msgspec

from scheduler.providers.base import Usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class _Metadata(msgspec.Struct, rename="camel"):
    prompt_token_count: _Count | None = None
    tool_use_prompt_token_count: _Count | None = None
    cached_content_token_count: _Count | None = None
    candidates_token_count: _Count | None = None
    thoughts_token_count: _Count | None = None


class _Answer(msgspec.Struct, rename="camel"):
    usage_metadata: _Metadata | None = None


_ANSWER = msgspec.json.Decoder(_Answer | list[_Answer])


def usage_of(body: bytes | None) -> Usage | None:
    """Return what an answer billed, or None where it does not say. Thoughts are output; of a list the last one counts.

    What was cached lies within the prompt; what tools put before the model is beside it.
    """
    if not body or b'"usageMetadata"' not in body:
        return None
    try:
        answer = _ANSWER.decode(body)
    except (ValueError, RecursionError):
        return None
    answers = answer if isinstance(answer, list) else [answer]
    told = next((each.usage_metadata for each in reversed(answers) if each.usage_metadata), None)
    if told is None:
        return None
    sent = (told.prompt_token_count or 0) + (told.tool_use_prompt_token_count or 0)
    output = (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)
    return Usage(sent, min(sent, told.cached_content_token_count or 0), output)
