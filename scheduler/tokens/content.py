"""What a request's body says, taken apart: texts, roles, tool calls, images.

Bodies are somebody else's JSON in any shape: a string, a list of strings, of token ids, of messages, of parts with
parts inside. One loop with a list of what is still to do takes all of them apart, so that no depth of nesting can
exhaust the stack, and each piece is looked at once. What has no known size here (audio, files) adds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.tokens.images import IMAGE_TOKENS, LOW_DETAIL_TOKENS, picture_tokens

MEASURED = 100
"""Pictures of a body that are looked at."""

_IMAGES = (
    "image_url",
    "input_image",
    "image",
    "computer_screenshot",
)  # tuples: a type may be anything, hashable or not
_OPAQUE = ("input_audio", "audio", "file", "input_file", "item_reference")
_INSIDE = ("content", "text", "refusal", "output", "summary")


@dataclass(slots=True)
class Content:
    """A body's pieces.

    Attributes:
        items: Messages of a conversation, or inputs of a list.
        roles: Role of each message that has one.
        names: The ``name`` of each message that has one.
        texts: What is said, in no particular order.
        calls: Names and arguments of tool calls, which are billed and were never seen in a charge.
        ids: Token ids given in place of text.
        pictures: Detail (or "") and address, data URL or "" of each picture among the parts.
    """

    items: int = 0
    roles: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    ids: int = 0
    pictures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def characters(self) -> int:
        """Unicode code points of texts and roles; a token id counts as four."""
        return sum(map(len, self.texts)) + sum(map(len, self.roles)) + 4 * self.ids

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)

    @property
    def image_tokens(self) -> int:
        """Tokens that the limiter takes for the pictures."""
        return sum(LOW_DETAIL_TOKENS if detail == "low" else IMAGE_TOKENS for detail, _ in self.pictures)

    def billed_image_tokens(self, model: str) -> int:
        """Tokens that *model* is billed for the pictures; beyond ``MEASURED`` in proportion to those before."""
        billed = sum(picture_tokens(model, detail, url) for detail, url in self.pictures[:MEASURED])
        return billed if len(self.pictures) <= MEASURED else billed * len(self.pictures) // MEASURED

    def add_picture(self, part: Any, detail: Any = None) -> None:
        """Add the picture of a part of any shape; chat puts ``detail`` inside ``image_url``, responses beside it."""
        place = part.get("image_url") if isinstance(part, Mapping) else part
        if isinstance(place, Mapping):
            detail, place = place.get("detail"), place.get("url")
        elif isinstance(part, Mapping):
            detail = part.get("detail", detail)
        self.pictures.append((detail if isinstance(detail, str) else "", place if isinstance(place, str) else ""))


def content_of(*values: Any) -> Content:
    """Take apart the *values* of a body's fields: messages, input, prompt or instructions, of any shape."""
    content = Content()
    for value in values:
        many = isinstance(value, list) and value and type(value[0]) is not int
        content.items += len(value) if many else bool(value)
    todo = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            content.texts.append(value)
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, Mapping):
            _take(value, content, todo)
        elif type(value) is int:
            content.ids += 1
    return content


def _take(item: Mapping[str, Any], content: Content, todo: list[Any]) -> None:
    """Take apart one message or part, and leave what lies inside it in *todo*."""
    if isinstance(item.get("role"), str):
        content.roles.append(item["role"])
        if isinstance(item.get("name"), str):
            content.names.append(item["name"])
    kind = item.get("type")
    if kind in _IMAGES:
        content.add_picture(item)
    elif kind not in _OPAQUE:
        todo.extend(inside for name in _INSIDE if isinstance(inside := item.get(name), (str, list, Mapping)))
        _take_calls(item, content)


def _take_calls(item: Mapping[str, Any], content: Content) -> None:
    """Take the tool calls of a message, or the one that an item of Responses is."""
    calls: list[Any] = [item] if item.get("type") == "function_call" else []
    if isinstance(item.get("tool_calls"), list):
        calls.extend(call.get("function") for call in item["tool_calls"] if isinstance(call, Mapping))
    for call in calls:
        if isinstance(call, Mapping):
            content.calls.extend(call[name] for name in ("name", "arguments") if isinstance(call.get(name), str))
