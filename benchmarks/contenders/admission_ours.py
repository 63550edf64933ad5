"""Turns of quota-scheduler: four buckets a scope (requests and tokens, by the minute and by the day).

A turn is `async with reserve(...)` and `settle`. decide: what of releasing a waiter passes under the lock, before
anything is woken. `all on` is 10,000 tenants with weights, three priorities, a kept share and deadlines: their turns
come in another order than the requests were made in, so that the processor finds little of what it needs in its
caches; `floor, mixed` releases in such an order too.
"""

import itertools
import time
import unittest.mock
from typing import Any

import trio
from admission_floor import trio_memory
from waiting import PER_SECOND, STEPS, Acquire, Crowd, Figures, admission, backlog, measuring, start

from scheduler import Scheduler

MODEL = "m"
PLENTY = {"rpm": 10**9, "tpm": 10**12, "rpd": 10**12, "tpd": 10**14}
LIMIT = 10_000_000  # requests a minute, of those that wait for them
TENANTS = 10_000
SECOND = 1_000_000_000


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = SECOND

    def now(self) -> int:
        """Return the instant in nanoseconds."""
        return self.instant

    wall = now


class AheadClock:
    """Runs as time does, as far ahead as it has been moved."""

    def __init__(self) -> None:
        self.instant = 0

    def now(self) -> int:
        """Return the instant in nanoseconds."""
        return time.monotonic_ns() + self.instant

    wall = now


def warmed(
    clock: HandClock | AheadClock | None = None, limits: dict[str, int] | None = None, **settings: Any
) -> Scheduler:
    """Return a scheduler past its slow start, that nobody tells what headers say."""
    clock = clock or AheadClock()
    scheduler = Scheduler(limits={MODEL: limits or PLENTY}, clock=clock, **settings)
    for _ in range(20):
        clock.instant += 60 * SECOND
        scheduler.reserve_nowait(MODEL, tokens=100).settle()
    return scheduler


def held_back(clock: HandClock | AheadClock, rpm: int = LIMIT, **settings: Any) -> Scheduler:
    """Return a scheduler whose next request waits for its requests of the minute."""
    scheduler = warmed(clock, {**PLENTY, "rpm": rpm}, **settings)
    scheduler.admission.retune(lambda now: _drain(scheduler, now))
    return scheduler


def _drain(scheduler: Scheduler, now: int) -> None:
    for scope in scheduler.admission.book:
        for account in scope.accounts:
            if account.bucket.quota.name == "rpm":
                account.bucket.advance(now)
                account.bucket.level = 0


def turns(scheduler: Scheduler) -> Acquire:
    """Return what has a turn and ends it."""

    async def turn() -> None:
        async with scheduler.reserve(MODEL, tokens=100) as reservation:
            reservation.settle(tokens=80)

    return turn


async def admissions(_: str) -> Figures:
    """Return the microseconds of a turn with one bucket, and with four."""
    one = await admission(turns(warmed(limits={"rpm": 10**9})))
    return {"one_us": one, "several_us": await admission(turns(warmed())), "dimensions": 4}


def _nothing() -> None:
    """Wake nobody."""


def entering(scheduler: Scheduler, tenants: int) -> Acquire:
    """Return what waits for a turn and holds it."""
    count = itertools.count().__next__

    def reserved(index: int) -> Any:
        if tenants == 1:
            return scheduler.reserve(MODEL, tokens=100)
        tenant, timeout = f"tenant {index % tenants}", 1e6 if index % 10 == 0 else None
        return scheduler.reserve(MODEL, tokens=100, tenant=tenant, priority=index % 3, timeout=timeout)

    async def enter() -> Any:
        return await reserved(count()).__aenter__()

    return enter


async def queue(who: str, number: int) -> Figures:
    """Park and release; with more tenants than one, everything is on."""
    tenants = TENANTS if who == "ours, all on" else 1
    clock = HandClock()
    weights = {f"tenant {index}": 1.0 + index % 4 for index in range(tenants)}
    scheduler = held_back(clock, weights=weights, reserved={"interactive": 0.01}) if tenants > 1 else held_back(clock)
    admission = scheduler.admission
    decided = 0.0

    def tick() -> None:
        nonlocal decided
        clock.instant += number * 60 * SECOND // LIMIT // STEPS + 1
        with unittest.mock.patch.object(admission, "_after", new=_nothing):  # wakes, outside the lock
            ticked = time.process_time()
            admission._tick()  # noqa: SLF001 -- what the timer calls
            decided += time.process_time() - ticked
        admission._after()  # noqa: SLF001 -- and what it ends with

    crowd = Crowd(entering(scheduler, tenants), number)
    parked = await crowd.park()
    assert scheduler.statistics().queued == number
    clock.instant += SECOND  # what the cushion keeps back
    clock.instant += 600_000_000 if tenants > 1 else 0  # and the kept share
    released = await crowd.release(tick)
    for reservation in crowd.held:
        reservation.cancel()
    return parked | released | {"decide_us": decided / number * 1e6}


async def standing(_: str, seconds: int) -> Figures:
    """Measure a standing backlog."""
    return await backlog(turns(held_back(AheadClock(), 60 * PER_SECOND)), seconds)


def measure(who: str, what: str, number: int) -> Figures:
    """Measure one thing once."""
    if what == "memory on trio":
        return trio.run(trio_memory, number, turns(held_back(HandClock())))
    return measuring(admissions, queue, standing)(who, what, number)


if __name__ == "__main__":
    start(measure)
