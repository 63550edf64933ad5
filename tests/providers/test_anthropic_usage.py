"""What Anthropic's answers and streams say they billed, and what of it the limiter counts."""

import json
from typing import Any

import pytest

from scheduler.core.quota import Charge
from scheduler.providers.anthropic import MESSAGES, Anthropic
from scheduler.providers.base import Cause, Outcome, Usage

ANTHROPIC = Anthropic()


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": {"input_tokens": 10, "output_tokens": 3}}, Usage(10, 0, 3)),
        (
            {
                "usage": {
                    "input_tokens": 10,
                    "cache_creation_input_tokens": 200,
                    "cache_read_input_tokens": 5_000,
                    "output_tokens": 3,
                }
            },
            Usage(5_210, 5_000, 3),
        ),
        ({"usage": {"input_tokens": 10, "cache_read_input_tokens": None, "output_tokens": 3}}, Usage(10, 0, 3)),
        ({"input_tokens": 14}, None),  # a count of tokens bills nothing
        ({"usage": None}, None),
        ({"usage": {"input_tokens": -1}}, None),
        ({"usage": {"input_tokens": 10**13}}, None),
        ({"usage": "many"}, None),
        ([], None),
    ],
)
def test_usage(body: Any, usage: Usage | None) -> None:
    """Input is all that was sent; reads of the cache are a part of it."""
    assert ANTHROPIC.usage(MESSAGES, json.dumps(body).encode()) == usage
    assert ANTHROPIC.read(200, {}, json.dumps(body).encode()).usage == usage


def event(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_stream_tells_input_first_and_output_last() -> None:
    """The first event tells what was sent and read from the cache, later ones the output so far."""
    sent = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}
    first = ANTHROPIC.read_event(event(type="message_start", message={"usage": sent}))
    last = ANTHROPIC.read_event(event(type="message_delta", delta={}, usage={"output_tokens": 15}))
    assert first is not None
    assert last is not None
    assert (first.usage, last.usage) == (Usage(100, 90, 1), Usage(0, 0, 15))


def test_an_error_ends_a_stream() -> None:
    """An error event is a refusal that comes late."""
    reading = ANTHROPIC.read_event(event(type="error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert reading is not None
    assert (reading.outcome, reading.cause, reading.message) == (Outcome.OVERLOADED, Cause.OVERLOAD, "Overloaded")
    reading = ANTHROPIC.read_event(event(type="error", error={"type": "new_error", "message": "?"}))
    assert reading is not None
    assert reading.cause is Cause.SERVER


@pytest.mark.parametrize(
    "data",
    [
        event(type="ping"),
        event(type="message_stop"),
        event(type="content_block_delta", delta={"type": "text_delta", "text": '"error" "usage"'}),
        event(type="content_block_start", content_block={"type": "web_search_tool_result", "content": {"error": 1}}),
        event(error="no object"),
        b"[DONE]",
        b"",
    ],
)
def test_other_events_say_nothing(data: bytes) -> None:
    """What is said in an answer is no error of it."""
    assert ANTHROPIC.read_event(data) is None


def test_reads_of_the_cache_do_not_count() -> None:
    """Input that was read from the cache is free of the limit, but for the one model that counts it."""
    usage = Usage(5_210, 5_000, 300)
    assert ANTHROPIC.counted(usage) == Charge(0, 510, 210, 300)
    assert ANTHROPIC.counted(usage, "claude-3-5-haiku-20241022") == Charge(0, 5_510, 5_210, 300)
    assert ANTHROPIC.counted(usage, "claude-haiku-4-5") == Charge(0, 510, 210, 300)
