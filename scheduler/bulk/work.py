"""Work: what requests will be charged together, and how long their limits need to bring that."""

from scheduler.core.quota import SECOND, Charge
from scheduler.core.reconcile import Account
from scheduler.engine.lane import mask_of
from scheduler.facade import Scheduler


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

    def seconds_needed(self, scheduler: Scheduler, *, full: bool) -> float | None:
        """Return the seconds until every limit could have brought this much, or None where no limit is known.

        Args:
            scheduler: Whose limits.
            full: From full buckets, rather than from what lies in them now.
        """
        units: dict[Account, int] = {}
        for (model, project, mask), sums in self._sums.items():
            for account, position in scheduler.admission.draws(model, project, mask):
                if account.known and account.bucket.rate:
                    units[account] = units.get(account, 0) + account.charge_for(sums[position])
        return max((_seconds(account, amount, full=full) for account, amount in units.items()), default=None)


def _seconds(account: Account, units: int, *, full: bool) -> float:
    bucket = account.bucket
    level = bucket.capacity if full else bucket.level
    return max(0.0, (units * bucket.scale - level) / bucket.quota.amount / SECOND)
