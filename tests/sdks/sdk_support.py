"""What the tests of SDKs share: the clients that an SDK is given, rushes of calls, and what holds after one."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, TypeVar

import pytest
from sdk_servers import Seen, WatchedSimulator

from scheduler import Scheduler
from scheduler.simulator import World

Value = TypeVar("Value")

MODEL = "gpt-5-mini"
KEY = "sk-a-key-for-tests"
LIBRARIES = tuple(name for name in ("httpx", "httpx2") if find_spec(name))
"""The HTTP libraries that are here."""
NEWEST = LIBRARIES[-1]

LIMITS = {MODEL: {"rpm": 1200, "tpm": 3_000_000}}
OUTPUT = 20
STRAY = 1
"""Refusals in a rush against a limit that nobody has told: on a busy machine requests overtake each other."""
RUSH = World(limits=LIMITS, start={"rpm": 0.0125, "tpm": 1.0}, output=OUTPUT)
"""Room for 15 requests, and for 20 more each second."""
CALLS = 45
"""Calls at once, which that world refuses most of."""


def needs(*modules: str) -> None:
    """Skip a file of tests whose SDKs are not here; in the matrix they have to be."""
    missing = [name for name in modules if find_spec(name.partition(".")[0]) is None]
    if missing and os.environ.get("SDKS_MATRIX"):
        raise ModuleNotFoundError(f"this environment of the matrix lacks {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: `make sdks` runs it", allow_module_level=True)


def async_client(scheduler: Scheduler, library: str = NEWEST, **settings: Any) -> Any:
    """Return an ``AsyncClient`` of *library* over a scheduler, as its docs show."""
    transport = scheduler.transport() if library == "httpx" else scheduler.transport2()
    return importlib.import_module(library).AsyncClient(transport=transport, **settings)


def sync_client(scheduler: Scheduler, library: str = NEWEST, **settings: Any) -> Any:
    """Return a ``Client`` of *library* over a scheduler."""
    transport = scheduler.sync_transport() if library == "httpx" else scheduler.sync_transport2()
    return importlib.import_module(library).Client(transport=transport, **settings)


def prompt(number: int) -> str:
    """Return a prompt whose length tells its number."""
    return "x" * (9 * number + 1)


def billed(number: int) -> int:
    """Return the tokens of input that the simulator bills for it: characters times 2/9, and its role."""
    return 2 * number + 1 + len("user")


def messages(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt(number)}]


async def at_once(call: Callable[[int], Awaitable[Value]], numbers: Iterable[int] = range(CALLS)) -> list[Value]:
    """Make all calls at once."""
    return await asyncio.gather(*[call(number) for number in numbers])


def in_threads(call: Callable[[int], Value], numbers: Iterable[int] = range(CALLS), most: int = 40) -> list[Value]:
    """Make all calls at once, each in a thread; return what they return, or raise what they raise."""
    with ThreadPoolExecutor(most) as threads:
        return list(threads.map(call, numbers))


async def failures(
    call: Callable[[int], Awaitable[Any]], kind: type[Exception], numbers: Iterable[int] = range(CALLS)
) -> int:
    """Make all calls at once, without a scheduler, after one by itself; return how many failed as is expected."""
    await call(0)

    async def fails(number: int) -> bool:
        try:
            await call(number)
        except kind:
            return True
        return False

    return sum(await at_once(fails, numbers))


def run(main: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    return asyncio.run(main())


def check_rush(scheduler: Scheduler, simulator: WatchedSimulator, billed_tokens: int, calls: int = CALLS) -> None:
    """What must hold after a rush of chats: nothing refused, nothing answered twice or lost, everything billed read."""
    seen = scheduler.statistics()
    stray = simulator.refused
    assert stray <= STRAY
    assert (simulator.completed, len(simulator.seen)) == (calls, calls + stray)
    assert (seen.sent, seen.refusals, seen.retries, seen.in_flight, seen.queued) == (calls + stray, stray, stray, 0, 0)
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (billed_tokens, calls * OUTPUT)
    check_private(simulator.seen)


def check_private(requests: Iterable[Seen]) -> None:
    """No header that is meant for the scheduler has left."""
    assert {name for seen in requests for name in seen.headers if name.startswith("x-scheduler")} == set()


def error_body(message: str, kind: str, code: str | None) -> Mapping[str, Any]:
    """Return an error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
