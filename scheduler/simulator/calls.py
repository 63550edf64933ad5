"""A request as the provider reads it: which endpoint, which model, how large, and how its answer is wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

CHAT, RESPONSES, COMPLETIONS = "/v1/chat/completions", "/v1/responses", "/v1/completions"
EMBEDDINGS, IMAGES, MODERATIONS = "/v1/embeddings", "/v1/images/generations", "/v1/moderations"
MODELS = "/v1/models"

_MAX_TOKENS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_LONGEST_NAME = 256
_PICTURES = ("image_url", "input_image")
_MOST_INPUTS = 2048
_CHARACTERS_OF_A_TOKEN = 4  # where the input comes as numbers of tokens


class BadCall(Exception):
    """A request that the provider answers with an error of the caller.

    Attributes:
        status: HTTP status.
        param: The field at fault, or None.
        code: The provider's code, or None.
        model: The model that the request names, where that could be read.
    """

    model: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


@dataclass(frozen=True)
class Call:
    """A request that could be read.

    Attributes:
        path: Its endpoint.
        model: The model that it names.
        body: The whole body.
        characters: Characters of its input, roles not counted.
        role_characters: Characters of the roles of its messages.
        pictures: Pictures in its input.
        max_tokens: The most tokens of output that it allows for each choice, or None.
        choices: Choices that it asks for; prompts times ``n`` for completions.
        images: Images that it asks for.
        inputs: Its inputs as texts, for embeddings and moderations.
        stream: Whether the answer comes as server-sent events.
    """

    path: str
    model: str
    body: dict[str, Any]
    characters: int = 0
    role_characters: int = 0
    pictures: int = 0
    max_tokens: int | None = None
    choices: int = 1
    images: int = 0
    inputs: tuple[str, ...] = ()
    stream: bool = False


def read(path: str, raw: bytes) -> Call:
    """Read the body of a request to *path*, which is one of ``READERS``.

    Raises:
        BadCall: If the provider would reject it.
    """
    try:
        body = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise BadCall("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise BadCall("The body of your request must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_NAME:
        raise BadCall("you must provide a model parameter", param="model")
    try:
        return READERS[path](body, model)
    except BadCall as error:
        error.model = model
        raise


def canonical(call: Call) -> bytes:
    """Return the body in a form that does not depend on the order of its keys.

    Raises:
        BadCall: If it is nested too deeply to be written again.
    """
    try:
        return msgspec.json.encode(call.body, order="sorted")
    except RecursionError as error:
        raise BadCall("We could not parse the JSON body of your request.") from error


def _chat(body: dict[str, Any], model: str) -> Call:
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadCall("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise BadCall("Invalid 'messages': expected an array of at least one object.", param="messages")
    sizes = [_content(message.get("content"), "messages") for message in messages]
    return Call(
        path=CHAT,
        model=model,
        body=body,
        characters=sum(characters for characters, _ in sizes),
        role_characters=sum(
            len(message.get("role", "")) for message in messages if isinstance(message.get("role"), str)
        ),
        pictures=sum(pictures for _, pictures in sizes),
        max_tokens=_max_tokens(body),
        choices=_whole(body, "n", 1, 128) or 1,
        stream=body.get("stream") is True,
    )


def _responses(body: dict[str, Any], model: str) -> Call:
    given = body.get("input")
    if not isinstance(given, str | list) or given == []:
        raise BadCall("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    items = given if isinstance(given, list) else [{"content": given}]
    sizes = [_content(item.get("content"), "input") for item in items if isinstance(item, dict)]
    instructions = body.get("instructions")
    return Call(
        path=RESPONSES,
        model=model,
        body=body,
        characters=sum(size[0] for size in sizes) + (len(instructions) if isinstance(instructions, str) else 0),
        pictures=sum(size[1] for size in sizes),
        max_tokens=_max_tokens(body),
        stream=body.get("stream") is True,
    )


def _completions(body: dict[str, Any], model: str) -> Call:
    prompts = _texts(body, "prompt")
    choices = len(prompts) * (_whole(body, "n", 1, 128) or 1)
    if choices > _MOST_INPUTS:
        raise BadCall(f"Invalid 'n': at most {_MOST_INPUTS} choices in all.", param="n")
    return Call(
        path=COMPLETIONS,
        model=model,
        body=body,
        characters=sum(map(len, prompts)),
        max_tokens=_max_tokens(body),
        choices=choices,
        stream=body.get("stream") is True,
    )


def _embeddings(body: dict[str, Any], model: str) -> Call:
    inputs = _texts(body, "input")
    _whole(body, "dimensions", 1, 4096)
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise BadCall("Invalid 'encoding_format': expected 'float' or 'base64'.", param="encoding_format")
    return Call(path=EMBEDDINGS, model=model, body=body, characters=sum(map(len, inputs)), inputs=inputs)


def _moderations(body: dict[str, Any], model: str) -> Call:
    given = body.get("input")
    if isinstance(given, list) and any(isinstance(part, dict) for part in given):
        characters, pictures = _content(given, "input")
        return Call(path=MODERATIONS, model=model, body=body, characters=characters, pictures=pictures, inputs=("",))
    inputs = _texts(body, "input")
    return Call(path=MODERATIONS, model=model, body=body, characters=sum(map(len, inputs)), inputs=inputs)


def _images(body: dict[str, Any], model: str) -> Call:
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise BadCall("Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter")
    images = _whole(body, "n", 1, 10) or 1
    return Call(path=IMAGES, model=model, body=body, characters=len(prompt), images=images)


READERS: dict[str, Callable[[dict[str, Any], str], Call]] = {
    CHAT: _chat,
    RESPONSES: _responses,
    COMPLETIONS: _completions,
    EMBEDDINGS: _embeddings,
    IMAGES: _images,
    MODERATIONS: _moderations,
}
"""The endpoints that take a model, and who reads their bodies."""


def _content(content: object, param: str) -> tuple[int, int]:
    """Return characters and pictures of a message's content: a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return len(content), 0
    if content is None:
        return 0, 0
    if not isinstance(content, list):
        raise BadCall(f"Invalid '{param}': content must be a string or an array of parts.", param=param)
    characters = pictures = 0
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        characters += len(text) if isinstance(text, str) else 0
        pictures += isinstance(part, dict) and part.get("type") in _PICTURES
    return characters, pictures


def _texts(body: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a text, a list of texts, or either in numbers of tokens, as texts."""
    given = body.get(name)
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, list) or not given:
        raise BadCall(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if all(isinstance(item, int) for item in given):
        return ("." * (_CHARACTERS_OF_A_TOKEN * len(given)),)
    if len(given) > _MOST_INPUTS or not all(isinstance(item, str | list) for item in given):
        raise BadCall(f"Invalid '{name}': expected at most {_MOST_INPUTS} strings or arrays of tokens.", param=name)
    return tuple(item if isinstance(item, str) else "." * (_CHARACTERS_OF_A_TOKEN * len(item)) for item in given)


def _max_tokens(body: dict[str, Any]) -> int | None:
    given = [_whole(body, name, 1, 10**9) for name in _MAX_TOKENS]
    return max((tokens for tokens in given if tokens is not None), default=None)


def _whole(body: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadCall(
            f"Invalid '{name}': expected an integer between {least} and {most}.", param=name, code="invalid_type"
        )
    return value
