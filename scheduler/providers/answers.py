"""What an answer means, in any dialect of OpenAI's language: a status, headers and a body become a ``Reading``."""

from collections.abc import Mapping
from dataclasses import replace

from scheduler.core.quota import Dimension
from scheduler.providers.base import Cause, Observation, Outcome, Reading
from scheduler.providers.delays import asked_delay
from scheduler.providers.dialect import Dialect
from scheduler.providers.error_bodies import ErrorBody, error_of
from scheduler.providers.headers import Seen, lowered
from scheduler.providers.ietf import ietf
from scheduler.providers.openai_errors import cause_of, outcome_of
from scheduler.providers.openai_stream import event_of
from scheduler.providers.openai_usage import usage_of
from scheduler.providers.refusals import Refusal, refusal_of
from scheduler.providers.texts import NAME, cleaned

_SUCCESS = range(200, 300)
_PAYMENT = 402
_THROTTLED = 429
_FAILED_STREAM = 500  # as which an error within a stream counts that says nothing better of itself
_REQUEST_IDS = ("x-request-id", "apim-request-id", "request-id")
_REFUSED = {Cause.RATE, Cause.RAMP}


def read_answer(dialect: Dialect, status: int, headers: Mapping[str, str], body: bytes | None, url: str) -> Reading:
    """Read an answer. See ``Provider.read``."""
    fields = lowered(headers)
    if status not in _SUCCESS:
        return _refusal(dialect, status, fields, error_of(body))
    seen, ignored = _observed(dialect, fields)
    usage = usage_of(url, body)
    return Reading(
        Outcome.SUCCESS, observations=seen, usage=usage, ignored=ignored, request_id=_request_id(fields)
    )  # a retry-after on a success, which was recorded, asks for nothing


def read_stream_event(dialect: Dialect, data: bytes) -> Reading | None:
    """Read one event of a stream. See ``Provider.read_event``."""
    usage, error = event_of(data)
    if error is not None:
        return replace(_refusal(dialect, error.status or _FAILED_STREAM, {}, error), usage=usage)
    return None if usage is None else Reading(Outcome.SUCCESS, usage=usage)


def _refusal(dialect: Dialect, status: int, fields: Mapping[str, str], error: ErrorBody) -> Reading:
    fields = {**error.headers, **fields}
    seen, ignored = _observed(dialect, fields)
    refusal = refusal_of(error.message, error.kind)
    cause = cause_of(status, error, refusal, dialect.causes)
    reset = dialect.resets(fields) if dialect.resets is not None and cause is Cause.RATE else None
    delay, unusable = asked_delay(fields, error.message, error.delay, reset)
    if status == _PAYMENT and cause is Cause.BILLING and delay is not None:
        cause = Cause.RATE  # what is owed comes back by itself: requests in flight hold it (OpenRouter's guide on 402)
    seen, refused = _told_apart(seen, refusal)
    return Reading(
        outcome_of(cause),
        cause,
        message=error.shown,
        code=error.name,
        observations=seen,
        refused=refused,
        delay=delay,
        ignored=ignored + unusable,
        request_id=_request_id(fields),
        final=fields.get("x-should-retry") == "false" and status != _THROTTLED and cause not in _REFUSED,
    )


def _observed(dialect: Dialect, fields: Mapping[str, str]) -> Seen:
    """Read the provider's own headers, or where it sends none the IETF's."""
    seen, ignored = dialect.headers(fields)
    return (seen, ignored) if seen or ignored else ietf(fields)


def _told_apart(seen: tuple[Observation, ...], refusal: Refusal) -> tuple[tuple[Observation, ...], Observation | None]:
    """Return what headers say, and the bucket that refused: where words name it and headers its level, that one."""
    if refusal.observation is None and refusal.dimension is Dimension.REQUESTS and refusal.window is not None:
        for one in seen:
            if one.dimension is refusal.dimension and one.window is None:
                rest = tuple(other for other in seen if other is not one)
                return rest, replace(one, window=refusal.window)
    return seen, refusal.observation


def _request_id(fields: Mapping[str, str]) -> str:
    for name in _REQUEST_IDS:
        if name in fields:
            return cleaned(fields[name], NAME)
    return ""
