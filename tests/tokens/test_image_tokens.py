"""What pictures are billed, and what the limiter takes for them."""

from typing import Any

import pytest
from conversations import chat_tokens
from hypothesis import given, strategies as st
from pictures import data_url, png

from scheduler.tokens.chat import estimated_tokens
from scheduler.tokens.content import MEASURED, Content, content_of
from scheduler.tokens.images import picture_tokens, rule_for
from scheduler.tokens.text import ByteEstimate

MODELS = [
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "gpt-5.2", "gpt-5.4", "gpt-5.5", "gpt-5.6-sol"),
    *("o3", "o4-mini", "gpt-image-1", "computer-use-preview", "a-model-of-somebody-else"),
]


@pytest.mark.parametrize(
    ("model", "detail", "size", "tokens"),
    [
        # the guide's examples
        ("gpt-4o", "high", (1024, 1024), 765),
        ("gpt-4o", "high", (2048, 4096), 1105),
        ("gpt-4o", "low", (4096, 8192), 85),
        ("gpt-5.2", "high", (1024, 1024), 1024),
        ("gpt-5.2", "high", (1800, 2400), 1452),
        # its tables
        ("gpt-4o", "", (512, 512), 255),
        ("gpt-4o-mini", "auto", (1024, 1024), 2833 + 4 * 5667),
        ("gpt-4o-mini-2024-07-18", "low", (1024, 1024), 2833),
        ("gpt-4.1-2025-04-14", "", (1024, 1024), 765),
        ("gpt-4.1-mini", "", (1024, 1024), 1659),
        ("gpt-5", "", (1024, 1024), 70 + 4 * 140),
        ("gpt-5-nano", "high", (1800, 2400), 3572),
        ("o4-mini", "", (1024, 1024), 1762),
        ("o1-pro", "", (512, 512), 225),
        ("gpt-5.4", "", (3200, 3200), 2500),
        ("gpt-5.4", "original", (3200, 3200), 10_000),
        ("gpt-5.5", "", (3200, 3200), 10_000),
        ("gpt-5.5", "high", (3200, 3200), 2500),
        ("gpt-5.5", "original", (12_000, 320), 188 * 5),
        ("gpt-5.6-sol", "", (3840, 3840), 14_400),
        ("gpt-5.6-sol", "high", (3840, 3840), 2500),
        ("gpt-5.6-sol", "low", (3840, 3840), 256),
        ("gpt-image-1", "", (1024, 1024), 65 + 129),
        ("gpt-image-1", "high", (1024, 1024), 65 + 129 + 4160),
        ("gpt-image-1.5", "high", (1024, 512), 65 + 2 * 129 + 6240),
        ("ft:gpt-4o:acme::1", "", (1024, 1024), 765),
        ("unheard-of", "", (1024, 1024), 765),
    ],
)
def test_what_the_guide_says(model: str, detail: str, size: tuple[int, int], tokens: int) -> None:
    """Tiles and patches are counted as the guide counts them, by model and detail."""
    assert tokens == rule_for(model).tokens(detail, size)
    assert tokens == picture_tokens(model, detail, data_url(png(*size)))


def test_a_picture_elsewhere_is_taken_to_be_of_a_usual_size() -> None:
    """Where the size is not known, 1024 x 1024 is."""
    assert picture_tokens("gpt-4o", "", "https://example.com/a.png") == 765
    assert picture_tokens("gpt-5-mini", "high", "") == 1659


@given(
    st.sampled_from(MODELS),
    st.sampled_from(["", "auto", "low", "high", "original", "?"]),
    st.integers(1, 65_535),
    st.integers(1, 65_535),
)
def test_any_size_costs_something_and_no_more_than_its_bound(model: str, detail: str, width: int, height: int) -> None:
    """Each picture is billed at least a token, the same lying or standing, and what is bounded keeps to its bound."""
    tokens = rule_for(model).tokens(detail, (width, height))
    assert tokens >= 1
    assert tokens == rule_for(model).tokens(detail, (height, width))
    if model == "gpt-5.2":
        assert tokens <= 1536
    if model == "gpt-4o":
        assert tokens <= 85 + 8 * 170  # 768 x 2048 is the largest that is left


def picture(**fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(png(512, 512)), **fields}}


def test_charged_alike_and_billed_apart() -> None:
    """The limiter takes 765 for a picture whatever it is, as recorded; the model's own rule says what is billed."""
    content = content_of([{"role": "user", "content": [picture(), picture(detail="low")]}])
    assert (content.images, content.image_tokens) == (2, 765 + 85)
    assert content.billed_image_tokens("gpt-4o") == 255 + 85
    assert content.billed_image_tokens("gpt-4o-mini") == 2833 + 5667 + 2833


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, ("low", "u")),
        ({"type": "image_url", "image_url": "u"}, ("", "u")),
        ({"type": "input_image", "image_url": "u", "detail": "high"}, ("high", "u")),
        ({"type": "input_image", "file_id": "f"}, ("", "")),
        ({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "u"}}, ("", "u")),
        ({"type": "image_url", "image_url": {"url": 5, "detail": []}}, ("", "")),
    ],
)
def test_where_a_picture_stands(part: dict[str, Any], seen: tuple[str, str]) -> None:
    """Chat has address and detail inside, Responses beside; screenshots are pictures; odd ones have neither."""
    assert content_of([{"content": [part]}]).pictures == [seen]


def test_of_many_pictures_some_are_looked_at() -> None:
    """Beyond a bound pictures are taken to be as those before."""
    content = Content(pictures=[("low", "")] * MEASURED + [("high", "")] * MEASURED)
    assert content.billed_image_tokens("gpt-4o") == 2 * MEASURED * 85


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def test_schemas_and_functions_are_billed() -> None:
    """The answer's schema is billed, in chat and Responses; functions count as the tools that they became."""
    plain = {"messages": [{"role": "user", "content": "x"}]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "title": "x" * 400}}}
    tokens = chat_tokens(plain, "m", ByteEstimate())
    assert chat_tokens(plain | {"response_format": form}, "m", ByteEstimate()) > tokens + 100
    assert chat_tokens(plain | {"text": {"format": form}}, "m", ByteEstimate()) > tokens + 100
    assert chat_tokens(plain | {"response_format": {"type": "json_object"}}, "m", ByteEstimate()) == tokens
    old = chat_tokens(plain | {"functions": [TOOL["function"]]}, "m", ByteEstimate())
    assert old == chat_tokens(plain | {"tools": [TOOL]}, "m", ByteEstimate()) > tokens


@given(st.text(max_size=300), st.integers(0, 10_000))
def test_the_quick_estimate_is_near_the_slow_one(text: str, declared: int) -> None:
    """Without a tokenizer a conversation's size is known to a few tokens, and grows with what is declared."""
    body = {"messages": [{"role": "user", "content": text}]}
    quick = estimated_tokens(content_of(body["messages"]), "m")
    assert abs(quick - chat_tokens(body, "m", ByteEstimate())) <= 5
    assert estimated_tokens(content_of(body["messages"]), "m", declared) == quick + declared // 6
