"""Input tokens of a conversation, with what its messages and tools add to the text.

The constants are those of the OpenAI cookbook, "How to count tokens with tiktoken", for gpt-3.5-turbo, gpt-4 and the
gpt-4o family. None are published for o-series and GPT-5 models; those of gpt-4o serve. The result is for expected
usage and cost, not for the charge.

At most ``EXACT`` characters of a body are counted; what is beyond them counts at the same tokens a character, so that a
body of any size costs a few milliseconds.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from scheduler.tokens.content import Content
from scheduler.tokens.counter import TokenCounter
from scheduler.tokens.declared import PER_TOKEN, json_of, schemas, tools
from scheduler.tokens.text import ByteEstimate

ESTIMATE = ByteEstimate()
EXACT = 40_000
"""Characters of a body that are counted; each text stands for ``OVERHEAD`` more, for what a count itself costs."""
OVERHEAD = 100

PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3  # every answer begins with the assistant's role
FUNCTION = 7
FUNCTION_OLD = 10  # gpt-3.5-turbo and gpt-4
PROPERTIES = 3
PROPERTY = 3
ENUM = -3
ENUM_ITEM = 3
FUNCTIONS_END = 12


def content_tokens(
    content: Content, model: str, counter: TokenCounter, body: Mapping[str, Any], *, chat: bool = True
) -> int:
    """Return the input tokens of *content*, taken from *body*.

    Args:
        content: The body's pieces.
        model: Model that they are for.
        counter: Counts text.
        body: The body itself, for its tools.
        chat: Whether messages and tools add to the text; not so for embeddings and the like.
    """
    total = content.ids + content.billed_image_tokens(model)
    if not chat:
        return total + _counted(content.texts, model, counter)
    lines, added = _tools([*tools(body)], model)
    texts = chain(content.texts, content.names, content.calls, lines, map(json_of, schemas(body)))
    total += _counted(texts, model, counter) + added
    # Every role in use is one token.
    return total + PER_MESSAGE * content.items + len(content.roles) + PER_NAME * len(content.names) + PRIMING


def estimated_tokens(content: Content, model: str, declared: int = 0) -> int:
    """Return about the input tokens of *content*, by its bytes: in microseconds, and some 5 % low.

    Args:
        content: The body's pieces.
        model: Model that they are for.
        declared: Bytes of the JSON of tools and of the schema of the answer.
    """
    total = content.ids + content.billed_image_tokens(model) + declared // PER_TOKEN + PER_MESSAGE * content.items
    for texts in (content.texts, content.calls):
        for text in texts:
            total += ESTIMATE.count(text, model)
    return total


def _counted(texts: Iterable[str], model: str, counter: TokenCounter) -> int:
    """Return the tokens of *texts*; beyond ``EXACT`` characters in proportion to those before."""
    tokens = seen = beyond = counts = 0
    for text in texts:
        if seen + counts * OVERHEAD >= EXACT:
            beyond += len(text)
        elif text:
            tokens += counter.count(text, model)
            seen += len(text)
            counts += 1
    return tokens + beyond * tokens // max(1, seen)


def _tools(tools: list[Any], model: str) -> tuple[list[str], int]:
    """Return the texts that tool definitions put before the model, and the tokens that they add to them."""
    lines: list[str] = []
    functions = [*_functions(tools)]
    if not functions:
        return lines, 0
    base = model.removeprefix("ft:")
    old = base == "gpt-4" or base.startswith(("gpt-4-", "gpt-3.5"))
    added = FUNCTIONS_END + len(functions) * (FUNCTION_OLD if old else FUNCTION)
    for function in functions:
        lines.append(f"{_words(function, 'name')}:{_words(function, 'description').removesuffix('.')}")
        parameters = function.get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
        if isinstance(properties, Mapping) and properties:
            added += PROPERTIES + sum(_property(name, schema, lines) for name, schema in properties.items())
    return lines, added


def _functions(tools: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the function definitions among *tools*: chat wraps them in ``function``, Responses does not."""
    for tool in tools:
        if isinstance(tool, Mapping):
            function = tool.get("function", tool)
            if isinstance(function, Mapping) and isinstance(function.get("name"), str):
                yield function


def _property(name: str, schema: Any, lines: list[str]) -> int:
    """Add a property's texts to *lines*; return the tokens that it adds to them."""
    if not isinstance(schema, Mapping):
        schema = {}
    lines.append(f"{name}:{_words(schema, 'type')}:{_words(schema, 'description').removesuffix('.')}")
    choices = schema.get("enum")
    if not isinstance(choices, list):
        return PROPERTY
    lines.extend(choice for choice in choices if isinstance(choice, str))
    return PROPERTY + ENUM + ENUM_ITEM * len(choices)


def _words(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""
