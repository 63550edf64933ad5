"""Admission: the only place where a request is let through.

Everything is decided synchronously under one uncontended lock that is never held across an await: a decision takes
microseconds, so that threads and loops may share one admission without a lock of each kind. What has been decided is
acted on after the lock is released: waiters are woken, listeners are told.

Finalizers may run anywhere, also under the lock, and a coroutine that is thrown away leaves its blocks in one. So
whoever ends a reservation or leaves the queue never waits for the lock: where it is taken, he leaves what he has to say
in ``_chores``. Whoever takes the lock carries these out first, and looks again after he let go of it.
"""

import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, TypeVar

from scheduler.clock import Clock
from scheduler.core.backoff import Backoff
from scheduler.core.budget import GRANTED, Draw, decide, too_large
from scheduler.core.quota import SECOND, Charge
from scheduler.core.reconcile import Account
from scheduler.engine.deadlines import Deadlines
from scheduler.engine.dispatch import Dispatcher
from scheduler.engine.events import Admitted, Event, LimitChanged
from scheduler.engine.lane import Blocker, Lane, mask_of
from scheduler.engine.learning import Learner, told
from scheduler.engine.parking import AsyncHost, Host, HostGone, Hosts, ThreadHost, current_host
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.tally import Tally
from scheduler.engine.timer import Timer
from scheduler.engine.waiter import Waiter
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


_SLEEPERS = (Waiter, Idler)


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
        self._deadlines = Deadlines()
        self._chores: deque[Callable[[], None]] = deque()  # to be done under the lock
        self._news: deque[Waiter | Idler | Event] = deque()  # to be woken, or told, outside it
        self._idlers: list[Idler] = []
        self._jobs = 0
        self._hosts = Hosts()

    # ---- coming in

    def arrive(self) -> int:
        """Return the next place in the order of arrival, for a request that may be tried more than once."""
        return next(self._arrivals)

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a whole request, which may be tried more than once, while it lasts: it may wait beside the queue."""
        self._later(partial(self._count_jobs, 1))
        try:
            yield
        finally:
            self._later(partial(self._count_jobs, -1))

    def try_now(self, model: str, project: str | None, charge: Charge) -> Reservation:
        """Let a request through at once, or say when it could go.

        Raises:
            RequestTooLarge: If it can never go.
            DeadlineUnattainable: If it cannot go now; ``expected_wait`` says when it could, were it alone.
        """
        try:
            with self._lock:
                now = self._begin()
                lane = self._lane(model, project, mask_of(charge), now)
                reservation = self._grant_now(lane, model, charge, now)
                if reservation is None:
                    self._refuse_too_large(lane, charge)
                    raise self._unattainable(lane, charge, now, 0)
        finally:
            if self._chores or self._news:
                self._after()
        if self.listeners:
            self._tell(_admitted(reservation))
        return reservation

    def enter(self, waiter: Waiter, *, blocking: bool) -> Reservation | None:
        """Let a request through at once, or queue it and return None: it sleeps in its task, or *blocking* in a thread.

        Raises:
            RequestTooLarge: If it can never go.
            QueueFull: If as many wait as may.
        """
        charge = waiter.charge
        try:
            with self._lock:
                now = self._begin()
                lane = self._lane(waiter.model, waiter.project, mask_of(charge), now)
                waiter.reservation = reservation = self._grant_now(lane, waiter.model, charge, now)
                if reservation is None:
                    self._refuse_too_large(lane, charge)
                    self._refuse_full(lane, now)
                    self._enqueue(waiter, lane, now, blocking=blocking)
                    self._conclude(now)
                    return None
        finally:
            if self._chores or self._news:
                self._after()
        if self.listeners:
            self._tell(_admitted(reservation))
        return reservation

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

    def _enqueue(self, waiter: Waiter, lane: Lane, now: int, *, blocking: bool) -> None:
        host: AsyncHost | ThreadHost = ThreadHost(self.clock) if blocking else current_host(self._hosts)
        waiter.queue(lane, waiter.arrival or next(self._arrivals), now, host)
        lane.push(waiter)
        self.queued += 1
        self._timer.joined(host)
        if waiter.deadline is not None:
            self._deadlines.push(waiter, waiter.deadline)
        if lane.queue.head() is waiter:
            self._dispatcher.serve([lane], now)

    # ---- going out

    def abandon(self, waiter: Waiter) -> None:
        """Take a waiter out whose task was cancelled; what it was granted goes to the next. Never blocks."""
        self._later(partial(self._leave, waiter))

    def learn(self, reservation: Reservation, reading: Reading, at: int | None) -> None:
        """Correct the accounts by what an answer says."""
        with self._lock:
            now = self._begin()
            self._news.extend(self._learner.learn(reservation, reading, now if at is None else min(at, now)))
            self.tally.answered(reading)
            self._dispatcher.changed(self._concerned(reservation.lane), now)
            self._conclude(now)
        self._after()

    def ended(self, reservation: Reservation, usage: Usage | None) -> None:
        """Take note of a reservation's end, and free what only it held. Never blocks."""
        if not self._lock.acquire(blocking=False):
            self._later(partial(self._end, reservation, usage))
            return
        try:
            now = self._begin()
            anyone = self._dispatcher.busy or self._idlers
            self._end(reservation, usage)
            if anyone:
                self._conclude(now)
        finally:
            self._lock.release()
        if self._chores or self._news:
            self._after()

    def retune(self, change: Callable[[int], None]) -> None:
        """Change limits at an instant, and let through who may go then."""
        with self._lock:
            now = self._begin()
            change(now)
            lanes = list(self._lanes.values())
            for lane in lanes:
                lane.rebuild()
            self._dispatcher.serve((lane for lane in lanes if lane.queue), now)
            self._conclude(now)
        self._after()

    def draws(self, model: str, project: str | None, mask: int) -> tuple[Draw, ...]:
        """Return the accounts that a request draws on whose charge has the dimensions of *mask*."""
        return self.look(lambda now: self._lane(model, project, mask, now).draws)

    def look(self, view: Callable[[int], Seen]) -> Seen:
        """Return what *view* sees at one instant, while nothing moves."""
        try:
            with self._lock:
                return view(self._begin())
        finally:
            self._after()

    async def wait_idle(self) -> None:
        """Wait until nothing waits, nothing is in flight and no request is under way."""
        with self._lock:
            self._begin()
            if self._idle:
                return
            idler = Idler(current_host(self._hosts))
            idler.host.prepare(idler)
            self._idlers.append(idler)
        try:
            self._after()
            await idler.host.sleep(idler)
        finally:
            self._later(partial(self._forget_idler, idler))

    @property
    def _idle(self) -> bool:
        return not (self.queued or self.tally.in_flight or self._jobs)

    def forked(self) -> None:
        """Forget, in a forked child, who waits: they are the parent's, and so is its lock."""
        self._lock = threading.Lock()
        self._dispatcher = Dispatcher()
        self._timer = Timer(self._tick, self._timer_lost)
        self._deadlines = Deadlines()
        self._chores.clear()
        self._news.clear()
        self._idlers.clear()
        self._known.clear()
        self._lanes.clear()
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
        for other in {id(other): other for lane in scope.lanes for other in lane.scopes}.values():
            other.lanes = [lane for lane in other.lanes if id(lane) not in gone]

    def _refuse_too_large(self, lane: Lane, charge: Charge) -> None:
        never = too_large(lane.draws, charge)
        if never is not None:
            account = never.binding
            requested = charge[account.dimension.position]
            raise RequestTooLarge(account.scope, account.bucket.quota.name, requested, never.largest)

    def _refuse_full(self, lane: Lane, now: int) -> None:
        if self.max_queued is not None and self.queued >= self.max_queued:
            raise QueueFull(self.queued, self.max_queued, lane.drain_time(now))

    def _unattainable(self, lane: Lane, charge: Charge, now: int, waited: int) -> DeadlineUnattainable:
        instant, place = self._dispatcher.outlook(lane, charge, now)
        expected = None if instant is None else (instant - now) / SECOND
        name = place.bucket.quota.name if isinstance(place, Account) else ""
        return DeadlineUnattainable(waited / SECOND, expected, place.scope if place else "", name)

    def _concerned(self, lane: Lane) -> list[Blocker]:
        return [*lane.gates, *(account for account, _ in lane.draws)]

    # ---- under the lock: what happens

    def _begin(self) -> int:
        """Carry out what was left to be done, and return the instant. First thing under the lock."""
        if self._chores:
            self._do_chores()
        return self.clock.now()

    def _do_chores(self) -> None:
        while self._chores:
            self._chores.popleft()()
        self._conclude(self.clock.now())

    def _end(self, reservation: Reservation, usage: Usage | None) -> None:
        now = self.clock.now()
        if self._learner.ended(reservation, usage, now) and self.listeners:
            self._news.append(told(reservation, None, now))
        self.tally.ended(reservation, usage)
        if self._dispatcher.busy:
            self._dispatcher.changed(self._concerned(reservation.lane), now)

    def _leave(self, waiter: Waiter) -> None:
        if not waiter.gone:
            self._remove(waiter, self.clock.now())
        else:
            self._pass_on(waiter)

    def _lose(self, waiter: Waiter) -> None:
        """A waiter's loop is closed: nobody will use what it was granted."""
        self._bury(waiter.host)
        self._pass_on(waiter)

    def _bury(self, host: Host) -> None:
        """Take out all waiters of a host whose loop has ended."""
        self._timer.gone(host)
        now = self.clock.now()
        for waiter in [waiter for lane in self._lanes.values() for waiter in lane.queue if waiter.host is host]:
            self._remove(waiter, now)

    def _pass_on(self, waiter: Waiter) -> None:
        reservation, waiter.reservation = waiter.reservation, None
        if reservation is not None:
            reservation.cancel()

    def _forget_idler(self, idler: Idler) -> None:
        with contextlib.suppress(ValueError):
            self._idlers.remove(idler)

    def _count_jobs(self, change: int) -> None:
        self._jobs += change

    def _remove(self, waiter: Waiter, now: int) -> None:
        waiter.lane.remove(waiter)
        self.queued -= 1
        self._timer.left(waiter.host)
        if waiter.deadline is not None:
            self._deadlines.left()
        self._dispatcher.left(waiter.lane, now)

    def _conclude(self, now: int) -> None:
        """Make reservations of what was granted, and set the timer. Last thing under the lock where anyone waits."""
        while (late := self._deadlines.pop_due(now)) is not None:
            late.error = self._unattainable(late.lane, late.charge, now, now - late.submitted)
            self._remove(late, now)
            self._news.append(late)
        granted = self._dispatcher.granted
        for host, number in Counter(waiter.host for waiter in granted).items():
            self._timer.left(host, number)
        self.queued -= len(granted)
        for waiter in granted:
            waited = now - waiter.submitted
            self.tally.admitted(waited)
            if waiter.deadline is not None:
                self._deadlines.left()
            reservation = Reservation(self, waiter.lane, waiter.model, waiter.charge, waiter.notes, now, waited)
            waiter.reservation = reservation
            self._news.append(waiter)
            if self.listeners:
                self._news.append(_admitted(reservation))
        granted.clear()
        if self._idlers and self._idle:
            self._news.extend(self._idlers)
            self._idlers.clear()
        self._set_timer(now)

    def _set_timer(self, now: int) -> None:
        instants = (self._dispatcher.next_instant(), self._deadlines.first())
        instant = min((each for each in instants if each is not None), default=None)
        if instant is not None:
            self._timer.at(instant, now)

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

    def _tick(self) -> None:
        with self._lock:
            now = self._begin()
            self._timer.rang()
            self._dispatcher.tick(now)
            self._conclude(now)
        self._after()

    def _timer_lost(self, host: Host) -> None:
        """A loop ended before it could ring. Called by finalizers, anywhere, and under the lock."""
        self._later(partial(self._bury, host))


def _admitted(reservation: Reservation) -> Admitted:
    return Admitted(reservation.lane.name, reservation.model, reservation.charge, reservation.waited / SECOND)


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
