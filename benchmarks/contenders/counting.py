"""Tokens of a request as the provider's cookbook counts them: what throttles want to be told. Needs tiktoken."""

from functools import cache
from typing import Any

import tiktoken
from race import Request


@cache
def _encoding() -> Any:
    return tiktoken.get_encoding("o200k_base")


def load() -> None:
    """Load the encoding, before the race."""
    _encoding().encode("")


def tokens_of(request: Request) -> int:
    """Return a request's input tokens and the most that it may be answered with."""
    body = request.body
    if request.endpoint == "embeddings":
        given = body["input"]
        return sum(len(_encoding().encode(text)) for text in ([given] if isinstance(given, str) else given))
    if request.endpoint == "images/generations":
        return len(_encoding().encode(body["prompt"]))
    tokens = 3
    for message in body["messages"]:
        tokens += 3 + len(_encoding().encode(message["role"])) + len(_encoding().encode(message["content"]))
    return tokens + int(body.get("max_completion_tokens", 16))
