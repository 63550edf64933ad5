# /// script
# requires-python = ">=3.11"
# dependencies = ["litellm==1.106.2"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""litellm's Router with a deployment for each model, which is told the model's RPM and TPM.

Its docs know two ways to mind these, and the option says which: ``usage`` is `usage-based-routing-v2`, which leaves out
deployments over their limits; ``enforce`` is the recommended routing with the check `enforce_model_rate_limits`. Both
count in the same places, so that having both would count everything twice. Either counts requests when they are sent
and tokens when they are answered, by the minute of the clock, and what is over waits a minute, as `retry-after` says.

What is set beyond that:

- `num_retries` is 2 by default, and the check says that its refusals are not tried again, unless a request says how
  often. Here each says so, as often as it wants, for otherwise most of this work would be lost. How long to wait is
  litellm's: as the server says, up to a minute, or from 0.5 s doubling to 8 s.
- `disable_cooldowns`: a deployment that fails is left out for 5 s, which is meant for those that have others beside
  them. With but one there is nowhere to go.
- Its pool has 500 connections to a host; more, that the pool be no limit.
- One call before the race, past the Router and its counters: litellm imports at its first call what takes 2 s.
- Of pictures, one to a request, the limit is told as one of requests: it knows none of pictures.
- `priority` (beta) where requests differ in it. The docs say that who is at the head of the queue or finds a healthy
  deployment may go, and there is always one.
"""

import os
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the prices that lie in the package, for nothing is to be fetched
    "AIOHTTP_CONNECTOR_LIMIT": "10000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "10000",
}

import litellm
from litellm import Router
from race import Race, Request, start

TRIES = 1_000
PRIORITIES = {"interactive": 1, "batch": 100}  # the lower is the higher; 0 does not enter the queue
WAYS: dict[str, dict[str, Any]] = {
    "usage": {"routing_strategy": "usage-based-routing-v2"},
    "enforce": {"optional_pre_call_checks": ["enforce_model_rate_limits"]},
}


async def main(race: Race) -> None:
    """Race; the option is the way in which limits are minded."""
    models = {request.model for request in race.requests}
    await _warm(race)
    several = len({request.priority for request in race.requests}) > 1
    router = Router(
        model_list=[_deployment(race, model) for model in sorted(models)],
        disable_cooldowns=True,
        **WAYS[race.option],
    )

    async def send(request: Request) -> None:
        more = {"priority": PRIORITIES[request.priority]} if several else {}
        if request.endpoint == "embeddings":
            await router.aembedding(**request.body, num_retries=TRIES)
            return
        if request.endpoint == "images/generations":
            await router.aimage_generation(**request.body, num_retries=TRIES)
            return
        answer = await router.acompletion(**request.body, num_retries=TRIES, **more)
        if request.body.get("stream"):
            async for _ in answer:
                pass

    await race.run(send)


async def _warm(race: Race) -> None:
    request = race.requests[0]
    where = {"model": f"openai/{request.model}", "api_base": race.url, "api_key": "none"}
    if request.endpoint == "embeddings":
        await litellm.aembedding(**where, input="warm")
    elif request.endpoint == "images/generations":
        await litellm.aimage_generation(**where, prompt="warm")
    else:
        await litellm.acompletion(**where, messages=[{"role": "user", "content": "warm"}], max_completion_tokens=16)


def _deployment(race: Race, model: str) -> dict[str, Any]:
    limits = dict(race.limits.get(model, {}))
    images = limits.pop("ipm", None)
    if images is not None:
        limits["rpm"] = min(limits["rpm"], images)
    return {
        "model_name": model,
        "litellm_params": {"model": f"openai/{model}", "api_base": race.url, "api_key": "none", **limits},
    }


if __name__ == "__main__":
    start(main)
