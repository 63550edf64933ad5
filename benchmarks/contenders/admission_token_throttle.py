# /// script
# requires-python = ">=3.12"
# dependencies = ["token-throttle==14.0.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""Turns of token-throttle, in memory, as its README shows them; apart, for it needs Python 3.12.

A turn is `reserve` and what was really used, in one dimension or in four. Its waiters look again after a time.
"""

from typing import Any

from token_throttle import MemoryBackendBuilder, PerModelConfig, Quota, RateLimiter, UsageQuotas
from waiting import Acquire, Figures, admission, polling, start

MINUTE, DAY = 60, 86_400
PLENTY = [
    Quota(metric="requests", limit=10**9, per_seconds=MINUTE),
    Quota(metric="tokens", limit=10**12, per_seconds=MINUTE),
    Quota(metric="requests", limit=10**12, per_seconds=DAY),
    Quota(metric="tokens", limit=10**14, per_seconds=DAY),
]


def turns(quotas: list[Quota]) -> Acquire:
    """Return what has a turn and ends it."""
    limiter = RateLimiter(PerModelConfig(quotas=UsageQuotas(quotas)), backend=MemoryBackendBuilder())
    metrics = {quota.metric for quota in quotas}
    estimate = {metric: 1 if metric == "requests" else 100 for metric in metrics}
    actual = {metric: 1 if metric == "requests" else 80 for metric in metrics}

    async def turn() -> Any:
        async with limiter.reserve(estimate, model="m") as handle:
            handle.set_actual_usage(actual)

    return turn


def scarce(per_second: int) -> Acquire:
    """Return a turn that requests are waited for."""
    return turns([Quota(metric="requests", limit=per_second, per_seconds=1), *PLENTY[1:]])


async def admissions() -> Figures:
    """Return the microseconds of a turn of one dimension, and of four."""
    one = await admission(turns(PLENTY[:1]))
    return {"one_us": one, "several_us": await admission(turns(PLENTY)), "dimensions": 4}


if __name__ == "__main__":
    start(polling(admissions, scarce))
