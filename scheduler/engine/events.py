"""What listeners are told. A listener may look and never decide; what it raises is logged and goes no further."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request was let through.

    Attributes:
        scope: Whose limits it draws on.
        waited: Seconds that it waited.
        priority: Its priority.
    """

    scope: str
    waited: float
    priority: int


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer came, or it is certain that none will.

    Attributes:
        scope: Whose limits the request drew on.
        outcome: ``success``, ``throttled``, ``overloaded``, ``failed`` or ``unknown``.
        cause: Why it did not succeed, or "".
        latency: Seconds from sending to the headers.
    """

    scope: str
    outcome: str
    cause: str
    latency: float


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """An answer disproved a limit, or stated one that was not known.

    Attributes:
        scope: Whose limit it is.
        quota: Short name of the limit, such as ``tpm``.
        before: Units believed before, or None if it was not known.
        after: Units believed now.
    """

    scope: str
    quota: str
    before: int | None
    after: int


@dataclass(frozen=True, slots=True)
class Paused:
    """A refusal without numbers or an overload closed a scope; one probe will reopen it.

    Attributes:
        scope: What is closed.
        cause: Why.
        seconds: How long at least.
    """

    scope: str
    cause: str
    seconds: float


Event: TypeAlias = Admitted | Answered | LimitChanged | Paused
