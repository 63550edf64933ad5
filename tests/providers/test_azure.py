"""Azure OpenAI: deployments in paths, headers with sentinels, refusals of its own."""

import json
from typing import Any

import pytest

from scheduler.core.quota import HOUR, MINUTE, Dimension
from scheduler.errors import InvalidRequest
from scheduler.providers.azure import Azure
from scheduler.providers.base import Cause, Observation, Outcome, Reading
from scheduler.tokens.text import ByteEstimate

AZURE = Azure(ByteEstimate(), "https://mine.openai.azure.com")
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 50}
OLD = "/openai/deployments/my-dep.1/chat/completions"
REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS


def read(status: int, message: str = "", code: Any = "429", **headers: str) -> Reading:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return AZURE.read(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


@pytest.mark.parametrize(
    "url", ["/v1/chat/completions", "/openai/v1/chat/completions", OLD, OLD + "?api-version=2024-10-21"]
)
def test_paths(url: str) -> None:
    """Requests go to the v1 path or to the deployment that they name, which then counts as the model."""
    call = AZURE.describe("POST", url, BODY)
    older = "deployments" in url
    assert call.url == (url if older else "/openai/v1/chat/completions")
    assert call.model == ("my-dep.1" if older else "gpt-4o")
    assert call.charge.tokens >= 150


@pytest.mark.parametrize(
    "url",
    [
        "/openai/deployments/../chat/completions",
        "/openai/deployments/a%2f/chat/completions",
        "/openai/deployments/a/b/chat/completions",
        "/openai/deployments//chat/completions",
        OLD + "?api-version=1&x=2",
        OLD + "?key=secret",
        OLD + "\n",
        "/openai/deployments/a/unknown",
        "/openai/chat/completions",
        "https://elsewhere" + OLD,
        None,
    ],
)
def test_paths_that_are_none(url: Any) -> None:
    """What is no known path of a deployment is refused."""
    with pytest.raises(InvalidRequest) as caught:
        AZURE.describe("POST", url, BODY)
    assert caught.value.field == "url"


def test_a_body_that_is_none_is_refused() -> None:
    """A deployment in the path makes no body of what is none."""
    with pytest.raises(InvalidRequest):
        AZURE.describe("POST", OLD, [])  # type: ignore[arg-type]  # what a line may hold


def test_recognises_what_its_sdk_sends() -> None:
    """The deployment in the path is the model, whatever the body names or lacks."""
    assert AZURE.recognise("POST", OLD, {}, BODY).model == "my-dep.1"
    assert AZURE.recognise("POST", OLD, {}, None, 4_000).model == "my-dep.1"
    assert AZURE.recognise("POST", "/openai/v1/chat/completions", {}, BODY).model == "gpt-4o"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://mine.openai.azure.com", "https://mine.openai.azure.com"),
        ("https://mine.openai.azure.com/openai/v1/", "https://mine.openai.azure.com"),
        ("https://mine.openai.azure.com/openai/deployments/a", "https://mine.openai.azure.com"),
        ("https://openai-east.openai.azure.com/openai", "https://openai-east.openai.azure.com"),
        ("https://gateway.example/azure/openai", "https://gateway.example/azure"),
        (None, ""),
    ],
)
def test_base_urls(given: str | None, origin: str) -> None:
    """A resource may be given as its portal, its SDK or its documentation writes it."""
    assert Azure(ByteEstimate(), given).base_url == origin


def test_the_key_has_a_header_of_its_own() -> None:
    """Azure takes the key bare, and knows no projects of OpenAI's."""
    assert AZURE.authorize("abc123", project="p") == {"api-key": "abc123"}


def test_windows_by_renewal_period() -> None:
    """The renewal period tells the window; resets, whose unit differs, are not looked at."""
    fields = {
        "x_ratelimit_limit_requests": "120",
        "x_ratelimit_remaining_requests": "119",
        "x_ratelimit_reset_requests": "500",
        "x_ratelimit_renewalperiod_requests": "60",
        "x_ratelimit_limit_tokens": "120000",
        "x_ratelimit_remaining_tokens": "119986",
        "x_ratelimit_reset_tokens": "7",
        "x_ratelimit_renewalperiod_tokens": "3600",
    }
    reading = read(200, **fields)
    assert reading.observations == (
        Observation(REQUESTS, 120, 119, MINUTE),
        Observation(TOKENS, 120_000, 119_986, HOUR),
    )
    assert reading.ignored == 0


@pytest.mark.parametrize("period", ["0", "-1", "soon", "99999999"])
def test_periods_that_cannot_be(period: str) -> None:
    """A renewal period that is none is counted, and a minute taken."""
    fields = {"x_ratelimit_limit_tokens": "10", "x_ratelimit_remaining_tokens": "9"}
    reading = read(200, x_ratelimit_renewalperiod_tokens=period, **fields)
    assert reading.observations == (Observation(TOKENS, 10, 9, MINUTE),)
    assert reading.ignored == 1


def test_sentinels_are_ignored() -> None:
    """Limits and levels of -1 stand for no meter."""
    reading = read(200, x_ratelimit_limit_requests="-1", x_ratelimit_remaining_requests="-1")
    assert (reading.observations, reading.ignored) == ((), 2)


S0 = "Requests to the Embeddings_Create Operation have exceeded {} rate limit of your current OpenAI S0 pricing tier."


@pytest.mark.parametrize(
    ("status", "message", "code", "cause", "seconds"),
    [
        (429, S0.format("token") + " Please retry after 45 seconds.", "429", Cause.RATE, 45),
        (429, S0.format("call") + " Please retry after 86400 seconds.", "429", Cause.RATE, 86_400),
        (429, S0.format("token") + " Please retry after 86400 seconds.", "429", Cause.TOO_LARGE, 86_400),
        (429, "Rate limit is exceeded. Try again in 2 seconds.", "429", Cause.RATE, 2),
        (
            429,
            "The system is currently experiencing high demand. Please retry after 20 seconds.",
            "429",
            Cause.OVERLOAD,
            20,
        ),
        (429, "No capacity", "NoCapacity", Cause.OVERLOAD, None),
        (404, "no such deployment", "DeploymentNotFound", Cause.BAD_REQUEST, None),
        (401, "Access denied", "401", Cause.AUTH, None),
    ],
)
def test_refusals(status: int, message: str, code: str, cause: Cause, seconds: int | None) -> None:
    """The tier's texts, too large for ever among them, and want of capacity are told apart."""
    reading = read(status, message, code)
    assert reading.cause is cause
    assert reading.delay == (None if seconds is None else seconds * 10**9)


def test_provisioned_units_answer_in_milliseconds() -> None:
    """At full use the wait is exact to the millisecond; seconds beside it are that, rounded up."""
    reading = read(429, "busy", retry_after_ms="43", retry_after="1")
    assert (reading.outcome, reading.delay) == (Outcome.THROTTLED, 43_000_000)
