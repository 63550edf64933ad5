# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "aiolimiter==1.3.0",
#     "langchain-core==1.7.2",
#     "limits==5.8.0",
#     "pyrate-limiter==4.5.1",
#     "throttled-py==3.5.0",
# ]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""Turns of other rate limiters, in memory and on asyncio, as the docs of each show them.

None takes several dimensions at once; pyrate-limiter takes several windows of one. limits has nobody wait: it says yes
or no. Who waits, sleeps: in aiolimiter until woken; in pyrate-limiter before a lock, and the first for a time; in the
others each for a time, to look again. So releasing is measured of aiolimiter alone: what looking costs depends on how
long one waits, and `backlog` shows it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiolimiter import AsyncLimiter
from langchain_core.rate_limiters import InMemoryRateLimiter
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from pyrate_limiter import BucketAsyncWrapper, Duration, InMemoryBucket, Limiter, Rate
from throttled.asyncio import RateLimiterType, Throttled
from waiting import PER_SECOND, STEPS, Acquire, Crowd, Figures, HandLoop, admission, backlog, measuring, start

PLENTY = 10**9


def aiolimiter(per_second: int) -> Acquire:
    """`await limiter.acquire()` is what `async with` does."""
    return AsyncLimiter(per_second, 1).acquire


def langchain(per_second: int) -> Acquire:
    """Look ten times a second, which is the default."""
    limiter = InMemoryRateLimiter(requests_per_second=per_second, max_bucket_size=per_second)

    async def acquire() -> Any:
        return await limiter.aacquire()

    return acquire


def throttled(per_second: int) -> Acquire:
    """Wait as long as it takes."""
    throttle = Throttled(
        using=RateLimiterType.TOKEN_BUCKET.value, quota=f"{per_second}/s burst {per_second}", timeout=1e6
    )

    async def acquire() -> Any:
        return await throttle.limit("/ping", cost=1)

    return acquire


def pyrate(*rates: Rate) -> Acquire:
    """Wait in asyncio, on the default bucket."""
    limiter = Limiter(BucketAsyncWrapper(InMemoryBucket(list(rates))))

    async def acquire() -> Any:
        return await limiter.try_acquire_async("item")

    return acquire


def pyrate_one(per_second: int) -> Acquire:
    """Of one window."""
    return pyrate(Rate(per_second, Duration.SECOND))


def hitting(strategy: type[RateLimiter]) -> Acquire:
    """Ask whether it may go."""
    limiter, limit = strategy(MemoryStorage()), parse(f"{PLENTY}/minute")

    async def acquire() -> Any:
        return await limiter.hit(limit, "namespace", "user")

    return acquire


WAITING: dict[str, Callable[[int], Acquire]] = {
    "aiolimiter": aiolimiter,
    "langchain-core": langchain,
    "throttled-py": throttled,
    "pyrate-limiter": pyrate_one,
}
HITTING = {
    "limits, fixed window": FixedWindowRateLimiter,
    "limits, moving window": MovingWindowRateLimiter,
    "limits, sliding counter": SlidingWindowCounterRateLimiter,
}


async def admissions(who: str) -> Figures:
    """Return the microseconds of a turn of one dimension, or also of two windows."""
    if who in HITTING:
        return {"one_us": await admission(hitting(HITTING[who]))}
    spent = await admission(WAITING[who](PLENTY))
    if who == "pyrate-limiter":
        windows = pyrate(Rate(PLENTY, Duration.MINUTE), Rate(100 * PLENTY, Duration.DAY))
        return {"one_us": spent, "several_us": await admission(windows), "dimensions": 2}
    return {"one_us": spent}


async def queue(who: str, number: int) -> Figures:
    """Park and, where that is not a matter of time, release."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HandLoop)
    if who != "aiolimiter":
        acquire = WAITING[who](1)
        if who != "langchain-core":  # whose bucket begins empty
            await acquire()
        return await Crowd(acquire, number).park()
    limiter = AsyncLimiter(number, 1)
    await limiter.acquire(number)
    crowd = Crowd(limiter.acquire, number)
    parked = await crowd.park()

    def tick() -> None:
        loop.instant += 1.01 / STEPS

    return parked | await crowd.release(tick)


async def standing(who: str, seconds: int) -> Figures:
    """Measure a standing backlog."""
    return await backlog(WAITING[who](PER_SECOND), seconds)


if __name__ == "__main__":
    start(measuring(admissions, queue, standing))
