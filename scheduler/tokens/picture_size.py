"""Width and height of a picture, read from the data URL that holds it.

A picture of megabytes says its size in a few bytes near its beginning. Base64 has three bytes in four characters
wherever one looks, so only those bytes are decoded: a PNG, GIF or WebP costs one look, a JPEG one for each segment
before its frame, which may be tens of kilobytes apart. Libraries for it want the whole picture decoded, and try formats
(SVG, TIFF) that are no input here and are no pleasure to read from strangers.
"""

from binascii import a2b_base64
from collections.abc import Callable

Size = tuple[int, int]
"""Width and height in pixels."""

LARGEST = 65_535
"""Most pixels of a side; what claims more is not believed."""

_COMMA = 200  # characters within which the data of a data URL begin
_SEGMENTS = 64  # of a JPEG, before its frame
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a segment
_ENDS = frozenset({0xD9, 0xDA})  # after which no frame comes

_Look = Callable[[int, int], bytes]
"""Returns some bytes at an offset; fewer, or none, where there are no more."""


def size_of(url: str) -> Size | None:
    """Return the size of the picture in a base64 data URL, or None where it is elsewhere, damaged or of another format.

    PNG, JPEG, GIF and WebP are read: the formats that OpenAI takes. Never raises.
    """
    comma = url.find(",", 0, _COMMA)
    if comma < 0 or url[:5].lower() != "data:" or url[comma - 7 : comma].lower() != ";base64":
        return None

    def look(at: int, count: int) -> bytes:
        begin, end = at // 3 * 4, -(-(at + count) // 3) * 4
        try:
            return a2b_base64(url[comma + 1 + begin : comma + 1 + end])[at % 3 : at % 3 + count]
        except ValueError:
            return b""

    size = _read(look)
    return size if size is not None and min(size) > 0 and max(size) <= LARGEST else None


def _read(look: _Look) -> Size | None:
    head = look(0, 30)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(look)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:  # noqa: PLR2004 -- the end of its height
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:6] in {b"GIF87a", b"GIF89a"}:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) == 30:  # noqa: PLR2004 -- all that was asked for
        return _webp(head)
    return None


def _webp(head: bytes) -> Size | None:
    """Read one of its three kinds: lossy, lossless, or extended by a canvas."""
    match head[12:16]:
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
        case b"VP8L" if head[20] == 0x2F:  # noqa: PLR2004 -- its signature
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg(look: _Look) -> Size | None:
    """Go from segment to segment until the one of a frame."""
    at = 2
    for _ in range(_SEGMENTS):
        segment = look(at, 9)
        if len(segment) < 4 or segment[0] != 0xFF:  # noqa: PLR2004 -- a marker and a length
            return None
        marker = segment[1]
        if marker in _FRAMES:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        if marker in _ENDS:
            return None
        if marker == 0xFF:  # noqa: PLR2004 -- filling before a marker
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(segment[2:4], "big")
    return None
