"""What a request that waits can be told: why, behind how many, and until when."""

from dataclasses import dataclass

from scheduler.core.bucket import NEVER
from scheduler.core.quota import SECOND, Dimension
from scheduler.core.ramp import Ramp
from scheduler.core.reconcile import Account
from scheduler.engine.lane import Blocker, Lane
from scheduler.engine.waiter import Waiter


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why a request waits, and for how long.

    Attributes:
        model: Model that it names.
        tenant: On whose behalf it is sent, or "".
        priority: The lowest goes first.
        waited: Seconds that it has waited.
        position: How many go before it; 0 for the first. Exact for one tenant, and estimated from the weights else.
        scope: Whose limit holds it back, or "" where nothing but the requests before it do.
        quota: Short name of that limit; ``gate`` where the provider has to be probed first, ``ramp`` where traffic
            grew too fast.
        expected_wait: Seconds until its turn, if nobody else comes; None where only another's end can free it.
    """

    model: str
    tenant: str
    priority: int
    waited: float
    position: int
    scope: str
    quota: str
    expected_wait: float | None


def expect(lane: Lane, waiter: Waiter, now: int, *, sure: bool = False) -> tuple[int, Blocker | None, int]:
    """Return when a request can go if nobody else comes, what it waits for most, and its position.

    No caution of ours counts (cushions, doubt, slow start). With *sure* nothing does that may go after it, and the
    instant is the earliest possible: who is told that he comes too late must not be told so by an estimate.
    """
    position, before = lane.queue.before(waiter, sure=sure)
    latest = now
    binding: Blocker | None = None
    for gate in lane.gates:
        if gate.window and gate.until > latest:
            latest, binding = gate.until, gate
    for account, place in lane.draws:
        ready = _ready(account, before[lane.sums[place]] if place in lane.sums else position, waiter.charge[place], now)
        if ready > latest:
            latest, binding = ready, account
    if lane.ramps:
        ramped, ramp = lane.ramped_until(lambda place: before[lane.sums[place]], waiter.charge, now, sure=sure)
        if ramped > latest:
            latest, binding = ramped, ramp
    return latest, binding, position


def too_late(lane: Lane, waiter: Waiter, now: int) -> bool:
    """Whether a request's deadline cannot be met, whatever others do."""
    return waiter.deadline < NEVER and expect(lane, waiter, now, sure=True)[0] > waiter.deadline


def _ready(account: Account, before: int, own: int, now: int) -> int:
    if not account.known or account.dimension is Dimension.CONCURRENCY:
        return now  # nobody can tell; a place may come back at any instant
    return account.bucket.drained_at(before + own, now)


def outlook(lane: Lane, waiter: Waiter, now: int) -> Outlook:
    """Return what a request that waits in a lane can be told."""
    instant, binding, position = expect(lane, waiter, now)
    if lane.claimant is waiter and lane.blocker is not None:  # the dispatcher knows better
        instant, binding = max(instant, lane.ready_at), lane.blocker
    return Outlook(
        model=waiter.model,
        tenant=waiter.tenant,
        priority=waiter.priority,
        waited=(now - waiter.submitted) / SECOND,
        position=position,
        scope=binding.scope if binding is not None else "",
        quota=name_of(binding),
        expected_wait=None if instant >= NEVER else (instant - now) / SECOND,
    )


def name_of(blocker: Blocker | None) -> str:
    """Return what a blocker is called."""
    if isinstance(blocker, Account):
        return blocker.bucket.quota.name
    return "ramp" if isinstance(blocker, Ramp) else "gate" if blocker else ""
