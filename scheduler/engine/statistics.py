"""What can be seen of the engine from outside: frozen values, true at one instant."""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.core.bucket import NEVER
from scheduler.core.quota import SECOND
from scheduler.engine.admission import Admission
from scheduler.engine.bucket_statistics import BucketStatistics
from scheduler.engine.charges import ChargeStatistics
from scheduler.engine.lane import Lane
from scheduler.engine.outlook import name_of
from scheduler.engine.scopes import Scope
from scheduler.engine.tally import WAIT_BOUNDS
from scheduler.providers.base import Usage


@dataclass(frozen=True, slots=True)
class ScopeStatistics:
    """A scope.

    Attributes:
        name: Its name.
        project: The project that it binds, or None for the organization.
        buckets: Its buckets.
        sent: Requests let through.
        outcomes: How attempts ended, by outcome.
        ignored_headers: Header fields that were not believed.
        in_flight: Requests let through and not ended.
        queued: Requests that wait in its lanes.
        paused: Whether its gate is closed or probing.
        ramp: Tokens a minute that it may send since its provider said that it grew too fast, requests that tell none
            weighing as the mean of those that do; None where it may send what its limits let through.
        configured: Whether somebody named it, rather than a request's body.
    """

    name: str
    project: str | None
    buckets: tuple[BucketStatistics, ...]
    sent: int
    outcomes: Mapping[str, int]
    ignored_headers: int
    in_flight: int
    queued: int
    paused: bool
    ramp: int | None
    configured: bool

    @classmethod
    def of(cls, scope: Scope, now: int) -> "ScopeStatistics":
        """Look at a scope."""
        return cls(
            name=scope.name,
            project=scope.project,
            buckets=tuple(BucketStatistics.of(account, now) for account in scope.accounts),
            sent=scope.sent,
            outcomes=dict(scope.outcomes),
            ignored_headers=scope.ignored,
            in_flight=scope.flying,
            queued=sum(len(lane.queue) for lane in scope.lanes),
            paused=not scope.gate.is_open,
            ramp=None if scope.ramp is None else scope.ramp.a_minute,
            configured=scope.configured,
        )


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """A lane that has waiters.

    Attributes:
        scope: Name of its first scope.
        queued: Waiters.
        blocked_by: Short name of the quota that holds its head back, ``gate``, ``ramp``, or "" where it does not.
        ready_in: Seconds until its head may go, or None where only an event can free it.
        oldest: Seconds that the head has waited.
    """

    scope: str
    queued: int
    blocked_by: str
    ready_in: float | None
    oldest: float

    @classmethod
    def of(cls, lane: Lane, now: int) -> "LaneStatistics":
        """Look at a lane."""
        blocker = lane.blocker
        head = lane.queue.head()
        return cls(
            scope=lane.name,
            queued=len(lane.queue),
            blocked_by=name_of(blocker),
            ready_in=None if lane.ready_at >= NEVER else max(0, lane.ready_at - now) / SECOND,
            oldest=0.0 if head is None else (now - head.submitted) / SECOND,
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything that can be seen.

    Attributes:
        scopes: All scopes, with their buckets.
        lanes: The lanes that have waiters.
        sent: Attempts let through, without those that were cancelled.
        cancelled: Attempts let through and never sent.
        refusals: Attempts answered 429.
        retries: Attempts after the first.
        resumed: Requests that an SDK sent again by itself, after it had been told that they failed: it says so of them.
            Each is sent once. Above zero, the SDK's own retries are not set to 0.
        queued: Requests that wait.
        in_flight: Requests let through and not ended.
        usage: What the provider billed.
        cost: US dollars that this cost, where prices are known.
        waits: Requests by the upper bound of their wait in seconds; the last key is infinity.
        wait_sum: Seconds that all requests waited together.
        charges: What answers told of charges, by endpoint and dimension.
    """

    scopes: tuple[ScopeStatistics, ...]
    lanes: tuple[LaneStatistics, ...]
    sent: int
    cancelled: int
    refusals: int
    retries: int
    queued: int
    in_flight: int
    usage: Usage
    cost: float
    waits: Mapping[float, int]
    wait_sum: float
    charges: tuple[ChargeStatistics, ...] = ()
    resumed: int = 0


NOTHING = Statistics((), (), 0, 0, 0, 0, 0, 0, Usage(), 0.0, {float("inf"): 0}, 0.0)
"""What is seen where nothing is."""


def look(admission: Admission, now: int) -> Statistics:
    """Look at an admission; called while nothing moves."""
    tally = admission.tally
    scopes = [*admission.book, *([admission.local] if admission.local is not None else [])]
    return Statistics(
        scopes=tuple(ScopeStatistics.of(scope, now) for scope in scopes),
        lanes=tuple(LaneStatistics.of(lane, now) for lane in admission.lanes if lane.queue),
        sent=tally.sent,
        cancelled=tally.cancelled,
        refusals=tally.refusals,
        retries=tally.retries,
        queued=admission.queued,
        in_flight=tally.in_flight,
        usage=tally.usage,
        cost=tally.cost,
        waits=dict(zip((*WAIT_BOUNDS, float("inf")), tally.waits, strict=True)),
        wait_sum=tally.wait_sum / SECOND,
        charges=admission.charges.look(),
        resumed=tally.resumed,
    )
