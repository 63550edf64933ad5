"""The real engine for its machine: a scheduler on a clock that is moved by hand, and the model's taps beside it."""

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from machine_model import FOREVER, Aisle, Ask, Tap
from machine_server import Server
from machine_turns import Turns

from scheduler.core.quota import Quota
from scheduler.core.reconcile import Account
from scheduler.core.tuning import DEFAULT
from scheduler.engine.parking import ThreadHost
from scheduler.facade import Scheduler
from scheduler.providers.base import Settlement

if TYPE_CHECKING:
    from scheduler.engine.waiter import Waiter


@dataclass
class Shape:
    """What a world is like."""

    limits: dict[str, dict[str, Any]]
    project: dict[str, Any]
    concurrency: int | None
    max_queued: int | None
    trusting: bool
    """Whether the scheduler takes its levels for true: then everything it does can be foreseen exactly."""
    told: bool
    """Whether the server's answers are read; otherwise nothing is learned."""
    corrected: bool
    """Whether the server charges what was used in the end."""
    weights: dict[str, float]
    reserved: dict[int | str, float]


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.instant = 0

    def now(self) -> int:
        return self.instant

    def wall(self) -> int:
        return self.instant


class Bench(ThreadHost):
    """Where one request waits. Nobody sleeps there: who is woken is noted, in order."""

    def __init__(self, clock: HandClock, woken: list[Any]) -> None:
        super().__init__(clock)
        self.woken = woken

    def wake(self, sleeper: Any) -> None:
        super().wake(sleeper)
        self.woken.append(sleeper)


class Trusting:
    """Opens accounts that are never cautious: no cushion, no doubt, no slow start. So every wait is exact."""

    def open(self, scope: str, quota: Quota, now: int, *, known: bool) -> Account:
        tuning = replace(DEFAULT, least=0, most=0, watched=0, blind=-1)
        account = Account(quota, now, known=known, scope=scope, tuning=tuning)
        account.pace = None
        return account


class World:
    """A scheduler, and what there is of requests."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape = copy.deepcopy(shape)
        self.clock = HandClock()
        self.scheduler = Scheduler(
            limits=shape.limits,
            project_limits=self.project_limits,
            concurrency=shape.concurrency,
            max_queued=shape.max_queued,
            weights=shape.weights,
            reserved=shape.reserved,
            clock=self.clock,
            seed=1,
        )
        self.admission = self.scheduler.admission
        self.scheduler._weights.floor = 0
        self.scheduler.provider.settlement = Settlement.CORRECTED if shape.corrected else Settlement.KEPT
        if shape.trusting:
            self.admission.book._source = Trusting()
        local = {"concurrency": shape.concurrency} if shape.concurrency else {}
        limits = {**shape.limits, "p/a": shape.project, "local": local}
        self.taps = {scope: [_tap(scope, *each) for each in named.items()] for scope, named in limits.items()}
        self.accounts = self._accounts()
        self.server = Server(self.accounts)
        self.aisles: dict[tuple[str, str | None, tuple[str, ...]], Aisle] = {}
        self.turns = Turns(dict(shape.weights))
        self.reserved = dict(shape.reserved)
        self.asks: dict[Waiter, Ask] = {}
        """Those that were submitted and of which nothing is decided."""
        self.flying: list[Ask] = []
        self.refused: list[Ask] = []
        """Refused by the server and ended, to be tried again."""
        self.woken: list[Waiter] = []
        self.at_once: Ask | None = None
        """Let through at its submission, without a place in the queue."""
        self._number = 0

    @property
    def project_limits(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {"p": {"a": self.shape.project}} if self.shape.project else {}

    def _accounts(self) -> dict[Tap, Account]:
        for model in self.shape.limits:
            self.admission.draws(model, "p", -1)
        local = self.admission.local
        found = {
            tap: account
            for scope in [*self.admission.book, *([local] if local else [])]
            for account in scope.accounts
            for tap in self.taps[scope.name]
            if account.known and tap.name == account.bucket.quota.name
        }
        assert len(found) == sum(len(taps) for taps in self.taps.values())
        return found

    # ---- what is there

    @property
    def now(self) -> int:
        return self.clock.instant

    @property
    def waiting(self) -> list[Ask]:
        return [ask for aisle in self.aisles.values() for ask in aisle.waiting]

    def levels(self) -> dict[Tap, int]:
        """Return what the scheduler believes."""
        for account in self.accounts.values():
            account.bucket.advance(self.now)
        return {tap: account.bucket.level for tap, account in self.accounts.items()}

    def lacking(self, ask: Ask, levels: dict[Tap, int]) -> list[Tap]:
        """Return what holds a request back, under the shares that are kept for those above it."""
        shares = [share for priority, share in self.reserved.items() if int(priority) < ask.priority]
        return ask.aisle.lacking(ask, levels, sum(round(1000 * share) for share in shares))

    def next_instant(self) -> int | None:
        instants = [self.admission._dispatcher.next_instant(), self.admission._deadlines.first()]
        return min((each for each in instants if each is not None), default=None)

    # ---- requests come and go

    def describe(
        self, model: str, project: str | None, charge: dict[str, int], priority: int, tenant: str, wait: int | None
    ) -> Ask:
        """Make a request; *wait* is how many nanoseconds it may wait."""
        waiter = self.scheduler.reserve(
            model,
            requests=charge["requests"],
            tokens=charge["tokens"],
            images=charge["images"],
            priority=priority,
            tenant=tenant,
            project=project,
        )
        waiter.timeout = wait
        self._number += 1
        deadline = FOREVER if wait is None else self.now + wait
        aisle = self._aisle(model, project, charge)
        return Ask(self._number, model, project, charge, priority, tenant, deadline, 0, waiter, aisle)

    def _aisle(self, model: str, project: str | None, charge: dict[str, int]) -> Aisle:
        counted = tuple(sorted(dimension for dimension, units in charge.items() if units))
        if model != "a" or not self.shape.project:
            project = None
        key = (model, project, counted)
        if key not in self.aisles:
            scopes = [model, "p/a", "local"] if project else [model, "local"]
            taps = [tap for scope in scopes for tap in self.taps[scope] if tap.counted in counted]
            self.aisles[key] = Aisle(model, taps)
        return self.aisles[key]

    def enter(self, ask: Ask) -> None:
        """Submit a request as a thread does that then sleeps."""
        bench = Bench(self.clock, self.woken)
        ask.waiter.entered = True
        if self.admission._enter(ask.waiter, lambda: bench):
            self.at_once = ask
        else:
            self._queue(ask)

    def try_now(self, ask: Ask) -> None:
        """Submit a request that is not to wait; behind others it may stand in the queue for a moment all the same."""
        ask.deadline, ask.waiter.timeout = FOREVER, None
        try:
            self.admission.try_now(ask.waiter)
        except BaseException:
            if hasattr(ask.waiter, "submitted"):
                self._queue(ask)
                self.leave(ask)
            raise
        if hasattr(ask.waiter, "submitted"):
            self._queue(ask)
            self.woken.append(ask.waiter)
        else:
            self.at_once = ask

    def _queue(self, ask: Ask) -> None:
        self.asks[ask.waiter] = ask
        ask.arrival = ask.waiter.arrival
        self.turns.enter(ask)
        ask.aisle.waiting.append(ask)

    def leave(self, ask: Ask) -> None:
        """Take note that a request waits no more."""
        ask.aisle.waiting.remove(ask)
        self.turns.leave(ask)
        del self.asks[ask.waiter]

    def end(self, ask: Ask, how: str, used: int | None = None) -> None:
        """Take note that a reservation ends; *used* is how many tokens are billed."""
        self.flying.remove(ask)
        for tap in ask.aisle.taps:
            tap.flying -= 1
            if how == "cancel" and tap.window:
                tap.cancel(ask, self.now)
            if used is not None and self.shape.corrected and tap.counted == "tokens":
                more = used - tap.units(ask)
                tap.correct(ask, more, self.now)
                if self.shape.told:
                    self.server.correct(ask, tap, more, self.now)

    # ---- time

    def ring(self) -> None:
        """Let the timer ring, in the thread of whoever leads it."""
        leader = self.admission._timer._leader
        assert isinstance(leader, Bench)
        alarm = leader._ringing()
        assert alarm is not None, "the leader's alarm rings when the timer says"
        alarm()


def _tap(scope: str, name: str, limit: Any) -> Tap:
    amount, burst = (limit["amount"], limit["burst"]) if isinstance(limit, dict) else (limit, limit)
    return Tap(scope, name, amount, burst)
