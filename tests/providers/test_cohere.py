"""Cohere: requests, refusals and what answers billed."""

import json
from typing import Any

import pytest

from scheduler.core.quota import MINUTE, Charge, Dimension
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Cause, Observation, Outcome, Provider, Settlement, Usage
from scheduler.providers.cohere import MEDIA, Cohere

COHERE = Cohere()
CHAT = "/v2/chat"
TRIAL = (
    "You are using a Trial key, which is limited to {} API calls / {}. You can continue to use the Trial key for free "
    "or upgrade to a Production key"
)


def test_what_it_states() -> None:
    """Calls are what is limited, and nothing corrects a call; the base url is taken with or without its version."""
    provider: Provider = COHERE
    assert (provider.name, provider.key_variable) == ("cohere", "CO_API_KEY")
    assert provider.settlement is Settlement.KEPT
    assert Cohere(base_url="http://127.0.0.1:8080/v2/").base_url == "http://127.0.0.1:8080"
    assert COHERE.authorize("k") == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("url", "body", "requests", "tokens", "pool"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "x" * 40}]}, 1, 10, ""),
        (CHAT, {"messages": [], "documents": [{"id": "d", "data": {"text": "x" * 40}}]}, 1, 10, ""),
        (
            CHAT,
            {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "y" * 999}}]}]},
            1,
            MEDIA.image,
            "",
        ),
        ("/v1/chat", {"message": "x" * 40}, 1, 10, ""),
        ("/v2/embed", {"texts": ["x" * 20] * 2}, 2, 10, "embed"),
        ("/v2/embed", {"images": ["data:"]}, 1, 2, "embed-images"),
        ("/v2/embed", {"inputs": [{"content": [{"type": "text", "text": "x" * 40}]}] * 3}, 3, 30, "embed"),
        ("/v2/rerank", {"query": "x" * 20, "documents": ["x" * 20]}, 1, 10, "rerank"),
    ],
)
def test_charges(url: str, body: dict[str, Any], requests: int, tokens: int, pool: str) -> None:
    """Chat is limited by model, embed by its inputs, the rest by endpoint."""
    call = COHERE.describe("POST", url, {"model": "m"} | body)
    assert call.charge == Charge(requests, tokens, tokens)
    assert (call.model, call.pool) == ("m", pool)


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        ("/v2/forget", {}, "url"),
        ("/v2/chat?x", {}, "url"),
        (CHAT, {}, "body.model"),
        (CHAT, {"model": "m"}, "body.messages"),
        ("/v2/embed", {"model": "m"}, "body.texts"),
    ],
)
def test_what_cannot_be_sent_names_field_and_mend(url: str, body: Any, field: str) -> None:
    """A line that decides nothing about its charge is refused with the field and what to write."""
    with pytest.raises(InvalidRequest) as raised:
        COHERE.describe("POST", url, body)
    assert raised.value.field == field
    assert raised.value.mend


@pytest.mark.parametrize(
    ("path", "body", "model", "pool"),
    [
        (CHAT, {"model": "m", "messages": []}, "m", ""),
        ("/proxy/v2/chat", {"model": "m"}, "m", ""),
        ("/compatibility/v1/chat/completions", {"model": "m", "messages": []}, "m", ""),
        ("/v2/embed", {"model": "m"}, "m", "embed"),
        (CHAT, None, "", "chat"),
        ("/v1/embed-jobs/1/cancel", None, "", "embed-jobs"),
        ("/elsewhere", {"model": "m"}, "", "elsewhere"),
    ],
)
def test_recognising_what_others_send(path: str, body: Any, model: str, pool: str) -> None:
    """Prefixes do not matter; what names no model is one request to its endpoint."""
    call = COHERE.recognise("POST", path, {}, body, size=100)
    assert (call.model, call.pool, call.charge.requests) == (model, pool, 1)


PAST = "You are past the per minute request limit, please wait and try again later."
LIMIT = {"x-trial-endpoint-call-limit": "40"}
CATALOGUE: list[tuple[int, str, dict[str, str], Outcome, Cause, Observation | None]] = [
    (
        429,
        TRIAL.format(40, "minute"),
        {},
        Outcome.THROTTLED,
        Cause.RATE,
        Observation(Dimension.REQUESTS, 40, 0, MINUTE),
    ),
    (429, TRIAL.format("0", "minute"), {}, Outcome.FAILED, Cause.LIMIT_ZERO, None),
    (429, TRIAL.format(1000, "month"), {}, Outcome.FAILED, Cause.BILLING, None),
    (
        429,
        "trial token rate limit exceeded, limit is 100000 tokens per minute",
        {},
        Outcome.THROTTLED,
        Cause.RATE,
        Observation(Dimension.TOKENS, 100_000, 0, MINUTE),
    ),
    (429, PAST, {}, Outcome.THROTTLED, Cause.RATE, None),
    (429, PAST, LIMIT, Outcome.THROTTLED, Cause.RATE, Observation(Dimension.REQUESTS, 40, 0, MINUTE)),
    (429, "Please wait and try again later", LIMIT, Outcome.THROTTLED, Cause.RATE, None),
    (400, "too many tokens: total number of tokens in the prompt", {}, Outcome.FAILED, Cause.BAD_REQUEST, None),
    (401, "invalid api token", {}, Outcome.FAILED, Cause.AUTH, None),
    (402, "Please add or update your payment method to continue", {}, Outcome.FAILED, Cause.BILLING, None),
    (499, "request cancelled", {}, Outcome.FAILED, Cause.BAD_REQUEST, None),
    (500, "internal server error", {}, Outcome.FAILED, Cause.SERVER, None),
    (503, "", {}, Outcome.OVERLOADED, Cause.OVERLOAD, None),
]


@pytest.mark.parametrize(("status", "message", "headers", "outcome", "cause", "refused"), CATALOGUE)
def test_refusals(
    status: int, message: str, headers: dict[str, str], outcome: Outcome, cause: Cause, refused: Observation | None
) -> None:
    """The words say what was counted over what time; a month's calls are an empty account and no rate."""
    reading = COHERE.read(status, headers, json.dumps({"id": "1", "message": message}).encode())
    assert (reading.outcome, reading.cause, reading.refused) == (outcome, cause, refused)
    assert (reading.message, reading.request_id) == (message, "1")


def test_a_limit_without_a_level_proves_nothing() -> None:
    """A trial key's answers state its limit, on successes too."""
    reading = COHERE.read(200, LIMIT, b"{}")
    assert (reading.observations, reading.ignored) == ((), 0)


BILLED = {"billed_units": {"input_tokens": 10.0, "output_tokens": 3}, "tokens": {"input_tokens": 76}}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": BILLED}, Usage(10, 0, 3)),
        ({"usage": BILLED | {"cached_tokens": 4}}, Usage(10, 4, 3)),
        ({"meta": {"billed_units": {"input_tokens": 10}}}, Usage(10)),
        ({"meta": {"billed_units": {"images": 2}}}, Usage(images=2)),
        ({"meta": {"billed_units": {"search_units": 1}}}, Usage()),
        ({"usage": {"billed_units": {"input_tokens": -1}}}, None),
        ({"usage": {"billed_units": "x"}}, None),
        ({"usage": {"tokens": {"input_tokens": 76}}}, None),
        ([], None),
    ],
)
def test_usage(body: Any, usage: Usage | None) -> None:
    """What is billed counts, not what Cohere puts around it."""
    data = json.dumps(body).encode()
    assert COHERE.usage(CHAT, data) == usage
    assert COHERE.read(200, {}, data).usage == usage


@pytest.mark.parametrize(
    "data",
    [
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": BILLED}},
        {"event_type": "stream-end", "response": {"text": "x", "meta": BILLED}},
    ],
)
def test_the_last_event_of_a_stream_tells_the_usage(data: Any) -> None:
    """Of either version of the API."""
    reading = COHERE.read_event(json.dumps(data).encode())
    assert reading is not None
    assert reading.usage == Usage(10, 0, 3)
    assert COHERE.read_event(b'{"type": "content-delta"}') is None
    assert COHERE.counted(Usage(10, 0, 3)) == Charge(0, 10, 10, 3)
