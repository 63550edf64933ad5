"""Admission: the only place where a request is let through.

Requests come in (``enter``, ``try_now``), wait, and are let through in the order of the dispatcher; their answers and
ends come back (``learn``, ``ended``) and free others. See ``waiting`` for those who wait, and ``monitor`` for the lock.
"""

from collections.abc import Callable
from functools import partial
from itertools import count, islice
from typing import TypeVar

from scheduler.clock import Clock
from scheduler.core.backoff import Backoff
from scheduler.core.bucket import NEVER
from scheduler.core.budget import Draw
from scheduler.core.quota import SECOND
from scheduler.core.reserves import Reserves
from scheduler.engine.dispatch import blocked
from scheduler.engine.events import LimitChanged
from scheduler.engine.lane import Lane, mask_of
from scheduler.engine.lanes import LaneBook
from scheduler.engine.learning import Learner, told
from scheduler.engine.monitor import Idler
from scheduler.engine.outlook import Outlook, outlook, too_late
from scheduler.engine.parking import AsyncHost, Hosts, ThreadHost, current_host
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.tally import Tally
from scheduler.engine.waiter import Waiter
from scheduler.engine.waiting import Waiting, admitted, never_fits
from scheduler.errors import QueueFull, RequestWithdrawn
from scheduler.providers.base import Provider, Reading, Usage

Seen = TypeVar("Seen")


class Admission(Waiting):
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
        learner = Learner(provider, book, Backoff(), chance)
        lanes = LaneBook(book, local, Reserves() if reserves is None else reserves)
        super().__init__(clock, lanes, learner.estimates.refine, Tally(price))
        self.provider = provider
        self.book = book
        self.local = local
        self.max_queued = max_queued
        self._learner = learner
        self.charges = learner.charges
        self.estimates = learner.estimates
        self._arrivals = count(1)
        self._hosts = Hosts()

    # ---- coming in

    def arrive(self) -> int:
        """Return the next place in the order of arrival, for a request that may be tried more than once."""
        return next(self._arrivals)

    def begins(self, job: object) -> None:
        """Count a whole request, which may be tried more than once, until it ``ends``: it may wait beside the queue."""
        self._jobs.add(job)  # without the lock: a set is safe between threads, and who waits for quiet is in first

    def ends(self, job: object) -> None:
        """Note that a whole request is over."""
        self._jobs.discard(job)
        if self._idlers:
            self._later(lambda: None)  # whoever does chores looks whether all is quiet

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
            self._tell(admitted(waiter))
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
        idler = Idler(current_host(self._hosts))
        idler.host.prepare(idler)
        with self._lock:
            now = self._begin()
            self._idlers.append(idler)
            self._conclude(now)
        self._after()
        try:
            await idler.host.sleep(idler)
        finally:
            self._later(partial(self._forget_idler, idler))

    # ---- under the lock

    def _refuse_too_large(self, lane: Lane, waiter: Waiter) -> None:
        error = never_fits(lane, waiter)
        if error is not None:
            raise error

    def _refuse_full(self, lane: Lane, now: int) -> None:
        if self.max_queued is not None and self.queued >= self.max_queued:
            raise QueueFull(self.queued, self.max_queued, lane.drain_time(now))

    def _refuse_late(self, lane: Lane, waiter: Waiter, now: int) -> None:
        if too_late(lane, waiter, now):
            raise self._unattainable(lane, waiter, now)

    def _end(self, reservation: Reservation, usage: Usage | None) -> None:
        now = self.clock.now()
        if self._learner.ended(reservation, usage, now) and self.listeners:
            self._news.append(told(reservation, None, now))
        self.tally.ended(reservation, usage)
        if self._dispatcher.busy:
            self._dispatcher.changed(self._concerned(reservation.lane), now)
