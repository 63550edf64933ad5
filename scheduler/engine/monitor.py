"""A monitor: one lock, what others left to be done under it, and what is to be told once it is released.

Everything is decided synchronously under one uncontended lock that is never held across an await: a decision takes
microseconds, so that threads and loops may share one admission without a lock of each kind. What has been decided is
acted on after the lock is released: waiters are woken, listeners are told.

Finalizers may run anywhere, also under the lock, and a coroutine that is thrown away leaves its blocks in one. So
whoever ends a reservation or leaves the queue never waits for the lock: where it is taken, he leaves what he has to say
in ``_chores``. Whoever takes the lock carries these out first, and looks again after he let go of it.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from scheduler.clock import Clock
from scheduler.engine.events import Event, LimitChanged
from scheduler.engine.parking import AsyncHost, HostGone
from scheduler.engine.waiter import Waiter

logger = logging.getLogger("scheduler")


class Idler:
    """A task that waits until all is quiet."""

    __slots__ = ("host", "slot")

    def __init__(self, host: AsyncHost) -> None:
        self.host = host
        self.slot: Any = None


_SLEEPERS = (Waiter, Idler)


class Monitor(ABC):
    """The lock of an admission, and the errands of those who may not wait for it."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing to do."""
        self.clock = clock
        self.listeners: list[Callable[[Event], None]] = []
        self._lock = threading.Lock()
        self._chores: deque[Callable[[], None]] = deque()  # to be done under the lock
        self._news: deque[Waiter | Idler | Event] = deque()  # to be woken, or told, outside it

    # ---- under the lock

    def _begin(self) -> int:
        """Carry out what was left to be done, and return the instant. First thing under the lock."""
        if self._chores:
            self._do_chores()
        now = self.clock.now()
        self._lapse(now)
        return now

    def _do_chores(self) -> None:
        self._lapse(self.clock.now())
        while self._chores:
            self._chores.popleft()()
        self._conclude(self.clock.now())

    @abstractmethod
    def _lapse(self, now: int) -> None:
        """Act on what has become too late, before anything else is decided."""

    @abstractmethod
    def _conclude(self, now: int) -> None:
        """Act on what has been decided. Last thing under the lock where anyone waits."""

    @abstractmethod
    def _lose(self, waiter: Waiter) -> None:
        """A waiter's loop is closed."""

    # ---- outside the lock

    def _later(self, chore: Callable[[], None]) -> None:
        """Have something done under the lock: now, or by him who holds it."""
        self._chores.append(chore)
        self._try_chores()

    def _try_chores(self) -> None:
        while self._chores and self._lock.acquire(blocking=False):
            try:
                self._do_chores()
            finally:
                self._lock.release()
            self._deliver()

    def _after(self) -> None:
        self._deliver()
        self._try_chores()

    def _deliver(self) -> None:
        """Wake and tell. Whoever comes first takes an item, of all threads."""
        while True:
            try:
                item = self._news.popleft()
            except IndexError:
                return
            if not isinstance(item, _SLEEPERS):
                self._tell(item)
                continue
            try:
                item.host.wake(item)
            except HostGone:
                if isinstance(item, Waiter):
                    self._chores.append(partial(self._lose, item))

    def _tell(self, event: Event) -> None:
        if isinstance(event, LimitChanged):
            _log(event)
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on %s", type(event).__name__)


def _log(change: LimitChanged) -> None:
    if change.before is None:
        logger.info("%s: the %s limit is %d, as the provider says", change.scope, change.quota, change.after)
    else:
        logger.warning(
            "%s: the %s limit is %d, not %d, as the provider says",
            change.scope,
            change.quota,
            change.after,
            change.before,
        )
