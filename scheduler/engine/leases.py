"""The lease seam: where an account comes from.

One process that has a budget to itself opens accounts on the whole of each quota. Several processes that share one
are handed slices of it, by a store, for a moment at a time. The engine cannot tell the difference: it asks an
``AccountSource`` for an account once for each quota of each scope, decides on it synchronously and in memory, and a
store changes the slice with ``Account.retune`` as leases are renewed.
"""

from typing import Protocol

from scheduler.calendar import Calendar
from scheduler.clock import Clock, SystemClock
from scheduler.core.quota import Quota
from scheduler.core.reconcile import Account


class AccountSource(Protocol):
    """Opens accounts. What a shared store must offer beside it comes with the first store."""

    def open(self, scope: str, quota: Quota, now: int, *, known: bool) -> Account:
        """Return the account of *quota* in *scope*; if not *known*, its limit is to be learned.

        Never blocks: a store that has no slice yet opens an empty account and retunes it when the slice comes.
        """
        ...


class SoleOwner:
    """This process has every budget to itself."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Begin with the clock whose wall time says when days begin: the machine's unless given."""
        self._calendar = Calendar(clock or SystemClock())

    def open(self, scope: str, quota: Quota, now: int, *, known: bool) -> Account:
        """Return an account on the whole quota, full."""
        schedule = self._calendar.schedule(quota) if quota.zone else None
        return Account(quota, now, known=known, scope=scope, schedule=schedule)
