"""Several buckets of one request: all pay, or nobody does.

A request draws on its organization's and its project's buckets, by the minute and by the day, in requests, tokens and
images. Charging them one after another and backing out at the first that refuses would wake others in between, and
charge wrongly where something fails half-way. So a decision looks at all of them and changes nothing; only when every
one grants is the charge taken, from every one, in the same breath. The wait is the longest of the waits, and the
account that names it is *binding*. A wait that a decision names is sufficient; one nanosecond less is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scheduler.core.bucket import NEVER
from scheduler.core.quota import Charge
from scheduler.core.reconcile import NOTES, Account, Ticket
from scheduler.core.spread import allowed_at

Draw: TypeAlias = tuple[Account, int]
"""An account, and the position in a ``Charge`` of what it counts."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The request may go now."""


@dataclass(frozen=True, slots=True)
class NotUntil:
    """The request may go at *instant*, or None where only a release, an answer or a changed limit can free it."""

    instant: int | None
    binding: Account


@dataclass(frozen=True, slots=True)
class NeverFits:
    """The request is larger than the *binding* limit will ever admit; *largest* units would fit."""

    largest: int
    binding: Account


Decision: TypeAlias = Granted | NotUntil | NeverFits

GRANTED = Granted()


def decide(draws: Sequence[Draw], charge: Charge, now: int, kept: int = 0, *, spread: bool = False) -> Decision:
    """Decide whether a request of *charge* may draw on all of *draws* at *now*. Takes nothing.

    It leaves *kept* thousandths of every capacity to others, and with *spread* what the rest of the day is to keep.
    """
    latest = now
    binding = None
    for account, position in draws:
        ready = account.ready_at(charge[position], now, account.bucket.capacity * kept // 1000 if kept else 0)
        if spread and account.bucket.quota.spread:
            units = account.charge_for(charge[position]) + account.cushion // account.bucket.scale
            ready = max(ready, allowed_at(account.bucket, units, now))
        if ready > latest:
            latest = ready
            binding = account
    if binding is None:
        return GRANTED
    return NotUntil(None if latest >= NEVER else latest, binding)


def too_large(draws: Sequence[Draw], charge: Charge) -> NeverFits | None:
    """Return the limit that a request of *charge* can never fit, or None."""
    for account, position in draws:
        if not account.fits(charge[position]):
            return NeverFits(account.largest, account)
    return None


def take(draws: Sequence[Draw], charge: Charge, now: int) -> tuple[int, ...]:
    """Charge every account of *draws* at the instant of the decision that granted it; return the tickets' notes."""
    notes: list[int] = []
    for account, position in draws:
        account.spend(charge[position], now, notes)
    return tuple(notes)  # the garbage collector forgets a tuple of numbers; a list it would look at for ever


def tickets_of(draws: Sequence[Draw], charge: Charge, at: int, notes: Sequence[int]) -> list[Ticket]:
    """Return the tickets of a request that was charged *at* an instant, from what ``take`` noted."""
    return [
        Ticket(account, at, charge[position], *notes[index * NOTES : (index + 1) * NOTES])
        for index, (account, position) in enumerate(draws)
    ]
