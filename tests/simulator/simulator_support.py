"""What the simulator's tests share: a hand clock, an in-process client, and ways to run on virtual time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import trio.testing

from scheduler.simulator import Simulator, World

CHAT = "/v1/chat/completions"
MODEL = "gpt-5-mini"


class HandClock:
    """A clock that somebody sets."""

    def __init__(self, instant: float = 0.0) -> None:
        self.instant = instant

    def __call__(self) -> float:
        return self.instant


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


@asynccontextmanager
async def client_of(simulator: Simulator, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(simulator, **options)
    async with httpx.AsyncClient(transport=transport, base_url="http://provider") as client:
        yield client


def asked(
    world: World | Simulator, *bodies: dict[str, Any], path: str = CHAT, headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    """Send bodies one after the other, at instant 0 unless the simulator has another clock; return the answers."""
    simulator = world if isinstance(world, Simulator) else Simulator(world, clock=HandClock())

    async def ask() -> list[httpx.Response]:
        async with client_of(simulator) as client:
            return [await client.post(path, json=body, headers=headers) for body in bodies]

    return anyio.run(ask)


def on_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run on trio with a clock that jumps to the next timer when nothing else can happen."""
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def rates(response: httpx.Response) -> dict[str, str]:
    """Return an answer's rate headers without their prefix."""
    prefix = "x-ratelimit-"
    return {name[len(prefix) :]: value for name, value in response.headers.items() if name.startswith(prefix)}


def problem(response: httpx.Response) -> dict[str, Any]:
    """Return an answer's error."""
    error: dict[str, Any] = response.json()["error"]
    return error
