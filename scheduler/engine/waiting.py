"""Those who wait: how they are let through, turned away and taken out, and when to look again.

All of it happens under the lock (see ``monitor``). Whoever changes something there says so to the dispatcher and ends
with ``_conclude``, which turns away who is too late by now and sets the one timer.
"""

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from scheduler.clock import Clock
from scheduler.core.bucket import NEVER
from scheduler.core.budget import too_large
from scheduler.core.quota import SECOND
from scheduler.engine.deadlines import Deadlines
from scheduler.engine.dispatch import Dispatcher
from scheduler.engine.events import Admitted
from scheduler.engine.lane import Blocker, Lane
from scheduler.engine.lanes import LaneBook
from scheduler.engine.monitor import Idler, Monitor
from scheduler.engine.outlook import expect, name_of, too_late
from scheduler.engine.parking import Host
from scheduler.engine.reservation import Reservation
from scheduler.engine.tally import Tally
from scheduler.engine.timer import Timer
from scheduler.engine.waiter import Waiter
from scheduler.errors import DeadlineUnattainable, RequestTooLarge, SchedulerError

_LATE = SECOND // 1000
"""How late a timer may ring for a turn that comes at the very instant of a deadline."""


class Waiting(Monitor):
    """The waiters of an admission."""

    def __init__(self, clock: Clock, lanes: LaneBook, refine: Callable[[Waiter, Lane], None], tally: Tally) -> None:
        """Begin with nobody waiting.

        Args:
            clock: Where instants come from.
            lanes: Where they wait.
            refine: Estimates a waiter's charge anew, when its turn is considered.
            tally: Counts them.
        """
        super().__init__(clock)
        self.lanes = lanes
        """All lanes; to be looked at under ``look``."""
        self.tally = tally
        self.queued = 0
        self._refine = refine
        self._dispatcher = Dispatcher(self._grant, refine)
        self._passing: Waiter | None = None  # who is queued for a moment, and does not sleep
        self._released: dict[Host, int] = {}  # who was granted, by where they sleep
        self._timer = Timer(self._tick, self._timer_lost)
        self._deadlines = Deadlines()
        self._idlers: list[Idler] = []
        self._jobs: set[object] = set()  # requests under way

    @property
    def _idle(self) -> bool:
        return not (self.queued or self.tally.in_flight or self._jobs)

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
                if (error := never_fits(lane, waiter)) is not None:
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
            self._news.append(admitted(waiter))

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

    def forked(self) -> None:
        """Forget, in a forked child, who waits: they are the parent's, and so is its lock."""
        self._lock = threading.Lock()
        self._dispatcher = Dispatcher(self._grant, self._refine)
        self._timer = Timer(self._tick, self._timer_lost)
        self._deadlines = Deadlines()
        self._chores.clear()
        self._news.clear()
        self._idlers.clear()
        self.lanes.clear()
        self.queued = 0


def never_fits(lane: Lane, waiter: Waiter) -> RequestTooLarge | None:
    """Return why a request can never go, or None."""
    never = too_large(lane.draws, waiter.charge)
    if never is None:
        return None
    account = never.binding
    return RequestTooLarge(
        account.scope, account.bucket.quota.name, waiter.charge[account.dimension.position], never.largest
    )


def admitted(reservation: Reservation) -> Admitted:
    """Return the event of a request's turn."""
    return Admitted(reservation.lane.name, reservation.model, reservation.charge, reservation.waited / SECOND)
