"""The floor: a heap of bare futures before a hand-written bucket, what cannot be undercut.

No reservations, scopes, statistics or threads.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from functools import partial

import trio
import trio.testing
from waiting import PER_SECOND, STEPS, Acquire, Crowd, Figures, admission, backlog, measuring, resident, start

MINUTE = 60 * 10**9
DAY = 24 * 60 * MINUTE
PLENTY = (10**9, 10**12, 10**12, 10**14)


class OneBucket:
    """A level in integers: units times nanoseconds of the window, so that a nanosecond brings the window's amount."""

    __slots__ = ("at", "full", "level", "rate", "units")

    def __init__(self, amount: int, window: int) -> None:
        self.rate = amount
        self.level = self.full = amount * window
        self.units = window
        self.at = time.monotonic_ns()

    def take(self) -> bool:
        """Advance, check, take."""
        now = time.monotonic_ns()
        self.level = level = min(self.full, self.level + (now - self.at) * self.rate)
        self.at = now
        if level < self.units:
            return False
        self.level = level - self.units
        return True


class FloorBucket:
    """Four such levels at once: requests and tokens, by the minute and by the day."""

    __slots__ = ("at", "full", "levels", "rates", "units")

    def __init__(self, amounts: tuple[int, int, int, int]) -> None:
        windows = (MINUTE, MINUTE, DAY, DAY)
        self.rates = amounts
        self.full = [amount * window for amount, window in zip(amounts, windows, strict=True)]
        self.levels = list(self.full)
        self.units = [units * window for units, window in zip((1, 100, 1, 100), windows, strict=True)]
        self.at = time.monotonic_ns()

    def take(self) -> bool:
        """Advance, check all, take all."""
        now = time.monotonic_ns()
        span, self.at = now - self.at, now
        (one, two, three, four), rates, full, units = self.levels, self.rates, self.full, self.units
        one = min(full[0], one + span * rates[0])
        two = min(full[1], two + span * rates[1])
        three = min(full[2], three + span * rates[2])
        four = min(full[3], four + span * rates[3])
        if one < units[0] or two < units[1] or three < units[2] or four < units[3]:
            self.levels = [one, two, three, four]
            return False
        self.levels = [one - units[0], two - units[1], three - units[2], four - units[3]]
        return True

    def wait(self) -> int:
        """Return the nanoseconds until it can be taken from."""
        missing = zip(self.units, self.levels, self.rates, strict=True)
        return max(-((level - units) // rate) for units, level, rate in missing)


class FloorQueue:
    """A heap of futures and one timer."""

    def __init__(self, bucket: FloorBucket, place: Callable[[], float]) -> None:
        self.bucket = bucket
        self._place = place
        self._count = itertools.count().__next__
        self._heap: list[tuple[float, int, asyncio.Future[None]]] = []

    async def acquire(self) -> None:
        """Wait for a turn."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (self._place(), self._count(), future))
        await future

    def release(self, most: int) -> None:
        """Let through as many as there is for."""
        for _ in range(min(most, len(self._heap))):
            if not self.bucket.take():
                break
            future = heapq.heappop(self._heap)[2]
            if not future.done():
                future.set_result(None)

    def ring(self) -> None:
        """Let through those whose time has come, and ring again when the next one's comes."""
        self.release(len(self._heap))
        if self._heap:
            asyncio.get_running_loop().call_later(self.bucket.wait() / 1e9, self.ring)


def taking(bucket: OneBucket | FloorBucket) -> Acquire:
    """Return what takes and gives back nothing."""

    async def acquire() -> bool:
        return bucket.take()

    return acquire


async def admissions(_: str) -> Figures:
    """Return the microseconds of taking from a bucket of one dimension, and of four."""
    one = await admission(taking(OneBucket(PLENTY[0], MINUTE)))
    return {"one_us": one, "several_us": await admission(taking(FloorBucket(PLENTY))), "dimensions": 4}


async def queue(who: str, number: int) -> Figures:
    """Park and release, in the order of arrival or in a mixed one."""
    place: Callable[[], float] = random.Random(1).random if who == "floor, mixed" else int
    waiting = FloorQueue(FloorBucket(PLENTY), place)
    crowd = Crowd(waiting.acquire, number)
    parked = await crowd.park()
    return parked | await crowd.release(partial(waiting.release, -(-number // STEPS)))


async def standing(_: str, seconds: int) -> Figures:
    """Measure a standing backlog."""
    waiting = FloorQueue(FloorBucket((60 * PER_SECOND, *PLENTY[1:])), int)
    waiting.bucket.levels[0] = 0
    asyncio.get_running_loop().call_later(1 / PER_SECOND, waiting.ring)
    return await backlog(waiting.acquire, seconds)


async def bare() -> None:
    """Sleep as a bare parked task of trio does."""
    await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)


async def trio_memory(number: int, waiter: Acquire) -> Figures:
    """Return the bytes of a task on trio that runs *waiter*."""
    before = resident()
    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(waiter)
        await trio.testing.wait_all_tasks_blocked()
        size = (resident() - before) / number
        nursery.cancel_scope.cancel()
    return {"bytes": size}


def measure(who: str, what: str, number: int) -> Figures:
    """Measure one thing once."""
    if what == "memory on trio":
        return trio.run(trio_memory, number, bare)
    return measuring(admissions, queue, standing)(who, what, number)


if __name__ == "__main__":
    start(measure)
