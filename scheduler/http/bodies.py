"""Bodies as they lie on the wire: what of a request is looked into, and what of an answer.

Nothing is read that is not needed: an upload's file, a download, audio, a body beyond ``LOOKED_INTO`` pass through. Of
a form only its head is looked at, where its text fields lie; of an answer what its own compression allows.
"""

import contextlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

import msgspec

LOOKED_INTO = 1 << 24
"""Bytes of the largest body that is looked into; of a larger one only its size is known."""
HEAD = 1 << 16
"""Bytes of a form in which its text fields are looked for."""
_FIELD = 1 << 12  # characters of a form's field that are kept
_JSON = msgspec.json.Decoder()


def json_object(content: bytes) -> Mapping[str, Any] | None:
    """Return the JSON object that *content* is, or None where it is none, or too large to be looked into."""
    if len(content) > LOOKED_INTO or content[:1] not in {b"{", b" ", b"\n", b"\r", b"\t"}:
        return None
    try:
        value = _JSON.decode(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def form_fields(content_type: str, pieces: Iterable[bytes]) -> Mapping[str, Any] | None:
    """Return the text fields in the head of a form, or None where it is none.

    Args:
        content_type: The request's own, with the boundary.
        pieces: The body; not more of it is taken than the head.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        with contextlib.suppress(ValueError):
            text = _head(pieces).decode("utf-8", "replace")
            return {name: values[0][:_FIELD] for name, values in parse_qs(text, max_num_fields=100).items()}
        return None
    if kind != "multipart/form-data":
        return None
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + _head(pieces)
    return dict(_parts(head))


def _head(pieces: Iterable[bytes]) -> bytes:
    head = bytearray()
    for piece in pieces:
        head += piece[: HEAD - len(head)]  # a piece may be a whole file
        if len(head) == HEAD:
            break
    return bytes(head)


def _parts(message: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and text of the parts of a multipart message that are no files; its end may be missing."""
    parsed = BytesParser().parsebytes(message)
    if not parsed.is_multipart():
        return
    for part in parsed.walk():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str) or part.get_filename() is not None or part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            yield name, content[:_FIELD].decode("utf-8", "replace").rstrip("\r\n")


def understood(encoding: str) -> bool:
    """Whether a compression is one that is looked through."""
    return encoding.strip().lower() in {"", "identity", "gzip", "deflate"}


def plain(content: bytes, encoding: str) -> bytes | None:
    """Return a body without its compression, at most ``LOOKED_INTO`` bytes of it; None where it is not understood."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return content
    if not understood(encoding):
        return None
    try:
        return zlib.decompressobj(wbits=47).decompress(content, LOOKED_INTO)
    except zlib.error:
        return None
