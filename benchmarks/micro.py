"""What the engine itself costs: admission when nothing waits, queued waiters, memory of a waiter.

    python benchmarks/micro.py           about eight minutes; medians of rounds, each in a process of its own
    python benchmarks/micro.py --save    and write benchmarks/results/micro.json

Every scope has four buckets (requests and tokens, by the minute and by the day). `floor` is a hand-written heap of bare
futures with a four-dimension bucket, without reservations, scopes, statistics or threads: what cannot be undercut.

park, release: from the call to the waiter asleep, and from the tick to its next step. decide: what of releasing one
passes under the lock, before anything is woken. `all on` is 10,000 tenants with weights, three priorities, a kept
share and deadlines: their turns come in another order than the requests were made in, so that the processor finds
little of what it needs in its caches; `floor, mixed` releases in such an order too.
"""

import argparse
import asyncio
import gc
import heapq
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import unittest.mock
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from scheduler.facade import Scheduler

ROUNDS = 3
STEPS = 20  # in which a queue is released, as time brings what it waits for
LIMIT = 10_000_000  # requests a minute
QUEUED = (1_000, 10_000, 100_000)
MODEL = "m"
TENANTS = 10_000
PLENTY = {"rpm": 10**9, "tpm": 10**12, "rpd": 10**12, "tpd": 10**14}


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = 1_000_000_000

    def now(self) -> int:
        """Return the instant in nanoseconds."""
        return self.instant

    wall = now


def warmed(clock: Any = None, limits: dict[str, int] | None = None, **settings: Any) -> Scheduler:
    """Return a scheduler past its slow start, that nobody tells what headers say."""
    scheduler = Scheduler(limits={MODEL: limits or PLENTY}, clock=clock, **settings)
    for _ in range(20):
        if clock is not None:
            clock.instant += 60_000_000_000
        scheduler.reserve_nowait(MODEL, tokens=100).settle()
    return scheduler


# ---- nothing waits


async def reserve_and_settle() -> float:
    """Return the microseconds of `async with reserve` and `settle`."""
    scheduler = warmed()
    number = 50_000
    gc.collect()
    began = time.perf_counter()
    for _ in range(number):
        async with scheduler.reserve(MODEL, tokens=100) as reservation:
            reservation.settle(tokens=80)
    return (time.perf_counter() - began) / number * 1e6


class FloorBucket:
    """Four levels in integers."""

    def __init__(self) -> None:
        self.levels = [10**30] * 4
        self.rates = [10**9, 10**12, 10**12, 10**14]
        self.at = time.monotonic_ns()

    def take(self, charge: tuple[int, int, int, int]) -> bool:
        """Advance, check all, take all."""
        now = time.monotonic_ns()
        span, self.at = now - self.at, now
        levels = self.levels
        for index, rate in enumerate(self.rates):
            levels[index] = min(10**30, levels[index] + span * rate)
        if any(level < units for level, units in zip(levels, charge, strict=True)):
            return False
        for index, units in enumerate(charge):
            levels[index] -= units
        return True


async def floor_admission() -> float:
    """Return the microseconds of taking from a four-dimension bucket and giving back nothing."""
    bucket = FloorBucket()
    number = 50_000

    async def acquire() -> bool:
        return bucket.take((1, 100, 1, 100))

    began = time.perf_counter()
    for _ in range(number):
        await acquire()
    return (time.perf_counter() - began) / number * 1e6


# ---- a queue


def held_back(clock: HandClock, **settings: Any) -> Scheduler:
    """Return a scheduler whose next request waits for its requests of the minute."""
    scheduler = warmed(clock, {**PLENTY, "rpm": LIMIT}, **settings)
    admission = scheduler.admission
    admission.retune(lambda now: _drain(scheduler, now))
    return scheduler


def _drain(scheduler: Scheduler, now: int) -> None:
    for scope in scheduler.admission.book:
        for account in scope.accounts:
            if account.bucket.quota.name == "rpm":
                account.bucket.advance(now)
                account.bucket.level = 0


def _nothing() -> None:
    """Wake nobody."""


async def park_and_release(number: int, tenants: int = 1) -> dict[str, float]:
    """Return the microseconds to park one of *number* waiters, to release one, and to decide so.

    With more tenants than one, everything is on: weights, a kept share, three priorities, deadlines.
    """
    clock = HandClock()
    weights = {f"tenant {index}": 1.0 + index % 4 for index in range(tenants)}
    scheduler = held_back(clock, weights=weights, reserved={"interactive": 0.01}) if tenants > 1 else held_back(clock)
    held: list[Any] = []
    through = asyncio.get_running_loop().create_future()

    def reserved(index: int) -> Any:
        if tenants == 1:
            return scheduler.reserve(MODEL, tokens=100)
        tenant, priority, timeout = f"tenant {index % tenants}", index % 3, 1e6 if index % 10 == 0 else None
        return scheduler.reserve(MODEL, tokens=100, tenant=tenant, priority=priority, timeout=timeout)

    async def waiter(index: int) -> None:
        held.append(await reserved(index).__aenter__())
        if len(held) == number:
            through.set_result(None)

    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    tasks = [asyncio.create_task(waiter(index)) for index in range(number)]
    await asyncio.sleep(0)
    parked = time.perf_counter()
    assert scheduler.statistics().queued == number
    released = time.perf_counter()
    clock.instant += 1_000_000_000  # what the cushion keeps back
    clock.instant += 600_000_000 if tenants > 1 else 0  # and the kept share
    decided = 0.0
    for _ in range(STEPS):
        clock.instant += number * 60_000_000_000 // LIMIT // STEPS + 1
        with unittest.mock.patch.object(scheduler.admission, "_after", new=_nothing):  # wakes, outside the lock
            ticked = time.perf_counter()
            scheduler.admission._tick()  # noqa: SLF001 -- what the timer calls
            decided += time.perf_counter() - ticked
        scheduler.admission._after()  # noqa: SLF001 -- and what it ends with
        await asyncio.sleep(0)
    await through
    done = time.perf_counter()
    await asyncio.gather(*tasks)
    for reservation in held:
        reservation.cancel()
    spans = {"park_us": parked - began, "release_us": done - released, "decide_us": decided}
    return {name: span / number * 1e6 for name, span in spans.items()}


async def floor_park_and_release(number: int, *, mixed: bool) -> dict[str, float]:
    """Return the same of bare futures in a heap, released as they came or in a *mixed* order."""
    chance = random.Random(1)
    bucket = FloorBucket()
    loop = asyncio.get_running_loop()
    queue: list[tuple[float, int, asyncio.Future[None]]] = []
    done = 0
    through = loop.create_future()

    async def waiter(place: int) -> None:
        nonlocal done
        future = loop.create_future()
        heapq.heappush(queue, (chance.random() if mixed else 50, place, future))
        await future
        done += 1
        if done == number:
            through.set_result(None)

    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    tasks = [asyncio.create_task(waiter(place)) for place in range(number)]
    await asyncio.sleep(0)
    parked = time.perf_counter()
    for _ in range(STEPS):
        for _ in range(number // STEPS):
            if bucket.take((1, 100, 1, 100)):
                heapq.heappop(queue)[2].set_result(None)
        await asyncio.sleep(0)
    await through
    end = time.perf_counter()
    await asyncio.gather(*tasks)
    return {"park_us": (parked - began) / number * 1e6, "release_us": (end - parked) / number * 1e6}


# ---- memory


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def memory_asyncio(number: int) -> float:
    """Return the bytes of a waiter and its task on asyncio."""
    scheduler = held_back(HandClock())

    async def waiter() -> None:
        async with scheduler.reserve(MODEL, tokens=100):
            pass

    gc.collect()
    before = resident()
    tasks = [asyncio.create_task(waiter()) for _ in range(number)]
    await asyncio.sleep(0)
    gc.collect()
    size = (resident() - before) / number
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return size


async def memory_trio(number: int, waiter: Callable[[], Awaitable[None]]) -> float:
    """Return the bytes of a task on trio that runs *waiter*."""
    gc.collect()
    before = resident()
    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(waiter)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        size = (resident() - before) / number
        nursery.cancel_scope.cancel()
    return size


async def bare() -> None:
    """Sleep as a bare parked task does."""
    await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)


def trio_waiter() -> Callable[[], Awaitable[None]]:
    """Return what waits for a turn."""
    scheduler = held_back(HandClock())

    async def waiter() -> None:
        async with scheduler.reserve(MODEL, tokens=100):
            pass

    return waiter


# ---- rounds


def measure(what: str, number: int) -> dict[str, float]:
    """Measure one thing once, in this process."""
    if what == "admission":
        return {"ours_us": asyncio.run(reserve_and_settle()), "floor_us": asyncio.run(floor_admission())}
    if what in {"queue", "queue, all on"}:
        return asyncio.run(park_and_release(number, TENANTS if what != "queue" else 1))
    if what.startswith("floor queue"):
        return asyncio.run(floor_park_and_release(number, mixed=what != "floor queue"))
    if what == "memory asyncio":
        return {"bytes": asyncio.run(memory_asyncio(number))}
    waiter = bare if what == "memory trio, bare" else trio_waiter()
    return {"bytes": trio.run(memory_trio, number, waiter)}


def median_of(what: str, number: int) -> dict[str, float]:
    """Measure one thing in several processes and return the medians."""
    rounds = []
    for _ in range(ROUNDS):
        command = [sys.executable, __file__, "--one", what, "--number", str(number)]
        rounds.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return {key: round(statistics.median(each[key] for each in rounds), 2) for key in rounds[0]}


def main() -> int:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/micro.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.number)))
        return 0
    cases = [("admission", 0)]
    cases += [(what, number) for number in QUEUED for what in ("queue", "floor queue", "memory asyncio")]
    cases += [
        (what, number) for number in (10_000, 100_000, 1_000_000) for what in ("queue, all on", "floor queue, mixed")
    ]
    cases += [("queue", 1_000_000), ("memory trio, bare", 20_000), ("memory trio", 20_000)]
    rows = [{"what": what, "queued": number, **median_of(what, number)} for what, number in cases]
    for row in rows:
        print(row)
    if options.save:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        machine = {"python": platform.python_version(), "cores": os.cpu_count()}
        (results / "micro.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
