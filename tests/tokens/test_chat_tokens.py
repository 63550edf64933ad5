"""Input tokens of conversations."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from conversations import chat_tokens
from hypothesis import given, strategies as st
from token_data import token_data

from scheduler.tokens.chat import EXACT
from scheduler.tokens.content import content_of
from scheduler.tokens.text import ByteEstimate, TiktokenCounter

ESTIMATE = ByteEstimate()
# The two requests below and their counts are the cookbook's, which checked them against prompt_tokens of the API
JARGON = [
    (
        "system",
        "",
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    (
        "system",
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]
MESSAGES = [{"role": role, "content": text} | ({"name": name} if name else {}) for role, name, text in JARGON]
WEATHER = [
    {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
FUNCTION = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}


@pytest.fixture(scope="module")
def counter() -> Iterator[TiktokenCounter]:
    """A counter with both encodings loaded."""
    place = token_data("tiktoken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(place))
        counter = TiktokenCounter()
        assert counter.load("gpt-4o")
        assert counter.load("gpt-4")
        yield counter


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
)
def test_messages_with_names(counter: TiktokenCounter, model: str, tokens: int) -> None:
    """Messages, names and the start of the answer add what the API bills."""
    assert tokens == chat_tokens({"messages": MESSAGES}, model, counter)


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("ft:gpt-4o:a::b", 101)]
)
def test_tools(counter: TiktokenCounter, model: str, tokens: int) -> None:
    """Tool definitions add what the API bills, wrapped as chat has them or flat as Responses does."""
    for tool in ({"type": "function", "function": FUNCTION}, {"type": "function", **FUNCTION}):
        assert tokens == chat_tokens({"messages": WEATHER, "tools": [tool]}, model, counter)


def test_a_recorded_prompt(counter: TiktokenCounter) -> None:
    """The recorded "Say this is a test" was billed 12 tokens."""
    body = {"messages": [{"role": "user", "content": "Say this is a test"}]}
    assert chat_tokens(body, "gpt-4o-mini", counter) == 12


def test_parts_count_as_their_text() -> None:
    """Content in parts is its text; a tool call counts by name and arguments, an image as one."""
    whole = chat_tokens({"messages": [{"role": "user", "content": "x" * 400}]}, "m", ESTIMATE)
    parts = [{"type": "text", "text": "x" * 200}] * 2
    assert chat_tokens({"messages": [{"role": "user", "content": parts}]}, "m", ESTIMATE) == whole
    image = {"type": "image_url", "image_url": {"url": "x" * 999}}
    assert chat_tokens({"messages": [{"role": "user", "content": [*parts, image]}]}, "m", ESTIMATE) == whole + 765
    call = {"id": "1", "type": "function", "function": {"name": "x" * 200, "arguments": "y" * 200}}
    assert chat_tokens({"messages": [{"role": "user", "tool_calls": [call]}]}, "m", ESTIMATE) == whole


def test_responses_items() -> None:
    """Instructions, messages, calls and their outputs of a Responses request are all counted."""
    body = {
        "instructions": "x" * 40,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x" * 40}]},
            {"type": "function_call", "name": "x" * 40, "arguments": "x" * 40},
            {"type": "function_call_output", "output": "x" * 40},
            {"type": "item_reference", "id": "x" * 40},
        ],
    }
    assert chat_tokens(body, "m", ESTIMATE) == 50 + 3 * 5 + 1 + 3


def test_beyond_what_is_counted_the_rest_is_in_proportion() -> None:
    """A body of any length is counted up to a bound; the rest has as many tokens a character."""
    asked: list[int] = []

    class Spy:
        def count(self, text: str, model: str) -> int:
            asked.append(len(text))
            return len(text) // 2

    messages = [{"role": "user", "content": "x" * 1_000}] * 5_000
    tokens = chat_tokens({"messages": messages}, "m", Spy())
    assert sum(asked) <= EXACT
    assert tokens == 5_000 * (500 + 3 + 1) + 3


def test_many_short_texts_are_bounded_too(counter: TiktokenCounter) -> None:
    """Each count costs something by itself: a hundred thousand words in parts are no trap."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}] * 50_000
    begun = time.process_time()
    tokens = chat_tokens({"messages": [{"role": "user", "content": parts}]}, "gpt-4o", counter)
    assert time.process_time() - begun < 8
    assert tokens == 50_000 + 3 + 1 + 3


@pytest.mark.parametrize(
    "tools",
    [
        None,
        5,
        {},
        [None, 5, [], {}],
        [{"function": None}],
        [{"function": {"name": 5}}],
        [{"type": "web_search"}],
    ],
)
def test_tools_of_odd_shapes_add_nothing(tools: Any) -> None:
    """What is no function definition adds nothing, and is no error."""
    plain = chat_tokens({"messages": WEATHER}, "m", ESTIMATE)
    assert plain == chat_tokens({"messages": WEATHER, "tools": tools}, "m", ESTIMATE)


@pytest.mark.parametrize(
    "parameters", [None, 5, {"properties": None}, {"properties": {}}, {"properties": []}, {"type": "object"}]
)
def test_functions_without_properties(parameters: Any) -> None:
    """A function whose parameters are missing or odd counts by its name and description."""
    tool = {"function": {"name": "abc", "description": "defg.", "parameters": parameters}}
    plain = chat_tokens({"messages": WEATHER}, "m", ESTIMATE)
    assert chat_tokens({"messages": WEATHER, "tools": [tool]}, "m", ESTIMATE) == plain + 7 + 12 + 2


def test_a_property_of_an_odd_shape_counts_by_its_name() -> None:
    """A property whose schema is no object has its name and nothing else."""
    tool = {"function": {"name": "ab", "parameters": {"properties": {"cd": True}}}}
    plain = chat_tokens({"messages": WEATHER}, "m", ESTIMATE)
    assert chat_tokens({"messages": WEATHER, "tools": [tool]}, "m", ESTIMATE) == plain + 7 + 12 + 3 + 3 + 1 + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "function", "parameters", "properties", "enum", "type", "role"]), inside
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "instructions", "tools"]), JSON))
def test_any_shape_is_counted(body: dict[str, Any]) -> None:
    """No shape of messages, input and tools raises, and every request has its priming."""
    assert chat_tokens(body, "gpt-4", ESTIMATE) >= 3


def test_pieces_of_a_body() -> None:
    """Texts, roles and names lie apart, since charges count some and bills all of them."""
    content = content_of(MESSAGES, None, "x")
    assert (content.items, len(content.roles), len(content.names), len(content.texts)) == (7, 6, 4, 7)
    assert content.characters == sum(len(text) + len(role) for role, _, text in JARGON) + 1
