"""Requests to the Gemini API, and what its answers billed."""

import base64
import json
from typing import Any

import pytest

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Cause, Outcome, Provider, Settlement, Usage
from scheduler.providers.gemini import MEDIA, TILE, Gemini

GEMINI = Gemini()
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"


def said(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def sent(tokens: int, requests: int = 1, images: int = 0) -> Charge:
    return Charge(requests, tokens, tokens, 0, images)


def test_what_it_states() -> None:
    """Charges are corrected; the base url is taken with or without its version."""
    provider: Provider = GEMINI
    assert (provider.name, provider.key_variable) == ("gemini", "GEMINI_API_KEY")
    assert provider.settlement is Settlement.CORRECTED
    assert Gemini(base_url="http://127.0.0.1:8080/v1beta/").base_url == "http://127.0.0.1:8080"
    assert GEMINI.authorize("k") == {"x-goog-api-key": "k"}


@pytest.mark.parametrize(
    ("url", "body", "charge"),
    [
        (GENERATE, said({"text": "x" * 40}), sent(10)),
        (GENERATE, said({"text": "x" * 40}) | {"generationConfig": {"maxOutputTokens": 9_999}}, sent(10)),
        (GENERATE, said() | {"systemInstruction": {"parts": [{"text": "x" * 40}]}}, sent(10)),
        (GENERATE, said({"inlineData": {"mimeType": "image/jpeg", "data": "y" * 9_999}}), sent(MEDIA.image)),
        (GENERATE, said({"inline_data": {"mime_type": "audio/mp3", "data": "y" * 9_999}}), sent(MEDIA.other)),
        (GENERATE, said({"fileData": {"mimeType": "application/pdf", "fileUri": "https://x"}}), sent(MEDIA.other)),
        (GENERATE, said({"functionCall": {"name": "x" * 36, "args": {"abcd": 1}}}), sent(10)),
        (GENERATE, said() | {"tools": [{"functionDeclarations": []}]}, sent(5)),
        (GENERATE.replace("v1beta", "v1"), said(), sent(1)),
        (GENERATE.replace("2.5-flash", "2.5-flash-image"), said(), sent(1, images=1)),
        (
            GENERATE.replace("2.5-flash", "3-image"),
            said() | {"generationConfig": {"candidateCount": 3}},
            sent(1, images=3),
        ),
        ("/v1beta/models/e:embedContent", {"content": {"parts": [{"text": "x" * 40}]}}, sent(10)),
        (
            "/v1beta/models/e:batchEmbedContents",
            {"requests": [{"content": {"parts": [{"text": "x" * 40}]}}] * 3},
            sent(30, 3),
        ),
        ("/v1beta/models/m:countTokens", said({"text": "x" * 40}), Charge()),
        ("/v1beta/models/m:countTokens", {"generateContentRequest": said()}, Charge()),
    ],
)
def test_charges(url: str, body: dict[str, Any], charge: Charge) -> None:
    """Input counts, under both names that people give the limit; output does not; counting is free."""
    call = GEMINI.describe("POST", url, body)
    assert (call.charge, call.url) == (charge, url)


def test_the_model_is_in_the_path() -> None:
    """So is whether it streams; counting tokens has a pool of its own."""
    call = GEMINI.describe("POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent", said())
    assert (call.model, call.stream, call.pool) == ("gemini-2.5-pro", True, "")
    call = GEMINI.describe("POST", "/v1beta/models/gemini-2.5-pro:countTokens", said())
    assert (call.model, call.pool) == ("gemini-2.5-pro", "gemini-2.5-pro@countTokens")


def test_images_count_in_tiles() -> None:
    """A small image is one tile, a larger one as many as cover it, where it says its size."""
    for width, height, tiles in ((384, 384, 1), (385, 100, 1), (769, 768, 2), (1_536, 1_536, 4)):
        head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4) + height.to_bytes(4)
        part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(head + b"\x00" * 9).decode()}}
        assert GEMINI.describe("POST", GENERATE, said(part)).charge.tokens == tiles * TILE


@pytest.mark.parametrize(
    ("method", "url", "body", "field"),
    [
        ("GET", GENERATE, {}, "method"),
        ("POST", "/v1beta/models/m:forget", {}, "url"),
        ("POST", "/v1beta/models/a/b:generateContent", {}, "url"),
        ("POST", "/v1beta/models/..:generateContent", {}, "url"),
        ("POST", "/v1beta/models/m%2f:generateContent", {}, "url"),
        ("POST", "https://x/v1beta/models/m:generateContent", {}, "url"),
        ("POST", GENERATE + "?key=secret", {}, "url"),
        ("POST", GENERATE, [], "body"),
        ("POST", GENERATE, {}, "body.contents"),
        ("POST", "/v1beta/models/m:batchEmbedContents", {}, "body.requests"),
        ("POST", "/v1beta/models/m:countTokens", {}, "body.contents"),
    ],
)
def test_what_cannot_be_sent_names_field_and_mend(method: str, url: str, body: Any, field: str) -> None:
    """Only known methods of plainly named models pass; the words never repeat what was given."""
    with pytest.raises(InvalidRequest) as raised:
        GEMINI.describe(method, url, body)
    assert raised.value.field == field
    assert raised.value.mend
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "body", "model", "pool", "charge"),
    [
        (GENERATE, said({"text": "x" * 40}), "gemini-2.5-flash", "", sent(10)),
        ("/proxy" + GENERATE, None, "gemini-2.5-flash", "", sent(25)),
        (
            "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:generateContent",
            said({"text": "x" * 40}),
            "gemini-2.5-pro",
            "",
            sent(10),
        ),
        ("/v1beta/models/m:countTokens", None, "m", "m@countTokens", Charge()),
        ("/v1beta/models/imagen-4:predict", {"instances": [{"prompt": "x" * 40}]}, "imagen-4", "", sent(10, images=1)),
        ("/v1beta/models/m%0A:generateContent", said(), "m\n", "", sent(25)),
        ("/v1beta/openai/chat/completions", {"model": "models/m", "messages": "x" * 40}, "m", "", sent(10)),
        ("/v1beta/openai/embeddings", None, "", "openai", Charge()),
        ("/v1beta/models", None, "", "models", Charge()),
        ("/upload/v1beta/files", None, "", "files", Charge()),
        ("/elsewhere", {"model": "m"}, "", "elsewhere", Charge()),
    ],
)
def test_recognising_what_others_send(path: str, body: Any, model: str, pool: str, charge: Charge) -> None:
    """Prefixes and projects do not matter; what names no model is one request to its endpoint."""
    call = GEMINI.recognise("POST", path, {}, body, size=100)
    assert (call.model, call.pool, call.charge) == (model, pool, charge)


METADATA = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 150}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usageMetadata": METADATA}, Usage(100, 0, 20)),
        ({"usageMetadata": METADATA | {"cachedContentTokenCount": 90, "thoughtsTokenCount": 30}}, Usage(100, 90, 50)),
        ({"usageMetadata": METADATA | {"toolUsePromptTokenCount": 7}}, Usage(107, 0, 20)),
        ([{"usageMetadata": {"promptTokenCount": 100}}, {"usageMetadata": METADATA}, {}], Usage(100, 0, 20)),
        ({"usageMetadata": {"promptTokenCount": -1}}, None),
        ({"usageMetadata": None}, None),
        ({"totalTokens": 5}, None),
        ([], None),
    ],
)
def test_usage(body: Any, usage: Usage | None) -> None:
    """Thoughts are output; what was cached lies within the prompt, what tools added beside it."""
    data = json.dumps(body).encode()
    assert GEMINI.usage(GENERATE, data) == usage
    assert GEMINI.read(200, {}, data).usage == usage


def test_every_event_of_a_stream_tells_the_usage_so_far() -> None:
    """An event bills, or is an error that ends the stream, or says nothing."""
    reading = GEMINI.read_event(json.dumps({"candidates": [], "usageMetadata": METADATA}).encode())
    assert reading is not None
    assert reading.usage == Usage(100, 0, 20)
    reading = GEMINI.read_event(b'{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}')
    assert reading is not None
    assert (reading.outcome, reading.cause) == (Outcome.OVERLOADED, Cause.OVERLOAD)
    for data in (b'{"candidates": [{"content": {"parts": [{"text": "error"}]}}]}', b'{"x": {"error": 1}}', b""):
        assert GEMINI.read_event(data) is None


def test_input_is_what_counts() -> None:
    """TPM is of input tokens; cached ones are taken to count."""
    assert GEMINI.counted(Usage(100, 90, 50)) == Charge(0, 100, 100, 50)
