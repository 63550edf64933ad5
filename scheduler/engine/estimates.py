"""Charges as they are expected now: what an adapter's candidates come to, after what answers have told.

A request is estimated when it enters, and again whenever its turn is considered and something has been told since: most
of a bulk run is queued before the first answer comes. Only tokens are estimated; a request is a request.

One told charge must not be learned twice, here and by the accounts (see ``Ledger.charge_for``): each would correct what
the other has corrected already. Requests that come with candidates are this room's, and teach the accounts nothing
about charges; those that are reserved with a number of tokens are the accounts'.

What is learned is exact: what a refusal says was requested, and what an answer leaves of a bucket that was full.
"""

import re
from collections.abc import Collection

from scheduler.core.estimate import Estimator
from scheduler.core.quota import Dimension
from scheduler.engine.lane import Lane
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import OTHER
from scheduler.engine.waiter import Waiter

_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4})\Z")


class Estimates:
    """Estimates the charges of requests with candidates. Every method is called under the admission's lock."""

    __slots__ = ("_endpoints", "_estimator")

    def __init__(self, endpoints: Collection[str]) -> None:
        """Begin with nothing learned. All but the known *endpoints* are one: anybody can invent a path."""
        self._endpoints = frozenset(endpoints)
        self._estimator = Estimator()

    @property
    def version(self) -> int:
        """Answers that it has learned from: while it stands still, so do estimates."""
        return self._estimator.version

    def refine(self, waiter: Waiter, lane: Lane) -> None:
        """Charge a request of *lane* what it is expected to take now. It has candidates.

        What was learned is not certain: it makes no request larger than a limit that it fits by the default rule, nor
        one that waits already.
        """
        version = self._estimator.version
        if waiter.estimated == version:
            return
        waiter.estimated = version
        tokens = self._estimator.estimate(*self._key(waiter), waiter.candidates)
        waits = waiter.place is not None
        for account, _ in lane.draws:
            if account.dimension is not Dimension.TOKENS or account.fits(tokens):
                continue
            if waits or account.fits(waiter.candidates[0]):
                tokens = account.largest
        if tokens == waiter.charge.tokens:
            return
        charge = waiter.charge._replace(tokens=tokens)
        if waits:
            lane.queue.recharge(waiter, charge)
        else:
            waiter.charge = charge

    def learn(self, reservation: Reservation, told: int) -> None:
        """Learn how many tokens a request was charged that has candidates."""
        self._estimator.learn(*self._key(reservation), reservation.candidates, told)

    def _key(self, reservation: Reservation) -> tuple[str, str]:
        """Return the endpoint and the model's family: its name without the date of a snapshot."""
        endpoint = reservation.endpoint
        family = _SNAPSHOT.sub("", reservation.model)
        return endpoint if endpoint in self._endpoints else OTHER, family
