# /// script
# requires-python = ">=3.11"
# dependencies = ["openlimit==0.3.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""Turns of openlimit, in memory: requests and tokens of a minute, each waiter looking again after a time.

Apart, for it needs help to be imported: its client of Redis is older than Python 3.11 and fails there, and it loads
encodings from the network. Neither takes part in a turn.
"""

import sys
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import tiktoken
from waiting import Acquire, Figures, admission, polling, start

sys.modules["aioredis"] = ModuleType("aioredis")
tiktoken.get_encoding = MagicMock()

from openlimit import ChatRateLimiter  # noqa: E402 -- now it can be

PLENTY = 10**9


def turns(per_second: int) -> Acquire:
    """Return what `async with limiter.limit(**request)` does once it has counted a request's tokens."""
    limiter = ChatRateLimiter(request_limit=60 * per_second, token_limit=60 * PLENTY)

    async def turn() -> Any:
        return await limiter.wait_for_capacity(100)

    return turn


async def admissions() -> Figures:
    """Return the microseconds of a turn."""
    return {"several_us": await admission(turns(PLENTY)), "dimensions": 2}


if __name__ == "__main__":
    start(polling(admissions, turns))
