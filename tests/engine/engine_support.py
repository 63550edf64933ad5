"""What the engine's tests share."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from quiet import is_quiet as is_quiet  # noqa: PLC0414 -- for the tests beside this

from scheduler.core.quota import SECOND
from scheduler.facade import Scheduler
from scheduler.testing import Recorder

Run = Callable[[Callable[[], Awaitable[Any]]], Any]

LIMIT_HEADERS = ("limit", "remaining", "reset")


def headers(dimension: str, limit: int, remaining: int, reset: str) -> dict[str, str]:
    """Return the three rate headers of one bucket."""
    values = zip(LIMIT_HEADERS, (limit, remaining, reset), strict=True)
    return {f"x-ratelimit-{kind}-{dimension}": str(value) for kind, value in values}


def refusal(limit: int, used: int, requested: int, on: str = "tokens per min (TPM)") -> bytes:
    """Return the body of a 429 that says its numbers."""
    words = f"Rate limit reached for m in organization org-x on {on}: "
    words += f"Limit {limit}, Used {used}, Requested {requested}. Please try again in 1s."
    return b'{"error": {"message": "%s", "type": "tokens", "code": "rate_limit_exceeded"}}' % words.encode()


def at_once(limit: dict[str, int] | None = None, **settings: Any) -> Recorder:
    """Return a scheduler on virtual time whose one model ``m`` has these limits; it records events."""
    return Recorder(limits=None if limit is None else {"m": limit}, seed=1, **settings)


def emptied(limit: dict[str, int], **settings: Any) -> Recorder:
    """Return the same past its slow start, with nothing left in its buckets."""
    scheduler = at_once(limit, **settings)
    scheduler.reserve_nowait("m").cancel()

    def empty(now: int) -> None:
        for scope in scheduler.admission.book:
            for account in scope.accounts:
                account.bucket.advance(now)
                account.bucket.level = account.cushion if account.known else 0
                account.pace = None

    scheduler.admission.retune(empty)
    return scheduler


def spend(scheduler: Scheduler, number: int, **charge: Any) -> None:
    """Send requests that take no time."""
    for _ in range(number):
        scheduler.reserve_nowait("m", **charge).settle()


def milli(seconds: float) -> int:
    """Return whole milliseconds, rounded down: a timer rings up to two microseconds late."""
    return int(seconds * 1000)


class Log:
    """Who was granted when."""

    def __init__(self) -> None:
        self.grants: list[tuple[str, float]] = []

    def __call__(self, name: str) -> None:
        self.grants.append((name, anyio.current_time()))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.grants]

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.grants]


def threads(number: int, function: Callable[[int], None]) -> None:
    """Run a function in threads at once; raise what one of them raised."""
    errors: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            function(index)
        except BaseException as error:  # noqa: BLE001 -- raised below
            errors.append(error)

    started = [threading.Thread(target=guarded, args=(index,), daemon=True) for index in range(number)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(10)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def seconds(number: float) -> int:
    """Return nanoseconds."""
    return int(number * SECOND)
