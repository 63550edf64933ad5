# /// script
# requires-python = ">=3.12"
# dependencies = ["openai==3.54.0", "token-throttle[tiktoken]==14.0.0", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""token-throttle around the openai package: tokens are reserved before a call, and what was too much is given back.

As its README shows: `acquire_capacity_for_request`, the call, `refund_capacity_from_response`, and at an error a refund
of all tokens; quotas by model as under "Per-model configuration", its counter for OpenAI, its backend in memory. It
refunds what was not used; a provider that charges by the cap does not, and refuses. The README leaves refusals to the
client; `max_retries`, 2 by default, loses requests in such a rush, and so does 50, so here it is 1,000. A stream is
asked for its usage, which is what there is to report. It cannot live with Python 3.11.
"""

from typing import Any

from openai import AsyncOpenAI
from race import Race, Request, start
from token_throttle import (
    MemoryBackendBuilder,
    OpenAIUsageCounter,
    PerModelConfig,
    Quota,
    RateLimiter,
    UsageQuotas,
    openai_model_family_getter,
)

TRIES = 1000


async def used(client: AsyncOpenAI, request: Request) -> Any:
    """Send a request; return what its answer says of its usage."""
    if request.endpoint == "embeddings":
        return (await client.embeddings.create(**request.body)).usage
    if not request.body.get("stream"):
        return (await client.chat.completions.create(**request.body)).usage
    usage = None
    async for piece in await client.chat.completions.create(**request.body, stream_options={"include_usage": True}):
        usage = piece.usage or usage
    return usage


async def main(race: Race) -> None:
    """Race, with limits that must have been told."""
    counter = OpenAIUsageCounter()
    await counter.warmup_models(list(race.limits))
    configs = {
        model: PerModelConfig(
            quotas=UsageQuotas(
                [
                    Quota(metric="requests", limit=limits["rpm"], per_seconds=60),
                    Quota(metric="tokens", limit=limits["tpm"], per_seconds=60),
                ]
            ),
            usage_counter=counter,
            model_family=openai_model_family_getter(model),
        )
        for model, limits in race.limits.items()
    }
    async with (
        AsyncOpenAI(base_url=race.url, api_key="none", max_retries=TRIES) as client,
        RateLimiter(configs.__getitem__, backend=MemoryBackendBuilder()) as limiter,
    ):

        async def send(request: Request) -> None:
            reservation = await limiter.acquire_capacity_for_request(**request.body)
            try:
                usage = await used(client, request)
            except Exception:
                await limiter.refund_capacity(reservation=reservation, actual_usage={"requests": 1, "tokens": 0})
                raise
            await limiter.refund_capacity_from_response(reservation, usage=usage)

        await race.run(send)


if __name__ == "__main__":
    start(main)
