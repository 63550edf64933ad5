"""Work: what requests will be charged together, and how long their limits need to bring that."""

from scheduler.core.quota import SECOND, Charge, Refill
from scheduler.core.reconcile import Account
from scheduler.engine.admission import Admission
from scheduler.engine.lane import mask_of


class Work:
    """Charges, summed by what they draw on: model, project and dimensions."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str | None, int], list[int]] = {}

    def add(self, model: str, project: str | None, charge: Charge) -> None:
        """Add one request."""
        sums = self._sums.setdefault((model, project, mask_of(charge)), [0] * len(charge))
        for position, units in enumerate(charge):
            sums[position] += units

    def remove(self, model: str, project: str | None, charge: Charge) -> None:
        """Take one request out that was added."""
        sums = self._sums[model, project, mask_of(charge)]
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
        for (model, project, mask), sums in tuple(self._sums.items()):
            for account, position in admission.draws(model, project, mask):
                if account.known:
                    units[account] = units.get(account, 0) + account.charge_for(sums[position])
        if not any(account.bucket.quota.window for account in units):
            return None
        return max(_seconds(account, amount, full=full, latency=latency) for account, amount in units.items())


def _seconds(account: Account, units: int, *, full: bool, latency: float | None) -> float:
    bucket = account.bucket
    level = bucket.capacity if full else bucket.level
    quota = bucket.quota
    window = (latency or 0.0) if quota.refill is Refill.RELEASE else quota.window / SECOND
    return max(0.0, (units - level / bucket.scale) / quota.amount * window)
