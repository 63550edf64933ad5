"""Work: what requests will be charged together, and how long their limits need to bring that."""

from scheduler.core.quota import SECOND, Charge, Refill
from scheduler.core.reconcile import Account
from scheduler.engine.admission import Admission
from scheduler.engine.lane import mask_of


class Work:
    """Charges, summed by what they draw on: pool, project and dimensions."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str | None, int], list[int]] = {}

    def add(self, pool: str, project: str | None, charge: Charge) -> None:
        """Add one request."""
        sums = self._sums.setdefault((pool, project, mask_of(charge)), [0] * len(charge))
        for position, units in enumerate(charge):
            sums[position] += units

    def remove(self, pool: str, project: str | None, charge: Charge) -> None:
        """Take one request out that was added."""
        sums = self._sums[pool, project, mask_of(charge)]
        for position, units in enumerate(charge):
            sums[position] -= units

    def seconds_needed(self, admission: Admission, *, full: bool, latency: float | None = None) -> float | None:
        """Return the seconds until every limit could have let this much through, or None where no limit is known.

        It may be called from any thread.

        Args:
            admission: Whose limits.
            full: From full buckets, rather than from what lies in them now.
            latency: Seconds that an answer takes, where limits of concurrency are to count too: they let through as
                many in that time. They alone make no limit known.
        """
        units: dict[Account, int] = {}
        for (pool, project, mask), sums in tuple(self._sums.items()):
            for account, position in admission.draws(pool, project, mask):
                if account.known:
                    units[account] = units.get(account, 0) + account.charge_for(sums[position])
        if not any(account.bucket.quota.window for account in units):
            return None
        if full:
            return max(_from_full(account, amount, latency or 0.0) for account, amount in units.items())
        return admission.look(lambda now: max(_from_now(*each, latency or 0.0, now) for each in units.items()))


def _from_full(account: Account, units: int, latency: float) -> float:
    """The seconds until *units* have gone, from a bucket that is full, just before its next window opens."""
    quota = account.bucket.quota
    if quota.refill is Refill.RELEASE:
        return max(0.0, (units / quota.amount - 1) * latency)
    window = quota.window / SECOND
    missing = max(0, units - quota.burst)
    if quota.refill is Refill.CONTINUOUS:
        return missing / quota.amount * window
    turns = -(-missing // quota.amount)
    return (turns - (quota.refill is Refill.FIXED and turns > 0)) * window


def _from_now(account: Account, units: int, latency: float, now: int) -> float:
    """The seconds until *units* have gone, with what lies in the bucket now."""
    bucket = account.bucket
    if bucket.quota.refill is Refill.RELEASE:
        return max(0.0, (units - bucket.level) / bucket.quota.amount * latency)
    return max(0, bucket.drained_at(units, now) - now) / SECOND
