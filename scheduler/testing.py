"""For tests of programs that use the scheduler: virtual time, and a scheduler that records.

On virtual time a loop's clock jumps to the next timer as soon as nothing else is left to do, so that a test of a day
takes a second and a wait is exact. Threads and sockets look idle to it: do not mix them in.

    run(my_test)                          # asyncio, on virtual time
    run(my_test, backend="trio")          # trio, where it is installed

    double = Recorder()                   # lets everything through at once ...
    await my_program(double)
    assert [each.charge.tokens for each in double.admitted] == [1200]
    double = Recorder(limits={...})       # ... or is bound by limits, as the real one
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from contextvars import Context
from math import inf, nextafter
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio

from scheduler.clock import LoopClock
from scheduler.engine.events import Admitted, Event
from scheduler.facade import Scheduler

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: the program would wait for ever."""


class _JumpingSelector(selectors.SelectSelector):
    """Adds the timeout to the loop's clock instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, let time pass.

        Raises:
            Deadlock: If nothing is ready and no time would change that.
        """
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("nothing is ready and no timer is set")
            self.time += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on virtual time, beginning at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.time

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at an instant, or just after now if it has come.

        A real clock has moved on by then. Who waits by a rate in floats may find a moment missing that rounds to
        nothing, and would set the same timer for ever.
        """
        return super().call_at(max(when, nextafter(self.time(), inf)), callback, *args, context=context)


def run(function: Callable[..., Awaitable[T]], *args: Any, backend: str = "asyncio") -> T:
    """Run an asynchronous function on virtual time, on ``asyncio`` or ``trio``."""
    if backend == "trio":
        import trio.testing  # noqa: PLC0415 -- only who asks for trio needs it

        return anyio.run(
            function, *args, backend="trio", backend_options={"clock": trio.testing.MockClock(autojump_threshold=0)}
        )
    return anyio.run(function, *args, backend_options={"loop_factory": VirtualTimeLoop})


class Recorder(Scheduler):
    """A scheduler on virtual time that keeps what it was asked and told.

    Without limits it lets everything through at once and learns nothing; everything else is as in the real one.

    Attributes:
        events: Every event, in order.
    """

    def __init__(self, **settings: Any) -> None:
        """Take the arguments of ``Scheduler``."""
        settings.setdefault("clock", LoopClock())
        super().__init__(**settings)
        self.events: list[Event] = []
        self.on_event(self.events.append)
        if not settings.get("limits") and not settings.get("tier"):
            self.admission.book.learn = False

    @property
    def admitted(self) -> list[Admitted]:
        """Every request that was let through, in order."""
        return [event for event in self.events if isinstance(event, Admitted)]
