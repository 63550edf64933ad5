"""A provider that speaks as the Gemini API does: no header says anything, and a refusal says when to come back.

Source: recorded refusals, status ``RESOURCE_EXHAUSTED`` with ``QuotaFailure`` and ``RetryInfo``. The bucket is floats
and seconds, which shares nothing with the package.
"""

import time

import msgspec
from sdk_servers import Answer, Seen

TEXT = "Hello from "
_KINDS = "type.googleapis.com/google.rpc."


class Gemini:
    """Lets *burst* requests through at once, and *rate* more each second."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self.refused = 0
        self._level = float(burst)
        self._at = time.monotonic()

    def __call__(self, seen: Seen) -> Answer:
        now = time.monotonic()
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            self.refused += 1
            return Answer(429, _refusal((1 - self._level) / self.rate))
        self._level -= 1
        return self._answer(seen)

    def _answer(self, seen: Seen) -> Answer:
        prompt = seen.json["contents"][-1]["parts"][0]["text"]
        words = (TEXT + prompt).split(" ")
        if not seen.path.endswith(":streamGenerateContent"):
            return Answer(body=_content(" ".join(words), len(prompt), last=True))
        pieces = [*(word + " " for word in words[:-1]), words[-1]]
        events = [_content(piece, len(prompt), last=piece is pieces[-1]) for piece in pieces]
        return Answer(
            chunks=tuple(b"data: " + msgspec.json.encode(event) + b"\r\n\r\n" for event in events), pause=0.05
        )


def _content(text: str, prompt: int, *, last: bool) -> dict[str, object]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": 5, "totalTokenCount": prompt + 5}
    return {
        "candidates": [{**candidate, "finishReason": "STOP"} if last else candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "an-id",
    }


def _refusal(wait: float) -> dict[str, object]:
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
        "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
    }
    details = [
        {"@type": _KINDS + "QuotaFailure", "violations": [violation]},
        {"@type": _KINDS + "RetryInfo", "retryDelay": f"{wait:.9f}s"},
    ]
    message = f"You exceeded your current quota, please check your plan and billing details.\nPlease retry in {wait}s."
    return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}
