"""Quotas as people write them: a short name (``rpm``, ``tpd``, ``ipm``, ``concurrency``) and an amount.

The amount is a number, or a table that says how it comes back as well::

    {"rpm": 500}                                                            continuously
    {"rpm": {"amount": 500, "burst": 50}}                                   continuously, at most 50 at once
    {"rpm": {"amount": 500, "refill": "sliding"}}                           each unit a minute after it was taken
    {"rpm": {"amount": 500, "refill": "fixed"}}                             all at once; nobody knows when
    {"rpm": {"amount": 500, "resets": "on the minute"}}                     all at once, on each full minute
    {"rpd": {"amount": 1_000, "resets": "midnight America/Los_Angeles"}}    all at once, at each midnight there
    {"rpd": {"amount": 1_000, "resets": "midnight UTC", "spread": 0.5}}     the same; batch has half as the day passes
"""

import zoneinfo
from collections.abc import Mapping
from typing import Any

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, WHOLE, Dimension, Quota, Refill
from scheduler.errors import ConfigurationError
from scheduler.providers.durations import MOST

_INITIALS = {
    "r": Dimension.REQUESTS,
    "t": Dimension.TOKENS,
    "it": Dimension.INPUT_TOKENS,
    "ot": Dimension.OUTPUT_TOKENS,
    "i": Dimension.IMAGES,
}
_WINDOWS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_KEYS = {
    f"{initial}p{letter}": (dimension, window)
    for initial, dimension in _INITIALS.items()
    for letter, window in _WINDOWS.items()
}

QUOTA_KEYS = (*_KEYS, "concurrency")
"""Every name that is known."""


_REFILLS = {refill.value: refill for refill in (Refill.CONTINUOUS, Refill.FIXED, Refill.SLIDING)}
_ON_THE = {"second": SECOND, "minute": MINUTE, "hour": HOUR}
_MIDNIGHT = 'write "midnight" and a zone, such as "midnight America/Los_Angeles"'

_TRANSIT = SECOND // 4
_CLOCKS = 10 * SECOND
"""How far the provider's instants may lie from ours: by the way that a request takes, and by clocks that differ."""


def quota_for(key: str, limit: Any) -> Quota:
    """Return the quota that *key* and *limit* name.

    Args:
        key: One of ``QUOTA_KEYS``: requests, tokens, input tokens, output tokens or images, per second, minute, hour or
            day; or ``concurrency``.
        limit: Whole units, 1 to 10^15; or a mapping with ``amount`` and, as need be, ``refill``, ``resets``, ``burst``
            and ``spread``. The module's docstring shows them.

    Raises:
        ConfigurationError: If the name is unknown or the limit is unusable. It names the key.
    """
    if key not in QUOTA_KEYS:
        raise ConfigurationError("no such limit", key, "known are " + ", ".join(QUOTA_KEYS))
    if not isinstance(limit, Mapping):
        limit = {"amount": limit}
        amount = _units(limit, "amount", key)
    else:
        amount = _units(limit, "amount", f"{key}.amount")
    known = ("amount", "refill", "resets", "burst", "spread") if key != "concurrency" else ("amount",)
    for name in limit:
        if name not in known:
            raise ConfigurationError("no such setting of a limit", f"{key}.{name}", "known are " + ", ".join(known))
    if key == "concurrency":
        return Quota(Dimension.CONCURRENCY, amount, 0, refill=Refill.RELEASE)
    return _timed(*_KEYS[key], amount, limit, key)


def _timed(dimension: Dimension, window: int, amount: int, limit: Mapping[str, Any], key: str) -> Quota:
    resets = _zone(limit["resets"], window, f"{key}.resets") if "resets" in limit else ""
    refill = _refill(limit, f"{key}.refill", resets=resets)
    burst = 0
    if "burst" in limit:
        burst = _units(limit, "burst", f"{key}.burst")
        if refill is not Refill.CONTINUOUS:
            raise ConfigurationError("only what comes back continuously has a burst", f"{key}.burst", "leave it out")
    spread = _spread(limit["spread"], f"{key}.spread", resets=resets) if "spread" in limit else 0
    if refill is Refill.CONTINUOUS:
        return Quota(dimension, amount, window, burst)
    slack = min(window // 30, _CLOCKS) if resets else min(window // 20, _TRANSIT)
    return Quota(dimension, amount, window, 0, refill, None, resets, slack, spread)


def _units(limit: Mapping[str, Any], name: str, key: str) -> int:
    units: Any = limit.get(name)
    if type(units) is int and 1 <= units <= MOST:
        return units
    raise ConfigurationError(
        "it is not a usable limit", key, f"write a whole number, 1 to {MOST}, or leave it out to lift the limit"
    )


def _refill(limit: Mapping[str, Any], key: str, *, resets: str) -> Refill:
    refill = limit.get("refill", "fixed" if resets else "continuous")
    if not isinstance(refill, str) or refill not in _REFILLS:
        raise ConfigurationError(f"{refill!r:.40} is no way to refill", key, "known are " + ", ".join(_REFILLS))
    if resets and refill != "fixed":
        raise ConfigurationError("only fixed windows have instants to reset at", key, 'leave it out, or write "fixed"')
    return _REFILLS[refill]


def _zone(resets: Any, window: int, key: str) -> str:
    """Return the zone whose wall clock says when windows begin."""
    words = resets.split() if isinstance(resets, str) else []
    if window != DAY:
        unit = next(name for name, length in _ON_THE.items() if length == window)
        if words == ["on", "the", unit]:
            return "UTC"
        raise ConfigurationError(f"{resets!r:.60} is no instant of such a limit", key, f'write "on the {unit}"')
    match words:
        case ["midnight", zone]:
            return _known_zone(zone, key)
    raise ConfigurationError(f"{resets!r:.60} is no instant of a day", key, _MIDNIGHT)


def _known_zone(zone: str, key: str) -> str:
    try:
        return zoneinfo.ZoneInfo(zone).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        mend = "write a name of the time zone database, such as America/Los_Angeles; install tzdata if none is known"
        raise ConfigurationError(f"no time zone {zone!r:.40} is known here", key, mend) from None


def _spread(spread: Any, key: str, *, resets: str) -> int:
    thousandths: int = round(spread * WHOLE) if type(spread) in {int, float} and 0 < spread <= 1 else 0
    if not thousandths:
        raise ConfigurationError(f"{spread!r:.40} is no share", key, "write a number from 0.001 to 1")
    if not resets:
        mend = 'say when it resets, as in "resets": "midnight UTC", or leave the spread out'
        raise ConfigurationError("only a limit that resets at a known instant can be spread", key, mend)
    return thousandths
