"""OpenAI's errors: why a request did not succeed, how long to wait, and what its words prove."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension
from scheduler.providers.base import Cause, Observation, Outcome, Reading
from scheduler.providers.openai import OpenAI
from scheduler.tokens.text import ByteEstimate

OPENAI = OpenAI(ByteEstimate())
MS = 1_000_000
TPM = "Rate limit reached for gpt-4o in {} on tokens per min (TPM): Limit 30000, Used 29937, Requested {}. Please try "
DATE = {"date": "Fri, 06 Dec 2024 06:38:42 GMT"}


def error(message: str = "", kind: Any = None, code: Any = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def read(status: int, body: bytes | None, headers: dict[str, str] | None = None) -> Reading:
    return OPENAI.read(status, headers or {}, body)


QUOTA = "You exceeded your current quota, please check your plan and billing details."
OVERLOADED = "The engine is currently overloaded, please try again later"
CATALOGUE: list[tuple[int, bytes | None, Outcome, Cause]] = [
    (429, error("slow", "tokens", "rate_limit_exceeded"), Outcome.THROTTLED, Cause.RATE),
    (429, error("", "requests"), Outcome.THROTTLED, Cause.RATE),
    (429, None, Outcome.THROTTLED, Cause.RATE),
    (429, b"", Outcome.THROTTLED, Cause.RATE),
    (429, b'"slow down"', Outcome.THROTTLED, Cause.RATE),
    (429, b"<html>Too Many Requests</html>", Outcome.THROTTLED, Cause.RATE),
    (429, error("Request too large for gpt-4o", "tokens", "rate_limit_exceeded"), Outcome.FAILED, Cause.TOO_LARGE),
    (429, error("Rate limit reached: Limit 10, Used 0, Requested 11."), Outcome.FAILED, Cause.TOO_LARGE),
    (413, b"Request too large for model `x` on tokens per minute (TPM): Limit 6", Outcome.FAILED, Cause.TOO_LARGE),
    (429, error("Limit: 0/1min. Current: 1/1min."), Outcome.FAILED, Cause.LIMIT_ZERO),
    (429, error(QUOTA), Outcome.FAILED, Cause.BILLING),
    *((429, error("", "insufficient_quota", code), Outcome.FAILED, Cause.BILLING) for code in (None, "new_code")),
    *(
        (status, error("no", "insufficient_quota", code), Outcome.FAILED, Cause.BILLING)
        for status in (400, 403, 429)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
        )
    ),
    (429, error("", "rate_limit_error", "slow_down"), Outcome.OVERLOADED, Cause.RAMP),
    (503, error("", "service_unavailable_error", "slow_down"), Outcome.OVERLOADED, Cause.RAMP),
    (503, b"Slow Down", Outcome.OVERLOADED, Cause.RAMP),
    (503, error("", "service_unavailable_error", "server_is_overloaded"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (503, error(OVERLOADED), Outcome.OVERLOADED, Cause.OVERLOAD),
    (503, None, Outcome.OVERLOADED, Cause.OVERLOAD),
    (429, error("The server is currently overloaded", "server_error"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (429, error("Resource Unavailable"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (429, b"error code: 1015", Outcome.OVERLOADED, Cause.EDGE),
    (529, error("", "overloaded_error"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (401, error("Incorrect API key", "invalid_request_error", "invalid_api_key"), Outcome.FAILED, Cause.AUTH),
    (403, error("Country not supported", "request_forbidden"), Outcome.FAILED, Cause.AUTH),
    *((status, error("bad", "invalid_request_error"), Outcome.FAILED, Cause.BAD_REQUEST) for status in (400, 404, 422)),
    *((status, None, Outcome.FAILED, Cause.BAD_REQUEST) for status in (301, 307, 405, 413, 418, 451)),
    (402, None, Outcome.FAILED, Cause.BILLING),
    (409, None, Outcome.FAILED, Cause.CONFLICT),
    *((status, None, Outcome.FAILED, Cause.TIMEOUT) for status in (408, 504)),
    *((status, None, Outcome.FAILED, Cause.SERVER) for status in (500, 502, 520, 599, 0, -1, 100, 999)),
    (500, error("sorry", "server_error"), Outcome.FAILED, Cause.SERVER),
]


@pytest.mark.parametrize(("status", "body", "outcome", "cause"), CATALOGUE)
def test_causes(status: int, body: bytes | None, outcome: Outcome, cause: Cause) -> None:
    """Code, then type, then words, then status decide why a request did not succeed."""
    reading = read(status, body)
    assert (reading.outcome, reading.cause) == (outcome, cause)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m", "type": "t", "code": "slow_down"}},
        {"message": "m", "type": "t", "code": "slow_down"},
        [{"error": {"message": "m", "code": "slow_down"}}],
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "slow_down", "message": "m"}}},
        {"type": "error", "code": "slow_down", "message": "m", "param": None},
    ],
)
def test_shapes_of_bodies(body: Any) -> None:
    """An error is found in its object, on top, in a list and in a stream's event."""
    reading = read(429, json.dumps(body).encode())
    assert (reading.cause, reading.code, reading.message) == (Cause.RAMP, "slow_down", "m")


def test_an_error_that_is_a_string() -> None:
    """An error without an object around its words is still read."""
    reading = read(429, b'{"error": "Rate limit reached. Please try again in 2s."}')
    assert (reading.cause, reading.delay) == (Cause.RATE, 2 * SECOND)


def test_fields_of_the_wrong_kind_count_as_absent() -> None:
    """A code that is a number, a type that is a list: the status decides."""
    reading = read(400, error("m", kind=["tokens"], code=429))
    assert (reading.cause, reading.code) == (Cause.BAD_REQUEST, "")


def test_json_that_was_cut_short() -> None:
    """The fields of a body beyond 64 KB are found without its end."""
    body = b'{"error": {"code": "slow_down", "message": "wait", "more": "' + b"x" * 100_000 + b'"}}'
    reading = read(429, body)
    assert (reading.cause, reading.message) == (Cause.RAMP, "wait")


@pytest.mark.parametrize(
    ("words", "dimension", "window", "project"),
    [
        ("in organization org-x on tokens per min (TPM)", Dimension.TOKENS, MINUTE, False),
        ("in organization org-x on requests per min (RPM)", Dimension.REQUESTS, MINUTE, False),
        ("in organization org-x on requests per day (RPD)", Dimension.REQUESTS, DAY, False),
        ("in organization org-x on tokens per day (TPD)", Dimension.TOKENS, DAY, False),
        ("in organization org-x on images per minute (IPM)", Dimension.IMAGES, MINUTE, False),
        ("in organization org-x on input-images per min", Dimension.IMAGES, MINUTE, False),
        ("in organization org-x on input tokens per minute", Dimension.INPUT_TOKENS, MINUTE, False),
        ("in project proj_abc on tokens per min (TPM)", Dimension.TOKENS, MINUTE, True),
        ("in project proj_abc organization org-x on requests per min (RPM)", Dimension.REQUESTS, MINUTE, True),
    ],
)
def test_the_bucket_that_refused(words: str, dimension: Dimension, window: int, project: bool) -> None:  # noqa: FBT001  # a column
    """The words name dimension, window and whose limit it is; with Limit and Used they prove the level."""
    for name in ("for gpt-4o ", "for organization org-x ", ""):
        message = f"Rate limit reached {name}{words}: Limit 1,000, Used 990, Requested 20. Please try again in 1s."
        refused = read(429, error(message)).refused
        assert refused == Observation(dimension, 1_000, 10, window, project, 20)


def test_more_used_than_the_limit_leaves_nothing() -> None:
    """A level below zero is zero to an observation."""
    refused = read(429, error("on tokens per min (TPM): Limit 10, Used 15, Requested 1.")).refused
    assert refused == Observation(Dimension.TOKENS, 10, 0, MINUTE, requested=1)


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached for default-gpt-3.5-turbo on requests per min. Limit: 20 / min. Please try again in 3s.",
        "Rate limit reached for 10KTPM-200RPM on tokens per min. Limit: 60.000000 / min. Current: 100.000000 / min",
        "Rate limit reached for tokens. Limit: 1000000 / min. Current: 1 / min.",
        "You've exceeded the rate limit, please slow down and try again after 51.84 seconds.",
        "on tokens per min (TPM): Limit " + "9" * 400 + ", Used " + "9" * 400 + ", Requested 1",
        "Rate limit reached: Limit 30000, Used 29937, Requested 385.",
    ],
)
def test_words_that_prove_no_level(message: str) -> None:
    """Without a believable Limit and Used of a named dimension there is no level; it stays a reached rate."""
    reading = read(429, error(message))
    assert (reading.cause, reading.refused) == (Cause.RATE, None)


def test_what_was_requested_is_learned() -> None:
    """A refusal states what the request would have taken."""
    message = (TPM + "again in 644ms.").format("organization org-x", 385)
    refused = read(429, error(message, "tokens", "rate_limit_exceeded")).refused
    assert refused is not None
    assert refused.requested == 385


@pytest.mark.parametrize(
    ("headers", "message", "delay", "ignored"),
    [
        ({}, "", None, 0),
        ({"Retry-After": "20"}, "", 20 * SECOND, 0),
        ({"retry-after": "0.5"}, "", SECOND // 2, 0),
        ({"retry-after-ms": "1500"}, "", 1500 * MS, 0),
        ({"retry-after-ms": "1500.5", "retry-after": "2"}, "", 1_500_500_000, 0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, "", 2 * SECOND, 1),
        ({"retry-after": "Fri, 06 Dec 2024 06:39:42 GMT"} | DATE, "", MINUTE, 0),
        ({"retry-after": "Fri, 06 Dec 2024 06:39:42 GMT"}, "", None, 1),
        ({"retry-after": "54749"}, "", 54_749 * SECOND, 0),
        ({"retry-after": str(31 * 86_400)}, "", None, 1),
        ({"retry-after": "-5"}, "", None, 1),
        ({"retry-after": "9" * 400}, "", None, 1),
        ({"retry-after": "NaN"}, "", None, 1),
        ({"retry-after": "1"}, "Please try again in 1m26.4s. Visit us", 86_400 * MS, 0),
        ({"retry-after": "100"}, "Please try again in 20s.", 100 * SECOND, 0),
        ({}, "please slow down and try again after 51.84 seconds.", 51_840 * MS, 0),
        ({}, "Please try again in 3 minutes", 3 * MINUTE, 0),
        ({}, "Please try again in 9999h.", None, 1),
        ({}, "Please try again in 20.", None, 1),
        ({}, "Please try again in a while.", None, 0),
    ],
)
def test_delays(headers: dict[str, str], message: str, delay: int | None, ignored: int) -> None:
    """The longer of header and words counts; what is absurd, negative or unreadable is counted instead."""
    reading = read(429, error(message), headers)
    assert (reading.delay, reading.ignored) == (delay, ignored)


def test_retry_after_on_a_success_is_no_order() -> None:
    """A recorded success carries retry-after; it asks for nothing."""
    assert read(200, b"{}", {"retry-after": "55"}).delay is None


def test_words_are_safe_to_show() -> None:
    """Control characters, terminal escapes and keys do not pass; the words are cut to 500 characters."""
    message = "\x1b[31mIncorrect\r\nkey sk-proj-abcdefgh12345678 \u202e" + "x" * 5000
    reading = OPENAI.read(401, {"x-request-id": "req_1\x1b[2J" + "y" * 500}, error(message, code="bad\x07code" * 100))
    assert reading.message.startswith("[31mIncorrect  key sk-... ")
    assert len(reading.message) == 500
    assert reading.request_id.startswith("req_1 [2J")
    for text in (reading.message, reading.code, reading.request_id):
        assert text.isprintable()
        assert "abcdefgh" not in text


NAMES = st.sampled_from(["error", "message", "type", "code", "response", "usage", "prompt_tokens", "data"]) | st.text(
    max_size=5
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(NAMES, inside, max_size=5),
    max_leaves=20,
)
WORDS = st.lists(
    st.sampled_from(
        ["Limit 30000", "Used", "Requested -1", "try again in", "on tokens per min", "9e9", "644ms", ", :", "{"]
    )
).map(" ".join)
BODIES = (
    st.none()
    | st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace"))
    | WORDS.map(error)
)


@settings(max_examples=300)
@given(
    status=st.integers(-1, 1000) | st.integers(),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "Retry-After-Ms", "date", "x-request-id"]) | st.text(max_size=20),
        st.text(max_size=80) | st.integers().map(str),
    ),
    body=BODIES,
)
def test_no_answer_raises(status: int, headers: dict[str, str], body: bytes | None) -> None:
    """Whatever a server sends is read, and what is read is bounded."""
    reading = OPENAI.read(status, headers, body, url="/v1/images/generations" if status % 2 else "")
    assert (reading.cause is None) == (reading.outcome is Outcome.SUCCESS) == (200 <= status < 300)
    assert reading.delay is None or 0 <= reading.delay <= 30 * DAY
    assert len(reading.message) <= 500
    if reading.refused is not None:
        assert 0 <= reading.refused.remaining <= reading.refused.limit <= 10**15


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10_000_000,
        b'{"error":' * 5_000_000,
        b"Limit 1, Used " * 3_000_000,
        b'"message":"\\' * 3_000_000,
        b'"message": "' + b"\\" * 10_000_000,
        b"try again in " * 3_000_000,
        b"9" * 30_000_000,
        b" " * 30_000_000,
        b"Bearer " * 3_000_000,
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("status", [200, 429])
def test_hostile_bodies_take_no_time(status: int, body: bytes) -> None:
    """Tens of megabytes made to hurt are read in a moment."""
    begun = time.process_time()
    OPENAI.read(status, {}, body)
    assert time.process_time() - begun < 5
