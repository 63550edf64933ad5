# /// script
# requires-python = ">=3.11"
# dependencies = ["aiolimiter==1.3.0", "openai==3.54.0", "tenacity==9.2.1", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""aiolimiter around the openai package: a leaky bucket of requests and one of tokens for each model.

Its docs: `AsyncLimiter(max_rate, time_period)` lets through as much as `max_rate` in a burst, and `acquire(amount)`
takes more than one. It takes what the cookbook counts, input and cap, and has no way to give back what was too much.
It knows nothing of refusals; those are retried as the cookbook shows (see `httpx_tenacity.py`), and each try pays.
"""

from aiolimiter import AsyncLimiter
from counting import load, tokens_of
from openai import AsyncOpenAI
from race import Race, Request, call, start
from tenacity import retry, stop_after_attempt, wait_random_exponential

TRIES = 1000


async def main(race: Race) -> None:
    """Race, with limits that must have been told."""
    load()
    limiters = {
        model: (AsyncLimiter(limits["rpm"], 60), AsyncLimiter(limits["tpm"], 60))
        for model, limits in race.limits.items()
    }
    async with AsyncOpenAI(base_url=race.url, api_key="none", max_retries=0) as client:

        async def once(request: Request, amount: int) -> None:
            requests, tokens = limiters[request.model]
            await requests.acquire()
            await tokens.acquire(amount)
            await call(client, request)

        again = retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(TRIES), reraise=True)(once)

        async def send(request: Request) -> None:
            await again(request, tokens_of(request))

        await race.run(send)


if __name__ == "__main__":
    start(main)
