"""Lanes, and what they wait for."""

from collections.abc import Callable

from scheduler.core.bucket import NEVER
from scheduler.core.budget import Draw, take
from scheduler.core.gate import Gate
from scheduler.core.queue import Key, Queue
from scheduler.core.quota import SECOND, Charge, Dimension
from scheduler.core.ramp import Ramp
from scheduler.core.reconcile import Account
from scheduler.core.reserves import Reserves
from scheduler.engine.scopes import Scope
from scheduler.engine.waiter import Waiter

Blocker = Account | Gate | Ramp
"""What a lane can wait for."""


class Lane:
    """The queue of requests that draw on the same accounts, and what it waits for."""

    __slots__ = (
        "_prices",
        "blocker",
        "claimant",
        "claims",
        "draws",
        "gates",
        "key",
        "mask",
        "name",
        "queue",
        "ramps",
        "ready_at",
        "reserves",
        "scopes",
        "standing",
        "stops",
        "sums",
    )

    def __init__(self, scopes: tuple[Scope, ...], mask: int, reserves: Reserves | None = None) -> None:
        """Make the lane of the dimensions in *mask* of *scopes*."""
        self.scopes = scopes
        self.mask = mask
        self.name = scopes[0].name if scopes else ""
        self.reserves = Reserves() if reserves is None else reserves
        positions = _positions(mask)
        self.sums = {position: index for index, position in enumerate(positions)}
        self.queue: Queue[Waiter] = Queue(scopes[0].fairness if scopes else None, positions)
        self.blocker: Blocker | None = None
        self.ready_at = 0
        self.claimant: Waiter | None = None  # the head for which the claims are held
        self.standing = -1  # the number of its entry in the blocker's line ...
        self.key: Key = (0, 0, 0, 0)  # ... and the key that it stands there with
        self.claims: list[Account] = []  # accounts that held it back before its present blocker did
        self.draws: tuple[Draw, ...] = ()
        self._prices: tuple[tuple[int, int], ...] = ()
        self.gates = tuple(scope.gate for scope in scopes)
        self.ramps: tuple[Ramp, ...] = ()
        self.stops: tuple[Gate | Ramp, ...] = ()  # gates and ramps: what a lane waits for without a claim
        self.rebuild()

    def rebuild(self) -> None:
        """Follow the accounts and the ramps of the scopes."""
        self.draws = tuple(
            (account, account.dimension.position)
            for scope in self.scopes
            for account in scope.accounts
            if self.mask >> account.dimension.position & 1
        )
        self.ramps = tuple(scope.ramp for scope in self.scopes if scope.ramp is not None)
        self.stops = (*self.gates, *self.ramps)

        prices: dict[int, int] = {}
        for account, position in self.draws:
            quota = account.bucket.quota
            if account.known and quota.window:
                prices[position] = max(1, prices.get(position, 0), quota.window // quota.amount)
        self._prices = tuple(prices.items())

    def cost(self, charge: Charge) -> int:
        """Return the nanoseconds in which the scarcest limit brings a charge; where none is known, 1 ms a token."""
        cost = 0
        for position, price in self._prices:  # every request comes by here: no calls
            part = charge[position] * price
            if part > cost:  # noqa: PLR1730 -- as above
                cost = part
        return cost or (charge.tokens or charge.images or charge.requests) * _UNPRICED

    def pop(self, head: Waiter) -> bool:
        """Take the head out of the queue; say whether the lowest class may go now and might not before."""
        return self.queue.pop(head, self.cost(head.charge))

    def drain_time(self, now: int) -> float | None:
        """Return the seconds until all who wait could have gone, as far as limits tell; None if only ends free them."""
        longest = self.ready_at - now if self.ready_at < NEVER else 0
        for account, position in self.draws:
            if account.known and account.dimension is not Dimension.CONCURRENCY:
                longest = max(longest, account.bucket.drained_at(self.queue.units(position), now) - now)
        if self.ramps:
            longest = max(longest, self.ramped_until(self.queue.units, _NOTHING, now)[0] - now)
        return longest / SECOND if longest > 0 else None

    def ramped_until(
        self, before: Callable[[int], int], charge: Charge, now: int, *, sure: bool = False
    ) -> tuple[int, Ramp | None]:
        """Return until when a request waits for a ramp that goes after so many units by position, and for which."""
        latest = now
        binding = None
        others = Charge(*(before(position) if position in self.sums else 0 for position in range(len(charge))))
        for ramp in self.ramps:
            instant = ramp.drained_at(others, charge, now, sure=sure)
            if instant > latest:
                latest, binding = instant, ramp
        return latest, binding

    def spend(self, charge: Charge, now: int) -> tuple[int, ...]:
        """Charge every account, and count the flight; return what the tickets will be made of."""
        for scope in self.scopes:
            scope.gate.flying += 1
            scope.flying += 1
            scope.sent += 1
            scope.used = now
        if self.ramps:
            for ramp in self.ramps:
                ramp.take(charge, now)
        return take(self.draws, charge, now)


_NOTHING = Charge(0, concurrency=0)
_UNPRICED = 1_000_000
_ALWAYS = 1 << Dimension.CONCURRENCY.position


def _positions(mask: int) -> tuple[int, ...]:
    return tuple(position for position in range(Dimension.CONCURRENCY.position) if mask >> position & 1)


def mask_of(charge: Charge) -> int:
    """Return the dimensions that a charge draws on, as bits at their positions."""
    requests, tokens, input_tokens, output_tokens, images, _ = charge  # spelt out: every request comes by here
    return (
        _ALWAYS
        | (1 if requests else 0)
        | (2 if tokens else 0)
        | (4 if input_tokens else 0)
        | (8 if output_tokens else 0)
        | (16 if images else 0)
    )
