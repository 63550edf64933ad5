"""How long a bucket's window is, told from what one answer says about it.

``x-ratelimit-limit-requests: 10000`` is a limit per day at one tier and per minute at another; the name does not say.
But ``reset`` is the time until the bucket is full again, and a bucket fills evenly, so three numbers decide:

    reset = missing / limit * window,  and  limit - remaining - 1 < missing <= limit - remaining,

because ``remaining`` is the level rounded down. The reset itself is cut to whole milliseconds. Hence bounds on the
window, ``reset * limit / k`` and ``(reset + 1 ms) * limit / (k - 1)`` with k = limit - remaining, and between a
minute and an hour lies a factor of sixty: one sample that is not too near full suffices. A request that has just
taken a whole unit cannot leave less than that missing, which bounds the window from above where k is 1.

Recorded: (10000, 9999, 8.64s) is a day and (10000, 9999, 6ms) a minute; (200, 197, 20m52.666s) lies between 83511
and 125267 s, a day; (100000, 99998, 0s) is at most 100 s, and so neither an hour nor a day.
"""

from math import inf

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND

WINDOWS = (SECOND, MINUTE, HOUR, DAY)
"""Windows that are told apart, in nanoseconds."""

_MILLISECOND = 1_000_000
_SLACK = 1.25  # the answer and its bucket may be a little apart
_FAR = 4.0  # further from every window than this factor is no evidence


def infer_window(limit: int, remaining: int, reset: int, *, least: int = 0) -> int | None:
    """Return the window in nanoseconds that the three numbers of a header imply, or None where they do not decide.

    Args:
        limit: Units in a window.
        remaining: Whole units left, rounded down.
        reset: Nanoseconds until full, cut to whole milliseconds.
        least: Units that this very request has taken at least.
    """
    k = limit - remaining
    if k <= 0:
        return None
    missing = max(least, k - 1)
    shortest = reset * limit / k
    longest = (reset + _MILLISECOND) * limit / missing if missing else inf
    possible = [window for window in WINDOWS if shortest / _SLACK <= window <= longest * _SLACK]
    if len(possible) == 1:
        return possible[0]
    if possible:
        # A reset below a millisecond has no lower bound, yet rules out hours and days. No limit per second is
        # published, so what is left is the minute.
        return MINUTE if reset == 0 and possible[-1] == MINUTE else None
    if longest == inf:
        return None
    away, nearest = min((_distance(window, shortest, longest), window) for window in WINDOWS)
    return nearest if away <= _FAR else None


def _distance(window: int, shortest: float, longest: float) -> float:
    """Return by what factor *window* lies outside the bounds."""
    return shortest / window if window < shortest else window / longest
