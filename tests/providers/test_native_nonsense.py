"""Whatever a server or a client sends: the adapters of APIs with languages of their own never raise on it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.errors import InvalidRequest
from scheduler.providers.anthropic import Anthropic
from scheduler.providers.base import Outcome, Provider
from scheduler.providers.bedrock import Bedrock
from scheduler.providers.cohere import Cohere
from scheduler.providers.gemini import Gemini
from scheduler.providers.registry import PROVIDERS, provider_named
from scheduler.tokens.text import ByteEstimate

ALL: list[Provider] = [Anthropic(), Gemini(), Cohere(), Bedrock()]
PATHS = [
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/m-image:generateContent",
    "/v1beta/models/m:batchEmbedContents",
    "/v1beta/models/m:countTokens",
    "/v1beta/openai/chat/completions",
    "/v2/chat",
    "/v2/embed",
    "/model/m/converse",
    "/model/m/invoke",
]
REQUEST = "model messages contents content system parts text type source data image bytes inlineData mimeType format"
REQUEST += " tools input max_tokens requests texts images documents generationConfig candidateCount inferenceConfig"
ANSWER = "error message code status details violations quotaId quotaValue retryDelay metadata usage usageMetadata meta"
ANSWER += " promptTokenCount billed_units delta inputTokens input_tokens __type Error Code request_id error_code"
KEYS = st.sampled_from(f"{REQUEST} {ANSWER}".split())
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        *("image", "document", "text", "image/png", "png", "iVBORw0KGgo", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAA="),
        *("rate_limit_error", "RESOURCE_EXHAUSTED", "GenerateRequestsPerDayPerProject", "limit: 0", "47s", "{", "[{}]"),
        *("This request would exceed the rate limit of 5 tokens per minute", "limited to 0 API calls / minute"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS | TEXTS, inside, max_size=6),
    max_leaves=25,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("retry-after", "Date", "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining"),
            *("x-amzn-errortype", "x-trial-endpoint-call-limit", "x-amzn-bedrock-input-token-count", "request-id"),
        ]
    )
    | st.text(max_size=20),
    st.text(max_size=80) | st.integers().map(str) | st.just("Tue, 06 Jan 2026 04:00:00 GMT"),
)
BODIES = st.none() | st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace"))


@pytest.mark.parametrize("provider", ALL, ids=lambda each: each.name)
@settings(max_examples=150)
@given(status=st.integers(-1, 1000) | st.integers(), headers=HEADERS, body=BODIES)
def test_no_answer_raises(provider: Provider, status: int, headers: dict[str, str], body: bytes | None) -> None:
    """An answer is read into something sane, as a whole, as an event and for its usage."""
    reading = provider.read(status, headers, body)
    assert (reading.outcome is Outcome.SUCCESS) == (200 <= status < 300) == (reading.cause is None)
    for text, most in ((reading.message, 500), (reading.code, 100), (reading.request_id, 100)):
        assert text.isprintable()
        assert len(text) <= most
    assert reading.delay is None or reading.delay >= 0
    for one in (*reading.observations, *([reading.refused] if reading.refused else [])):
        assert 0 <= one.remaining <= one.limit
        assert one.limit > 0
    event = provider.read_event(body or b"")
    for usage in (reading.usage, event.usage if event else None):
        if usage is not None:
            assert 0 <= usage.cached_tokens <= usage.input_tokens
            assert all(units >= 0 for units in provider.counted(usage))


@pytest.mark.parametrize("provider", ALL, ids=lambda each: each.name)
@settings(max_examples=150)
@given(path=st.sampled_from(PATHS) | st.text(max_size=40), body=JSON, size=st.integers(0, 10**9))
def test_no_request_raises(provider: Provider, path: str, body: Any, size: int) -> None:
    """What somebody sends is recognised as something; what is to be checked is described, or refused with a mend."""
    call = provider.recognise("POST", path, {}, body if isinstance(body, dict) else None, size)
    assert call.charge.requests >= 1
    assert all(units >= 0 for units in call.charge)
    assert call.model or call.pool or not path.strip("/")
    refusal = None
    try:
        call = provider.describe("POST", path, body)
    except InvalidRequest as error:
        refusal = error
    assert call.url == path or refusal is not None
    assert refusal is None or (refusal.field and refusal.mend)


@pytest.mark.parametrize("provider", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"error":' * 30_000, b'"' + b"\\\\" * 100_000, b"\xff" * 100_000])
def test_bodies_made_to_hurt(provider: Provider, body: bytes) -> None:
    """Depth and length of an answer do no harm."""
    assert provider.read(429, {}, body).cause is not None
    assert provider.usage("", body) is None
    assert provider.read_event(body) is None


@pytest.mark.parametrize("name", PROVIDERS)
def test_providers_go_by_their_names(name: str) -> None:
    """Each is found by its name, at its own address or at another one."""
    assert provider_named(name, ByteEstimate()).name == name
    assert provider_named(name, ByteEstimate(), "http://127.0.0.1:1").base_url == "http://127.0.0.1:1"
