"""How turns are measured, the same way for all: in the standard library alone, as each has an environment of its own.

Times are of CPU, of this process (user and system): others on the machine disturb that less than a clock's.
"""

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

Acquire = Callable[[], Awaitable[Any]]
Figures = dict[str, float]
Measurement = Coroutine[Any, Any, Figures]
Measure = Callable[[str, str, int], Figures]

ADMISSIONS = 20_000
STEPS = 20  # in which a queue is released, as time brings what it waits for
TURNS = 5  # of a loop until all sleep: a waiter may be several tasks
BACKLOG = 20_000
PER_SECOND = 100
PROBE = 0.05  # seconds between looks at how late the loop is


class HandLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is moved: who polls does not, who waits for a time goes on waiting."""

    instant = 1_000.0

    def time(self) -> float:
        """Return the instant in seconds."""
        return self.instant


def by_hand(measure: Measurement) -> Figures:
    """Run a measurement on a loop whose time stands still."""
    with asyncio.Runner(loop_factory=HandLoop) as runner:
        return runner.run(measure)


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def admission(acquire: Acquire) -> float:
    """Return the microseconds of a turn that nothing waits for."""
    for _ in range(100):  # the first makes what is made once
        await acquire()
    gc.collect()
    began = time.process_time()
    for _ in range(ADMISSIONS):
        await acquire()
    return (time.process_time() - began) / ADMISSIONS * 1e6


class Crowd:
    """Many tasks, of which each wants one turn.

    Attributes:
        held: What those got that have had it.
    """

    def __init__(self, acquire: Acquire, number: int) -> None:
        self.held: list[Any] = []
        self._acquire = acquire
        self._number = number
        self._tasks: list[asyncio.Task[None]] = []
        self._through = asyncio.get_running_loop().create_future()

    async def _one(self) -> None:
        self.held.append(await self._acquire())
        if len(self.held) == self._number:
            self._through.set_result(None)

    async def park(self) -> Figures:
        """Start all; return the microseconds from the call to sleep, and the bytes of a waiter with its task."""
        gc.collect()
        gc.freeze()
        before = resident()
        began = time.process_time()
        self._tasks = [asyncio.create_task(self._one()) for _ in range(self._number)]
        for _ in range(TURNS):
            await asyncio.sleep(0)
        spent = time.process_time() - began
        return {"park_us": spent / self._number * 1e6, "bytes": (resident() - before) / self._number}

    async def release(self, tick: Callable[[], None]) -> Figures:
        """Call *tick*, which lets more of them through, and wait for all; return the microseconds for one."""
        assert not self.held
        began = time.process_time()
        for _ in range(STEPS):
            tick()
            await asyncio.sleep(0)
        await self._through
        return {"release_us": (time.process_time() - began) / self._number * 1e6}


async def backlog(acquire: Acquire, seconds: float) -> Figures:
    """Return what a standing backlog costs that is let through at `PER_SECOND`.

    Percent of a core; turns given a second; milliseconds by which the loop is late, median and most.
    """
    crowd = Crowd(acquire, BACKLOG)
    await crowd.park()
    await asyncio.sleep(1)  # the first burst is over, and all sleep as they will
    passed, began, spent = len(crowd.held), time.monotonic(), time.process_time()
    late = []
    while (now := time.monotonic()) - began < seconds:
        await asyncio.sleep(PROBE)
        late.append(time.monotonic() - now - PROBE)
    span = time.monotonic() - began
    return {
        "core_percent": (time.process_time() - spent) / span * 100,
        "per_second": (len(crowd.held) - passed) / span,
        "late_ms": statistics.median(late) * 1e3,
        "latest_ms": max(late) * 1e3,
    }


def measuring(
    admissions: Callable[[str], Measurement],
    queue: Callable[[str, int], Measurement],
    standing: Callable[[str, int], Measurement],
) -> Measure:
    """Return what measures one thing once: a turn, a queue of a number, or a backlog of a number of seconds."""

    def measure(who: str, what: str, number: int) -> Figures:
        if what == "admission":
            return asyncio.run(admissions(who))
        if what == "backlog":
            return asyncio.run(standing(who, number))
        return by_hand(queue(who, number))

    return measure


def polling(admissions: Callable[[], Measurement], turns: Callable[[int], Acquire]) -> Measure:
    """Return the same of turns, so many a second, whose waiters look again after a time; so they are only parked."""

    async def queue(_: str, number: int) -> Figures:
        acquire = turns(1)
        await acquire()
        return await Crowd(acquire, number).park()

    async def standing(_: str, seconds: int) -> Figures:
        return await backlog(turns(PER_SECOND), seconds)

    return measuring(lambda _: admissions(), queue, standing)


def start(measure: Measure) -> None:
    """Measure what the command line names (who, what, a number) once, and print it as JSON."""
    who, what, number = sys.argv[1:]
    print(json.dumps(measure(who, what, int(number))), flush=True)
