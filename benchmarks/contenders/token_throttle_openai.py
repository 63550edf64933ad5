# /// script
# requires-python = ">=3.12"
# dependencies = ["openai==3.54.0", "token-throttle[tiktoken]==14.0.0", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""token-throttle around the openai package: capacity is reserved before a call, and what was too much is given back.

As its README shows: capacity is acquired for a request, the call is made, and the usage that its answer states is told,
or at an error that no tokens were used; quotas by model as under "Per-model configuration", its counter for OpenAI, its
backend in memory. So what was not used comes back; a provider that charges by the cap does not return it, and refuses.
The README knows another way, to leave out the usage, by which the whole reservation stays spent; the option says which:
``returned`` or ``kept``. Pictures and projects have quotas of their own, as under "Any provider".

The README leaves refusals to the client; `max_retries`, 2 by default, loses requests in such a rush, and so does 50, so
here it is 1,000. A stream is asked for its usage, which is what there is to report. It cannot live with Python 3.11.
"""

from typing import Any

from openai import AsyncOpenAI
from race import Limits, Race, Request, call, start
from token_throttle import (
    CapacityReservation,
    MemoryBackendBuilder,
    OpenAIUsageCounter,
    PerModelConfig,
    Quota,
    RateLimiter,
    UsageQuotas,
)

TRIES = 1000
METRICS = {"rpm": "requests", "tpm": "tokens", "ipm": "images"}


def config(family: str, limits: Limits, counter: OpenAIUsageCounter | None) -> PerModelConfig:
    """Return the quotas of a model, or of a project's use of it, with a *counter* of what a request takes if any."""
    quotas = [Quota(metric=METRICS[name], limit=amount, per_seconds=60) for name, amount in limits.items()]
    return PerModelConfig(quotas=UsageQuotas(quotas), usage_counter=counter, model_family=family)


async def acquire(limiter: RateLimiter, race: Race, request: Request) -> list[CapacityReservation]:
    """Acquire what a request may take of its model's quotas, and of its project's."""
    if request.endpoint == "images/generations":
        return [await limiter.acquire_capacity({"requests": 1, "images": 1}, request.model)]
    reservation = await limiter.acquire_capacity_for_request(**request.body)
    if not request.project:
        return [reservation]
    metrics = [METRICS[name] for name in race.project_limits[request.project][request.model]]
    usage = {metric: reservation.usage[metric] for metric in metrics}
    return [reservation, await limiter.acquire_capacity(usage, family_of(request.project, request.model))]


def family_of(project: str, model: str) -> str:
    """Return the name of a project's use of a model."""
    return f"{project}-{model}"


async def tokens_used(client: AsyncOpenAI, request: Request) -> int:
    """Send a request; return what its answer says of its usage."""
    how: dict[str, Any] = {**request.body, "extra_headers": request.headers}
    usage = None
    if request.endpoint == "images/generations":
        await call(client, request)
    elif request.endpoint == "embeddings":
        usage = (await client.embeddings.create(**how)).usage
    elif request.body.get("stream"):
        async for piece in await client.chat.completions.create(**how, stream_options={"include_usage": True}):
            usage = piece.usage or usage
    else:
        usage = (await client.chat.completions.create(**how)).usage
    return usage.total_tokens if usage else 0


async def main(race: Race) -> None:
    """Race, with limits that must have been told."""
    counter = OpenAIUsageCounter()
    counted = [model for model, limits in race.limits.items() if "tpm" in limits]
    await counter.warmup_models(counted)
    configs = {
        model: config(model, limits, counter if model in counted else None) for model, limits in race.limits.items()
    }
    for project, models in race.project_limits.items():
        for model, limits in models.items():
            family = family_of(project, model)
            configs[family] = config(family, limits, None)
    async with (
        AsyncOpenAI(base_url=race.url, api_key="none", max_retries=TRIES) as client,
        RateLimiter(configs.__getitem__, backend=MemoryBackendBuilder()) as limiter,
    ):

        async def send(request: Request) -> None:
            reservations = await acquire(limiter, race, request)
            used = {"requests": 1, "images": 1, "tokens": 0}
            try:
                used["tokens"] = await tokens_used(client, request)
            finally:
                for each in reservations:
                    actual = {name: used[name] for name in each.usage} if race.option == "returned" else each.usage
                    await limiter.refund_capacity(actual_usage=actual, reservation=each)

        await race.run(send)


if __name__ == "__main__":
    start(main)
