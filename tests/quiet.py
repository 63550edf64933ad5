"""Whether anything is left of what was asked of a scheduler."""

from scheduler.facade import Scheduler


def is_quiet(scheduler: Scheduler) -> bool:
    """Whether nothing waits, nothing flies, no timer is set and no line, claim, turn or deadline is left."""
    admission = scheduler.admission
    dispatcher = admission._dispatcher
    seen = scheduler.statistics()
    return not (
        seen.queued
        or seen.in_flight
        or any(scope.in_flight or scope.queued for scope in seen.scopes)
        or any(lane.queue.units(position) for lane in admission.lanes for position in lane.sums)
        or any(scope.fairness._waiting for scope in admission.book)
        or any(len(turns) for scope in admission.book for turns in scope.fairness._turns.values())
        or dispatcher.busy
        or dispatcher._claims
        or admission._timer._waiters
        or admission._timer.instant is not None
        or admission._deadlines.first() is not None
        or admission._chores
        or admission._news
    )
