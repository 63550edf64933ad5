"""Google's errors: which quotas were violated, and what that means."""

import json
from typing import Any

import pytest

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Cause, Observation, Outcome, Reading
from scheduler.providers.gemini import Gemini

GEMINI = Gemini()
REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
INPUT = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
QUOTA = "You exceeded your current quota, please check your plan and billing details."
TYPE = "type.googleapis.com/google.rpc."


def violations(*quotas: tuple[str, str | int | None]) -> dict[str, Any]:
    found: list[dict[str, Any]] = [{"quotaId": name, "quotaValue": value} for name, value in quotas]
    return {"@type": TYPE + "QuotaFailure", "violations": found}


def retry(delay: Any) -> dict[str, Any]:
    return {"@type": TYPE + "RetryInfo", "retryDelay": delay}


def error(message: Any = QUOTA, status: Any = "RESOURCE_EXHAUSTED", *details: Any) -> dict[str, Any]:
    return {"error": {"code": 429, "message": message, "status": status, "details": list(details)}}


def read(body: Any, status: int = 429, headers: dict[str, str] | None = None) -> Reading:
    return GEMINI.read(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        (PER_MINUTE, "15", Observation(REQUESTS, 15, 0, MINUTE)),
        (PER_DAY, "20", Observation(REQUESTS, 20, 0, DAY)),
        (PER_DAY, 20, Observation(REQUESTS, 20, 0, DAY)),
        (INPUT, "250000", Observation(TOKENS, 250_000, 0, MINUTE)),
        ("GenerateContentPaidTierInputTokensPerModelPerMinute", "1000000", Observation(TOKENS, 1_000_000, 0, MINUTE)),
        ("EmbedContentRequestsPerDayPerUserPerProjectPerModel-FreeTier", "1000", Observation(REQUESTS, 1_000, 0, DAY)),
        ("generate_content_requests_per_minute_per_project_per_base_model", "60", Observation(REQUESTS, 60, 0, MINUTE)),
        ("GenerateContentOutputTokensPerMinute", "9", Observation(Dimension.OUTPUT_TOKENS, 9, 0, MINUTE)),
        ("GenerateImagesPerMinute", "9", Observation(Dimension.IMAGES, 9, 0, MINUTE)),
        (PER_DAY, None, None),
        (PER_DAY, "many", None),
        (PER_DAY, "9" * 400, None),
        ("GenerateRequestsPerProject", "9", None),
        ("SomethingPerMinute", "9", None),
    ],
)
def test_a_violated_quota_proves_its_bucket_empty(name: str, value: Any, refused: Observation | None) -> None:
    """Its name says what is counted over what time, its value how much of it there is; a part alone proves nothing."""
    reading = read(error(QUOTA, "RESOURCE_EXHAUSTED", violations((name, value))))
    assert (reading.outcome, reading.cause) == (Outcome.THROTTLED, Cause.RATE)
    assert reading.refused == refused


def test_of_several_the_longest_binds() -> None:
    """A day that is used up is what refuses, though a minute is used up too."""
    reading = read(error(QUOTA, "x", violations((INPUT, "9"), (PER_DAY, "20"), (PER_MINUTE, "5"))))
    assert reading.refused == Observation(REQUESTS, 20, 0, DAY)


def test_vertex_names_a_quota_in_the_reasons_metadata() -> None:
    """The older form of Google's APIs: a reason with the quota's name and value."""
    metadata = {"quota_limit": "GenerateContentRequestsPerMinutePerProjectPerRegion", "quota_limit_value": "60"}
    detail = {"@type": TYPE + "ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": metadata}
    assert read(error("Quota exceeded for x", "RESOURCE_EXHAUSTED", detail)).refused == Observation(
        REQUESTS, 60, 0, MINUTE
    )


ZERO = QUOTA + "\n* Quota exceeded for metric: x/generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro"
CATALOGUE: list[tuple[int, Any, Outcome, Cause]] = [
    (
        429,
        error(QUOTA, "x", violations((PER_MINUTE, "5"), (PER_DAY, "0")), retry("20s")),
        Outcome.FAILED,
        Cause.LIMIT_ZERO,
    ),
    (429, error(ZERO), Outcome.FAILED, Cause.LIMIT_ZERO),
    (429, error(ZERO.replace("limit: 0", "limit: 0.5")), Outcome.THROTTLED, Cause.RATE),
    (429, error(ZERO.replace("limit: 0", "limit: 20")), Outcome.THROTTLED, Cause.RATE),
    (429, error(QUOTA), Outcome.THROTTLED, Cause.RATE),
    (429, error("Resource has been exhausted (e.g. check quota)."), Outcome.THROTTLED, Cause.RATE),
    (429, error("Resource exhausted. Please try again later."), Outcome.OVERLOADED, Cause.OVERLOAD),
    (429, error("Resource exhausted.", "x", violations((PER_DAY, None))), Outcome.THROTTLED, Cause.RATE),
    (429, error("Your prepayment credits are depleted. Please go to AI Studio"), Outcome.FAILED, Cause.BILLING),
    (429, error("Your project has exceeded its monthly spending cap."), Outcome.FAILED, Cause.BILLING),
    (503, error("The model is overloaded. Please try again later.", "UNAVAILABLE"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (503, b"", Outcome.OVERLOADED, Cause.OVERLOAD),
    (500, error("?", "INTERNAL"), Outcome.FAILED, Cause.SERVER),
    (504, error("?", "DEADLINE_EXCEEDED"), Outcome.FAILED, Cause.TIMEOUT),
    (400, error("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"), Outcome.FAILED, Cause.AUTH),
    (400, error("?", "INVALID_ARGUMENT"), Outcome.FAILED, Cause.BAD_REQUEST),
    (400, error("User location is not supported", "FAILED_PRECONDITION"), Outcome.FAILED, Cause.BAD_REQUEST),
    (403, error("?", "PERMISSION_DENIED"), Outcome.FAILED, Cause.AUTH),
    (404, error("?", "NOT_FOUND"), Outcome.FAILED, Cause.BAD_REQUEST),
    (409, error("?", "ABORTED"), Outcome.FAILED, Cause.CONFLICT),
    (418, error("?", ["INTERNAL"]), Outcome.FAILED, Cause.BAD_REQUEST),
    (429, b"<html>Too Many Requests</html>", Outcome.THROTTLED, Cause.RATE),
    (500, b"", Outcome.FAILED, Cause.SERVER),
]


@pytest.mark.parametrize(("status", "body", "outcome", "cause"), CATALOGUE)
def test_causes(status: int, body: Any, outcome: Outcome, cause: Cause) -> None:
    """A quota of 0, then words, then violated quotas, then the status; "check your billing details" is no such word."""
    reading = read(body, status)
    assert (reading.outcome, reading.cause) == (outcome, cause)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: [body],
        lambda body: {
            "error": {"message": json.dumps(body, indent=2) + "\n", "code": 429, "status": "Too Many Requests"}
        },
        lambda body: {"error": {"message": json.dumps([body])}},
        json.dumps,
        lambda body: {"message": json.dumps(body)},
    ],
    ids=["list", "within a message", "a list within a message", "string", "within a bare message"],
)
def test_wrappings(wrap: Any) -> None:
    """Around the same error there may be a list, a string, or an error of whoever passed it on, however long it is."""
    more = [{"@type": TYPE + "Help", "links": [{"description": "x" * 3_000}]}]
    reading = read(wrap(error("Slow.", "RESOURCE_EXHAUSTED", *more, violations((PER_MINUTE, "5")), retry("47s"))))
    assert (reading.message, reading.code) == ("Slow.", "RESOURCE_EXHAUSTED")
    assert (reading.refused, reading.delay) == (Observation(REQUESTS, 5, 0, MINUTE), 47 * SECOND)


@pytest.mark.parametrize(
    ("message", "details", "headers", "delay"),
    [
        ("", (retry("47s"),), {}, 47 * SECOND),
        ("Please retry in 45.578569677s.", (), {}, 45_578_569_677),
        ("Please retry in 45.5s.", (retry("47s"),), {}, 47 * SECOND),
        ("Please retry in 10h17m5.723541104s.", (), {}, 37_025_723_541_104),
        ("", (retry("47s"),), {"retry-after": "60"}, MINUTE),
        ("", (retry("soon"),), {}, None),
        ("", (retry("-5s"),), {}, None),
        ("", (retry("99999999s"),), {}, None),
        ("", (retry(["5s"]),), {}, None),
    ],
)
def test_delays(message: str, details: tuple[Any, ...], headers: dict[str, str], delay: int | None) -> None:
    """The longest of details, words and header counts; what is absurd or unreadable does not."""
    assert read(error(message, "RESOURCE_EXHAUSTED", *details), 429, headers).delay == delay


@pytest.mark.parametrize(
    ("date", "asked", "delay"),
    [
        ("Tue, 06 Jan 2026 04:00:00 GMT", "47s", 4 * HOUR),  # 20:00 in California
        ("Tue, 07 Jul 2026 04:00:00 GMT", "47s", 3 * HOUR),  # 21:00 there in summer
        ("Sun, 08 Mar 2026 08:30:00 GMT", "47s", 23 * HOUR - HOUR // 2),  # a day of 23 hours has begun
        ("Tue, 07 Jul 2026 04:00:00 GMT", "36000s", 10 * HOUR),  # the server says hours itself
        ("yesterday", "47s", 47 * SECOND),
        (None, "47s", 47 * SECOND),
    ],
)
def test_the_quota_of_a_day_comes_back_at_midnight_in_california(date: str | None, asked: str, delay: int) -> None:
    """Seconds that are asked for are not believed for the quota of a day, where the answer's own date tells better."""
    body = error(QUOTA, "RESOURCE_EXHAUSTED", violations((PER_DAY, "20"), (PER_MINUTE, "5")), retry(asked))
    assert read(body, 429, {} if date is None else {"Date": date}).delay == delay


def test_a_minutes_delay_is_not_lengthened() -> None:
    """Midnight is for days."""
    body = error(QUOTA, "RESOURCE_EXHAUSTED", violations((PER_MINUTE, "5")), retry("47s"))
    assert read(body, 429, {"date": "Tue, 06 Jan 2026 04:00:00 GMT"}).delay == 47 * SECOND


def test_many_violations_are_not_all_looked_at() -> None:
    """A server that invents quotas costs little."""
    body = error(QUOTA, "x", violations(*((PER_MINUTE, str(number)) for number in range(1, 500))))
    assert read(body).cause is Cause.RATE
