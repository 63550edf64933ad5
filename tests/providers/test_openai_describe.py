"""Requests, described before they are sent."""

import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import Charge, Dimension
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.providers.base import Call, Provider, Settlement
from scheduler.providers.openai import OpenAI
from scheduler.providers.openai_charge import CHARGE_RULES, Endpoint
from scheduler.providers.openai_request import DESCRIBED
from scheduler.tokens.chat import PER_MESSAGE
from scheduler.tokens.text import ByteEstimate

OPENAI = OpenAI(ByteEstimate())
CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello, who are you?"}]}


def describe(url: str = CHAT, **body: Any) -> Call:
    return OPENAI.describe("POST", url, {"model": "gpt-5-mini"} | body)


def test_a_chat_request() -> None:
    """A request is described by its endpoint, model, charges, expected tokens and whether it streams."""
    call = OPENAI.describe("POST", CHAT, HELLO | {"stream": True})
    candidates = (6, 8, 22, 8)
    assert call == Call("POST", CHAT, "gpt-5-mini", Charge(tokens=6), 8, stream=True, candidates=candidates)


class OneByOne:
    """Counts a token for every character."""

    def count(self, text: str, model: str) -> int:
        return len(text)


@pytest.mark.parametrize(("characters", "counted"), [(99_000, False), (100_000, True)])
def test_input_tokens_are_counted_where_a_request_may_be_a_long_one(characters: int, *, counted: bool) -> None:
    """What has no more bytes than no model calls long is estimated; beyond, what the counter says decides."""
    body = {"model": "gpt-4.1", "input": "x" * characters}
    call = OpenAI(OneByOne()).describe("POST", "/v1/embeddings", body)
    assert call.input_tokens == (characters if counted else characters // 4 + PER_MESSAGE)


def test_what_kind_of_provider_it_is() -> None:
    """Charges are kept, refusals cost a request, and the adapter satisfies the engine's contract."""
    provider: Provider = OPENAI
    assert (provider.name, provider.key_variable) == ("openai", "OPENAI_API_KEY")
    assert provider.settlement is Settlement.KEPT
    assert provider.refusals_charged == {Dimension.REQUESTS}
    assert provider.base_url == "https://api.openai.com"


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1/"])
def test_base_url_without_version(base_url: str) -> None:
    """A base url as SDKs have it, with the version, is taken as well."""
    assert OpenAI(ByteEstimate(), base_url).base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("url", "body", "charge"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "x" * 36}]}, Charge(tokens=10)),
        (CHAT, {"messages": [{"role": "user", "content": "\U0001f600" * 36}]}, Charge(tokens=10)),
        (CHAT, {"messages": [], "max_tokens": 5, "max_completion_tokens": 7, "n": 2}, Charge(tokens=14)),
        (CHAT, {"messages": [], "max_tokens": None, "n": None}, Charge(tokens=1)),
        (CHAT, {"messages": "as it is"}, Charge(tokens=2)),
        (CHAT, {"messages": [{"role": "tool", "content": [{"type": "text", "text": "x" * 36}]}]}, Charge(tokens=10)),
        (CHAT, {"messages": [{"role": "user", "content": "", "name": "x" * 99}]}, Charge(tokens=1)),
        (CHAT, {"messages": [{"content": "hi", "refusal": "x" * 38}]}, Charge(tokens=10)),
        (CHAT, {"messages": [], "tools": [{"function": {"name": "x" * 999}}]}, Charge(tokens=1)),
        ("/v1/responses", {"input": "x" * 40, "max_output_tokens": 20}, Charge(tokens=20)),
        ("/v1/responses", {"input": "x" * 40, "instructions": "x" * 40}, Charge(tokens=20)),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 36}]}]},
            Charge(tokens=10),
        ),
        ("/v1/responses", {"input": [{"type": "function_call_output", "output": "x" * 40}]}, Charge(tokens=10)),
        ("/v1/responses", {"previous_response_id": "resp_1"}, Charge(tokens=1)),
        ("/v1/completions", {"prompt": "x" * 40, "best_of": 3, "max_tokens": 16}, Charge(tokens=48)),
        ("/v1/completions", {"prompt": ["x" * 40, "x" * 40]}, Charge(tokens=20)),
        ("/v1/completions", {"prompt": [1, 2, 3]}, Charge(tokens=3)),
        ("/v1/completions", {}, Charge(tokens=1)),
        ("/v1/embeddings", {"input": ["x"] * 9}, Charge(tokens=9)),
        ("/v1/embeddings", {"input": [[1, 2, 3], [4]]}, Charge(tokens=4)),
        ("/v1/embeddings", {"input": "x" * 50}, Charge(tokens=13)),
        ("/v1/moderations", {"input": "x" * 50}, Charge(tokens=13)),
        ("/v1/images/generations", {"prompt": "x" * 40, "n": 3}, Charge(tokens=10, images=3)),
        ("/v1/images/generations", {"prompt": "x" * 40}, Charge(tokens=10, images=1)),
        ("/v1/images/edits", {"prompt": "x" * 40, "images": [{"image_url": "u"}]}, Charge(tokens=775, images=1)),
        ("/v1/images/edits", {"prompt": "x" * 40, "image": "u", "n": 2}, Charge(tokens=775, images=2)),
        ("/v1/images/edits", {"prompt": "x" * 40, "images": 5}, Charge(tokens=775, images=1)),
        ("/v1/audio/speech", {"input": "x" * 40}, Charge(tokens=10)),
        ("/v1/videos", {"prompt": "x" * 40}, Charge()),
        ("/v1/responses/compact", {"input": "x" * 40}, Charge(tokens=10)),
        ("/v1/responses/compact", {"previous_response_id": "resp_1"}, Charge(tokens=1)),
    ],
)
def test_charges(url: str, body: dict[str, Any], charge: Charge) -> None:
    """Each endpoint's charge follows from content and roles, output cap, answers and images."""
    assert charge == describe(url, **body).charge


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 10_000}}, 766),
        ({"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}, 86),
        ({"type": "input_image", "image_url": "https://x", "detail": "low"}, 86),
        ({"type": "input_image", "file_id": "f"}, 766),
    ],
)
def test_an_image_counts_as_one_and_not_by_its_bytes(part: dict[str, Any], tokens: int) -> None:
    """An image has a fixed size, recorded as 765 tokens, and counts in the dimension of images."""
    call = describe(messages=[{"role": "user", "content": [part]}])
    assert call.charge == Charge(tokens=tokens, images=1)


def test_files_and_audio_do_not_count_by_their_bytes() -> None:
    """What has no known size adds nothing."""
    parts = [{"type": kind, kind: {"data": "x" * 10_000}} for kind in ("input_audio", "file")]
    assert describe(messages=[{"role": "user", "content": parts}]).charge == Charge(tokens=1)


def test_another_rule() -> None:
    """The charge is that of the rule that was chosen."""
    openai = OpenAI(ByteEstimate(), charge_rule=CHARGE_RULES["recorded_2025"])
    assert openai.describe("POST", CHAT, HELLO).charge.tokens == 8


@pytest.mark.parametrize(
    "url",
    [
        "",
        "v1/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat",
        "/v1/models",
        "/v1/images/variations",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "//evil.example/v1/chat/completions",
        "https://api.openai.com/v1/chat/completions",
        "/v1/../v1/chat/completions",
        "/v1/chat/completions?key=secret",
        "/v1/chat/completions#x",
        "/v1/chat%2Fcompletions",
        "/v1\\chat\\completions",
        "/v1/chat/completions\r\nX: y",
        "/v1/chat/completions\x00",
        "/V1/chat/completions",
        None,
        7,
    ],
)
def test_urls_that_are_not_known_paths(url: Any) -> None:
    """Only the known relative paths pass; the words list them and never repeat what was given."""
    with pytest.raises(InvalidRequest) as raised:
        OPENAI.describe("POST", url, HELLO)
    assert raised.value.field == "url"
    assert all(path in raised.value.mend for path in DESCRIBED)
    assert "secret" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("method", ["GET", "post", "", None])
def test_wrong_methods(method: Any) -> None:
    """A known path is called with POST."""
    with pytest.raises(InvalidRequest) as raised:
        OPENAI.describe(method, CHAT, HELLO)
    assert (raised.value.field, raised.value.mend) == ("method", "write POST")


@pytest.mark.parametrize("model", [None, "", 5, ["gpt-5"], "x" * 201, "gpt\n5", "gpt\x1b[2J", "gpt\u202e", "\ud800"])
def test_unusable_models(model: Any) -> None:
    """A model is a printable name of up to 200 characters."""
    with pytest.raises(InvalidRequest) as raised:
        describe(model=model, messages=[])
    assert raised.value.field == "body.model"
    assert raised.value.mend
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"])
@pytest.mark.parametrize("value", [0, -1, True, 1.0, "5", [], 10**9 + 1, 10**400])
def test_unusable_counts(name: str, value: Any) -> None:
    """A count that decides the charge is a whole number of a sane size."""
    with pytest.raises(InvalidRequest) as raised:
        describe(messages=[], **{name: value})
    assert raised.value.field == f"body.{name}"
    assert raised.value.mend


@pytest.mark.parametrize(
    ("url", "field"),
    [
        (CHAT, "messages"),
        ("/v1/embeddings", "input"),
        ("/v1/moderations", "input"),
        ("/v1/images/generations", "prompt"),
        ("/v1/images/edits", "prompt"),
        ("/v1/audio/speech", "input"),
        ("/v1/videos", "prompt"),
    ],
)
def test_missing_content(url: str, field: str) -> None:
    """An endpoint that cannot do without its content says so."""
    for body in ({}, {field: None}):
        with pytest.raises(InvalidRequest) as raised:
            describe(url, **body)
        assert raised.value.field == f"body.{field}"


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_bodies_that_are_no_objects(body: Any) -> None:
    """A body is an object."""
    with pytest.raises(InvalidRequest) as raised:
        OPENAI.describe("POST", CHAT, body)
    assert raised.value.field == "body"


KEYS = st.sampled_from(["role", "content", "type", "text", "image_url", "tool_calls", "function", "name", "arguments"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["text", "image_url"]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS, inside, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from(DESCRIBED), JSON, JSON)
def test_any_shape_is_described(endpoint: Endpoint, content: Any, tools: Any) -> None:
    """Messages, input, prompt and tools of any shape are counted as far as they can be, or are missing."""
    body = {"model": "m", "tools": tools} | dict.fromkeys(("messages", "input", "prompt", "instructions"), content)
    try:
        call = OPENAI.describe("POST", endpoint, body)
    except InvalidRequest:
        assert content is None
    else:
        assert call.charge.tokens >= (endpoint is not Endpoint.VIDEOS)
        assert call.input_tokens >= 0


def nested(depth: int) -> list[Any]:
    outer: list[Any] = []
    for _ in range(depth):
        outer = [outer]
    return outer


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x y " * 12_500_000}]},
        {"messages": [{"role": "user", "content": "\u6f22" * 20_000_000}]},
        {"messages": [{"role": "user", "content": "x" * 500}] * 100_000},
        {"messages": nested(100_000)},
        {"messages": [{"content": nested(100_000)}]},
        {"messages": [], "tools": nested(100_000), "metadata": nested(100_000)},
        {"messages": [], **{f"field{number}": number for number in range(10_000)}},
    ],
    ids=["50 MB", "60 MB of Chinese", "many messages", "deep", "deep content", "deep tools", "many fields"],
)
def test_bodies_made_to_hurt(body: dict[str, Any]) -> None:
    """Size, depth and number of fields cost no more than time in proportion."""
    begun = time.process_time()
    describe(**body)
    assert time.process_time() - begun < 10


def test_authorize() -> None:
    """The key goes into one header and the project into another."""
    assert OPENAI.authorize("sk-1") == {"Authorization": "Bearer sk-1"}
    assert OPENAI.authorize("sk-1", project="proj_1") == {"Authorization": "Bearer sk-1", "OpenAI-Project": "proj_1"}


@pytest.mark.parametrize(
    "bad", ["", "se cret", "secret\n", "secret\r\nX: y", "secret\x00", "secret\u2026", "secret\x85"]
)
def test_keys_that_no_header_carries(bad: str) -> None:
    """A key or project with line ends or strange letters is refused, and is not repeated in the words."""
    with pytest.raises(ConfigurationError) as raised:
        OPENAI.authorize(bad)
    assert raised.value.key == "OPENAI_API_KEY"
    assert "cret" not in str(raised.value)
    with pytest.raises(ConfigurationError) as raised:
        OPENAI.authorize("sk-1", project=bad)
    assert raised.value.key == "project"
