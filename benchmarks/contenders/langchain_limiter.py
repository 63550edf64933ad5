# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain-core==1.7.2", "langchain-openai==1.7.3", "openai==3.54.0", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""ChatOpenAI with InMemoryRateLimiter, of langchain: requests a second, for each model.

Its docs: it "cannot be used to rate limit based on the size of the request". So it is given the rate at which requests
of this workload's mean size, as the cookbook counts it, fit the limits: what one would have to find out beforehand.
`max_bucket_size` and `check_every_n_seconds` are those of the docs' example, 10 and 0.1. It begins with an empty
bucket, and does not see retries, which are the openai package's: `max_retries` is 2 by default, here 1,000. `abatch` is
`ainvoke` in a task for each request, which is what happens here. The limiter is of chat models, none of embeddings.
"""

from collections import defaultdict
from statistics import mean

from counting import load, tokens_of
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_openai import ChatOpenAI
from race import Race, Request, start

TRIES = 1000


def rates(race: Race) -> dict[str, float]:
    """Return requests a second by model, from the limits and the mean size."""
    sizes = defaultdict(list)
    for request in race.requests:
        sizes[request.model].append(tokens_of(request))
    return {
        model: min(race.limits[model]["rpm"], race.limits[model]["tpm"] / mean(each)) / 60
        for model, each in sizes.items()
    }


async def main(race: Race) -> None:
    """Race, with limits that must have been told."""
    load()
    models = {
        name: ChatOpenAI(
            model=name,
            base_url=race.url,
            api_key="none",
            max_retries=TRIES,
            rate_limiter=InMemoryRateLimiter(requests_per_second=rate, check_every_n_seconds=0.1, max_bucket_size=10),
        )
        for name, rate in rates(race).items()
    }

    async def send(request: Request) -> None:
        rest = dict(request.body)
        model, messages = models[rest.pop("model")], rest.pop("messages")
        if rest.pop("stream", False):
            async for _ in model.astream(messages, **rest):
                pass
        else:
            await model.ainvoke(messages, **rest)

    await race.run(send)


if __name__ == "__main__":
    start(main)
