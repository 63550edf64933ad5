"""Numbers and durations as servers write them in headers, with bounds on their digits and values.

OpenAI and others print durations as Go does: one or more ``<decimal><unit>`` without spaces (``1m26.4s``, ``8.64s``,
``120ms``, ``0s``), float artefacts included (``17.399999999s``). All arithmetic is in integers.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND

MOST = 10**15
"""The largest number of units that is believed."""
LONGEST = 366 * DAY
"""The longest duration that is believed, in nanoseconds."""
LENGTH = 64
"""Characters of a header's value beyond which it is not looked at."""

_UNITS = {
    "d": DAY,  # not Go's, and not seen at OpenAI; taken all the same
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
    "ms": 1_000_000,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign, which Go prints
    "\u03bcs": 1_000,  # Greek mu, which Go also reads
    "ns": 1,
}
_PART = re.compile("([0-9]{1,18})(?:\\.([0-9]{1,18}))?(ns|us|\u00b5s|\u03bcs|ms|[smhd])")
_WHOLE = re.compile(r"[0-9]{1,16}")
_DECIMAL = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,18}))?")


def whole_number(text: str) -> int | None:
    """Return the number of units that *text* spells in plain digits, or None where it is malformed or absurd."""
    text = text.strip() if len(text) <= LENGTH else ""
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if number <= MOST else None


def decimal(text: str, unit: int) -> int | None:
    """Return *text*, a plain decimal number, times *unit* nanoseconds, rounded down; None where it is unusable."""
    text = text.strip() if len(text) <= LENGTH else ""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    nanoseconds = _scaled(match[1], match[2], unit)
    return nanoseconds if nanoseconds <= LONGEST else None


def duration(text: str) -> int | None:
    """Return the nanoseconds of a duration as Go prints it, or None where it is malformed or absurd.

    A number without a unit is malformed, but for Go's ``0``: its unit would be a guess, and providers differ by a
    factor of a thousand.
    """
    text = text.strip() if len(text) <= LENGTH else ""
    if text == "0":
        return 0
    total = position = 0
    while match := _PART.match(text, position):
        total += _scaled(match[1], match[2], _UNITS[match[3]])
        position = match.end()
    return total if position and position == len(text) and total <= LONGEST else None


def until(text: str, now: str) -> int | None:
    """Return the nanoseconds from HTTP-date *now* to HTTP-date *text*, at least 0; None where one is unusable."""
    end, start = _instant(text), _instant(now)
    if end is None or start is None:
        return None
    return max(0, round((end - start).total_seconds()) * SECOND)


def until_epoch(milliseconds: str, now: str) -> int | None:
    """Return the nanoseconds from HTTP-date *now* to an instant in milliseconds since 1970; None where unusable."""
    end, start = whole_number(milliseconds), _instant(now)
    if end is None or start is None:
        return None
    delay = end * 1_000_000 - round(start.timestamp()) * SECOND
    return max(0, delay) if delay <= LONGEST else None


def _scaled(digits: str, fraction: str | None, unit: int) -> int:
    scaled = int(digits) * unit
    return scaled + int(fraction) * unit // 10 ** len(fraction) if fraction else scaled


def _instant(text: str) -> datetime | None:
    if len(text) > LENGTH:
        return None
    try:
        instant = parsedate_to_datetime(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
