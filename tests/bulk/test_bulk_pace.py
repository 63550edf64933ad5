"""The first submissions are paced by aiolimiter, which must come to its end on virtual time too."""

import anyio
from aiolimiter import AsyncLimiter

from scheduler.testing import run


def test_a_rate_in_floats_comes_to_its_end_on_virtual_time() -> None:
    """What is missing of a unit may be less than the clock can tell; waiting for it moves the clock all the same."""

    async def acquire() -> float:
        limiter = AsyncLimiter(50, 0.1)
        for _ in range(2_000):
            await limiter.acquire()
        return anyio.current_time()

    assert 3.8 < run(acquire) < 4.2
