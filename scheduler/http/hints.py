"""What a caller may say of a request that an SDK makes for him: priority, tenant, deadline, tokens.

An SDK's call has no room for such words. They come around it, by a context that the task or thread carries, or beside
it, by ``x-scheduler-*`` headers, which count before the context and are taken off before the request leaves.
"""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from scheduler.core.quota import SECOND
from scheduler.errors import InvalidRequest
from scheduler.priority import priority_of

PREFIX = "x-scheduler-"
"""Begins the names of all headers that are meant for the scheduler, and for nobody else."""
MOST_TOKENS = 10**9
LONGEST_NAME = 200
LONGEST_WAIT = 366 * 86_400
"""The largest hints that are taken: tokens, characters of a tenant's name, seconds."""

_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_NATURAL = re.compile(r"\d{1,10}")


class Hints(NamedTuple):
    """What was said of a request; None where nothing was.

    Attributes:
        priority: Who goes first; the lowest.
        tenant: On whose behalf it is sent.
        deadline: Instant, in nanoseconds of the scheduler's clock, after which no attempt begins.
        tokens: Tokens that it is expected to be charged, instead of the adapter's estimate.
    """

    priority: int | None = None
    tenant: str | None = None
    deadline: int | None = None
    tokens: int | None = None

    def over(self, outer: "Hints") -> "Hints":
        """Return these hints, with the *outer* ones where these say nothing; of two deadlines, the earlier."""
        if self is NOTHING:
            return outer
        deadlines = [deadline for deadline in (self.deadline, outer.deadline) if deadline is not None]
        return Hints(
            outer.priority if self.priority is None else self.priority,
            outer.tenant if self.tenant is None else self.tenant,
            min(deadlines, default=None),
            outer.tokens if self.tokens is None else self.tokens,
        )


NOTHING = Hints()
_CURRENT: ContextVar[Hints] = ContextVar("scheduler_hints", default=NOTHING)


def current() -> Hints:
    """Return what the context says."""
    return _CURRENT.get()


@contextlib.contextmanager
def within(hints: Hints) -> Iterator[None]:
    """Say *hints* of every request inside the block, over what the blocks around it say."""
    token = _CURRENT.set(hints.over(_CURRENT.get()))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def hints_of(
    now: int,
    *,
    priority: int | str | None = None,
    tenant: str | None = None,
    deadline: float | str | None = None,
    tokens: int | str | None = None,
) -> Hints:
    """Return hints from what people write; *deadline* in seconds from *now*.

    Raises:
        InvalidRequest: If one is unusable.
        ConfigurationError: If the priority is none.
    """
    return Hints(
        None if priority is None else _priority(priority),
        None if tenant is None else _tenant(tenant),
        None if deadline is None else now + int(_seconds(deadline) * SECOND),
        None if tokens is None else _tokens(tokens),
    )


def hints_in(headers: list[tuple[str, str]], now: int) -> Hints:
    """Return what ``x-scheduler-*`` headers say: *headers* are those, by their names in small letters.

    Raises:
        InvalidRequest: If one is unknown or unusable.
        ConfigurationError: If the priority is none.
    """
    said = {name.removeprefix(PREFIX): value for name, value in headers}
    unknown = said.keys() - set(Hints._fields)
    if unknown:
        known = ", ".join(PREFIX + name for name in Hints._fields)
        raise InvalidRequest("no such hint", f"header {PREFIX}{min(unknown)}"[:LONGEST_NAME], f"known are {known}")
    return hints_of(
        now,
        priority=said.get("priority"),
        tenant=said.get("tenant"),
        deadline=said.get("deadline"),
        tokens=said.get("tokens"),
    )


def _priority(value: int | str) -> int:
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < LONGEST_NAME:
        return int(value)
    return priority_of(value)


def _tenant(value: Any) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_NAME and value.isprintable():
        return value
    raise InvalidRequest("this is no tenant's name", "tenant", f"write at most {LONGEST_NAME} printable characters")


def _seconds(value: float | str) -> float:
    number: Any = float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value
    if type(number) not in {int, float} or not 0 <= number <= LONGEST_WAIT:
        raise InvalidRequest("this is no time to wait", "deadline", "write seconds from now, 0 or more")
    return float(number)


def _tokens(value: int | str) -> int:
    number = int(value) if isinstance(value, str) and _NATURAL.fullmatch(value) else value
    if type(number) is not int or not 0 <= number <= MOST_TOKENS:
        raise InvalidRequest("this is no number of tokens", "tokens", f"write 0 to {MOST_TOKENS}")
    return number
