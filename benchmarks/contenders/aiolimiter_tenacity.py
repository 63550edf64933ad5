# /// script
# requires-python = ">=3.11"
# dependencies = ["aiolimiter==1.3.0", "openai==3.54.0", "tenacity==9.2.1", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""aiolimiter around the openai package: a leaky bucket for each limit of each model, and of each project.

Its docs: `AsyncLimiter(max_rate, time_period)` lets through as much as `max_rate` in a burst, and `acquire(amount)`
takes more than one. It takes what the cookbook counts, input and cap, and has no way to give back what was too much.
It knows nothing of refusals; those are retried as the cookbook shows (see `httpx_tenacity.py`), and each try pays.
"""

from collections.abc import Iterator

from aiolimiter import AsyncLimiter
from counting import load, tokens_of
from openai import AsyncOpenAI
from race import Limits, Race, Request, call, start
from tenacity import retry, stop_after_attempt, wait_random_exponential

TRIES = 1000
Limiters = dict[str, dict[str, AsyncLimiter]]


def limiters_of(models: dict[str, Limits]) -> Limiters:
    """Return the limiters of models by name of model and of limit."""
    return {
        model: {name: AsyncLimiter(amount, 60) for name, amount in limits.items()} for model, limits in models.items()
    }


async def main(race: Race) -> None:
    """Race, with limits that must have been told."""
    load()
    organization = limiters_of(race.limits)
    projects = {name: limiters_of(models) for name, models in race.project_limits.items()}

    def of(request: Request) -> Iterator[tuple[str, AsyncLimiter]]:
        yield from organization[request.model].items()
        if request.project:
            yield from projects[request.project][request.model].items()

    async with AsyncOpenAI(base_url=race.url, api_key="none", max_retries=0) as client:

        async def once(request: Request, tokens: int) -> None:
            for name, limiter in of(request):
                await limiter.acquire(tokens if name == "tpm" else 1)
            await call(client, request)

        again = retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(TRIES), reraise=True)(once)

        async def send(request: Request) -> None:
            await again(request, tokens_of(request))

        await race.run(send)


if __name__ == "__main__":
    start(main)
