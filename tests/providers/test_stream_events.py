"""Events of streams: usage as far as told, errors that end them, and nothing from anything else."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import SECOND, Dimension
from scheduler.providers.base import Cause, Outcome, Provider, Reading, Usage
from scheduler.providers.registry import PROVIDERS, provider_named
from scheduler.tokens.text import ByteEstimate

OPENAI = provider_named("openai", ByteEstimate())
GROQ = provider_named("groq", ByteEstimate())
OPENROUTER = provider_named("openrouter", ByteEstimate())
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def read(event: Any, provider: Provider = OPENAI) -> Reading | None:
    return provider.read_event(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("event", "usage"),
    [
        ({"object": "chat.completion.chunk", "choices": [], "usage": USAGE}, Usage(12, 0, 5)),
        ({"choices": [], "usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 8}}}, Usage(12, 8, 5)),
        ({"choices": [], "usage": USAGE | {"prompt_cache_hit_tokens": 7}}, Usage(12, 7, 5)),
        ({"choices": [], "x_groq": {"id": "req", "usage": USAGE}}, Usage(12, 0, 5)),
        (
            {
                "type": "response.completed",
                "response": {"error": None, "usage": {"input_tokens": 4, "output_tokens": 9}},
            },
            Usage(4, 0, 9),
        ),
        (
            {"type": "response.incomplete", "response": {"usage": {"input_tokens": 4, "output_tokens": 9}}},
            Usage(4, 0, 9),
        ),
        ({"type": "image_generation.completed", "b64_json": "x", "usage": {"input_tokens": 7}}, Usage(7, 0, 0, 1)),
        ({"type": "image_edit.completed", "b64_json": "x"}, Usage(images=1)),
    ],
)
def test_usage(event: Any, usage: Usage) -> None:
    """The last chunk, Groq's own field, the answer within a last event, and each finished image tell the usage."""
    reading = read(event)
    assert reading is not None
    assert (reading.outcome, reading.usage) == (Outcome.SUCCESS, usage)


@pytest.mark.parametrize(
    "event",
    [
        {
            "object": "chat.completion.chunk",
            "choices": [{"delta": {"content": 'an "error" in "usage"'}}],
            "usage": None,
        },
        {"type": "response.created", "response": {"status": "in_progress", "error": None, "usage": None}},
        {"type": "response.output_text.delta", "delta": '"error"'},
        {"type": "image_generation.partial_image", "b64_json": "x"},
        {"type": "message", "error": {}},
        {"usage": {"prompt_tokens": -1}},
        {"usage": 7, "error": ""},
        {"error": None},
        {},
        [],
        7,
        "error",
        None,
    ],
)
def test_events_that_tell_nothing(event: Any) -> None:
    """The words may stand in what a model says or as empty fields; neither is usage or an error."""
    assert read(event) is None


RATE = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29937, Requested 385. Please try again in 644ms."


@pytest.mark.parametrize(
    ("event", "cause", "message"),
    [
        ({"error": {"message": "busy", "type": "server_error", "code": None}}, Cause.SERVER, "busy"),
        ({"error": {"message": "m", "code": "slow_down"}}, Cause.RAMP, "m"),
        ({"error": "The engine is overloaded"}, Cause.OVERLOAD, "The engine is overloaded"),
        ({"type": "error", "code": "server_is_overloaded", "message": "m", "param": None}, Cause.OVERLOAD, "m"),
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}},
            Cause.RATE,
            "m",
        ),
        ({"type": "response.failed", "response": {"error": None}}, Cause.SERVER, "the stream failed"),
        ({"object": "error", "message": "m", "type": "InternalServerError", "code": 500}, Cause.SERVER, "m"),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, Cause.BAD_REQUEST, "m"),
        ({"error": {"message": "m", "code": "503"}}, Cause.OVERLOAD, "m"),
    ],
)
def test_errors_that_end_a_stream(event: Any, cause: Cause, message: str) -> None:
    """Each way to say that a stream has failed is read by code, type, words, and the status that a code may be."""
    reading = read(event)
    assert reading is not None
    assert (reading.cause, reading.message, reading.usage) == (cause, message, None)


def test_a_refusal_within_a_stream_proves_its_level() -> None:
    """What a refusal's words prove they prove within a stream, too."""
    reading = read({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": RATE}}})
    assert reading is not None
    assert reading.refused is not None
    assert (reading.refused.dimension, reading.refused.remaining, reading.delay) == (Dimension.TOKENS, 63, 644_000_000)


def test_usage_beside_an_error_is_kept() -> None:
    """A failed answer may have been billed so far."""
    event = {"type": "response.failed", "response": {"error": {"code": "server_error"}, "usage": {"input_tokens": 3}}}
    reading = read(event)
    assert reading is not None
    assert (reading.cause, reading.usage) == (Cause.SERVER, Usage(3))


@pytest.mark.parametrize(
    ("code", "cause"),
    [(408, Cause.TIMEOUT), (429, Cause.RATE), (502, Cause.SERVER), (503, Cause.OVERLOAD), (402, Cause.BILLING)],
)
def test_openrouters_error_chunks_carry_a_status(code: int, cause: Cause) -> None:
    """The code of an error chunk is the HTTP status that it would have been."""
    chunk = {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "error": {"code": code, "message": "Provider disconnected unexpectedly"},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }
    reading = read(chunk, OPENROUTER)
    assert reading is not None
    assert reading.cause is cause


def test_an_error_behind_a_long_answer() -> None:
    """A failed answer's error is found behind megabytes of its output."""
    event = {"type": "response.failed", "response": {"output": "x" * 2_000_000, "error": {"code": "slow_down"}}}
    reading = read(event)
    assert reading is not None
    assert reading.cause is Cause.RAMP


def test_groqs_last_chunk() -> None:
    """Groq counts no cached input; its usage is what it says all the same."""
    usage = {"x_groq": {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 10}}}}
    reading = read(usage, GROQ)
    assert reading is not None
    assert reading.usage == Usage(12, 10, 5)
    assert GROQ.counted(reading.usage).tokens == 7
    assert OPENAI.counted(reading.usage).tokens == 17


NAMES = st.sampled_from(
    [
        "error",
        "usage",
        "type",
        "object",
        "code",
        "message",
        "response",
        "x_groq",
        "prompt_tokens",
        "metadata",
        "headers",
    ]
)
VALUES = st.sampled_from(["error", "response.failed", "slow_down", "429", "image_edit.completed"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES | st.text(max_size=10),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=5),
    max_leaves=15,
)


@given(
    name=st.sampled_from(sorted(PROVIDERS)),
    data=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace")),
)
def test_any_bytes_at_all(name: str, data: bytes) -> None:
    """Whatever an event holds, at any provider, nothing raises and what is read is bounded."""
    reading = provider_named(name, ByteEstimate()).read_event(data, url="/v1/chat/completions")
    if reading is not None:
        assert len(reading.message) <= 500
        assert reading.message.isprintable()
        assert reading.usage is not None or reading.cause is not None


def test_events_are_cheap() -> None:
    """A chunk with an empty usage, as every chunk has where usage was asked for, costs microseconds."""
    chunk = {"id": "x", "choices": [{"delta": {"content": "word " * 8}}], "usage": None}
    data = json.dumps(chunk).encode()
    begun = time.process_time()
    for _ in range(2_000):
        OPENAI.read_event(data)
    assert time.process_time() - begun < 0.5
    assert SECOND == 1_000_000_000
