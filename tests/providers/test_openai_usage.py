"""What an answer billed, read from its body."""

import json
from typing import Any

import pytest

from scheduler.providers.base import Usage
from scheduler.providers.openai import OpenAI
from scheduler.providers.openai_usage import usage_of
from scheduler.tokens.text import ByteEstimate

CHAT, IMAGES = "/v1/chat/completions", "/v1/images/generations"


@pytest.mark.parametrize(
    ("url", "body", "usage"),
    [
        (CHAT, {"usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}, Usage(12, 0, 5)),
        (
            CHAT,
            {"usage": {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}},
            Usage(12, 8, 5),
        ),
        (CHAT, {"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}}, Usage(3, 3, 0)),
        (CHAT, {"usage": {"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}}, Usage(3)),
        (
            "/v1/responses",
            {"usage": {"input_tokens": 44, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 4}}},
            Usage(44, 4, 9),
        ),
        (
            "/v1/responses",
            {"type": "response.completed", "response": {"usage": {"input_tokens": 4, "output_tokens": 9}}},
            Usage(4, 0, 9),
        ),
        (
            "/v1/embeddings",
            {"data": [{"embedding": [0.1] * 9}], "usage": {"prompt_tokens": 9, "total_tokens": 9}},
            Usage(9),
        ),
        (IMAGES, {"data": [{"b64_json": "x"}, {"url": "y"}]}, Usage(images=2)),
        (IMAGES, {"data": [{}], "usage": {"input_tokens": 7, "output_tokens": 1056}}, Usage(7, 0, 1056, 1)),
        ("", {"usage": {"prompt_tokens": 12, "completion_tokens": 5}}, Usage(12, 0, 5)),
        (CHAT, {"usage": None}, None),
        (CHAT, {}, None),
        (CHAT, [], None),
        (CHAT, {"usage": {"prompt_tokens": -1}}, None),
        (CHAT, {"usage": {"prompt_tokens": 10**13}}, None),
        (CHAT, {"usage": {"prompt_tokens": "many"}}, None),
        (CHAT, {"usage": 7}, None),
        (IMAGES, {"data": []}, None),
    ],
)
def test_usage(url: str, body: Any, usage: Usage | None) -> None:
    """Each endpoint's names for input, cached input, output and images are read; nonsense is no usage."""
    assert usage == usage_of(url, json.dumps(body).encode())


@pytest.mark.parametrize("body", [None, b"", b"{", b"\xff", b"data: {}\n\n", b'{"x":' + b"[" * 100_000])
def test_bodies_without_usage(body: bytes | None) -> None:
    """A body that was not read, or is no JSON, bills nothing that is known."""
    assert usage_of(CHAT, body) is None


def test_only_a_success_bills() -> None:
    """A refusal's body has no usage, even if it says so."""
    openai, body = OpenAI(ByteEstimate()), b'{"usage": {"prompt_tokens": 1}}'
    assert openai.read(200, {}, body, url=CHAT).usage == Usage(1)
    assert Usage(input_tokens=3, cached_tokens=2, output_tokens=4).tokens == 7
    assert openai.read(429, {}, body, url=CHAT).usage is None
