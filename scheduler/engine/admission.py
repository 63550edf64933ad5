"""Admission: the only place where a request is let through.

Everything is decided synchronously under one uncontended lock that is never held across an await: a decision takes
microseconds, so that threads and loops may share one admission without a lock of each kind. What has been decided is
acted on after the lock is released: waiters are woken, listeners are told.

Finalizers may run anywhere, also under the lock. They leave what they have to say in ``_chores``, which whoever holds
or next takes the lock carries out.
"""

import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

from scheduler.clock import Clock
from scheduler.core.backoff import Backoff
from scheduler.core.budget import GRANTED, Draw, decide, too_large
from scheduler.core.quota import SECOND, Charge
from scheduler.core.reconcile import Account
from scheduler.engine.dispatch import Dispatcher
from scheduler.engine.events import Admitted, Event
from scheduler.engine.lane import Blocker, Lane, Waiter, mask_of
from scheduler.engine.learning import Learner
from scheduler.engine.parking import AsyncHost, HostGone, ThreadHost, current_host
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.tally import Tally
from scheduler.engine.timer import Timer
from scheduler.errors import DeadlineUnattainable, QueueFull, RequestTooLarge
from scheduler.providers.base import Provider, Reading, Usage

logger = logging.getLogger("scheduler")

_LANES_KNOWN = 10_000

Seen = TypeVar("Seen")


class Idler:
    """A task that waits until all is quiet."""

    __slots__ = ("host", "slot")

    def __init__(self, host: AsyncHost) -> None:
        self.host = host
        self.slot: Any = None


class Admission:
    """Lets requests through in order, as their scopes' accounts allow."""

    def __init__(
        self,
        provider: Provider,
        book: ScopeBook,
        clock: Clock,
        *,
        local: Scope | None = None,
        max_queued: int | None = None,
        chance: Callable[[], float],
        price: Callable[[str, Usage], float],
    ) -> None:
        """Begin with nobody waiting.

        Args:
            provider: What answers mean.
            book: Finds the scopes of a model.
            clock: Where instants come from.
            local: A scope of this process's own that every request draws on, such as its concurrency.
            max_queued: The most that may wait; unbounded if None.
            chance: Draws evenly from [0, 1), for the jitter of pauses.
            price: What a model's usage costs in US dollars.
        """
        self.provider = provider
        self.clock = clock
        self.book = book
        self.tally = Tally(price)
        self.listeners: list[Callable[[Event], None]] = []
        self.local = local
        self.max_queued = max_queued
        self.queued = 0
        self._lock = threading.Lock()
        self._dispatcher = Dispatcher()
        self._learner = Learner(provider, book, Backoff(), chance)
        self._timer = Timer(self._tick, self._timer_lost)
        self._arrivals = count(1)
        self._known: dict[tuple[str, str | None, int], Lane] = {}
        self._lanes: dict[tuple[tuple[int, ...], int], Lane] = {}
        self._deadlines: list[tuple[int, int, Waiter]] = []
        self._chores: deque[Callable[[], None]] = deque()
        self._idlers: list[Idler] = []
        self._hosts: weakref.WeakKeyDictionary[object, AsyncHost] = weakref.WeakKeyDictionary()

    # ---- coming in

    def arrive(self) -> int:
        """Return the next place in the order of arrival, for a request that may be tried more than once."""
        return next(self._arrivals)

    def try_now(self, model: str, project: str | None, charge: Charge) -> Reservation:
        """Let a request through at once, or say when it could go.

        Raises:
            RequestTooLarge: If it can never go.
            DeadlineUnattainable: If it cannot go now; ``expected_wait`` says when it could, were it alone.
        """
        now = self.clock.now()
        with self._lock:
            lane = self._lane(model, project, mask_of(charge), now)
            reservation = self._grant_now(lane, model, charge, now)
            if reservation is None:
                self._refuse_too_large(lane, charge)
                raise self._unattainable(lane, charge, now, 0)
        self._after([])
        if self.listeners:
            self._tell_admitted(reservation)
        return reservation

    def enter(
        self,
        model: str,
        project: str | None,
        charge: Charge,
        priority: int,
        *,
        timeout: int | None = None,
        arrival: int | None = None,
        blocking: bool = False,
    ) -> Reservation | Waiter:
        """Let a request through at once, or return the waiter that stands for it.

        Args:
            model: Model that the request names, or "".
            project: Project that it is sent in, or None.
            charge: What it is expected to be charged.
            priority: The lowest goes first.
            timeout: Nanoseconds that it may wait, or None.
            arrival: Its place in the order of arrival, if it has one already.
            blocking: Whether it will sleep in its thread instead of in a task.

        Raises:
            RequestTooLarge: If it can never go.
            QueueFull: If as many wait as may.
        """
        now = self.clock.now()
        wakes: list[Waiter] = []
        with self._lock:
            lane = self._lane(model, project, mask_of(charge), now)
            reservation = self._grant_now(lane, model, charge, now)
            if reservation is not None:
                result: Reservation | Waiter = reservation
            else:
                self._refuse_too_large(lane, charge)
                self._refuse_full(lane)
                result = self._enqueue(lane, model, charge, priority, now, timeout, arrival, blocking=blocking)
                wakes = self._conclude(now)
                if result.reservation is not None:
                    wakes.remove(result)
                    result = result.reservation
        self._after(wakes)
        if self.listeners and isinstance(result, Reservation):
            self._tell_admitted(result)
        return result

    def _grant_now(self, lane: Lane, model: str, charge: Charge, now: int) -> Reservation | None:
        """Grant without queueing, where nobody waits for anything that this request draws on."""
        if lane.queue or (self._dispatcher.busy and self._dispatcher.anyone_at(lane)):
            return None
        for gate in lane.gates:
            if gate.window and gate.ready_at(now) > now:
                return None
        if decide(lane.draws, charge, now) is not GRANTED:
            return None
        self.tally.admitted(0)
        return Reservation(self, lane, model, charge, lane.spend(charge, now), now, 0)

    def _enqueue(
        self,
        lane: Lane,
        model: str,
        charge: Charge,
        priority: int,
        now: int,
        timeout: int | None,
        arrival: int | None,
        *,
        blocking: bool,
    ) -> Waiter:
        place = next(self._arrivals) if arrival is None else arrival
        deadline = None if timeout is None else now + timeout
        host: AsyncHost | ThreadHost = ThreadHost(self.clock) if blocking else current_host(self._hosts)
        waiter = Waiter(lane, model, charge, priority, place, now, deadline, host)
        host.prepare(waiter)
        lane.push(waiter)
        self.queued += 1
        self._timer.joined(host)
        if deadline is not None:
            heappush(self._deadlines, (deadline, place, waiter))
        if lane.queue.head() is waiter:
            self._dispatcher.serve([lane], now)
        return waiter

    # ---- going out

    def abandon(self, waiter: Waiter) -> None:
        """Take a waiter out whose task was cancelled; what it was granted goes to the next."""
        now = self.clock.now()
        with self._lock:
            if waiter.reservation is None and waiter.error is None:
                self._remove(waiter, now)
            wakes = self._conclude(now)
        self._after(wakes)
        if waiter.reservation is not None and waiter.reservation.ended_by is None:
            waiter.reservation.cancel()

    def learn(self, reservation: Reservation, reading: Reading, at: int | None) -> None:
        """Correct the accounts by what an answer says."""
        now = self.clock.now()
        with self._lock:
            events = self._learner.learn(reservation, reading, now if at is None else min(at, now))
            self.tally.answered(reading)
            self._dispatcher.changed(self._concerned(reservation.lane), now)
            wakes = self._conclude(now)
        self._after(wakes, events)

    def ended(self, reservation: Reservation, usage: Usage | None) -> None:
        """Take note of a reservation's end, and free what only it held."""
        now = self.clock.now()
        with self._lock:
            self._learner.ended(reservation, usage, now)
            self.tally.ended(reservation, usage)
            if self._dispatcher.busy:
                self._dispatcher.changed(self._concerned(reservation.lane), now)
                wakes = self._conclude(now)
            else:
                wakes = []
        self._after(wakes)

    def expired(self, reservation: Reservation) -> None:
        """End a reservation that nobody can end any more. Called by a finalizer, anywhere."""

        def expire() -> None:
            self._learner.ended(reservation, None, self.clock.now())
            self.tally.ended(reservation, None)
            self._dispatcher.changed(self._concerned(reservation.lane), self.clock.now())

        self._later(expire)

    def retune(self, change: Callable[[int], None]) -> None:
        """Change limits at an instant, and let through who may go then."""
        now = self.clock.now()
        with self._lock:
            change(now)
            lanes = list(self._lanes.values())
            for lane in lanes:
                lane.rebuild()
            self._dispatcher.serve((lane for lane in lanes if lane.queue), now)
            wakes = self._conclude(now)
        self._after(wakes)

    def draws(self, model: str, project: str | None, mask: int) -> tuple[Draw, ...]:
        """Return the accounts that a request draws on whose charge has the dimensions of *mask*."""
        with self._lock:
            return self._lane(model, project, mask, self.clock.now()).draws

    def look(self, view: Callable[[int], Seen]) -> Seen:
        """Return what *view* sees at one instant, while nothing moves."""
        with self._lock:
            return view(self.clock.now())

    async def wait_idle(self) -> None:
        """Wait until nothing waits and nothing is in flight."""
        with self._lock:
            if self._idle:
                return
            idler = Idler(current_host(self._hosts))
            idler.host.prepare(idler)
            self._idlers.append(idler)
        try:
            await idler.host.sleep(idler)
        finally:
            with self._lock:
                if idler in self._idlers:
                    self._idlers.remove(idler)

    @property
    def _idle(self) -> bool:
        return not self.queued and not self.tally.in_flight

    def forked(self) -> None:
        """Forget, in a forked child, who waits: they are the parent's, and so is its lock."""
        self._lock = threading.Lock()
        self._dispatcher = Dispatcher()
        self._timer = Timer(self._tick, self._timer_lost)
        self._deadlines.clear()
        self._chores.clear()
        self._idlers.clear()
        self._known.clear()
        self._lanes.clear()
        for scope in [*self.book, *([self.local] if self.local is not None else [])]:
            scope.lanes.clear()
        self.queued = 0

    @property
    def lanes(self) -> list[Lane]:
        """All lanes; to be looked at under ``look``."""
        return list(self._lanes.values())

    # ---- under the lock

    def _lane(self, model: str, project: str | None, mask: int, now: int) -> Lane:
        lane = self._known.get((model, project, mask))
        if lane is None:
            lane = self._find_lane(model, project, mask, now)
        return lane

    def _find_lane(self, model: str, project: str | None, mask: int, now: int) -> Lane:
        scopes, dropped = self.book.scopes_for(model, project, now)
        for scope in dropped:
            self._forget(scope)
        if self.local is not None:
            scopes = (*scopes, self.local)
        key = (tuple(id(scope) for scope in scopes), mask)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(scopes, mask)
            for scope in scopes:
                scope.lanes.append(lane)
        if len(self._known) >= _LANES_KNOWN:
            self._known.clear()
        self._known[model, project, mask] = lane
        return lane

    def _forget(self, scope: Scope) -> None:
        gone = {id(lane) for lane in scope.lanes}
        self._lanes = {key: lane for key, lane in self._lanes.items() if id(lane) not in gone}
        self._known = {key: lane for key, lane in self._known.items() if id(lane) not in gone}
        if self.local is not None:
            self.local.lanes = [lane for lane in self.local.lanes if id(lane) not in gone]

    def _refuse_too_large(self, lane: Lane, charge: Charge) -> None:
        never = too_large(lane.draws, charge)
        if never is not None:
            account = never.binding
            requested = charge[account.dimension.position]
            raise RequestTooLarge(account.scope, account.bucket.quota.name, requested, never.largest)

    def _refuse_full(self, lane: Lane) -> None:
        if self.max_queued is not None and self.queued >= self.max_queued:
            raise QueueFull(self.queued, self.max_queued, lane.drain_time())

    def _unattainable(self, lane: Lane, charge: Charge, now: int, waited: int) -> DeadlineUnattainable:
        instant, place = self._dispatcher.outlook(lane, charge, now)
        expected = None if instant is None else (instant - now) / SECOND
        name = place.bucket.quota.name if isinstance(place, Account) else ""
        return DeadlineUnattainable(waited / SECOND, expected, place.scope if place else "", name)

    def _concerned(self, lane: Lane) -> list[Blocker]:
        return [*lane.gates, *(account for account, _ in lane.draws)]

    def _remove(self, waiter: Waiter, now: int) -> None:
        waiter.lane.remove(waiter)
        self.queued -= 1
        self._timer.left(waiter.host)
        self._dispatcher.left(waiter.lane, now)

    def _conclude(self, now: int) -> list[Waiter]:
        """Make reservations of what was granted, set the timer, and return whom to wake."""
        while self._chores:
            self._chores.popleft()()
        wakes = self._expire_deadlines(now)
        granted = self._dispatcher.granted
        for waiter in granted:
            waited = now - waiter.submitted
            self.tally.admitted(waited)
            self.queued -= 1
            self._timer.left(waiter.host)
            waiter.reservation = Reservation(
                self, waiter.lane, waiter.model, waiter.charge, waiter.tickets, now, waited
            )
        wakes += granted
        granted.clear()
        self._set_timer(now)
        return wakes

    def _set_timer(self, now: int) -> None:
        instant = self._dispatcher.next_instant()
        while self._deadlines and not self._deadlines[0][2].waits:
            heappop(self._deadlines)
        if self._deadlines and (instant is None or self._deadlines[0][0] < instant):
            instant = self._deadlines[0][0]
        if instant is not None:
            self._timer.at(instant, now)

    def _expire_deadlines(self, now: int) -> list[Waiter]:
        late = []
        while self._deadlines and self._deadlines[0][0] <= now:
            waiter = heappop(self._deadlines)[2]
            if waiter.waits:
                waiter.error = self._unattainable(waiter.lane, waiter.charge, now, now - waiter.submitted)
                self._remove(waiter, now)
                late.append(waiter)
        return late

    # ---- outside the lock

    def _after(self, wakes: list[Waiter], events: list[Event] | None = None) -> None:
        if self._chores:
            self._try_chores()
        for waiter in wakes:
            try:
                waiter.host.wake(waiter)
            except HostGone:
                self._host_gone(waiter)
        if self._idlers and self._idle:
            self._wake_idlers()
        if self.listeners:
            for waiter in wakes:
                if waiter.reservation is not None:
                    self._tell_admitted(waiter.reservation)
            for event in events or ():
                self._tell(event)

    def _wake_idlers(self) -> None:
        with self._lock:
            idlers, self._idlers = self._idlers, []
        for idler in idlers:
            with contextlib.suppress(HostGone):
                idler.host.wake(idler)

    def _tell_admitted(self, reservation: Reservation) -> None:
        waited = reservation.waited / SECOND
        self._tell(Admitted(reservation.lane.name, reservation.model, reservation.charge, waited))

    def _tell(self, event: Event) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on %s", type(event).__name__)

    def _host_gone(self, waiter: Waiter) -> None:
        """A waiter's loop is closed: nobody will use what it was granted."""
        with self._lock:
            self._timer.gone(waiter.host)
        if waiter.reservation is not None and waiter.reservation.ended_by is None:
            waiter.reservation.cancel()

    def _tick(self) -> None:
        now = self.clock.now()
        with self._lock:
            self._timer.rang()
            self._dispatcher.tick(now)
            wakes = self._conclude(now)
        self._after(wakes)

    def _timer_lost(self) -> None:
        """The leader's loop ended before the timer rang. Called by a finalizer, anywhere."""
        self._later(self._timer.lost)

    def _later(self, chore: Callable[[], None]) -> None:
        self._chores.append(chore)
        self._try_chores()

    def _try_chores(self) -> None:
        while self._chores and self._lock.acquire(blocking=False):
            try:
                now = self.clock.now()
                wakes = self._conclude(now)
            finally:
                self._lock.release()
            self._after(wakes)
