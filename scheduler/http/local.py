"""Answers that no server gave: what a caller gets whose request was turned away here.

An SDK makes of an exception from below "Connection error." and tries again; of an answer it makes its own error, with
the words in it, and ``x-should-retry: false`` keeps it from trying again. So what the scheduler has to say it says as
an answer, in the form of an error of OpenAI, which every SDK can show. The error itself is in its ``extensions``.
"""

import math
from typing import Any

import msgspec

from scheduler.errors import (
    DeadlineUnattainable,
    ProviderOverloaded,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    SchedulerError,
)

EXTENSION = "scheduler_error"
"""Key of the error in the extensions of an answer."""
HEADER = "x-scheduler-error"
"""Header that names the kind of the error; a provider never sends it."""
SHOULD_RETRY = "x-should-retry"
"""Header by which SDKs are told whether to try again."""

_STATUSES: dict[type[SchedulerError], int] = {
    RequestTooLarge: 413,
    QueueFull: 429,
    DeadlineUnattainable: 429,
    RateLimited: 429,
    QuotaExhausted: 429,
    ProviderOverloaded: 503,
}
_OTHERS = 400
_TRIED_AGAIN = frozenset({408, 409, 429})  # by SDKs of their own accord, and all from 500 on


def local_answer(module: Any, error: SchedulerError) -> Any:
    """Return the answer that stands for an error, as a response of *module*."""
    name = type(error).__name__
    code = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    body = {"error": {"message": str(error), "type": "scheduler_error", "param": None, "code": code}}
    headers = {"content-type": "application/json", HEADER: name, SHOULD_RETRY: "false"}
    wait = getattr(error, "expected_wait", None)
    if wait is not None:
        headers["retry-after"] = str(math.ceil(wait))
    status = _STATUSES.get(type(error), _OTHERS)
    return module.Response(status, headers=headers, content=msgspec.json.encode(body), extensions={EXTENSION: error})


def mark_final(response: Any, error: SchedulerError) -> None:
    """Tell an SDK that a provider's error has been tried often enough, or never changes, where it would try again."""
    if response.status_code < 500 and response.status_code not in _TRIED_AGAIN:  # noqa: PLR2004 -- the 5xx
        return
    response.headers[SHOULD_RETRY] = "false"
    response.headers[HEADER] = type(error).__name__
    response.extensions[EXTENSION] = error
