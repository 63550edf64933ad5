# /// script
# requires-python = ">=3.11"
# dependencies = ["openai==3.54.0", "httpx2==2.16.2", "quota-scheduler"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# [tool.uv.sources]
# quota-scheduler = { path = "../..", editable = true }
# ///
"""quota-scheduler beneath the openai package, or around its calls."""

import httpx2
from counting import load, tokens_of
from openai import APIStatusError, AsyncOpenAI
from race import Race, Request, call, start

from scheduler import Priority, Scheduler

PRIORITIES = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


async def beneath(race: Race) -> None:
    """As the README shows it: a transport for the SDK's client."""
    scheduler = Scheduler(provider="openai", limits=race.limits, project_limits=race.project_limits)
    http = httpx2.AsyncClient(transport=scheduler.transport2(), timeout=600)
    async with AsyncOpenAI(base_url=race.url, api_key="none", http_client=http, max_retries=0) as client:

        async def send(request: Request) -> None:
            with scheduler.context(priority=PRIORITIES[request.priority]):
                await call(client, request)

        await race.run(send)


async def around(race: Race) -> None:
    """`reserve` around a call, which is made again where the provider refuses it."""
    scheduler = Scheduler(provider="openai", limits=race.limits)
    load()
    async with AsyncOpenAI(base_url=race.url, api_key="none", max_retries=0) as client:

        async def send(request: Request) -> None:
            tokens = tokens_of(request)
            while not await once(request, tokens):
                pass

        async def once(request: Request, tokens: int) -> bool:
            async with scheduler.reserve(
                request.model, tokens=tokens, priority=PRIORITIES[request.priority]
            ) as reservation:
                try:
                    answer = await client.chat.completions.with_raw_response.create(**request.body)
                except APIStatusError as error:
                    reservation.observe(error.response.headers, error.status_code, error.response.content)
                    return False
                reservation.observe(answer.headers, answer.status_code)
                usage = answer.parse().usage
                reservation.settle(tokens=usage.total_tokens if usage else None)
                return True

        await race.run(send)


async def main(race: Race) -> None:
    """Race; the option says where the scheduler is."""
    await {"transport": beneath, "reserve": around}[race.option](race)


if __name__ == "__main__":
    start(main)
