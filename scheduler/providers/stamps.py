"""Instants as servers write them, with bounds: nanoseconds since the epoch. No clock is read here.

What they are compared with is the same answer's ``date``, so that a wrong local clock does no harm.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scheduler.core.quota import SECOND
from scheduler.providers.durations import LENGTH


def rfc3339(text: str) -> int | None:
    """Return the instant of ``2025-06-23T10:26:53Z``, or None where it is malformed or names no zone."""
    if len(text) > LENGTH:
        return None
    try:
        return _nanoseconds(datetime.fromisoformat(text.strip()))
    except ValueError:
        return None


def http_date(text: str | None) -> int | None:
    """Return the instant of ``Mon, 23 Jun 2025 10:26:56 GMT``, or None where it is malformed or absent."""
    if text is None or len(text) > LENGTH:
        return None
    try:
        instant = parsedate_to_datetime(text)
        return _nanoseconds(instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _nanoseconds(instant: datetime) -> int | None:
    if instant.tzinfo is None:
        return None
    try:
        return round(instant.timestamp()) * SECOND
    except (ValueError, OverflowError):
        return None
