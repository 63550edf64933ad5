# /// script
# requires-python = ">=3.11"
# dependencies = ["openai==3.54.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""The openai package under a semaphore, with its own retries turned up.

Its README: `max_retries` is 2 by default, with exponential backoff of at most 8 s, or the server's delay up to a
minute. With two a rush of this size loses most requests, which compares nothing, so here it may try as often as it
wants.
"""

import asyncio

from openai import AsyncOpenAI
from race import Race, Request, call, start

TRIES = 1000


async def main(race: Race) -> None:
    """Race; the option is how many may be on their way at once."""
    gate = asyncio.Semaphore(int(race.option))
    async with AsyncOpenAI(base_url=race.url, api_key="none", max_retries=TRIES) as client:

        async def send(request: Request) -> None:
            async with gate:
                await call(client, request)

        await race.run(send)


if __name__ == "__main__":
    start(main)
