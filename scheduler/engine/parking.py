"""Where a waiter sleeps, and how it is woken from any thread and any loop.

An ``anyio.Event`` would do, at 10 microseconds and 2.3 KB a waiter; a bare future of the loop costs 3 and 1. So each
kind of place to sleep has a *host* of its own, behind one face: an asyncio loop, a trio run, a plain thread. A host
also keeps the one timer while one of its waiters leads (see ``timer``).

``wake`` may be called by anyone; it never blocks, and a host whose loop is gone raises ``HostGone``, so that what was
granted to its waiter can be given to another.
"""

import asyncio
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from scheduler.clock import Clock
from scheduler.core.quota import SECOND

if TYPE_CHECKING:
    import trio

_MICROSECOND = 1_000


class HostGone(Exception):
    """The loop that a waiter slept on is closed."""


class Sleeper(Protocol):
    """What a host needs of a waiter: a slot of the host's own, filled by ``prepare`` before anyone can wake it."""

    slot: Any


class Host(Protocol):
    """A loop or a thread on which waiters sleep."""

    def prepare(self, sleeper: Sleeper) -> None:
        """Make a sleeper ready to be woken; called by the one that will sleep."""
        ...

    def wake(self, sleeper: Sleeper) -> None:
        """Wake a sleeper, from any thread.

        Raises:
            HostGone: If its loop is closed.
        """
        ...

    def call_after(self, delay: int, callback: Callable[[], None], lost: Callable[[], None]) -> Callable[[], None]:
        """Call back after *delay* nanoseconds, or *lost* if the host ends before; return what cancels both.

        Raises:
            HostGone: If its loop is closed.
        """
        ...


class AsyncHost(Host, Protocol):
    """A host whose sleepers are tasks."""

    @property
    def here(self) -> bool:
        """Whether the caller runs on this host's thread."""
        ...

    def sleep(self, sleeper: Sleeper) -> Awaitable[None]:
        """Sleep until woken; to be awaited at once."""
        ...


def _seconds(delay: int) -> float:
    """Round up to whole microseconds and one more: a loop may fire a little early, and would be asked again."""
    return (delay // _MICROSECOND + 2) / 1e6


class _Alarm:
    """A timer's callback that notices when its loop throws it away unfired.

    Only the loop holds it: whoever may cancel it does so through a weak reference, or it would never be thrown away.
    """

    __slots__ = ("__weakref__", "_callback", "_lost")

    def __init__(self, callback: Callable[[], None], lost: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback
        self._lost = lost

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def disarm(self) -> None:
        self._callback = None

    def __del__(self) -> None:
        if self._callback is not None:
            self._lost()


def _disarm(alarm: "weakref.ref[_Alarm]") -> None:
    if (armed := alarm()) is not None:
        armed.disarm()


class AsyncioHost:
    """An asyncio event loop."""

    __slots__ = ("__weakref__", "_loop", "_thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()

    @property
    def here(self) -> bool:
        return threading.get_ident() == self._thread

    def prepare(self, sleeper: Sleeper) -> None:
        sleeper.slot = self._loop.create_future()

    def sleep(self, sleeper: Sleeper) -> Awaitable[None]:
        future: asyncio.Future[None] = sleeper.slot
        return future

    def wake(self, sleeper: Sleeper) -> None:
        future: asyncio.Future[None] = sleeper.slot
        if self.here and not self._loop.is_closed():
            _finish(future)
        else:
            self._threadsafe(_finish, future)

    def call_after(self, delay: int, callback: Callable[[], None], lost: Callable[[], None]) -> Callable[[], None]:
        alarm = _Alarm(callback, lost)
        armed = weakref.ref(alarm)
        handles: list[weakref.ref[asyncio.TimerHandle]] = []

        def cancel() -> None:
            _disarm(armed)
            if self.here and handles and (handle := handles[0]()) is not None:
                handle.cancel()

        if self.here and not self._loop.is_closed():
            _ring_later(self._loop, delay, alarm, handles)
        else:
            try:
                self._threadsafe(_ring_later, self._loop, delay, alarm, handles)
            except HostGone:
                alarm.disarm()
                raise
        return cancel

    def _threadsafe(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError as error:
            raise HostGone from error


def _ring_later(
    loop: asyncio.AbstractEventLoop, delay: int, alarm: _Alarm, handles: "list[weakref.ref[asyncio.TimerHandle]]"
) -> None:
    handles.append(weakref.ref(loop.call_later(_seconds(delay), alarm)))


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _at_once() -> None:
    return


class _Berth:
    """Where a task of trio sleeps: left once, by the waker or by a cancellation, whoever comes first."""

    __slots__ = ("_trio", "task", "woken")

    def __init__(self, module: Any) -> None:
        self._trio = module
        self.task: trio.lowlevel.Task | None = None
        self.woken = False

    def abort(self, _raise_cancel: object) -> "trio.lowlevel.Abort":
        self.task = None
        succeeded: trio.lowlevel.Abort = self._trio.lowlevel.Abort.SUCCEEDED
        return succeeded

    def wake(self) -> None:
        self.woken = True
        task, self.task = self.task, None
        if task is not None:
            self._trio.lowlevel.reschedule(task)


class TrioHost:
    """A trio run."""

    __slots__ = ("__weakref__", "_token", "_trio")

    def __init__(self) -> None:
        import trio  # noqa: PLC0415 -- only who runs trio pays for it

        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()

    @property
    def here(self) -> bool:
        try:
            return self._trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:  # the thread may be the run's own, between its steps or after its end
            return False

    def prepare(self, sleeper: Sleeper) -> None:
        sleeper.slot = _Berth(self._trio)

    def sleep(self, sleeper: Sleeper) -> Awaitable[None]:
        berth: _Berth = sleeper.slot
        if berth.woken:
            return _at_once()  # woken before it slept, by a finalizer or from another thread
        berth.task = self._trio.lowlevel.current_task()
        asleep: Awaitable[None] = self._trio.lowlevel.wait_task_rescheduled(berth.abort)
        return asleep

    def wake(self, sleeper: Sleeper) -> None:
        berth: _Berth = sleeper.slot
        if self.here:
            berth.wake()
        else:
            self._threadsafe(berth.wake)

    def call_after(self, delay: int, callback: Callable[[], None], lost: Callable[[], None]) -> Callable[[], None]:
        scope = self._trio.CancelScope()
        alarm = _Alarm(callback, lost)
        armed = weakref.ref(alarm)

        def cancel() -> None:
            _disarm(armed)
            if self.here:
                scope.cancel()

        if self.here:
            self._ring_later(delay, alarm, scope)
        else:
            try:
                self._threadsafe(self._ring_later, delay, alarm, scope)
            except HostGone:
                alarm.disarm()
                raise
        return cancel

    def _ring_later(self, delay: int, alarm: _Alarm, scope: "trio.CancelScope") -> None:
        self._trio.lowlevel.spawn_system_task(self._ring, delay, alarm, scope)

    async def _ring(self, delay: int, alarm: _Alarm, scope: "trio.CancelScope") -> None:
        with scope:
            await self._trio.sleep(_seconds(delay))
            alarm()

    def _threadsafe(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._token.run_sync_soon(callback, *arguments)
        except self._trio.RunFinishedError as error:
            raise HostGone from error


class ThreadHost:
    """A thread that waits without a loop. It has one sleeper, and keeps the timer itself while it leads."""

    __slots__ = ("_alarm", "_changed", "_clock", "_due")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._alarm: _Alarm | None = None
        self._due = 0

    def prepare(self, sleeper: Sleeper) -> None:
        sleeper.slot = None

    def sleep(self, sleeper: Sleeper) -> None:
        """Block this thread until woken."""
        while True:
            with self._changed:
                if sleeper.slot is True:
                    alarm, self._alarm = self._alarm, None
                    break
                if self._alarm is None:
                    self._changed.wait()
                elif (left := self._due - self._clock.now()) > 0:
                    self._changed.wait(left / SECOND)
                alarm = self._ringing()
            if alarm is not None:
                alarm()
        del alarm  # unfired: leadership passes on, outside the condition

    def _ringing(self) -> _Alarm | None:
        if self._alarm is None or self._clock.now() < self._due:
            return None
        alarm, self._alarm = self._alarm, None
        return alarm

    def wake(self, sleeper: Sleeper) -> None:
        with self._changed:
            sleeper.slot = True
            self._changed.notify()

    def call_after(self, delay: int, callback: Callable[[], None], lost: Callable[[], None]) -> Callable[[], None]:
        alarm = _Alarm(callback, lost)
        with self._changed:
            self._alarm = alarm
            self._due = self._clock.now() + delay
            self._changed.notify()
        return alarm.disarm


Hosts = weakref.WeakValueDictionary[int, AsyncHost]
"""Hosts by the ``id`` of their loop, which they keep alive; each lasts as long as anyone sleeps on it."""


def current_host(hosts: Hosts) -> AsyncHost:
    """Return the host of the running loop, from *hosts* if it is known there."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        token = id(trio.lowlevel.current_trio_token())
        host = hosts.get(token)
        if host is None:
            host = hosts[token] = TrioHost()
        return host
    loop = asyncio.get_running_loop()
    host = hosts.get(id(loop))
    if host is None or not host.here:
        host = hosts[id(loop)] = AsyncioHost(loop)
    return host
