"""How long a server asks to wait: ``retry-after-ms``, ``retry-after``, and "try again in" within a message.

A delay is a minimum. Where what is said differs, the longest is taken; only seconds that are the milliseconds rounded
up are not longer. Delays beyond thirty days are absurd: they are counted and not believed.
"""

import re
from collections.abc import Mapping

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND
from scheduler.providers.durations import decimal, duration, until

LONGEST = 30 * DAY
"""The longest delay that is believed, in nanoseconds."""

_AGAIN = re.compile(
    r"\b(?:(?:try again|retry) (?:in|after)|please wait) (\S{1,64})(?: (millisecond|second|minute|hour|day)s?\b)?",
    re.IGNORECASE,
)
_WORDS = {"millisecond": 1_000_000, "second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY}


def asked_delay(headers: Mapping[str, str], message: str, *others: int | None) -> tuple[int | None, int]:
    """Return the nanoseconds that a refusal asks to wait, or None, and how many fields were ignored.

    Args:
        headers: Headers with their names in small letters.
        message: The error's message, of bounded length.
        others: Delays that were found elsewhere, in nanoseconds; -1 for one that is unusable.
    """
    exact, whole = _of_header(headers, "retry-after-ms", 1_000_000), _of_header(headers, "retry-after", SECOND)
    if exact is not None and whole is not None and 0 <= exact <= whole < exact + SECOND:
        whole = None
    found = [exact, whole, delay_in(message), *others]
    usable = [delay for delay in found if delay is not None and _usable(delay)]
    ignored = sum(delay is not None and not _usable(delay) for delay in found)
    return max(usable, default=None), ignored


def delay_in(message: str) -> int | None:
    """Return the nanoseconds that a message names (``Please try again in 1m26.4s.``), or None where it names none.

    An absurd number is -1.
    """
    match = _AGAIN.search(message)
    if match is None:
        return None
    text = match[1].rstrip(".,;:!)'\"`")
    unit = match[2]
    delay = duration(text) if unit is None else decimal(text, _WORDS[unit.lower()])
    if delay is None and text[:1].isdigit():
        return -1
    return delay


def _usable(delay: int | None) -> bool:
    return delay is not None and 0 <= delay <= LONGEST


def _of_header(headers: Mapping[str, str], name: str, unit: int) -> int | None:
    """Return a header's delay in nanoseconds, None where it is absent, -1 where it is unusable.

    Seconds may be a fraction, or an HTTP-date, which is read against the answer's own ``date``: no clock is needed
    and a wrong local one does no harm.
    """
    text = headers.get(name)
    if text is None:
        return None
    delay = decimal(text, unit)
    if delay is None and name == "retry-after" and "date" in headers:
        delay = until(text, headers["date"])
    return -1 if delay is None else delay
