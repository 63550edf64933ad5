"""Lanes, and what they wait for."""

from scheduler.core.bucket import NEVER
from scheduler.core.budget import Draw, take
from scheduler.core.gate import Gate
from scheduler.core.queue import Queue
from scheduler.core.quota import SECOND, Charge, Dimension
from scheduler.core.reconcile import Account
from scheduler.engine.scopes import Scope
from scheduler.engine.waiter import Waiter

Blocker = Account | Gate
"""What a lane can wait for."""


class Lane:
    """The queue of requests that draw on the same accounts, and what it waits for."""

    __slots__ = (
        "backlog",
        "blocker",
        "claimant",
        "claims",
        "draws",
        "gates",
        "mask",
        "name",
        "queue",
        "ready_at",
        "scopes",
    )

    def __init__(self, scopes: tuple[Scope, ...], mask: int) -> None:
        """Make the lane of the dimensions in *mask* of *scopes*."""
        self.scopes = scopes
        self.mask = mask
        self.name = scopes[0].name if scopes else ""
        self.backlog = 0  # tokens that its waiters ask for
        self.queue: Queue[Waiter] = Queue()
        self.blocker: Blocker | None = None
        self.ready_at = 0
        self.claimant: Waiter | None = None  # the head for which the claims are held
        self.claims: list[Account] = []  # accounts that held it back before its present blocker did
        self.draws: tuple[Draw, ...] = ()
        self.gates = tuple(scope.gate for scope in scopes)
        self.rebuild()

    def rebuild(self) -> None:
        """Follow the accounts of the scopes."""
        self.draws = tuple(
            (account, account.dimension.position)
            for scope in self.scopes
            for account in scope.accounts
            if self.mask >> account.dimension.position & 1
        )

    def push(self, waiter: Waiter) -> None:
        """Queue a waiter."""
        self.queue.push(waiter)
        self.backlog += waiter.charge.tokens

    def pop(self) -> Waiter:
        """Take the head out of the queue."""
        waiter = self.queue.pop()
        self.backlog -= waiter.charge.tokens
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Take a waiter out of the queue, wherever it stands."""
        self.queue.remove(waiter)
        self.backlog -= waiter.charge.tokens

    def drain_time(self, now: int) -> float | None:
        """Return the seconds until all who wait could have gone, as far as limits tell; None if only ends free them."""
        longest = self.ready_at - now if self.ready_at < NEVER else 0
        for account, position in self.draws:
            bucket = account.bucket
            if account.known and bucket.rate:
                units = self.backlog if position == Dimension.TOKENS.position else len(self.queue)
                longest = max(longest, (units * bucket.scale - bucket.level) // bucket.rate)
        return longest / SECOND if longest > 0 else None

    def spend(self, charge: Charge, now: int) -> tuple[int, ...]:
        """Charge every account, and count the flight; return what the tickets will be made of."""
        for scope in self.scopes:
            scope.gate.flying += 1
            scope.flying += 1
            scope.sent += 1
            scope.used = now
        return take(self.draws, charge, now)


_ALWAYS = 1 << Dimension.CONCURRENCY.position


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
