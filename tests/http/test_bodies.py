"""What of a body is looked into, and what never is."""

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given, strategies as st

from scheduler.http.bodies import HEAD, LOOKED_INTO, form_fields, json_object, plain, understood

FORM = "multipart/form-data; boundary=limit"


def part(name: str, content: bytes, file: str = "") -> bytes:
    head = f'--limit\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{file}"\r\nContent-Type: audio/mpeg' if file else ""
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


def test_objects() -> None:
    """A JSON object is one with white space around it; anything else, and what is too large, is none."""
    assert json_object(b' \n\t{"model": "m"}\r\n') == {"model": "m"}
    for content in (b"", b"[1]", b"5", b'"x"', b"{", b"{]", b"\xff{}", b"{\xff}", b" [1]", b'{"a": ' + b"[" * 100_000):
        assert json_object(content) is None
    assert json_object(b'{"a": "' + b"x" * LOOKED_INTO + b'"}') is None


@given(st.binary(max_size=300))
def test_any_body_is_looked_into(content: bytes) -> None:
    """Nothing raises, whatever somebody sends."""
    json_object(b"{" + content)
    form_fields(FORM, [b"--limit\r\n" + content])
    form_fields("multipart/form-data; " + content.decode("latin-1"), [content])
    form_fields("application/x-www-form-urlencoded", [content])
    for encoding in ("", "gzip", "deflate", "br", content.decode("latin-1")):
        plain(content, encoding)


def test_text_fields_of_a_form() -> None:
    """Text fields before a file are found, the file's content is none of them, and an end is not needed."""
    body = part("model", b"whisper-1") + part("language", "å".encode()) + part("file", b"RIFF" * 10, "a.mp3")
    assert form_fields(FORM, [body]) == {"model": "whisper-1", "language": "å"}
    assert form_fields(FORM, [body + b"--limit--\r\n"]) == {"model": "whisper-1", "language": "å"}
    assert form_fields('Multipart/Form-Data; boundary="limit"', [body[:60], body[60:]]) is not None
    assert form_fields("application/x-www-form-urlencoded; charset=utf-8", [b"model=m&n=1&n=2"]) == {
        "model": "m",
        "n": "1",
    }
    assert form_fields("application/x-www-form-urlencoded", [b"&".join([b"a=1"] * 101)]) is None
    assert form_fields("application/octet-stream", [body]) is None
    assert form_fields("multipart/form-data", [b"no boundary"]) == {}


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_forms_of_the_libraries(module: Any) -> None:
    """The forms that httpx and httpx2 write are understood, whatever letters stand in them."""
    fields = {"model": 'whisper "1"\\', "prompt": "naïve\nlines", "temperature": "0"}
    request = module.Request("POST", "http://a", data=fields, files={"file": ("ä.mp3", b"\x00" * 100)})
    found = form_fields(request.headers["content-type"], request.stream)
    assert found == fields


def test_only_the_head_of_a_form_is_taken() -> None:
    """Of an upload no more is taken than the head, be its file one piece of fifty megabytes."""
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        yield part("model", b"m") + part("file", b"", "a")[:-2]
        for _ in range(1000):
            taken += 1
            yield b"x" * 4096

    assert form_fields(FORM, pieces()) == {"model": "m"}
    assert taken <= HEAD // 4096 + 1
    large = bytes(50_000_000)
    tracemalloc.start()
    try:
        assert form_fields(FORM, [part("model", b"m") + part("file", b"", "a")[:-2], large]) == {"model": "m"}
        assert tracemalloc.get_traced_memory()[1] < 20 * HEAD
    finally:
        tracemalloc.stop()


def test_a_text_field_is_kept_in_part() -> None:
    """Of a text field a few thousand characters are kept."""
    fields = form_fields(FORM, [part("prompt", b"x" * 60_000)])
    assert fields is not None
    assert 1000 < len(fields["prompt"]) < 10_000


def test_compressions() -> None:
    """Deflate and gzip are looked through, as far as that is bounded; other compressions are not."""
    content = json.dumps({"error": "no"}).encode()
    assert plain(content, "") == plain(content, " Identity ") == content
    assert plain(gzip.compress(content), "GZIP") == plain(zlib.compress(content), "deflate") == content
    assert plain(gzip.compress(content), "br") is None
    assert plain(b"no gzip", "gzip") is None
    assert plain(gzip.compress(content)[:-9], "gzip") is not None  # what there is of it
    assert not understood("br")


def test_a_bomb_goes_off_in_part() -> None:
    """Of what was compressed no more is let out than is looked into."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(3):
            file.write(bytes(LOOKED_INTO))
    assert len(plain(packed.getvalue(), "gzip") or b"") == LOOKED_INTO
