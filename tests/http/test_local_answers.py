"""What the scheduler has to say comes as an answer, and a provider's last word is marked as such."""

import json
from typing import Any

import httpx
import pytest
from quiet import is_quiet
from seam_support import KINDS, Kind, chat, completion, kind_of, noted

from scheduler import (
    ConfigurationError,
    DeadlineUnattainable,
    InvalidRequest,
    ProviderOverloaded,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    SchedulerError,
)
from scheduler.errors import RequestFailed, RequestWithdrawn
from scheduler.http.local import local_answer

LARGE = {"m": {"tpm": 1000}}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return kind_of(request.param, monkeypatch)


def check(response: Any, status: int, error: type[SchedulerError]) -> None:
    """Check that an answer is the scheduler's, and says all that it should."""
    said = response.extensions["scheduler_error"]
    assert type(said) is error
    assert response.status_code == status
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-scheduler-error"] == error.__name__
    assert response.headers["content-type"] == "application/json"
    told = response.json()["error"]
    assert (told["message"], told["type"], told["param"]) == (str(said), "scheduler_error", None)


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"),
    [
        (RequestTooLarge("m", "tpm", 5, 3), 413, "request_too_large", None),
        (QueueFull(5, 5, 1.2), 429, "queue_full", "2"),
        (QueueFull(5, 5), 429, "queue_full", None),
        (DeadlineUnattainable(0.0, 61.0, "m", "rpm"), 429, "deadline_unattainable", "61"),
        (DeadlineUnattainable(0.0, 0.0), 429, "deadline_unattainable", "0"),
        (RateLimited(3), 429, "rate_limited", None),
        (QuotaExhausted(), 429, "quota_exhausted", None),
        (ProviderOverloaded(3), 503, "provider_overloaded", None),
        (InvalidRequest("no", "tokens", "mend \x1b[0m\n\x00\x7f"), 400, "invalid_request", None),
        (ConfigurationError("no"), 400, "configuration_error", None),
        (RequestWithdrawn(1.0), 400, "request_withdrawn", None),
    ],
)
def test_errors_as_answers(error: SchedulerError, status: int, code: str, wait: str | None) -> None:
    """Each error has its status, its code, and its wait in whole seconds where one is expected."""
    response = local_answer(httpx, error)
    check(response, status, type(error))
    assert response.json()["error"]["code"] == code
    assert response.headers.get("retry-after") == wait
    assert not set(str(response.headers)) & set("\r\n\x1b")


def test_what_never_fits(kind: Kind) -> None:
    """A request larger than its limit is answered 413 without being sent."""

    async def main() -> None:
        scheduler = kind.scheduler(limits=LARGE)
        client = kind.client(scheduler, lambda _: pytest.fail("it was sent"))
        check(await kind.post(client, json=chat(max_tokens=5000)), 413, RequestTooLarge)
        assert is_quiet(scheduler)

    kind.run(main)


def test_what_comes_too_late(kind: Kind) -> None:
    """A deadline that cannot be met is answered 429 at once, with the seconds until it could be."""

    async def main() -> None:
        scheduler = kind.scheduler(limits={"m": {"rpd": 1}})
        client = kind.client(scheduler, lambda _: completion())
        assert (await kind.post(client)).status_code == 200
        with scheduler.context(deadline=1):
            response = await kind.post(client)
        check(response, 429, DeadlineUnattainable)
        assert 80_000 < int(response.headers["retry-after"]) <= 86_401
        assert is_quiet(scheduler)

    kind.run(main)


def test_what_comes_to_a_full_queue(kind: Kind) -> None:
    """Over ``max_queued`` a request is answered 429."""

    async def main() -> None:
        scheduler = kind.scheduler(limits={"m": {"rpd": 1}}, max_queued=1)
        client = kind.client(scheduler, lambda _: completion())
        await kind.post(client)
        scheduler.admission.max_queued = 0
        check(await kind.post(client), 429, QueueFull)

    kind.run(main)


BILLING = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, BILLING, QuotaExhausted),
        (500, {"error": {"message": "The server had an error"}}, RequestFailed),
        (503, {"error": {"message": "overloaded"}}, ProviderOverloaded),
        (429, {"error": {"message": "no", "code": "rate_limit_exceeded"}}, RateLimited),
        (408, {}, RequestFailed),
        (409, {}, RequestFailed),
        (599, {}, RequestFailed),
        (429, "not JSON", RateLimited),
    ],
)
def test_final_errors_of_the_provider(kind: Kind, status: int, body: Any, error: type[Exception]) -> None:
    """A provider's last word is handed over as it is, marked so that an SDK does not try again."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-should-retry": "true", "retry-after": "0", "x-other": "stays"}

    async def main() -> None:
        scheduler = kind.scheduler(max_attempts=2)
        sent: list[Any] = []

        def handle(request: Any) -> Any:
            sent.append(request)
            return kind.module.Response(status, headers=headers, stream=kind.pieces([content]))

        response = await kind.post(kind.client(scheduler, handle))
        assert (response.status_code, response.content) == (status, content)
        assert type(response.extensions["scheduler_error"]) is error
        marks = {"x-should-retry": "false", "x-scheduler-error": error.__name__}
        assert dict(response.headers) == {**headers, **marks}
        assert len(sent) == (1 if error is QuotaExhausted else 2)
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 413, 418, 422])
def test_errors_that_no_sdk_tries_again(kind: Kind, status: int) -> None:
    """What SDKs do not try again is handed over without a mark, as it came, and sent once."""
    headers = {"content-type": "application/json", "x-should-retry": "true"}

    async def main() -> None:
        scheduler = kind.scheduler()
        sent: list[Any] = []
        stream = kind.pieces([b'{"error": ', b'{"message": "no"}}'])
        client = kind.client(scheduler, noted(sent, kind.module.Response(status, headers=headers, stream=stream)))
        response = await kind.post(client)
        assert dict(response.headers) == headers
        assert response.json() == {"error": {"message": "no"}}
        assert "scheduler_error" not in response.extensions
        assert (len(sent), is_quiet(scheduler)) == (1, True)

    kind.run(main)
