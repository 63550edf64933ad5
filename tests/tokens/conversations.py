"""Input tokens of whole bodies, for the tests of tokens."""

from collections.abc import Mapping
from typing import Any

from scheduler.tokens.chat import content_tokens
from scheduler.tokens.content import content_of
from scheduler.tokens.counter import TokenCounter


def chat_tokens(body: Mapping[str, Any], model: str, counter: TokenCounter) -> int:
    """Return the input tokens of a chat or Responses *body* of any shape."""
    content = content_of(body.get("messages"), body.get("input"), body.get("instructions"))
    return content_tokens(content, model, counter, body)
