"""How large a request is, for APIs whose bodies are other than OpenAI's: Anthropic, Gemini, Cohere, Bedrock.

Their bodies have the same bones: objects in lists in objects, with texts at the leaves, and images, documents and
recordings as base64 or by reference. One loop with a list of what is still to do takes them apart, so that no depth of
nesting can exhaust the stack, and each piece is looked at once. Texts count by their bytes; what is no text counts as
one of its kind, by a constant of the provider's, but for pictures that are there and say how large they are.

It is an estimate. What a limiter takes is known only from the answer, and there the charge is corrected.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scheduler.tokens import picture_size

_OPAQUE = frozenset(
    {
        *("type", "role", "id", "tool_use_id", "toolUseId", "cache_control", "cachePoint", "citations"),
        *("signature", "thoughtSignature", "encrypted_content", "media_type", "mimeType", "mime_type", "format"),
    }
)
"""Keys of what costs nothing, or next to nothing."""
_BLOBS = frozenset({"data", "bytes"})
"""Keys of texts that no one reads."""
_ARGUMENTS = frozenset({"input", "args", "input_schema", "inputSchema", "parameters", "response"})
"""Keys of JSON that is put before the model as it is: its keys count as its texts do."""
_PLACES = ("source", "image_url", "imageUrl", "inlineData", "inline_data", "fileData", "file_data")


class Media(NamedTuple):
    """What a provider takes for what is no text, in tokens.

    Attributes:
        image: An image of unknown size.
        other: A document or recording of unknown size.
        sized: Tokens of an image by its width and height, where the provider says so.
    """

    image: int
    other: int
    sized: Callable[[int, int], int] | None = None


@dataclass(slots=True)
class Size:
    """How large a request's content is.

    Attributes:
        text: Bytes of its texts, in UTF-8.
        images: Images in it.
        media: Tokens of images, documents and recordings.
    """

    text: int = 0
    images: int = 0
    media: int = 0

    def tokens(self, bytes_of_ten: int) -> int:
        """Return the tokens that it comes to, rounded up, where ten tokens are so many bytes of text."""
        return -(-10 * self.text // bytes_of_ten) + self.media


def size_of(media: Media, *values: Any, verbatim: Any = None) -> Size:
    """Measure *values* of any shape; of *verbatim*, the definitions of tools, the keys count too."""
    size = Size()
    todo: list[tuple[Any, bool]] = [(value, False) for value in values]
    todo.append((verbatim, True))
    while todo:
        value, raw = todo.pop()
        if isinstance(value, str):
            size.text += _bytes(value)
        elif isinstance(value, list | tuple):
            todo.extend((each, raw) for each in value)
        elif isinstance(value, Mapping):
            if raw:
                size.text += sum(_bytes(name) for name in value if isinstance(name, str))
                todo.extend((inside, True) for inside in value.values())
            elif _is_medium(value):
                todo.extend((inside, False) for inside in _take_medium(value, media, size))
            else:
                todo.extend((inside, name in _ARGUMENTS) for name, inside in value.items() if _counts(name, inside))
    return size


def _counts(name: Any, inside: Any) -> bool:
    return name not in _OPAQUE and not (name in _BLOBS and isinstance(inside, str))


def _is_medium(value: Mapping[str, Any]) -> bool:
    return any(isinstance(value.get(place), Mapping) for place in _PLACES) or value.get("type") == "image_url"


def _take_medium(value: Mapping[str, Any], media: Media, size: Size) -> list[Any]:
    """Take an image, a document or a recording, and return its texts: a title, or that it is plain text after all."""
    source: Mapping[str, Any] = next((value[place] for place in _PLACES if isinstance(value.get(place), Mapping)), {})
    texts = [value.get(name) for name in ("title", "context", "text")]
    kind = source.get("type")
    if kind in ("text", "content"):
        texts.append(source.get("data" if kind == "text" else "content"))
    elif isinstance(source.get("text"), str):
        texts.append(source["text"])
    elif _is_image(value, source):
        size.images += 1
        size.media += _image_tokens(source, media)
    else:
        size.media += media.other
    return texts


def _is_image(value: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    if value.get("type") in ("image", "image_url"):
        return True
    kinds = (source.get("mimeType"), source.get("mime_type"), source.get("media_type"))
    if any(isinstance(kind, str) and kind.startswith("image/") for kind in kinds):
        return True
    return value.get("format") in ("png", "jpeg", "gif", "webp")  # as Converse has it; a document's are others


def _image_tokens(source: Mapping[str, Any], media: Media) -> int:
    data = source.get("data", source.get("bytes"))
    if media.sized is None or not isinstance(data, str):
        return media.image
    found = picture_size.size_of("data:;base64," + data)
    return media.image if found is None else media.sized(*found)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
