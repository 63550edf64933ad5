"""Anthropic's errors: why a request did not succeed, how long to wait, and what its words prove."""

import json
from typing import Any

import pytest

from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension
from scheduler.providers.anthropic import Anthropic
from scheduler.providers.base import Cause, Observation, Outcome, Reading

ANTHROPIC = Anthropic()
SENT = Dimension.INPUT_TOKENS


def error(kind: str, message: str = "no", **more: Any) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **more}}).encode()


def read(status: int, body: bytes | None, headers: dict[str, str] | None = None) -> Reading:
    return ANTHROPIC.read(status, headers or {}, body)


SPENT = "You have reached your specified API usage limits. You will regain access on 2026-02-01 at 00:00 UTC."
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
RISING = (
    "This request would exceed your organization's maximum usage increase rate for input tokens per minute. Your "
    "current limit is 58,276 input tokens per minute, and will increase to 68,276 at the next minute boundary."
)
NONE_FAST = "This request would exceed your organization's rate limit of 0 fast mode input tokens per minute."
CATALOGUE: list[tuple[int, bytes | None, Outcome, Cause]] = [
    (429, error("rate_limit_error"), Outcome.THROTTLED, Cause.RATE),
    (429, error("rate_limit_error", RISING), Outcome.OVERLOADED, Cause.RAMP),
    (429, error("rate_limit_error", NONE_FAST), Outcome.FAILED, Cause.LIMIT_ZERO),
    (429, error("rate_limit_error", "Extra usage is required for long context."), Outcome.FAILED, Cause.BILLING),
    (
        429,
        error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        Outcome.FAILED,
        Cause.BILLING,
    ),
    (400, error("invalid_request_error", SPENT), Outcome.FAILED, Cause.BILLING),
    (400, error("invalid_request_error", SPENT.replace("API", "workspace API")), Outcome.FAILED, Cause.BILLING),
    (400, error("invalid_request_error", CREDIT), Outcome.FAILED, Cause.BILLING),
    (402, error("billing_error"), Outcome.FAILED, Cause.BILLING),
    (400, error("invalid_request_error", "prompt is too long"), Outcome.FAILED, Cause.BAD_REQUEST),
    (401, error("authentication_error"), Outcome.FAILED, Cause.AUTH),
    (403, error("permission_error"), Outcome.FAILED, Cause.AUTH),
    (404, error("not_found_error"), Outcome.FAILED, Cause.BAD_REQUEST),
    (409, error("conflict_error"), Outcome.FAILED, Cause.CONFLICT),
    (413, error("request_too_large"), Outcome.FAILED, Cause.TOO_LARGE),
    (413, b"<html>Request Entity Too Large</html>", Outcome.FAILED, Cause.TOO_LARGE),
    (500, error("api_error"), Outcome.FAILED, Cause.SERVER),
    (504, error("timeout_error"), Outcome.FAILED, Cause.TIMEOUT),
    (529, error("overloaded_error"), Outcome.OVERLOADED, Cause.OVERLOAD),
    (529, None, Outcome.OVERLOADED, Cause.OVERLOAD),
    (503, None, Outcome.OVERLOADED, Cause.OVERLOAD),
    (429, b"error code: 1015", Outcome.OVERLOADED, Cause.EDGE),
    (429, b"", Outcome.THROTTLED, Cause.RATE),
    (429, b'{"error": "Number of requests has exceeded your per-minute rate limit"}', Outcome.THROTTLED, Cause.RATE),
    *((status, None, Outcome.FAILED, Cause.SERVER) for status in (500, 502, 520, 599, 0, -1, 100, 999)),
    *((status, None, Outcome.FAILED, Cause.BAD_REQUEST) for status in (301, 400, 405, 418, 422)),
]


@pytest.mark.parametrize(("status", "body", "outcome", "cause"), CATALOGUE)
def test_causes(status: int, body: bytes | None, outcome: Outcome, cause: Cause) -> None:
    """The spend limit's code, then the words, then the type, then the status decide."""
    reading = read(status, body)
    assert (reading.outcome, reading.cause) == (outcome, cause)


@pytest.mark.parametrize(
    ("words", "dimension", "limit", "window"),
    [
        ("your organization's rate limit of 30,000 input tokens per minute (org: X)", SENT, 30_000, MINUTE),
        (
            "the rate limit for your organization (X) of 8,000 output tokens per minute",
            Dimension.OUTPUT_TOKENS,
            8_000,
            MINUTE,
        ),
        ("your organization's rate limit of 50 requests per minute", Dimension.REQUESTS, 50, MINUTE),
        ("your organization\u2019s rate limit of 1,000,000 tokens per day", Dimension.TOKENS, 1_000_000, DAY),
        ("your organization's rate limit of 9,000 fast mode input tokens per minute", SENT, 9_000, MINUTE),
    ],
)
def test_the_bucket_that_refused(words: str, dimension: Dimension, limit: int, window: int) -> None:
    """Words name dimension, limit and window. They say no level; that nothing is left is the most that they prove."""
    reading = read(429, error("rate_limit_error", f"This request would exceed {words}. For details, refer to: x"))
    assert reading.refused == Observation(dimension, limit, 0, window)


def test_headers_say_what_was_left_of_the_bucket_that_refused() -> None:
    """The words say which bucket refused and the headers of the same answer what lay in it."""
    headers = {"anthropic-ratelimit-input-tokens-limit": "30000", "anthropic-ratelimit-input-tokens-remaining": "12000"}
    message = "This request would exceed your organization's rate limit of 30,000 input tokens per minute."
    assert read(429, error("rate_limit_error", message), headers).refused == Observation(SENT, 30_000, 11_500, MINUTE)
    message = message.replace("30,000", "20,000")  # the workspace's: not the bucket that the headers speak of
    assert read(429, error("rate_limit_error", message), headers).refused == Observation(SENT, 20_000, 0, MINUTE)


@pytest.mark.parametrize(
    "message",
    [
        "This request would exceed your account's rate limit. Please try again later.",
        "Number of request tokens has exceeded your per-minute rate limit",
        "This request would exceed your organization's rate limit of 30,000 input requests per minute.",
        "This request would exceed the rate limit of " + "9" * 400 + " tokens per minute",
        "This request would exceed the rate limit of 9999999999999999 tokens per minute",
        RISING,
    ],
)
def test_words_that_prove_no_level(message: str) -> None:
    """Without a believable limit of a named dimension nothing is proved."""
    assert read(429, error("rate_limit_error", message)).refused is None


def test_delays_and_names() -> None:
    """The delay, the code and the name of the request are there to be shown."""
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"no"},"request_id":"req_1"}'
    reading = read(429, body, {"Retry-After": "505"})
    assert (reading.delay, reading.code, reading.request_id) == (505 * SECOND, "rate_limit_error", "req_1")
    assert read(429, body, {"request-id": "req_2"}).request_id == "req_2"


def test_retry_after_on_a_success_is_no_order() -> None:
    """Recorded successes carry retry-after; it asks for nothing."""
    reading = read(200, b"{}", {"retry-after": "55", "request-id": "req_3"})
    assert (reading.outcome, reading.delay, reading.request_id) == (Outcome.SUCCESS, None, "req_3")


def test_what_is_not_to_be_tried_again() -> None:
    """x-should-retry: false makes a failure final; a rate that was reached passes all the same."""
    told = {"x-should-retry": "false"}
    assert read(500, error("api_error"), told).final
    assert not read(500, error("api_error"), {"x-should-retry": "true"}).final
    assert not read(429, error("rate_limit_error"), told).final
    assert not read(429, error("rate_limit_error", RISING), told).final


def test_words_are_safe_to_show() -> None:
    """Control characters and keys do not pass; the words are cut to 500 characters."""
    reading = read(
        401, error("authentication_error\x07", "\x1b[31mbad key sk-ant-api03-abcdefgh12345678 " + "x" * 5000)
    )
    assert len(reading.message) == 500
    assert "abcdefgh" not in reading.message
    assert reading.message.isprintable()
    assert reading.code.isprintable()
