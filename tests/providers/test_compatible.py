"""Providers that speak OpenAI's language: addresses, paths, headers, causes and charges that differ."""

import json
from typing import Any

import pytest

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Charge, Dimension
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.facade import Scheduler
from scheduler.http.origins import check_base_url
from scheduler.providers.base import Cause, Observation, Provider, Reading, Settlement, Usage
from scheduler.providers.catalogue_file import has_file
from scheduler.providers.compatible_parts import words
from scheduler.providers.dialect import Dialect
from scheduler.providers.like_openai import LikeOpenAI
from scheduler.providers.named_windows import named_windows
from scheduler.providers.openai_charge import Endpoint
from scheduler.providers.openai_errors import Causes
from scheduler.providers.registry import PROVIDERS, provider_named
from scheduler.tokens.text import ByteEstimate

BODY = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS


def named(name: str, base_url: str | None = None) -> Provider:
    return provider_named(name, ByteEstimate(), base_url)


def headers_of(name: str, **fields: str) -> Reading:
    return named(name).read(200, {key.replace("_", "-"): text for key, text in fields.items()}, None)


def error(name: str, status: int, body: Any, **fields: str) -> Reading:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return named(name).read(status, {key.replace("_", "-"): text for key, text in fields.items()}, data)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
        ("together", "https://api.together.ai/v1/chat/completions"),
        ("fireworks", "https://api.fireworks.ai/inference/v1/chat/completions"),
        ("cerebras", "https://api.cerebras.ai/v1/chat/completions"),
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("xai", "https://api.x.ai/v1/chat/completions"),
        ("deepseek", "https://api.deepseek.com/chat/completions"),
        ("perplexity", "https://api.perplexity.ai/chat/completions"),
        ("github-models", "https://models.github.ai/inference/chat/completions"),
        ("gemini-openai", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("litellm", "http://localhost:4000/v1/chat/completions"),
        ("vllm", "http://localhost:8000/v1/chat/completions"),
    ],
)
def test_addresses(name: str, url: str) -> None:
    """A request written for OpenAI goes to the provider's address; what its SDK sends there is recognised."""
    provider = named(name)
    call = provider.describe("POST", "/v1/chat/completions", BODY)
    assert provider.base_url + call.url == url
    assert call.url in provider.endpoints
    path = "/" + url.split("/", 3)[3]
    seen = provider.recognise("POST", path, {}, BODY)
    assert (seen.url, seen.model, seen.charge.tokens) == (call.url, call.model, call.charge.tokens)


def test_base_urls_as_sdks_write_them() -> None:
    """What the paths begin with may end the base url that is given."""
    assert named("github-models", "https://models.github.ai/inference/").base_url == "https://models.github.ai"
    assert named("groq", "https://api.groq.com/openai/v1").base_url == "https://api.groq.com/openai"


def test_endpoints_that_a_provider_lacks() -> None:
    """An endpoint of OpenAI's that another does not have is refused with those that it has."""
    with pytest.raises(InvalidRequest, match="deepseek has no such endpoint") as caught:
        named("deepseek").describe("POST", "/v1/embeddings", {"model": "m", "input": "x"})
    assert "/chat/completions" in caught.value.mend


def test_cerebras_names_windows() -> None:
    """Each window stands in its header's name; the reset to a fixed window's end is not looked at."""
    reading = headers_of(
        "cerebras",
        x_ratelimit_limit_requests_day="14400",
        x_ratelimit_remaining_requests_day="14399",
        x_ratelimit_reset_requests_day="33011.382867",
        x_ratelimit_limit_tokens_minute="60000",
        x_ratelimit_remaining_tokens_minute="59000",
        x_ratelimit_reset_tokens_minute="11.382867",
        x_ratelimit_limit_tokens_hour="1000000",
        x_ratelimit_remaining_tokens_hour="999000",
    )
    assert reading.observations == (
        Observation(REQUESTS, 14_400, 14_399, DAY),
        Observation(TOKENS, 60_000, 59_000, MINUTE),
        Observation(TOKENS, 1_000_000, 999_000, HOUR),
    )
    assert reading.ignored == 0


def test_a_month_is_not_mistaken_for_a_minute() -> None:
    """A month's budget makes no observation, alone or beside a minute's limit."""
    month = {"x_ratelimit_limit_tokens_month": "200000000000", "x_ratelimit_remaining_tokens_month": "5"}
    assert headers_of("mistral", **month).observations == ()
    assert headers_of("vllm", **month).observations == ()


@pytest.mark.parametrize("words", ["req-400-hour", "tokens-2-day", "req-fortnight", "things-minute"])
def test_windows_beyond_a_day_and_unknown_names(words: str) -> None:
    """Windows longer than a day are budgets, too; what is not known is passed over."""
    fields = {f"x-ratelimit-{kind}-{words}": "5" for kind in ("limit", "remaining")}
    assert named("mistral").read(200, fields, None).observations == ()


def test_levels_without_limits_in_named_windows() -> None:
    """What remains proves nothing without a limit, and a limit nothing without what remains."""
    reading = headers_of("cerebras", x_ratelimit_remaining_requests_day="5", x_ratelimit_limit_tokens_minute="7")
    assert (reading.observations, reading.ignored) == ((), 0)


def test_words_that_name_another_bucket_than_headers() -> None:
    """Words without numbers name the bucket that refused; a header of another says nothing of it."""
    body = {"error": {"message": "Rate limit reached on requests per day (RPD)."}}
    fields = {"x_ratelimit_limit_tokens": "100", "x_ratelimit_remaining_tokens": "90"}
    reading = error("openai", 429, body, **fields)
    assert (reading.refused, reading.observations) == (None, (Observation(TOKENS, 100, 90, MINUTE),))


def test_mistrals_cost() -> None:
    """The cost of the call stands beside the minute's tokens; nonsense there is counted."""
    fields = {"x_ratelimit_limit_tokens_minute": "100", "x_ratelimit_remaining_tokens_minute": "90"}
    assert headers_of("mistral", **fields, x_ratelimit_tokens_query_cost="7").observations[0].requested == 7
    assert headers_of("mistral", **fields, x_ratelimit_tokens_query_cost="0").observations[0].requested is None
    reading = headers_of("mistral", **fields, x_ratelimit_tokens_query_cost="much")
    assert (reading.observations[0].requested, reading.ignored) == (None, 1)


def test_togethers_tokens() -> None:
    """Tokens are limited by the second, under a name of their own."""
    reading = headers_of("together", x_tokenlimit_limit="9000", x_tokenlimit_remaining="8000")
    assert reading.observations == (Observation(TOKENS, 9_000, 8_000, SECOND),)


def test_fireworks_limits() -> None:
    """Requests, uncached prompt and generated tokens; the whole prompt's limit only where the other is absent."""
    prompt = {"x_ratelimit_limit_tokens_prompt": "3600000", "x_ratelimit_remaining_tokens_prompt": "3500000"}
    assert headers_of("fireworks", **prompt).observations == (
        Observation(Dimension.INPUT_TOKENS, 3_600_000, 3_500_000, MINUTE),
    )
    reading = headers_of(
        "fireworks",
        **prompt,
        x_ratelimit_limit_tokens_cache_adjusted_prompt="900000",
        x_ratelimit_remaining_tokens_cache_adjusted_prompt="899000",
        x_ratelimit_limit_tokens_generated="36000",
        x_ratelimit_remaining_tokens_generated="35000",
        x_ratelimit_over_limit="yes",
    )
    assert reading.observations == (
        Observation(Dimension.INPUT_TOKENS, 900_000, 899_000, MINUTE),
        Observation(Dimension.OUTPUT_TOKENS, 36_000, 35_000, MINUTE),
    )
    call = named("fireworks").describe("POST", "/v1/chat/completions", BODY | {"max_tokens": 70})
    assert (call.charge.input_tokens > 50, call.charge.output_tokens) == (True, 70)


def test_kongs_own_limits() -> None:
    """Kong names windows without a dimension; they count requests."""
    reading = headers_of("kong", X_RateLimit_Limit_Minute="5", X_RateLimit_Remaining_Minute="4")
    assert reading.observations == (Observation(REQUESTS, 5, 4, MINUTE),)


def test_github_hides_what_binds() -> None:
    """The headers are those of a deployment that all share: they are not taken for the user's limits."""
    assert (
        headers_of("github-models", x_ratelimit_limit_requests="10000", x_ratelimit_remaining_requests="9").observations
        == ()
    )


OPENROUTER_429 = {
    "error": {
        "message": "Rate limit exceeded: free-models-per-min.",
        "code": 429,
        "metadata": {
            "headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1733467142000"}
        },
    }
}


def test_openrouters_refusals_carry_headers_in_the_body() -> None:
    """Limit and level stand in the body, the window in the words, and the reset is an instant in milliseconds."""
    reading = error("openrouter", 429, OPENROUTER_429, date="Fri, 06 Dec 2024 06:38:42 GMT")
    assert reading.refused == Observation(REQUESTS, 20, 0, MINUTE)
    assert (reading.observations, reading.delay, reading.ignored) == ((), 20 * SECOND, 0)
    assert error("openrouter", 429, OPENROUTER_429).delay is None  # no date to read an instant against
    past = error("openrouter", 429, OPENROUTER_429, date="Sat, 07 Dec 2024 06:38:42 GMT")
    assert past.delay == 0
    garbled = error("openrouter", 429, OPENROUTER_429, date="some day")
    assert (garbled.delay, garbled.ignored) == (None, 1)
    absurd = error("openrouter", 429, OPENROUTER_429, date="Fri, 06 Dec 2019 06:38:42 GMT")
    assert (absurd.delay, absurd.ignored) == (None, 1)


def test_payment_required_that_comes_back_by_itself() -> None:
    """A 402 is billing; one that says when to come back is a limit on what is in flight."""
    assert error("openrouter", 402, {"error": {"code": 402, "message": "no credits"}}).cause is Cause.BILLING
    waits = error("openrouter", 402, {"error": {"code": 402, "message": "in-flight budget"}}, retry_after="3")
    assert (waits.cause, waits.delay) == (Cause.RATE, 3 * SECOND)


GEMINI_QUOTA = "You exceeded your current quota, please check your plan and billing details."


def gemini(message: str, **more: Any) -> list[Any]:
    return [{"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", **more}}]


CASES: list[tuple[str, int, Any, Cause]] = [
    (
        "openai",
        400,
        {"error": {"type": "invalid_request_error", "param": "service_tier", "message": "x"}},
        Cause.BAD_REQUEST,
    ),
    ("groq", 498, {"error": {"message": "x", "code": "capacity_exceeded"}}, Cause.OVERLOAD),
    ("groq", 498, b"", Cause.OVERLOAD),
    (
        "groq",
        413,
        {"error": {"message": "Request too large for model `x`", "code": "rate_limit_exceeded"}},
        Cause.TOO_LARGE,
    ),
    ("mistral", 429, {"object": "error", "message": "x", "type": "rate_limited", "code": "1300"}, Cause.RATE),
    ("mistral", 429, {"object": "error", "message": "x", "code": "3505"}, Cause.OVERLOAD),
    ("mistral", 401, {"detail": "Unauthorized"}, Cause.AUTH),
    ("mistral", 422, {"object": "error", "message": {"detail": [{"msg": "x"}]}}, Cause.BAD_REQUEST),
    ("together", 503, b"Service Unavailable", Cause.OVERLOAD),
    ("together", 402, {"error": {"message": "Credit limit exceeded", "type": "credit_limit"}}, Cause.BILLING),
    ("xai", 403, {"code": "x", "error": "Your newly created team doesn't have any credits yet."}, Cause.BILLING),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, Cause.BILLING),
    ("deepseek", 503, {"error": {"message": "Server overloaded"}}, Cause.OVERLOAD),
    ("github-models", 401, {"error": {"code": "unauthorized", "message": "Bad credentials"}}, Cause.AUTH),
    (
        "github-models",
        429,
        {"error": {"message": "Rate limit of 0 per 0s exceeded for UserByModelByDay."}},
        Cause.LIMIT_ZERO,
    ),
    ("gemini-openai", 429, gemini(GEMINI_QUOTA), Cause.RATE),
    ("gemini-openai", 429, gemini("Quota exceeded for metric: x, limit: 0, model: y"), Cause.LIMIT_ZERO),
    ("gemini-openai", 400, [{"error": {"message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], Cause.AUTH),
    ("gemini-openai", 503, [{"error": {"message": "x", "status": "UNAVAILABLE"}}], Cause.OVERLOAD),
    ("litellm", 400, {"error": {"message": "Budget has been exceeded! Current cost: 1", "code": "400"}}, Cause.BILLING),
    ("litellm", 429, {"error": {"message": "Max parallel request limit reached", "code": "429"}}, Cause.RATE),
    ("vllm", 503, b"", Cause.OVERLOAD),
    (
        "vllm",
        400,
        {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
        Cause.BAD_REQUEST,
    ),
    (
        "ietf",
        429,
        {"type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity", "title": "busy"},
        Cause.OVERLOAD,
    ),
    ("ietf", 429, {"title": "Too Many Requests", "detail": "You have sent too many.", "status": 429}, Cause.RATE),
    *((name, 429, b"error code: 1015", Cause.EDGE) for name in ("openai", "groq", "xai", "ietf")),
    *((name, 429, b"<title>Error 1027</title>", Cause.EDGE) for name in ("openai", "together")),
    *((name, status, None, Cause.TIMEOUT) for name in ("openai", "azure", "vllm") for status in (408, 504)),
    *((name, 529, None, Cause.OVERLOAD) for name in ("openrouter", "litellm")),
]


@pytest.mark.parametrize(("name", "status", "body", "cause"), CASES)
def test_causes(name: str, status: int, body: Any, cause: Cause) -> None:
    """What the same status or type means at one provider, it need not mean at another."""
    assert error(name, status, b"" if body is None else body).cause is cause


@pytest.mark.parametrize(
    ("message", "dimension", "limit", "remaining", "window"),
    [
        ("Your team's rate limit is - Tokens per Minute (actual/limit): 65605/16000.", TOKENS, 16_000, 0, MINUTE),
        ("Requests per Second (actual/limit): 3/4", REQUESTS, 4, 1, SECOND),
        ("Rate limit of 10 per 60s exceeded for UserByModelByMinute.", REQUESTS, 10, 0, MINUTE),
        ("The maximum rate limit for this model is 0.5 queries per minute.", None, 0, 0, None),
        ("Rate limit of 2 per 0s exceeded for UserConcurrentRequests.", None, 0, 0, None),
        ("Rate limit of 150 per 2592000s exceeded for UserByModelByMonth.", None, 0, 0, None),
        ("Tokens per Minute (actual/limit): 9999999999999999999999/1", None, 0, 0, None),
    ],
)
def test_grammars_of_refusals(
    message: str, dimension: Dimension | None, limit: int, remaining: int, window: int | None
) -> None:
    """Words that name a limit and what was used prove a level, at whomever's; others prove none."""
    refused = error("vllm", 429, {"error": {"message": message}}).refused
    expected = None if dimension is None else Observation(dimension, limit, remaining, window)
    assert refused == expected


@pytest.mark.parametrize(
    ("body", "fields", "seconds", "ignored"),
    [
        (gemini("x", details=[{"@type": "RetryInfo", "retryDelay": "47s"}]), {}, 47, 0),
        (gemini("Please retry in 45.5s.", details=[{"retryDelay": "45s"}]), {}, 45.5, 0),
        (gemini("x", details=[{"retryDelay": "soon"}, {"retryDelay": "9s"}]), {}, None, 1),
        (gemini("x", details=[None, {"retryDelay": 9}]), {}, None, 0),
        ({"error": {"message": json.dumps({"error": {"message": "Please retry in 3s."}})}}, {}, 3, 0),
        ({"error": {"message": "Please wait 5631 seconds before retrying."}}, {}, 5631, 0),
        ({"error": {"message": "please wait before trying again"}}, {}, None, 0),
        ({"error": {"message": "x"}}, {"retry_after_ms": "1500", "retry_after": "2"}, 1.5, 0),
        ({"error": {"message": "x"}}, {"retry_after_ms": "1500", "retry_after": "20"}, 20, 0),
        ({"error": {"message": "x"}}, {"retry_after": "54749"}, 54_749, 0),
        ({"error": {"message": "x"}}, {"retry_after": "9999999999"}, None, 1),
    ],
)
def test_delays(body: Any, fields: dict[str, str], seconds: float | None, ignored: int) -> None:
    """The longest of headers, details and words; seconds that round milliseconds up are no longer than they."""
    reading = error("vllm", 429, body, **fields)
    assert reading.delay == (None if seconds is None else round(seconds * 1e9))
    assert reading.ignored == ignored


def test_an_error_within_a_message() -> None:
    """A body that a proxy has put into its message is read like one that it has not; the depth is bounded."""
    inner = {"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}
    outer = {"error": {"message": json.dumps(inner), "code": 429, "status": "Too Many Requests"}}
    reading = error("vllm", 429, outer)
    assert (reading.cause, reading.message, reading.code) == (
        Cause.RATE,
        "Resource has been exhausted",
        "RESOURCE_EXHAUSTED",
    )
    deep: Any = inner
    for _ in range(6):
        deep = {"error": {"message": json.dumps(deep)}}
    assert error("vllm", 429, deep).cause is Cause.RATE


@pytest.mark.parametrize(
    ("status", "flag", "final"),
    [(500, "false", True), (503, "false", True), (429, "false", False), (500, "true", False), (500, "", False)],
)
def test_a_provider_may_say_that_trying_again_is_of_no_use(status: int, flag: str, final: bool) -> None:  # noqa: FBT001  # a column
    """It is believed of everything but a rate that was reached, which passes."""
    assert error("openai", status, b"", x_should_retry=flag).final is final


def test_gemini_refuses_as_google_does() -> None:
    """The quota of a day is told from the minute's by its name, whatever delay stands beside it; input alone counts."""
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"}
    body = gemini("x", details=[{"violations": [violation]}, {"retryDelay": "47s"}])
    assert error("gemini-openai", 429, body).refused == Observation(REQUESTS, 250, 0, DAY)
    provider = named("gemini-openai")
    call = provider.describe("POST", "/v1/chat/completions", BODY | {"max_tokens": 5_000})
    assert 50 <= call.charge.tokens <= 200
    assert provider.counted(Usage(100, 0, 7)).tokens == 100


def test_charges() -> None:
    """Those who reserve prompt and cap together are charged so, and what is counted may leave out what was cached."""
    body = BODY | {"max_completion_tokens": 1_000}
    charged = {
        name: named(name).describe("POST", "/v1/chat/completions", body).charge.tokens
        for name in PROVIDERS
        if name in {"openai", "cerebras", "azure"}
    }
    assert charged["openai"] == 1_000
    assert charged["cerebras"] == charged["azure"] > 1_100
    usage = Usage(input_tokens=10, cached_tokens=4, output_tokens=3)
    assert named("groq").counted(usage) == Charge(0, 9, 6, 3)
    assert named("mistral").counted(usage) == Charge(0, 13, 10, 3)


def test_settlements() -> None:
    """Who counts what was really used has charges corrected; OpenAI's are kept."""
    corrected = {name for name in PROVIDERS if named(name).settlement is Settlement.CORRECTED}
    assert {"groq", "mistral", "xai", "fireworks", "vllm", "litellm", "kong", "ietf"} <= corrected
    assert not {"openai", "azure"} & corrected


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_scheduler_for_each(name: str) -> None:
    """A provider needs no catalogue; without one there are no tiers, and that is said."""
    scheduler = Scheduler(provider=name)
    assert scheduler.provider.name == name
    if not has_file(name):
        with pytest.raises(ConfigurationError, match="no tiers are published") as caught:
            Scheduler(provider=name, tier="1")
        assert caught.value.key == "tier"


@pytest.mark.parametrize("name", ["azure", "kong", "ietf"])
def test_nothing_is_sent_without_an_address(name: str) -> None:
    """Who has no common address has to be told it before a key goes anywhere."""
    with pytest.raises(ConfigurationError) as caught:
        check_base_url(named(name).base_url, secret=True, allow_plain_http=False)
    assert caught.value.key == "base_url"


def test_the_example_of_the_docs() -> None:
    """A row as docs/providers.md shows it does what it says."""
    acme = Dialect(
        name="acme",
        base_url="https://api.acme.example",
        key_variable="ACME_API_KEY",
        endpoints=(Endpoint.CHAT, Endpoint.EMBEDDINGS),
        headers=named_windows,
        causes=Causes(
            words=words((r"no credits left", Cause.BILLING)),
            names={"too_fast": Cause.RAMP},
            statuses={420: Cause.RATE},
        ),
        settlement=Settlement.CORRECTED,
    )
    provider = LikeOpenAI(acme, ByteEstimate())
    headers = {"x-ratelimit-limit-requests-minute": "60", "x-ratelimit-remaining-requests-minute": "59"}
    assert provider.read(200, headers, None).observations == (Observation(REQUESTS, 60, 59, MINUTE),)
    assert provider.read(429, {}, b'{"error": {"message": "no credits left"}}').cause is Cause.BILLING
    assert provider.read(400, {}, b'{"error": {"code": "too_fast"}}').cause is Cause.RAMP
    assert provider.read(420, {}, b"").cause is Cause.RATE
