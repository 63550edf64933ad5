"""Pictures of any size, as far as their heads go."""

import struct
from base64 import b64encode


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 6, 0, 0, 0) + b"rest" * 9


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + b"rest" * 9


def jpeg(width: int, height: int, *before: int, frame: int = 0xC0) -> bytes:
    """Return a JPEG whose frame comes after segments of the lengths *before*."""
    segments = b"".join(struct.pack(">BBH", 0xFF, 0xE1, length) + b"\xff" * (length - 2) for length in before)
    head = struct.pack(">BBHBHH", 0xFF, frame, 17, 8, height, width)
    return b"\xff\xd8" + segments + head + b"rest" * 9


def webp(width: int, height: int, kind: str = "VP8X") -> bytes:
    inside = {
        "VP8 ": lambda: b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height),
        "VP8L": lambda: b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14 | 1 << 28) + b"restr",
        "VP8X": lambda: b"\x10\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }[kind]()
    return b"RIFF" + struct.pack("<I", 99) + b"WEBP" + kind.encode() + struct.pack("<I", len(inside)) + inside


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"
