"""Admission: the only place where a request is let through.

Requests come in (``enter``, ``try_now``), wait, and are let through in the order of the dispatcher; their answers and
ends come back (``learn``, ``ended``) and free others. See ``monitor`` for the lock.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import TypeVar

from scheduler.clock import Clock
from scheduler.core.backoff import Backoff
from scheduler.core.bucket import NEVER
from scheduler.core.budget import Draw, too_large
from scheduler.core.quota import SECOND
from scheduler.core.reserves import Reserves
from scheduler.engine.deadlines import Deadlines
from scheduler.engine.dispatch import Dispatcher, blocked
from scheduler.engine.events import Admitted, LimitChanged
from scheduler.engine.lane import Blocker, Lane, mask_of
from scheduler.engine.lanes import LaneBook
from scheduler.engine.learning import Learner, told
from scheduler.engine.monitor import Idler, Monitor
from scheduler.engine.outlook import Outlook, expect, name_of, outlook, too_late
from scheduler.engine.parking import AsyncHost, Host, Hosts, ThreadHost, current_host
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.tally import Tally
from scheduler.engine.timer import Timer
from scheduler.engine.waiter import Waiter
from scheduler.errors import DeadlineUnattainable, QueueFull, RequestTooLarge, RequestWithdrawn, SchedulerError
from scheduler.providers.base import Provider, Reading, Usage

Seen = TypeVar("Seen")

_LATE = SECOND // 1000
"""How late a timer may ring for a turn that comes at the very instant of a deadline."""


class Admission(Monitor):
    """Lets requests through in order, as their scopes' accounts allow."""

    def __init__(
        self,
        provider: Provider,
        book: ScopeBook,
        clock: Clock,
        *,
        local: Scope | None = None,
        reserves: Reserves | None = None,
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
            reserves: Levels that are kept for more important work.
            max_queued: The most that may wait; unbounded if None.
            chance: Draws evenly from [0, 1), for the jitter of pauses.
            price: What a model's usage costs in US dollars.
        """
        super().__init__(clock)
        self.provider = provider
        self.book = book
        self.tally = Tally(price)
        self.local = local
        self.max_queued = max_queued
        self.queued = 0
        self.lanes = LaneBook(book, local, Reserves() if reserves is None else reserves)
        """All lanes; to be looked at under ``look``."""
        self._learner = Learner(provider, book, Backoff(), chance)
        self.charges = self._learner.charges
        self.estimates = self._learner.estimates
        self._dispatcher = Dispatcher(self._grant, self.estimates.refine)
        self._passing: Waiter | None = None  # who is queued for a moment, and does not sleep
        self._released: dict[Host, int] = {}  # who was granted, by where they sleep
        self._timer = Timer(self._tick, self._timer_lost)
        self._arrivals = count(1)
        self._deadlines = Deadlines()
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

    def enter(self, waiter: Waiter, *, blocking: bool) -> bool:
        """Let a request through, or queue it and return False: then it sleeps in its task, or *blocking* in a thread.

        Raises:
            RequestTooLarge: If it can never go.
            QueueFull: If as many wait as may.
            DeadlineUnattainable: If its deadline cannot be met, even if nobody else comes.
        """
        return self._enter(waiter, lambda: ThreadHost(self.clock) if blocking else current_host(self._hosts))

    def try_now(self, waiter: Waiter) -> Reservation:
        """Let a request through at once, or say when it could go.

        Raises:
            RequestTooLarge: If it can never go.
            DeadlineUnattainable: If it cannot go now; ``expected_wait`` says when it could.
        """
        self._enter(waiter, None)
        return waiter

    def _enter(self, waiter: Waiter, find_host: Callable[[], AsyncHost | ThreadHost] | None) -> bool:
        """Let a request through, or queue it; or if there is no host on which it could sleep, turn it away."""
        try:
            with self._lock:
                now = self._begin()
                lane = self.lanes.find(waiter.model, waiter.project, mask_of(waiter.charge), now)
                if waiter.candidates:
                    self.estimates.refine(waiter, lane)
                if not self._grant_now(lane, waiter, now):
                    self._refuse_too_large(lane, waiter)
                    waiter.queue(lane, waiter.arrival or next(self._arrivals), now)
                    if find_host is None:
                        self._pass_by(waiter, lane, now)
                    else:
                        self._refuse_full(lane, now)
                        self._refuse_late(lane, waiter, now)
                        self._enqueue(waiter, lane, now, find_host())
                        return False
        finally:
            if self._chores or self._news:
                self._after()
        if self.listeners:
            self._tell(_admitted(waiter))
        return True

    def _grant_now(self, lane: Lane, waiter: Waiter, now: int) -> bool:
        """Grant without queueing, where nobody waits for anything that this request draws on."""
        if lane.queue or (self._dispatcher.busy and self._dispatcher.anyone_at(lane)):
            return False
        if blocked(lane, waiter.charge, waiter.priority, now)[0] is not None:
            return False
        self.tally.admitted(0)
        waiter.begin(lane, lane.spend(waiter.charge, now), now, 0)
        return True

    def _pass_by(self, waiter: Waiter, lane: Lane, now: int) -> None:
        """Queue a request for a moment: it may be more important than those who wait."""
        self._passing = waiter
        lane.queue.push(waiter)
        self._dispatcher.serve([lane], now)
        self._passing = None
        if not waiter.begun:
            lane.queue.remove(waiter)
            self._dispatcher.left(lane, now)
            self._conclude(now)
            raise self._unattainable(lane, waiter, now)
        self._conclude(now)

    def _enqueue(self, waiter: Waiter, lane: Lane, now: int, host: AsyncHost | ThreadHost) -> None:
        waiter.host = host
        host.prepare(waiter)
        lane.queue.push(waiter)
        self.queued += 1
        self._timer.joined(host)
        if waiter.deadline < NEVER:
            self._deadlines.push(waiter, waiter.deadline)
        if lane.queue.head() is waiter:
            self._dispatcher.serve([lane], now)
        self._conclude(now)

    # ---- while waiting

    def outlook(self, waiter: Waiter) -> Outlook | None:
        """Return what a request can be told that waits; None if it does not wait."""
        return self.look(lambda now: None if waiter.place is None else outlook(waiter.lane, waiter, now))

    def waiting(self, most: int) -> list[Outlook]:
        """Return what *most* of those who wait can be told, lane by lane."""
        return self.look(
            lambda now: [
                outlook(lane, waiter, now)
                for lane, waiter in islice(((lane, waiter) for lane in self.lanes for waiter in lane.queue), most)
            ]
        )

    def reprioritise(self, waiter: Waiter, priority: int) -> bool:
        """Give a request that waits another priority; it keeps its arrival. Return whether it waited."""
        with self._lock:
            now = self._begin()
            waits = waiter.place is not None
            if waits and waiter.priority != priority:
                waiter.lane.queue.remove(waiter)
                waiter.priority = priority
                waiter.lane.queue.push(waiter)
                self._dispatcher.moved(waiter.lane, now)
                self._conclude(now)
        self._after()
        return waits

    def withdraw(self, waiter: Waiter) -> bool:
        """Have a request that waits fail with ``RequestWithdrawn``; return whether it waited."""
        with self._lock:
            now = self._begin()
            waits = waiter.place is not None
            if waits:
                self._fail(waiter, RequestWithdrawn((now - waiter.submitted) / SECOND), now)
                self._conclude(now)
        self._after()
        return waits

    # ---- going out

    def abandon(self, waiter: Waiter) -> None:
        """Take a waiter out whose task was cancelled; what it was granted goes to the next. Never blocks."""
        self._later(partial(self._leave, waiter))

    def learn(self, reservation: Reservation, reading: Reading, at: int | None) -> None:
        """Correct the accounts by what an answer says."""
        with self._lock:
            now = self._begin()
            events = self._learner.learn(reservation, reading, now if at is None else min(at, now))
            self._news.extend(events)
            self.tally.answered(reading)
            if self.queued and any(isinstance(event, LimitChanged) for event in events):
                self._limits_changed(now)
            else:
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
            self.lanes.changed()
            self._limits_changed(now)
            self._conclude(now)
        self._after()

    def draws(self, model: str, project: str | None, mask: int) -> tuple[Draw, ...]:
        """Return the accounts that a request draws on whose charge has the dimensions of *mask*."""
        return self.look(lambda now: self.lanes.find(model, project, mask, now).draws)

    def look(self, view: Callable[[int], Seen]) -> Seen:
        """Return what *view* sees at one instant, while nothing moves."""
        try:
            with self._lock:
                return view(self._begin())
        finally:
            self._after()

    async def wait_idle(self) -> None:
        """Wait until nothing waits, nothing is in flight and no request is under way."""
        idler = None
        with self._lock:
            self._begin()
            if not self._idle:
                idler = Idler(current_host(self._hosts))
                idler.host.prepare(idler)
                self._idlers.append(idler)
        self._after()
        if idler is None:
            return
        try:
            await idler.host.sleep(idler)
        finally:
            self._later(partial(self._forget_idler, idler))

    @property
    def _idle(self) -> bool:
        return not (self.queued or self.tally.in_flight or self._jobs)

    def forked(self) -> None:
        """Forget, in a forked child, who waits: they are the parent's, and so is its lock."""
        self._lock = threading.Lock()
        self._dispatcher = Dispatcher(self._grant, self.estimates.refine)
        self._timer = Timer(self._tick, self._timer_lost)
        self._deadlines = Deadlines()
        self._chores.clear()
        self._news.clear()
        self._idlers.clear()
        self.lanes.clear()
        self.queued = 0

    # ---- under the lock

    def _refuse_too_large(self, lane: Lane, waiter: Waiter) -> None:
        error = _never_fits(lane, waiter)
        if error is not None:
            raise error

    def _refuse_full(self, lane: Lane, now: int) -> None:
        if self.max_queued is not None and self.queued >= self.max_queued:
            raise QueueFull(self.queued, self.max_queued, lane.drain_time(now))

    def _refuse_late(self, lane: Lane, waiter: Waiter, now: int) -> None:
        if too_late(lane, waiter, now):
            raise self._unattainable(lane, waiter, now)

    def _unattainable(self, lane: Lane, waiter: Waiter, now: int) -> DeadlineUnattainable:
        instant, place, _ = expect(lane, waiter, now)
        ready, blocker = self._dispatcher.outlook(lane, waiter, now)
        if ready > instant:
            instant, place = ready, blocker
        expected = None if instant >= NEVER else (instant - now) / SECOND
        waited = (now - waiter.submitted) / SECOND
        return DeadlineUnattainable(waited, expected, place.scope if place else "", name_of(place))

    def _concerned(self, lane: Lane) -> list[Blocker]:
        return [*lane.stops, *(account for account, _ in lane.draws)]

    # ---- under the lock: what happens

    def _end(self, reservation: Reservation, usage: Usage | None) -> None:
        now = self.clock.now()
        if self._learner.ended(reservation, usage, now) and self.listeners:
            self._news.append(told(reservation, None, now))
        self.tally.ended(reservation, usage)
        if self._dispatcher.busy:
            self._dispatcher.changed(self._concerned(reservation.lane), now)

    def _leave(self, waiter: Waiter) -> None:
        if waiter.place is not None:
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
        for waiter in [waiter for lane in self.lanes for waiter in lane.queue if waiter.host is host]:
            self._remove(waiter, now)

    def _pass_on(self, waiter: Waiter) -> None:
        if waiter.ended_by is None:
            waiter.cancel()

    def _forget_idler(self, idler: Idler) -> None:
        with contextlib.suppress(ValueError):
            self._idlers.remove(idler)

    def _count_jobs(self, change: int) -> None:
        self._jobs += change

    def _remove(self, waiter: Waiter, now: int) -> None:
        self._take_out(waiter)
        self._dispatcher.left(waiter.lane, now)

    def _take_out(self, waiter: Waiter) -> None:
        waiter.lane.queue.remove(waiter)
        self.queued -= 1
        self._timer.left(waiter.host)
        if waiter.due is not None:
            self._deadlines.left(waiter)

    def _fail(self, waiter: Waiter, error: SchedulerError, now: int) -> None:
        self._turn_away(waiter, error)
        self._dispatcher.left(waiter.lane, now)

    def _turn_away(self, waiter: Waiter, error: SchedulerError) -> None:
        waiter.error = error
        self._take_out(waiter)
        self._news.append(waiter)

    def _limits_changed(self, now: int) -> None:
        """Turn away who can never go any more, or not in time, and let through who can."""
        for lane in self.lanes:
            for waiter in list(lane.queue):
                if (error := _never_fits(lane, waiter)) is not None:
                    self._turn_away(waiter, error)
        for waiter in self._deadlines.waiters():
            if too_late(waiter.lane, waiter, now):
                self._turn_away(waiter, self._unattainable(waiter.lane, waiter, now))
        self._dispatcher.serve(self.lanes, now)

    def _lapse(self, now: int) -> None:
        """Turn away whose deadlines have passed, before anything lets them through: a loop may have been busy."""
        first = self._deadlines.first()
        if first is None or first >= now - _LATE:
            return
        lanes: list[Lane] = []
        while (late := self._deadlines.pop_due(now - _LATE)) is not None:
            self._turn_away(late, self._unattainable(late.lane, late, now))
            lanes.append(late.lane)
        self._dispatcher.serve(lanes, now)
        self._conclude(now)

    def _grant(self, waiter: Waiter, notes: tuple[int, ...], now: int) -> None:
        """Take note that it is a waiter's turn."""
        waited = now - waiter.submitted
        self.tally.admitted(waited)
        waiter.begin(waiter.lane, notes, now, waited)
        if waiter is self._passing:
            return
        self._released[waiter.host] = self._released.get(waiter.host, 0) + 1
        self.queued -= 1
        if waiter.due is not None:
            self._deadlines.left(waiter)
        self._news.append(waiter)
        if self.listeners:
            self._news.append(_admitted(waiter))

    def _conclude(self, now: int) -> None:
        """Turn away who is too late, and set the timer. Last thing under the lock where anyone waits."""
        while (late := self._deadlines.pop_due(now) or self._dispatcher.pop_doomed()) is not None:
            self._fail(late, self._unattainable(late.lane, late, now), now)
        for host, number in self._released.items():
            self._timer.left(host, number)
        self._released.clear()
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

    def _tick(self) -> None:
        with self._lock:
            self._timer.rang()
            now = self._begin()
            self._dispatcher.tick(now)
            self._conclude(now)
        self._after()

    def _timer_lost(self, host: Host) -> None:
        """A loop ended before it could ring. Called by finalizers, anywhere, and under the lock."""
        self._later(partial(self._bury, host))


def _never_fits(lane: Lane, waiter: Waiter) -> RequestTooLarge | None:
    never = too_large(lane.draws, waiter.charge)
    if never is None:
        return None
    account = never.binding
    return RequestTooLarge(
        account.scope, account.bucket.quota.name, waiter.charge[account.dimension.position], never.largest
    )


def _admitted(reservation: Reservation) -> Admitted:
    return Admitted(reservation.lane.name, reservation.model, reservation.charge, reservation.waited / SECOND)
