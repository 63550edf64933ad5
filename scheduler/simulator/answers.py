"""What a successful answer says, shaped as the provider's SDK parses it.

The text is filler of the right size; vectors depend on their text only; ids depend on the request and its luck.
"""

import base64
import hashlib
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scheduler.simulator.calls import CHAT, COMPLETIONS, EMBEDDINGS, IMAGES, MODERATIONS, RESPONSES, Call
from scheduler.simulator.charging import PICTURE

EPOCH = 1_760_000_000
"""Unix time at which every simulator begins, for ``created``."""

_FILLER = "This is an answer of a simulated provider, which says nothing at the length that was asked for. "
_CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors"),
    *("violence", "violence/graphic"),
)
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="  # a 1 x 1 PNG
)


@dataclass(frozen=True)
class Work:
    """What the provider made of a call.

    Attributes:
        call: The call.
        name: Hexadecimal digits that make ids.
        tokens: Tokens of output of each choice.
        cut: Whether ``max_tokens`` cut it.
        created: Unix time.
        dimensions: Length of vectors, unless the call says.
    """

    call: Call
    name: str
    tokens: int
    cut: bool
    created: int
    dimensions: int = 8

    @property
    def text(self) -> str:
        """Text of each choice, four characters for a token."""
        size = 4 * self.tokens
        return (_FILLER * (size // len(_FILLER) + 1))[:size]

    @property
    def input_tokens(self) -> int:
        """Tokens of input that are billed: what a tokenizer may say, and not what the limiter takes."""
        return -(-self.call.characters * 2 // 9) + self.call.role_characters + PICTURE * self.call.pictures

    @property
    def output_tokens(self) -> int:
        """Tokens of output that are billed."""
        return self.tokens * self.call.choices if self.call.path in {CHAT, RESPONSES, COMPLETIONS} else 0

    @property
    def used(self) -> int:
        """Tokens that are billed."""
        return self.input_tokens + self.output_tokens

    @property
    def finish(self) -> str:
        """Why a choice ends."""
        return "length" if self.cut else "stop"


def usage(work: Work) -> dict[str, Any]:
    """Return the usage of a chat or a completion."""
    return {
        "prompt_tokens": work.input_tokens,
        "completion_tokens": work.output_tokens,
        "total_tokens": work.used,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _chat(work: Work) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": work.text, "refusal": None, "annotations": []}
    choice = {"message": message, "logprobs": None, "finish_reason": work.finish}
    return {
        "id": f"chatcmpl-{work.name}",
        "object": "chat.completion",
        "created": work.created,
        "model": work.call.model,
        "choices": [{"index": index, **choice} for index in range(work.call.choices)],
        "usage": usage(work),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _completions(work: Work) -> dict[str, Any]:
    choice = {"text": work.text, "logprobs": None, "finish_reason": work.finish}
    return {
        "id": f"cmpl-{work.name}",
        "object": "text_completion",
        "created": work.created,
        "model": work.call.model,
        "choices": [{"index": index, **choice} for index in range(work.call.choices)],
        "usage": usage(work),
    }


def message_item(work: Work, text: str, status: str) -> dict[str, Any]:
    """Return the one item of a response's output."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}] if text else []
    return {"id": f"msg_{work.name}", "type": "message", "role": "assistant", "status": status, "content": content}


def response(work: Work, status: str = "") -> dict[str, Any]:
    """Return a response: as it ends, or ``in_progress`` without output."""
    status = status or ("incomplete" if work.cut else "completed")
    done = status != "in_progress"
    billed = {
        "input_tokens": work.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": work.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": work.used,
    }
    return {
        "id": f"resp_{work.name}",
        "object": "response",
        "created_at": work.created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": work.call.model,
        "output": [message_item(work, work.text, "completed")] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "max_output_tokens": work.call.max_tokens,
        "usage": billed if done else None,
    }


def _embeddings(work: Work) -> dict[str, Any]:
    length = work.call.body.get("dimensions") or work.dimensions
    vectors = [vector(text, length) for text in work.call.inputs]
    coded: list[Any] = [*vectors]
    if work.call.body.get("encoding_format") == "base64":
        coded = [base64.b64encode(struct.pack(f"<{length}f", *values)).decode() for values in vectors]
    data = [{"object": "embedding", "index": index, "embedding": values} for index, values in enumerate(coded)]
    billed = {"prompt_tokens": work.input_tokens, "total_tokens": work.used}
    return {"object": "list", "data": data, "model": work.call.model, "usage": billed}


def vector(text: str, length: int) -> list[float]:
    """Return a vector of length 1 that depends on *text* only."""
    digest = hashlib.shake_256(text.encode(errors="surrogatepass")).digest(length)
    values = [byte - 127.5 for byte in digest]
    norm = math.sqrt(math.fsum(value * value for value in values))
    return [value / norm for value in values]


def _images(work: Work) -> dict[str, Any]:
    billed = {
        "input_tokens": work.input_tokens,
        "input_tokens_details": {"text_tokens": work.input_tokens, "image_tokens": 0},
        "output_tokens": 0,
        "total_tokens": work.used,
    }
    return {"created": work.created, "data": [{"b64_json": _PIXEL}] * work.call.images, "usage": billed}


def _moderations(work: Work) -> dict[str, Any]:
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0001),
        "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
    }
    return {"id": f"modr-{work.name}", "model": work.call.model, "results": [result] * len(work.call.inputs)}


ANSWERS: dict[str, Callable[[Work], dict[str, Any]]] = {
    CHAT: _chat,
    RESPONSES: response,
    COMPLETIONS: _completions,
    EMBEDDINGS: _embeddings,
    IMAGES: _images,
    MODERATIONS: _moderations,
}
"""Endpoint -> what makes its whole answer."""


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "created": EPOCH, "owned_by": "simulator"} for name in names]
    return {"object": "list", "data": data}
