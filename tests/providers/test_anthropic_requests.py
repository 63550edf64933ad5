"""Requests to Anthropic: what they draw on and what they are charged, checked or as an SDK sends them."""

import base64
import time
from typing import Any

import pytest

from scheduler.core.quota import Charge, Dimension
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.providers.anthropic import DOCUMENT, IMAGE, MESSAGES, OUTPUT, TOOLS, Anthropic
from scheduler.providers.base import Call, Provider, Settlement

ANTHROPIC = Anthropic()


def describe(url: str = MESSAGES, /, **body: Any) -> Call:
    return ANTHROPIC.describe("POST", url, {"model": "claude-sonnet-5-5", "max_tokens": 100} | body)


def said(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def test_what_it_states() -> None:
    """Charges are corrected, refusals are free, and nothing is known of growth and idempotency."""
    provider: Provider = ANTHROPIC
    assert (provider.name, provider.key_variable) == ("anthropic", "ANTHROPIC_API_KEY")
    assert provider.settlement is Settlement.CORRECTED
    assert provider.refusals_charged == frozenset[Dimension]()
    assert (provider.growth, provider.idempotency_header) == (None, None)
    assert Anthropic(base_url="http://127.0.0.1:8080/v1/").base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"messages": "x" * 35}, 10),
        ({"messages": [{"role": "user", "content": "x" * 36}]}, 11),
        ({"messages": [], "system": "x" * 35}, 10),
        ({"messages": [], "system": [{"type": "text", "text": "x" * 35, "cache_control": {"type": "ephemeral"}}]}, 10),
        ({"messages": []}, 1),
        (said({"type": "text", "text": "\u6f22" * 35}), 30),
        (said({"type": "thinking", "thinking": "x" * 35, "signature": "y" * 9_999}), 10),
        (said({"type": "redacted_thinking", "data": "y" * 9_999}), 1),
        (said({"type": "tool_use", "id": "t", "name": "x" * 25, "input": {"citybrlin": "x"}}), 10),
        (said({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x" * 35}]}), 10),
        (said({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "y" * 9_999}}), IMAGE),
        (said({"type": "image", "source": {"type": "url", "url": "https://x"}}), IMAGE),
        (said({"type": "document", "source": {"type": "base64", "data": "y" * 9_999}}), DOCUMENT),
        (said({"type": "document", "source": {"type": "text", "data": "x" * 28}, "title": "x" * 7}), 10),
        (
            said({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x" * 35}]}}),
            10,
        ),
        ({"messages": [], "tools": [{"name": "x" * 31}]}, TOOLS + 10),
        ({"messages": [], "tools": []}, 1),
    ],
)
def test_input_is_estimated_from_what_it_says(body: dict[str, Any], sent: int) -> None:
    """Texts, tools, images and documents count; signatures, encoded bytes and names of roles do not."""
    call = describe(**body)
    assert call.charge == Charge(1, sent + 100, sent, 100)
    assert call.input_tokens == sent


def test_a_png_says_its_size() -> None:
    """An image's tokens are width times height by 750, up to what a large one is reduced to."""
    for width, height, tokens in ((750, 100, 100), (751, 100, 101), (4_000, 4_000, IMAGE)):
        head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x06\x00"
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(head + b"\x00" * 99).decode()}
        assert describe(**said({"type": "image", "source": source})).charge.input_tokens == tokens


@pytest.mark.parametrize(("cap", "reserved"), [(1, 1), (OUTPUT, OUTPUT), (64_000, OUTPUT)])
def test_output_is_reserved_moderately(cap: int, reserved: int) -> None:
    """max_tokens is no charge: it bounds what is reserved until the answer tells."""
    assert describe(messages="x", max_tokens=cap).charge.output_tokens == reserved


def test_counting_tokens_is_a_request_of_its_own() -> None:
    """It is free, and limited by itself."""
    call = describe("/v1/messages/count_tokens", messages="x" * 999)
    assert (call.charge, call.pool) == (Charge(), "messages/count_tokens")


def test_fast_mode_has_limits_of_its_own() -> None:
    """Fast mode names a pool of its own; its model stays the model."""
    call = describe(messages="x", speed="fast", stream=True)
    assert (call.model, call.pool, call.stream) == ("claude-sonnet-5-5", "claude-sonnet-5-5@fast", True)
    assert describe(messages="x", speed="standard").pool == ""


@pytest.mark.parametrize(
    "url",
    ["", "v1/messages", "/v1/messages/", "//evil/v1/messages", "https://u:secret@x/v1/messages", "/v1/../v1/messages",
     "/v1/messages?key=secret", "/v1/messages#x", "/v1/messages\r\nX: y", "/v1/messages/batches", None, 7],
)  # fmt: skip
def test_urls_that_are_not_known_paths(url: Any) -> None:
    """Only the known relative paths pass; the words list them and never repeat what was given."""
    with pytest.raises(InvalidRequest) as raised:
        ANTHROPIC.describe("POST", url, {"model": "m", "max_tokens": 1, "messages": []})
    assert raised.value.field == "url"
    assert MESSAGES in raised.value.mend
    assert "secret" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("GET", {}, "method"),
        ("POST", [], "body"),
        ("POST", {}, "body.model"),
        ("POST", {"model": 5}, "body.model"),
        ("POST", {"model": "x" * 201}, "body.model"),
        ("POST", {"model": "x\n"}, "body.model"),
        ("POST", {"model": "m"}, "body.messages"),
        ("POST", {"model": "m", "messages": []}, "body.max_tokens"),
        *(
            ("POST", {"model": "m", "messages": [], "max_tokens": cap}, "body.max_tokens")
            for cap in (0, True, "5", 10**10)
        ),
    ],
)
def test_what_cannot_be_sent_names_field_and_mend(method: str, body: Any, field: str) -> None:
    """A line of bulk work that decides nothing about its charge is refused with the field and what to write."""
    with pytest.raises(InvalidRequest) as raised:
        ANTHROPIC.describe(method, MESSAGES, body)
    assert raised.value.field == field
    assert raised.value.mend


@pytest.mark.parametrize(
    ("path", "body", "model", "pool"),
    [
        ("/v1/messages", {"model": "m", "messages": [], "max_tokens": 5}, "m", ""),
        ("/proxy/anthropic/v1/messages", {"model": "m", "messages": [], "max_tokens": 5}, "m", ""),
        ("/v1/messages", {"model": "m"}, "m", ""),
        ("/v1/messages", None, "", "messages"),
        ("/v1/messages", {"model": ["m"]}, "", "messages"),
        ("/v1/messages/batches", {"requests": []}, "", "messages/batches"),
        ("/v1/messages/batches/msgbatch_1/results", None, "", "messages/batches"),
        ("/v1/messages/count_tokens", {"model": "m", "messages": []}, "m", "messages/count_tokens"),
        ("/v1/models/claude-sonnet-5-5", None, "", "models"),
        ("/v1/files", None, "", "files"),
        ("/v1/chat/completions", {"model": "m", "messages": []}, "m", ""),
        ("/v1/organizations/usage", None, "", "organizations"),
        ("/elsewhere", {"model": "m"}, "", "elsewhere"),
        ("", None, "", ""),
    ],
)
def test_recognising_what_others_send(path: str, body: Any, model: str, pool: str) -> None:
    """Prefixes do not matter; what names no model of messages is one request to its endpoint."""
    call = ANTHROPIC.recognise("POST", path, {}, body, size=70)
    assert (call.model, call.pool) == (model, pool)
    assert call.charge.requests == 1
    assert bool(call.charge.tokens) is (bool(model) and not pool)


def test_a_body_that_was_not_looked_into_is_charged_by_its_size() -> None:
    """What cannot be described counts its bytes, and the moderate output."""
    call = ANTHROPIC.recognise("POST", "/v1/messages", {}, {"model": "m"}, size=3_500)
    assert call.charge == Charge(1, 1_000 + OUTPUT, 1_000, OUTPUT)


def nested(depth: int) -> list[Any]:
    outer: list[Any] = []
    for _ in range(depth):
        outer = [outer]
    return outer


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "\u6f22" * 20_000_000},
        {"messages": [{"role": "user", "content": "x" * 500}] * 100_000},
        {"messages": nested(100_000), "system": nested(100_000), "tools": nested(100_000)},
        {"messages": [{"content": [{"type": "document", "title": nested(100_000), "source": {}}]}]},
    ],
    ids=["60 MB", "many messages", "deep", "deep within a document"],
)
def test_bodies_made_to_hurt(body: dict[str, Any]) -> None:
    """Size, depth and number of pieces cost no more than time in proportion."""
    begun = time.process_time()
    assert describe(**body).charge.input_tokens >= 1
    assert time.process_time() - begun < 10


def test_authorize() -> None:
    """The key goes into its own header, with the version that the API demands."""
    headers = ANTHROPIC.authorize("sk-ant-1", project="ignored")
    assert headers == {"x-api-key": "sk-ant-1", "anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("bad", ["", "se cret", "secret\n", "secret\x00", "secret\u2026"])
def test_keys_that_no_header_carries(bad: str) -> None:
    """A key with line ends or strange letters is refused, and is not repeated in the words."""
    with pytest.raises(ConfigurationError) as raised:
        ANTHROPIC.authorize(bad)
    assert raised.value.key == "ANTHROPIC_API_KEY"
    assert "cret" not in str(raised.value)
