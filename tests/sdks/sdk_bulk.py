"""Bulk requests against llmock, and what holds after them."""

from collections import Counter
from typing import Any

from sdk_llmock import KEY, Llmock
from sdk_support import run

from scheduler import Scheduler

STYLES = {
    "openai": ("", "/v1/chat/completions", "max_completion_tokens", "gpt-5-mini"),
    "anthropic": ("/anthropic", "/v1/messages", "max_tokens", "claude-haiku-4-5"),
    "groq": ("/groq/openai", "/v1/chat/completions", "max_tokens", "llama-3.1-8b-instant"),
}


def bodies(style: str, number: int) -> list[dict[str, Any]]:
    """Return requests of 40 to 240 characters, no two alike."""
    _, _, cap, model = STYLES[style]
    texts = [f"{index} " + "word " * (8 + index % 40) for index in range(number)]
    return [{"model": model, cap: 20, "messages": [{"role": "user", "content": text}]} for text in texts]


def bulk(server: Llmock, style: str, number: int, limits: Any = None, **settings: Any) -> Scheduler:
    """Send *number* requests through ``map``; all have to be answered. Return the scheduler."""
    prefix, path, _, _ = STYLES[style]
    scheduler = Scheduler(style, base_url=server.url + prefix, limits=limits, api_key=KEY, **settings)

    async def main() -> Counter[str]:
        async with scheduler:
            results = scheduler.map(bodies(style, number), url=path, most=200)  # a small machine serves no more at once
            return Counter([repr(result.error) async for result in results])

    assert run(main) == {"None": number}
    return scheduler


def check(server: Llmock, number: int) -> None:
    """Nothing is lost or sent twice; at most 2 in 1,000 are refused; the report finds no fault."""
    statuses = server.statuses()
    assert statuses[200] == number
    assert statuses.total() - number <= 2 * number / 1000
    assert server.findings() == []
