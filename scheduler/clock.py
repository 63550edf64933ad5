"""The only file that reads a clock.

One domain of instants serves all threads and loops: the monotonic clock, in integer nanoseconds. Wall time is
for dates in headers and calendar windows only. Under virtual time, which tests use, instants come from the
running loop instead.
"""

import contextlib
import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where instants come from."""

    def now(self) -> int:
        """Return the present instant in nanoseconds; it never goes back."""
        ...

    def wall(self) -> int:
        """Return nanoseconds since the epoch, UTC; it may jump."""
        ...


class SystemClock:
    """The machine's clocks."""

    now = staticmethod(time.monotonic_ns)
    wall = staticmethod(time.time_ns)


def pause(seconds: float) -> None:
    """Have the calling thread sleep."""
    time.sleep(seconds)


class LoopClock:
    """The running event loop's clock, for virtual time; wall time is *epoch* plus what the loop has lived.

    Outside a loop it stands still, at 0 before the first.
    """

    def __init__(self, epoch: int = 1_700_000_000_000_000_000) -> None:
        self.epoch = epoch
        self._last = 0

    def now(self) -> int:
        """Return the loop's time in nanoseconds."""
        with contextlib.suppress(RuntimeError):
            self._last = round(anyio.current_time() * 1e9)
        return self._last

    def wall(self) -> int:
        """Return the epoch plus the loop's time, in nanoseconds."""
        return self.epoch + self.now()
