# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx==0.28.1", "tenacity==9.2.1"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""httpx under a semaphore, with tenacity's retries: nothing knows of limits.

``cookbook``: OpenAI's cookbook ("How to handle rate limits") shows a random exponential backoff,
`@retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(6))`. ``retry-after``: tenacity's docs of
`wait_exception` show how to wait as long as a 429 says; what does not say it is tried again after the same backoff.

Few tries lose work in a rush of this size, so here they are 1,000. httpx's docs: 100 connections by default, of which
20 are kept when idle, and 5 s of patience. Here are as many connections as may be on their way, and ten minutes, as
the SDKs have. Idle connections remain 20: its pool compares every idle connection with every other one at each request,
and with some hundred that costs more than the requests.
"""

import asyncio
from collections.abc import Callable

import httpx
from race import Race, Request, start
from tenacity import RetryCallState, retry, stop_after_attempt, wait_random_exponential

TRIES = 1000
AT_ONCE = 500
BACKOFF = wait_random_exponential(min=1, max=60)


def told(state: RetryCallState) -> float:
    """Return how long a refusal asks to wait."""
    error = state.outcome.exception()
    asked = error.response.headers.get("retry-after") if isinstance(error, httpx.HTTPStatusError) else None
    return float(asked or BACKOFF(state))


WAITS: dict[str, Callable[[RetryCallState], float]] = {"cookbook": BACKOFF, "retry-after": told}


async def main(race: Race) -> None:
    """Race; the option is how long to wait."""
    gate = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=race.url, limits=limits, timeout=600) as client:

        async def post(request: Request) -> None:
            async with client.stream("POST", request.endpoint, json=request.body, headers=request.headers) as answer:
                answer.raise_for_status()
                if request.body.get("stream"):
                    async for _ in answer.aiter_lines():
                        pass
                else:
                    await answer.aread()
                    answer.json()

        again = retry(wait=WAITS[race.option], stop=stop_after_attempt(TRIES), reraise=True)(post)

        async def send(request: Request) -> None:
            async with gate:
                await again(request)

        await race.run(send)


if __name__ == "__main__":
    start(main)
