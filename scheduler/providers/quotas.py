"""Quotas by the short names that people write: ``rpm``, ``tpd``, ``ipm``, ``concurrency``."""

from typing import Any

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill
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


def quota_for(key: str, amount: Any) -> Quota:
    """Return the quota that *key* and *amount* name.

    Args:
        key: One of ``QUOTA_KEYS``: requests, tokens, input tokens, output tokens or images, per second, minute, hour or
            day; or ``concurrency``.
        amount: Whole units, 1 to 10^15.

    Raises:
        ConfigurationError: If the name is unknown or the amount is unusable. It names the key.
    """
    if key not in QUOTA_KEYS:
        raise ConfigurationError("no such limit", key, "known are " + ", ".join(QUOTA_KEYS))
    if type(amount) is not int or not 1 <= amount <= MOST:
        raise ConfigurationError(
            "it is not a usable limit", key, f"write a whole number, 1 to {MOST}, or leave it out to lift the limit"
        )
    if key == "concurrency":
        return Quota(Dimension.CONCURRENCY, amount, 0, refill=Refill.RELEASE)
    dimension, window = _KEYS[key]
    return Quota(dimension, amount, window)
