"""A provider that speaks as Mistral does: a sliding minute of requests, its own headers and error bodies.

Sources: headers and a refusal as they were recorded (``x-ratelimit-limit-req-minute`` and its kin, a body without an
``error`` around it, code ``"1300"``). The window is a list of instants, which shares nothing with the package.
"""

import time
from collections import deque
from typing import Any

import msgspec
from sdk_servers import Answer, Seen

TEXT = "Bonjour de la part de "


class Mistral:
    """Lets *limit* requests through in any 60 s, of which *used* were spread evenly over the last 60 s."""

    def __init__(self, limit: int, used: int) -> None:
        now = time.monotonic()
        self.limit = limit
        self.refused = 0
        self._gone = deque(now - 60 + 60 * (number + 1) / used for number in range(used))

    def __call__(self, seen: Seen) -> Answer:
        now = time.monotonic()
        while self._gone and self._gone[0] <= now - 60:
            self._gone.popleft()
        if len(self._gone) >= self.limit:
            self.refused += 1
            body = {
                "object": "error",
                "message": "Rate limit exceeded",
                "type": "rate_limited",
                "param": None,
                "code": "1300",
                "raw_status_code": 429,
            }
            return Answer(429, body, self._headers(0))
        self._gone.append(now)
        return self._answer(seen)

    def _answer(self, seen: Seen) -> Answer:
        body = seen.json
        prompt = str(body["messages"][-1]["content"])
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 5, "total_tokens": len(prompt) + 5}
        head = {"id": f"cmpl-{len(self._gone)}", "created": 1_760_000_000, "model": body["model"]}
        if body.get("stream"):
            return Answer(headers=self._headers(usage["total_tokens"]), chunks=_chunks(head, prompt, usage), pause=0.05)
        message = {"role": "assistant", "content": TEXT + prompt, "tool_calls": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return Answer(body=whole, headers=self._headers(usage["total_tokens"]))

    def _headers(self, cost: int) -> dict[str, str]:
        return {
            "x-ratelimit-limit-req-minute": str(self.limit),
            "x-ratelimit-remaining-req-minute": str(self.limit - len(self._gone)),
            "x-ratelimit-tokens-query-cost": str(cost),
        }


def _chunks(head: dict[str, object], prompt: str, usage: dict[str, int]) -> tuple[bytes, ...]:
    pieces = [*(TEXT + prompt).split(" ")]
    pieces = [*(piece + " " for piece in pieces[:-1]), pieces[-1]]
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}]}
        for piece in pieces
    ]
    last: dict[str, Any] = {
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
        "usage": usage,
    }
    whole = [{**head, "object": "chat.completion.chunk", **event} for event in (*events, last)]
    return (*(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in whole), b"data: [DONE]\n\n")
