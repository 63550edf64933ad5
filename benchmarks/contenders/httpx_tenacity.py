# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx==0.28.1", "tenacity==9.2.1"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""httpx under a semaphore, with tenacity's random exponential backoff: nothing knows of limits.

OpenAI's cookbook ("How to handle rate limits") and tenacity's docs show
`@retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(6))`. Six tries lose work in a rush of this
size, so here they are 100. httpx's docs: 100 connections and 5 s of patience by default, after which a request fails;
here as many connections as may be on their way, and ten minutes, as the SDKs have.
"""

import asyncio

import httpx
from race import Race, Request, start
from tenacity import retry, stop_after_attempt, wait_random_exponential

TRIES = 100


async def main(race: Race) -> None:
    """Race; the option is how many may be on their way at once."""
    most = int(race.option)
    gate = asyncio.Semaphore(most)
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    async with httpx.AsyncClient(base_url=race.url, limits=limits, timeout=600) as client:

        async def post(request: Request) -> None:
            async with client.stream("POST", request.endpoint, json=request.body) as answer:
                answer.raise_for_status()
                if request.body.get("stream"):
                    async for _ in answer.aiter_lines():
                        pass
                else:
                    await answer.aread()
                    answer.json()

        again = retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(TRIES), reraise=True)(post)

        async def send(request: Request) -> None:
            async with gate:
                await again(request)

        await race.run(send)


if __name__ == "__main__":
    start(main)
