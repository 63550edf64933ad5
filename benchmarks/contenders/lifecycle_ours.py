"""The whole life of a reservation of quota-scheduler over a bare task, and what metrics cost."""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable

from admission_ours import MODEL, PLENTY, turns, warmed
from prometheus_client import CollectorRegistry, generate_latest
from waiting import Figures, start

from scheduler import Scheduler

HEADERS = {
    "x-ratelimit-limit-requests": f"{PLENTY['rpm']}",
    "x-ratelimit-remaining-requests": f"{PLENTY['rpm'] - 1}",
    "x-ratelimit-reset-requests": "1ms",
    "x-ratelimit-limit-tokens": f"{PLENTY['tpm']}",
    "x-ratelimit-remaining-tokens": f"{PLENTY['tpm'] - 100}",
    "x-ratelimit-reset-tokens": "1ms",
}
BLOCKS = 20  # of each kind, in turn: what disturbs one disturbs all
BLOCK = 1_000

Work = Callable[[], Awaitable[None]]


async def _tasks(work: Work) -> float:
    """Return the microseconds of a task that does *work*."""
    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(asyncio.create_task(work()) for _ in range(BLOCK)))  # type: ignore[arg-type]  # coroutines
    return (time.process_time() - began) / BLOCK * 1e6


async def _calls(work: Work) -> float:
    """Return the microseconds of awaiting *work*."""
    gc.collect()
    began = time.process_time()
    for _ in range(BLOCK):
        await work()
    return (time.process_time() - began) / BLOCK * 1e6


async def medians(measure: Callable[[Work], Awaitable[float]], works: dict[str, Work]) -> Figures:
    """Return the median of each kind of work, which take turns."""
    blocks = [{name: await measure(work) for name, work in works.items()} for _ in range(BLOCKS)]
    return {name: statistics.median(block[name] for block in blocks) for name in works}


async def lifecycle() -> Figures:
    """Return the microseconds of a bare task, and what each part of a reservation's life adds to it."""
    scheduler = warmed()

    async def task() -> None:
        await asyncio.sleep(0)

    async def reserve() -> None:
        async with scheduler.reserve(MODEL, tokens=100):
            await asyncio.sleep(0)

    async def settle() -> None:
        async with scheduler.reserve(MODEL, tokens=100) as reservation:
            await asyncio.sleep(0)
            reservation.settle(tokens=80)

    async def observe() -> None:
        async with scheduler.reserve(MODEL, tokens=100) as reservation:
            await asyncio.sleep(0)
            reservation.observe(HEADERS)
            reservation.settle(tokens=80)

    async def read() -> None:
        await asyncio.sleep(0)
        scheduler.provider.read(200, HEADERS, None)

    works: dict[str, Work] = {"task": task, "reserve": reserve, "settle": settle, "observe": observe, "read": read}
    spent = await medians(_tasks, works)
    return {
        "task_us": spent["task"],
        "reserve_us": spent["reserve"] - spent["task"],
        "settle_us": spent["settle"] - spent["reserve"],
        "read_us": spent["read"] - spent["task"],
        "learn_us": spent["observe"] - spent["settle"] - (spent["read"] - spent["task"]),
        "whole_us": spent["observe"] - spent["task"],
    }


async def registered() -> Figures:
    """Return the microseconds of a turn without a registry and with one that is scraped now and then."""
    registry = CollectorRegistry()
    works = {"plain_us": turns(warmed()), "registered_us": turns(warmed(registry=registry))}
    generate_latest(registry)
    return await medians(_calls, works)


def scrape(scopes: int) -> Figures:
    """Return the milliseconds of a scrape of *scopes* with four buckets each, and its lines."""
    registry = CollectorRegistry()
    scheduler = Scheduler(limits={f"model-{index}": PLENTY for index in range(scopes)}, registry=registry)
    for index in range(scopes):
        scheduler.reserve_nowait(f"model-{index}", tokens=100).settle(tokens=80)
    spent = []
    for _ in range(BLOCKS):
        began = time.process_time()
        text = generate_latest(registry)
        spent.append((time.process_time() - began) * 1e3)
    return {"scrape_ms": statistics.median(spent), "series": sum(line[:1] != b"#" for line in text.splitlines())}


def measure(_: str, what: str, number: int) -> Figures:
    """Measure one thing once."""
    if what == "lifecycle":
        return asyncio.run(lifecycle())
    return asyncio.run(registered()) if what == "registry" else scrape(number)


if __name__ == "__main__":
    start(measure)
