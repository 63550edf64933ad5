"""The parts that a world is made of, and the words for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

DIMENSIONS = ("rpm", "rpd", "tpm", "tpd", "ipm", "concurrency")
"""Names of limits: requests, tokens and images per minute or day, and requests in flight."""
FAULTS = ("overloaded", "slow_down", "insufficient_quota", "server_error", "drop", "stall", "broken_stream")
"""Kinds of faults. The first three strike at the door and charge nothing; the others strike after admission."""

SHORTEST = 0.001
"""Seconds of the shortest slice, and between two uses of a tenant."""
_LARGEST = 2**53

Limits = Mapping[str, int]
"""Limits of one pool: a name of ``DIMENSIONS`` to units."""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """Somebody else who spends from a limit, unseen by the client.

    Attributes:
        limit: Which limit, a name of ``DIMENSIONS`` other than concurrency.
        share: Share of the limit's refill that is spent; it may be above 1.
        every: Seconds between two uses; each takes that many seconds' worth at once, as far as it is there.
        begin: Second from the simulator's start on.
        end: Second until which.
        pool: The pool: a key of ``World.limits`` or of ``World.shared``; "" for every pool that has the limit.
    """

    limit: str = "tpm"
    share: float
    every: float = 0.5
    begin: float = 0.0
    end: float = math.inf
    pool: str = ""

    def __post_init__(self) -> None:
        check(self.limit in DIMENSIONS[:-1], "limit", f"one of {', '.join(DIMENSIONS[:-1])}", self.limit)
        check(finite(self.share) and self.share >= 0, "share", "a number of at least 0", self.share)
        check(finite(self.every) and self.every >= SHORTEST, "every", f"at least {SHORTEST} seconds", self.every)
        check(0 <= self.begin <= self.end, "begin", "between 0 and end", self.begin)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of limits while the simulator runs.

    Attributes:
        at: Second from the simulator's start.
        model: A model of the pool.
        limits: The new limits; those not named stay.
        project: Whose limits, or None for the organization's.
    """

    at: float
    model: str
    limits: Limits
    project: str | None = None

    def __post_init__(self) -> None:
        check(finite(self.at) and self.at >= 0, "at", "seconds from 0", self.at)
        check_limits("limits", self.limits)


@dataclass(frozen=True, kw_only=True)
class FaultWindow:
    """A time in which a fault strikes more often.

    Attributes:
        kind: One of ``FAULTS``.
        begin: Second from the simulator's start on.
        end: Second until which.
        rate: Share of requests struck, in addition to the others.
    """

    kind: str
    begin: float
    end: float
    rate: float = 1.0

    def __post_init__(self) -> None:
        check(self.kind in FAULTS, "kind", f"one of {', '.join(FAULTS)}", self.kind)
        check(0 <= self.begin <= self.end, "begin", "between 0 and end", self.begin)
        check(finite(self.rate) and 0 <= self.rate <= 1, "rate", "a share between 0 and 1", self.rate)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How fast traffic may grow: above *floor* by a factor in a span, whatever the limits.

    Attributes:
        floor: Input tokens a minute up to which traffic may grow as it likes.
        factor: By what it may have grown against what it was a span ago.
        span: Seconds. Traffic is measured over a fifteenth of it.
    """

    floor: int
    factor: float = 1.5
    span: float = 900.0

    def __post_init__(self) -> None:
        check(0 < self.floor < _LARGEST and int(self.floor) == self.floor, "floor", "a whole number from 1", self.floor)
        check(finite(self.factor) and self.factor >= 1, "factor", "at least 1", self.factor)
        check(finite(self.span) and self.span >= 1, "span", "at least 1 second", self.span)


def finite(value: object) -> bool:
    """Say whether *value* is a number that is neither infinite nor none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check(truth: bool, name: str, wanted: str, value: object) -> None:  # noqa: FBT001 - an assertion with words
    """Raise ``ValueError`` unless *truth*: what *name* must be, and the *value* that it is."""
    if not truth:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_limits(name: str, limits: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless *limits* are usable; *name* is what they are called in the message."""
    for key, value in limits.items():
        check(key in DIMENSIONS, name, f"keyed by {', '.join(DIMENSIONS)}", key)
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
        check(whole, f"{name}[{key!r}]", "a whole number from 0", value)
