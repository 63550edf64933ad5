"""What users pass in, checked: every error names the argument and the mend, and no word of what is private."""

from collections.abc import Mapping
from typing import Any

import msgspec

from scheduler.core.quota import SECOND, Charge
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.priority import priority_of

_MOST_RESERVED = 0.9


def positive(value: Any, key: str) -> float:
    """Return a number above 0, or raise ``ConfigurationError``."""
    if type(value) not in {int, float} or not 0 < value < float("inf"):
        raise ConfigurationError(f"{value!r:.40} is not above 0", key, "write a number above 0, or leave it out")
    return float(value)


def whole(value: Any, key: str) -> int:
    """Return a whole number above 0, or raise ``ConfigurationError``."""
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{value!r:.40} is no whole number above 0", key, "write one, or leave it out")
    return value


def positive_weights(weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return weights of tenants, or raise ``ConfigurationError``."""
    if not isinstance(weights or {}, Mapping):
        raise ConfigurationError(f"{weights!r:.40} holds no weights", "weights", "write {TENANT: 2.0}")
    return {str(tenant): positive(weight, f"weights.{tenant}") for tenant, weight in (weights or {}).items()}


def shares_by_priority(reserved: Mapping[int | str, float] | None) -> dict[int, float]:
    """Return shares kept for priorities, or raise ``ConfigurationError``."""
    if not isinstance(reserved or {}, Mapping):
        raise ConfigurationError(f"{reserved!r:.40} holds no shares", "reserved", 'write {"interactive": 0.05}')
    shares = {}
    for name, share in (reserved or {}).items():
        if type(share) not in {int, float} or not 0 <= share <= _MOST_RESERVED:
            key, mend = f"reserved.{name}", f"write a share from 0 to {_MOST_RESERVED}"
            raise ConfigurationError(f"{share!r:.40} is no share of a level", key, mend)
        number = isinstance(name, str) and name.removeprefix("-").isdecimal()
        shares[int(name) if number else priority_of(name)] = float(share)
    if sum(shares.values()) > _MOST_RESERVED:
        raise ConfigurationError("nothing would be left", "reserved", f"keep {_MOST_RESERVED} at most, together")
    return shares


def nanoseconds(timeout: float) -> int | None:
    """Return seconds to wait as nanoseconds; None if they never end."""
    if timeout == float("inf"):
        return None
    if not timeout >= 0:
        raise ConfigurationError(f"{timeout!r:.40} is no time to wait", "timeout", "write seconds from 0 on, or None")
    return int(timeout * SECOND)


def not_negative(charge: Charge) -> Charge:
    """Return a charge of whole numbers that takes and gives nothing, or raise ``InvalidRequest``."""
    if type(sum(charge)) is int and min(charge) >= 0:  # a single float would make the sum one
        return charge
    named = zip(Charge._fields, charge, strict=True)
    field = next(name for name, units in named if type(units) is not int or units < 0)
    raise InvalidRequest("a charge is whole, and takes what it says", field, "write a whole number from 0 on")


def named(tenant: str) -> str:
    """Return a tenant's name, or raise ``InvalidRequest``."""
    if isinstance(tenant, str):
        return tenant
    raise InvalidRequest("a tenant has a name", "tenant", "write a string")


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON, or raise ``InvalidRequest``."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError):  # whose words may hold what is in it
        raise InvalidRequest(
            "it cannot be written as JSON", "body", "use strings, numbers, lists and objects"
        ) from None


def header(project: str | None) -> str | None:
    """Return a project that can stand in a header, or raise ``InvalidRequest``."""
    if project is None or (project and project.isascii() and project.isprintable() and " " not in project):
        return project
    raise InvalidRequest("no header can carry this name", "project", "write it in ASCII, without spaces")
