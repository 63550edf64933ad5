"""Answers in pieces, as server-sent events."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from scheduler.simulator.answers import Work, message_item, response, usage
from scheduler.simulator.calls import CHAT, COMPLETIONS, RESPONSES

DONE = b"data: [DONE]\n\n"


def event(data: Any, name: str = "") -> bytes:
    """Return one server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + msgspec.json.encode(data) + b"\n\n"


def pieces(text: str, most: int) -> list[str]:
    """Cut *text* into at most *most* pieces of equal size."""
    size = max(1, -(-len(text) // most))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _wants_usage(work: Work) -> bool:
    options = work.call.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _chat(work: Work, most: int) -> Iterator[bytes]:
    head = {
        "id": f"chatcmpl-{work.name}",
        "object": "chat.completion.chunk",
        "created": work.created,
        "model": work.call.model,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    tail = {"usage": None} if _wants_usage(work) else {}

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice], **tail})

    for index in range(work.call.choices):
        yield chunk(index, {"role": "assistant", "content": "", "refusal": None})
    for piece in pieces(work.text, most):
        for index in range(work.call.choices):
            yield chunk(index, {"content": piece})
    for index in range(work.call.choices):
        yield chunk(index, {}, work.finish)
    if tail:
        yield event({**head, "choices": [], "usage": usage(work)})
    yield DONE


def _completions(work: Work, most: int) -> Iterator[bytes]:
    head = {
        "id": f"cmpl-{work.name}",
        "object": "text_completion",
        "created": work.created,
        "model": work.call.model,
    }
    tail = {"usage": None} if _wants_usage(work) else {}

    def chunk(index: int, text: str, finish: str | None = None) -> bytes:
        return event(
            {**head, "choices": [{"text": text, "index": index, "logprobs": None, "finish_reason": finish}], **tail}
        )

    for piece in pieces(work.text, most):
        for index in range(work.call.choices):
            yield chunk(index, piece)
    for index in range(work.call.choices):
        yield chunk(index, "", work.finish)
    if tail:
        yield event({**head, "choices": [], "usage": usage(work)})
    yield DONE


def _responses(work: Work, most: int) -> Iterator[bytes]:
    number = -1

    def step(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return event({"type": f"response.{kind}", "sequence_number": number, **fields}, f"response.{kind}")

    item = message_item(work, work.text, "completed")
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    begun = response(work, "in_progress")
    yield step("created", response=begun)
    yield step("in_progress", response=begun)
    yield step("output_item.added", output_index=0, item=message_item(work, "", "in_progress"))
    yield step("content_part.added", **place, part=empty)
    for piece in pieces(work.text, most):
        yield step("output_text.delta", **place, delta=piece, logprobs=[])
    yield step("output_text.done", **place, text=work.text, logprobs=[])
    yield step("content_part.done", **place, part={**empty, "text": work.text})
    yield step("output_item.done", output_index=0, item=item)
    ended = response(work)
    yield step(ended["status"], response=ended)


STREAMS: dict[str, Callable[[Work, int], Iterator[bytes]]] = {
    CHAT: _chat,
    COMPLETIONS: _completions,
    RESPONSES: _responses,
}
"""Endpoint -> what makes the events of its answer, given the most pieces of content for one choice."""


def failure(path: str) -> bytes:
    """Return the event of an error that strikes in the middle of a stream."""
    fault = {
        "message": "The server had an error while processing your request. Sorry about that!",
        "code": "server_error",
    }
    if path == RESPONSES:
        return event({"type": "error", "sequence_number": -1, **fault, "param": None}, "error")
    return event({"error": {**fault, "type": "server_error", "param": None}})
