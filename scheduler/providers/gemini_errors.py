"""Google's errors, of the Gemini API and of Vertex AI: what a body says, and why the request did not succeed.

Bodies are ``{"error": {"code", "message", "status", "details": [...]}}``, also as a list, or encoded once more in a
message. What a 429 means stands in its details: the quotas that were violated, several at once, each by a name that
says what is counted and over what time (``GenerateRequestsPerDayPerProjectPerModel-FreeTier``), and since 2025 the
quota's value. The delay beside them says less: seconds are named for a day's quota, and for one of 0. So the names
decide.

- A value of 0 in any of them: the account has no quota here.
- The quota of a day binds longest. It comes back at midnight in California (rate limit guide), and the delay is
  lengthened until then where the answer's own date tells how long that is and the server did not name hours itself.
- Requests that were refused found nothing left; of tokens less was left than the request has.
- Without details: "Resource has been exhausted (e.g. check quota)" is a reached rate without numbers. Vertex's
  "Resource exhausted. Please try again later" comes from capacity that all customers share: an overload.
- "Please check your plan and billing details" stands over every refusal here and says nothing of billing.

Catalogue: the guides on rate limits and troubleshooting (2026), and recorded bodies of 2024 to 2026.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scheduler.core.quota import DAY, HOUR, SECOND, Dimension
from scheduler.providers.base import Cause, Observation
from scheduler.providers.delays import LONGEST
from scheduler.providers.durations import duration
from scheduler.providers.native_errors import WINDOWS, cause_of_status, exhausted, json_of, text_at, within
from scheduler.providers.refusals import PARSED
from scheduler.providers.stamps import http_date
from scheduler.providers.texts import MESSAGE, NAME, cleaned

_STATUSES: Mapping[str, Cause] = {
    "RESOURCE_EXHAUSTED": Cause.RATE,
    "UNAVAILABLE": Cause.OVERLOAD,
    "DEADLINE_EXCEEDED": Cause.TIMEOUT,
    "INTERNAL": Cause.SERVER,
    "UNKNOWN": Cause.SERVER,
    "ABORTED": Cause.CONFLICT,
    "UNAUTHENTICATED": Cause.AUTH,
    "PERMISSION_DENIED": Cause.AUTH,
    "INVALID_ARGUMENT": Cause.BAD_REQUEST,
    "FAILED_PRECONDITION": Cause.BAD_REQUEST,
    "NOT_FOUND": Cause.BAD_REQUEST,
    "OUT_OF_RANGE": Cause.BAD_REQUEST,
}
"""Causes by the error's status, which is gRPC's."""

_WORDS: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (re.compile(r"credits are depleted|spending cap|enable billing", re.IGNORECASE), Cause.BILLING),
    (re.compile(r"\bAPI key (?:not valid|expired)", re.IGNORECASE), Cause.AUTH),
    (re.compile(r"\blimit: 0(?![0-9]|[.,][0-9])", re.IGNORECASE), Cause.LIMIT_ZERO),
)
"""Causes by words, before all else but a quota of 0: an invalid key is an invalid argument by its status."""

_RATE = re.compile(r"quota exceeded|exceeded your current quota", re.IGNORECASE)
_OVERLOAD = re.compile(r"\bResource exhausted\b|model is overloaded", re.IGNORECASE)

_COUNTED = {
    "outputtoken": Dimension.OUTPUT_TOKENS,
    "token": Dimension.TOKENS,  # TPM is what Google calls the limit on input tokens
    "request": Dimension.REQUESTS,
    "image": Dimension.IMAGES,
}
_PER = re.compile(r"per_?(second|minute|hour|day)", re.IGNORECASE)
_MOST = 32  # violations that are looked at
_LAST = 9_998  # the last year that has a day after it whatever the zone
_ZONE = "America/Los_Angeles"


class Violation(NamedTuple):
    """A quota that a refusal names.

    Attributes:
        name: Its name.
        value: Its value, or "".
    """

    name: str
    value: str = ""

    @property
    def window(self) -> int | None:
        """Nanoseconds that it is counted over, or None where its name does not say."""
        per = _PER.search(self.name)
        return WINDOWS[per[1].lower()] if per else None

    @property
    def observation(self) -> Observation | None:
        """What it proves of the bucket, or None where it does not say enough."""
        window = self.window
        name = self.name.lower()
        dimension = next((each for word, each in _COUNTED.items() if word in name), None)
        return exhausted(dimension, self.value, window) if dimension and window else None


class GoogleError(NamedTuple):
    """An error's fields; "" where absent.

    Attributes:
        message: Its words, as sent.
        status: Its status, or the reason of its details where that says more.
        violations: The quotas that it names.
        delay: Nanoseconds that its details ask to wait, or None.
    """

    message: str = ""
    status: str = ""
    violations: tuple[Violation, ...] = ()
    delay: int | None = None

    @property
    def shown(self) -> str:
        """The words, made safe to show."""
        return cleaned(self.message, MESSAGE)

    @property
    def name(self) -> str:
        """The status, made safe to show."""
        return cleaned(self.status, NAME)

    @property
    def refused(self) -> Observation | None:
        """What it proves of the violated bucket that binds longest, of those that it says enough of."""
        seen = [one for each in self.violations if (one := each.observation) is not None]
        return max(seen, key=lambda one: one.window or 0, default=None)

    @property
    def daily(self) -> bool:
        """Whether the quota of a day is among those that were violated."""
        return any(each.window == DAY for each in self.violations)


def error_of(body: bytes | None) -> GoogleError:
    """Find the error in a body of any kind."""
    value = json_of(body)
    message = _message(value)
    if message.lstrip()[:1] in ("{", "["):  # encoded once more
        value = json_of(message.encode("utf-8", "replace"))
        message = _message(value) or message
    details = within(value, "error", "details")
    details = [each for each in details[:_MOST] if isinstance(each, dict)] if isinstance(details, list) else []
    delays = [delay for each in details if (delay := duration(text_at(each, "retryDelay"))) is not None]
    return GoogleError(
        message[:PARSED],
        text_at(value, "error", "status"),
        tuple(each for detail in details for each in _violations(detail))[:_MOST],
        max((delay for delay in delays if delay <= LONGEST), default=None),
    )


def cause_of(status: int, error: GoogleError) -> Cause:
    """Return why a request did not succeed."""
    if any(each.value and not each.value.strip("0") for each in error.violations):
        return Cause.LIMIT_ZERO
    for pattern, cause in _WORDS:
        if pattern.search(error.message):
            return cause
    if error.violations or _RATE.search(error.message):
        return Cause.RATE
    if _OVERLOAD.search(error.message):
        return Cause.OVERLOAD
    return _STATUSES.get(error.status) or cause_of_status(status, error.message)


def until_midnight(date: str | None) -> int | None:
    """Return the nanoseconds from an answer's date to the next midnight in California, or None where it is unusable."""
    now = http_date(date)
    if now is None:
        return None
    try:
        here = datetime.fromtimestamp(now // SECOND, UTC).astimezone(ZoneInfo(_ZONE))
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        return None
    if here.year > _LAST:
        return None
    midnight = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    return round(midnight.timestamp()) * SECOND - now


def delay_of(error: GoogleError, asked: int | None, date: str | None) -> int | None:
    """Return the nanoseconds to wait at least: what was *asked*, and for the quota of a day until it comes back."""
    delays = [delay for delay in (error.delay, asked) if delay is not None]
    delay = max(delays, default=None)
    if not error.daily or (delay is not None and delay >= HOUR):
        return delay
    return until_midnight(date) or delay


def _violations(detail: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield the quotas that one of the details names: as violations, or as the metadata of a reason."""
    named = detail.get("violations")
    for each in named[:_MOST] if isinstance(named, list) else ():
        name = text_at(each, "quotaId") or text_at(each, "quotaMetric")
        if name:
            value = within(each, "quotaValue")
            yield Violation(name, str(value) if type(value) in {int, str} else "")
    name = text_at(detail, "metadata", "quota_limit")
    if name:
        yield Violation(name, text_at(detail, "metadata", "quota_limit_value"))


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value
    message = within(value, "error", "message") or within(value, "message")
    return message if isinstance(message, str) else ""
