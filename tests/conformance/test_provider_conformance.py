"""What every registered provider keeps to, whatever its language: the contracts of ``Provider``."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.growth import Growth
from scheduler.core.quota import DAY, Charge, Dimension
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.providers.base import Call, Cause, Observation, Outcome, Provider, Reading, Settlement, Usage
from scheduler.providers.durations import MOST
from scheduler.providers.registry import PROVIDERS, provider_named
from scheduler.tokens.text import ByteEstimate

CHAT: dict[str, Any] = {"model": "some-model", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
EXAMPLES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic": ("POST", "/v1/messages", CHAT | {"max_tokens": 10}),
    "gemini": ("POST", "/v1beta/models/some-model:generateContent", {"contents": [{"parts": [{"text": "Hello!"}]}]}),
    "cohere": ("POST", "/v2/chat", CHAT),
    "bedrock": ("POST", "/model/some-model/converse", {"messages": [{"role": "user", "content": [{"text": "Hi!"}]}]}),
}
"""Method, path and body of a good request, for providers that take no chat as OpenAI writes it."""
OWN_ADDRESS = {"azure", "kong", "ietf"}
"""Providers that everyone has at another address."""
KEY = "sk-verysecret0123456789"

every_provider = pytest.mark.parametrize("name", sorted(PROVIDERS))


def named(name: str, base_url: str | None = None) -> Provider:
    return provider_named(name, ByteEstimate(), base_url)


def example(name: str) -> tuple[str, str, dict[str, Any]]:
    return EXAMPLES.get(name, ("POST", "/v1/chat/completions", CHAT))


@every_provider
def test_attributes(name: str) -> None:
    """Names, addresses and rules are there and of their kind."""
    provider = named(name)
    assert provider.name == name
    assert isinstance(provider.settlement, Settlement)
    assert provider.refusals_charged <= set(Dimension)
    assert provider.growth is None or isinstance(provider.growth, Growth)
    assert provider.idempotency_header is None or provider.idempotency_header.isprintable()
    assert provider.key_variable.isidentifier()
    assert provider.key_variable.isupper()
    if name in OWN_ADDRESS:
        assert not provider.base_url
    else:
        assert provider.base_url.startswith(("https://", "http://localhost"))
    assert not provider.base_url.endswith("/")


@every_provider
def test_an_address_of_ones_own(name: str) -> None:
    """A base url that is given is where requests go; a slash at its end is none of it."""
    assert named(name, "http://127.0.0.1:8080/").base_url == "http://127.0.0.1:8080"


@every_provider
def test_endpoints_are_relative_paths(name: str) -> None:
    """What is joined to the origin cannot leave it, and is fit to be a label."""
    endpoints = named(name).endpoints
    assert endpoints
    for path in endpoints:
        assert path.startswith("/")
        assert path.isprintable()
        assert not any(piece in path for piece in ("//", "..", "://", "?", "#", "\\", " "))


@every_provider
def test_describes_a_good_request(name: str) -> None:
    """A good request has a model, a charge of at least a request, and the path that it is sent to."""
    provider = named(name)
    call = provider.describe(*example(name))
    assert call.model
    assert call.url.startswith("/")
    assert call.method == "POST"
    assert call.charge.requests >= 1
    assert all(units >= 0 for units in call.charge)
    assert call.input_tokens >= 0


@every_provider
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "//evil.example/v1/chat/completions",
        "https://evil.example/v1/chat/completions",
        "/v1/../admin",
        "/v1/\x00",
        "v1",
    ],
)
def test_paths_that_are_none_are_refused(name: str, url: str) -> None:
    """A path that is not known is refused by the field's name, and no part of it is repeated."""
    method, _, body = example(name)
    with pytest.raises(InvalidRequest) as caught:
        named(name).describe(method, url, body)
    assert caught.value.field == "url"
    assert "evil" not in str(caught.value)


@every_provider
@pytest.mark.parametrize("body", [[], "text", None, 7])
def test_bodies_that_are_none_are_refused(name: str, body: Any) -> None:
    """What is no object is refused before it is sent, by the field's name."""
    method, url, _ = example(name)
    with pytest.raises(InvalidRequest) as caught:
        named(name).describe(method, url, body)
    assert caught.value.field == "body"


@every_provider
@pytest.mark.parametrize("body", [{}, {"model": 7}, {"model": ""}, {"messages": []}, CHAT | {"max_tokens": "x"}])
def test_objects_of_any_kind(name: str, body: dict[str, Any]) -> None:
    """An object that cannot be charged is refused by naming the field, and never by another error."""
    method, url, _ = example(name)
    field = "body"
    try:
        call = named(name).describe(method, url, body)
    except InvalidRequest as error:
        field = error.field
    else:
        assert call.charge.requests >= 1
    assert field.startswith("body")


@every_provider
def test_recognises_what_it_describes(name: str) -> None:
    """What an SDK sends is described as if it were sent here, whatever prefix the base url has."""
    provider = named(name)
    method, url, body = example(name)
    described = provider.describe(method, url, body)
    for prefix in ("", "/some/prefix"):
        seen = provider.recognise(method, prefix + described.url, {}, body, 100)
        assert (seen.model, seen.stream) == (described.model, described.stream)
        assert seen.charge[:2] == described.charge[:2]  # requests and tokens; parts of them may be estimated faster


@every_provider
def test_authorize(name: str) -> None:
    """A key stands in a header as it is; one that cannot stand there is refused without being repeated."""
    provider = named(name)
    assert any(KEY in text for text in provider.authorize(KEY).values())
    assert all(text.isprintable() for text in provider.authorize(KEY, project="proj").values())
    for bad in (f"{KEY}\n", f"{KEY} x", f"{KEY}\u2026", ""):
        with pytest.raises(ConfigurationError) as caught:
            provider.authorize(bad)
        assert "verysecret" not in str(caught.value)


@every_provider
@pytest.mark.parametrize("beginning", ["sk-", "sk-proj-", "csk-", "gsk_", "xai-", "pplx-", "ghp_", "AIza", "Bearer "])
def test_keys_are_masked(name: str, beginning: str) -> None:
    """A key that a server echoes is in no message, code or id, whosever it is."""
    key = beginning + "verysecret0123456789"
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {key}", "code": key, "type": key}}).encode()
    for status in (400, 401, 429, 500):
        assert "verysecret" not in repr(named(name).read(status, {"x-request-id": key}, body))


OVERLOADED, THROTTLED, FAILED = Outcome.OVERLOADED, Outcome.THROTTLED, Outcome.FAILED
STATUSES = [
    (429, THROTTLED, {Cause.RATE}),
    (503, OVERLOADED, {Cause.OVERLOAD}),
    (529, OVERLOADED, {Cause.OVERLOAD}),
    (401, FAILED, {Cause.AUTH}),
    (403, FAILED, {Cause.AUTH}),
    (400, FAILED, {Cause.BAD_REQUEST}),
    (402, FAILED, {Cause.BILLING}),
    (404, FAILED, {Cause.BAD_REQUEST}),
    (408, FAILED, {Cause.TIMEOUT}),
    (409, FAILED, {Cause.CONFLICT}),
    (504, FAILED, {Cause.TIMEOUT}),
    (500, FAILED, {Cause.SERVER}),
    (502, FAILED, {Cause.SERVER}),
]


@every_provider
@pytest.mark.parametrize(("status", "outcome", "causes"), STATUSES)
def test_statuses_alone(name: str, status: int, outcome: Outcome, causes: set[Cause]) -> None:
    """Where a body says nothing the status decides, alike at all providers."""
    reading = named(name).read(status, {}, b"")
    assert reading.outcome is outcome
    assert reading.cause in causes


@every_provider
def test_retry_after(name: str) -> None:
    """A refusal's delay is kept; one on a success, which was recorded, asks for nothing."""
    provider = named(name)
    assert provider.read(429, {"Retry-After": "20"}, b"").delay == 20 * 10**9
    assert provider.read(429, {"retry-after-ms": "150"}, b"").delay == 150 * 10**6
    assert provider.read(200, {"retry-after": "55"}, b"{}").delay is None
    absurd = provider.read(429, {"retry-after": "9" * 60}, b"")
    assert (absurd.delay, absurd.ignored) == (None, 1)


@every_provider
def test_an_edge_block(name: str) -> None:
    """A block of the whole address before the provider is no limit of its own, and its hours are kept."""
    reading = named(name).read(429, {"retry-after": "54749", "content-type": "text/plain"}, b"error code: 1015")
    assert (reading.cause, reading.delay) == (Cause.EDGE, 54_749 * 10**9)


@every_provider
def test_counted(name: str) -> None:
    """What is counted of a usage is never more than all of it, and no request."""
    counted = named(name).counted(Usage(100, 40, 7, 2))
    assert counted.requests == 0
    assert 60 <= counted.tokens <= 107
    assert 60 <= counted.input_tokens <= 100
    assert counted.output_tokens in {0, 7}  # nothing where output is not limited


FIELDS = [
    *(
        f"x-ratelimit-{kind}{words}"
        for kind in ("limit", "remaining", "reset")
        for words in ("", "-requests", "-tokens")
    ),
    *(
        f"x-ratelimit-{kind}-{words}"
        for kind in ("limit", "remaining")
        for words in ("req-minute", "tokens-day", "hour")
    ),
    *(f"anthropic-ratelimit-tokens-{kind}" for kind in ("limit", "remaining", "reset")),
    *("retry-after", "Retry-After-Ms", "date", "x-request-id", "x-should-retry", "RateLimit", "RateLimit-Policy"),
    *("ratelimit-limit", "ratelimit-remaining", "x-ratelimit-renewalperiod-tokens", "x-ratelimit-tokens-query-cost"),
    *("x-tokenlimit-limit", "x-tokenlimit-remaining"),
]
TEXTS = (
    st.sampled_from(
        ["0", "1", "60", "-1", "1m26.4s", "9" * 30, "NaN", '"p";q=1;w=60', '"p";r=1', "1733467142000", "false"]
    )
    | st.integers().map(str)
    | st.text(max_size=40)
)
HEADERS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=20), TEXTS, max_size=12)
NAMES = st.sampled_from(
    [
        *(
            "error",
            "message",
            "type",
            "code",
            "detail",
            "details",
            "metadata",
            "headers",
            "retryDelay",
            "status",
            "usage",
        ),
        *(
            "response",
            "violations",
            "quotaId",
            "quotaValue",
            "@type",
            "data",
            "object",
            "prompt_tokens",
            "input_tokens",
        ),
        *("x_groq", "Error"),
    ]
)
PIECES = [
    *(
        "Limit 30000",
        "Used",
        "Requested -1",
        "try again in",
        "on tokens per min",
        "9e9",
        "644ms",
        "{",
        "7s",
        '{"error":',
    ),
    *("rate limit of 5 per", "(actual/limit): 1/2", "please wait", "free-models-per-day", "retry after 86400 seconds"),
    "\x1b[2J",
]
WORDS = st.lists(st.sampled_from(PIECES)).map(" ".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(NAMES, inside, max_size=5),
    max_leaves=20,
)
BODIES = st.none() | st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "replace"))
URLS = st.sampled_from(["", "/v1/chat/completions", "/v1/images/generations", "/v1/messages"]) | st.text(max_size=20)


@every_provider
@settings(max_examples=25)
@given(status=st.integers(-1, 1_000) | st.integers(), headers=HEADERS, body=BODIES, url=URLS)
def test_no_answer_raises(name: str, status: int, headers: dict[str, str], body: bytes | None, url: str) -> None:
    """Headers of any text, bodies of any bytes and JSON, any status: all is read, and what is read is sane."""
    _sane(named(name).read(status, headers, body, url=url), success=200 <= status < 300)


@every_provider
@settings(max_examples=25)
@given(body=BODIES, url=URLS)
def test_no_event_or_usage_raises(name: str, body: bytes | None, url: str) -> None:
    """Any event of a stream and any successful body is read."""
    provider = named(name)
    event = provider.read_event(body or b"", url=url)
    if event is not None:
        _sane(event, success=event.cause is None)
        assert event.cause is not None or event.usage is not None
    usage = provider.usage(url, body or b"")
    assert usage is None or all(0 <= units <= MOST for units in usage)


@every_provider
@settings(max_examples=25)
@given(
    method=st.text(max_size=8),
    path=URLS | st.text(max_size=60).map("/".__add__),
    headers=HEADERS,
    body=st.none() | st.dictionaries(NAMES | st.just("model") | st.just("messages"), JSON, max_size=6),
    size=st.integers(0, 10**9),
)
def test_no_request_raises(
    name: str, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None, size: int
) -> None:
    """Whatever somebody else sends is recognised, at some charge."""
    call = named(name).recognise(method, path, headers, body, size)
    assert isinstance(call, Call)
    assert isinstance(call.charge, Charge)
    assert all(units >= 0 for units in call.charge)


def _sane(reading: Reading, *, success: bool) -> None:
    assert (reading.cause is None) == (reading.outcome is Outcome.SUCCESS) == success
    assert len(reading.message) <= 500
    assert all(text.isprintable() and len(text) <= 500 for text in (reading.message, reading.code, reading.request_id))
    assert reading.delay is None or 0 <= reading.delay <= 30 * DAY
    assert reading.ignored >= 0
    buckets = [(one.dimension, one.window, one.project) for one in reading.observations]
    assert len(set(buckets)) == len(buckets)
    for one in (*reading.observations, *([reading.refused] if reading.refused else [])):
        _sane_observation(one)
    assert reading.usage is None or all(0 <= units <= MOST for units in reading.usage)


def _sane_observation(one: Observation) -> None:
    assert 0 <= one.remaining <= one.limit <= MOST
    assert one.limit > 0
    assert one.window is None or 0 < one.window <= DAY
    assert one.requested is None or 0 <= one.requested <= MOST
    assert one.wait is None or 0 <= one.wait <= 30 * DAY
