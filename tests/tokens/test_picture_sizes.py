"""Sizes of pictures, read from the heads of their data URLs."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, strategies as st
from pictures import data_url, gif, jpeg, png, webp

from scheduler.tokens.picture_size import LARGEST, size_of

MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "png": png,
    "gif": gif,
    "jpeg": jpeg,
    "progressive": partial(jpeg, frame=0xC2),
    "extended": webp,
    "lossy": partial(webp, kind="VP8 "),
    "lossless": partial(webp, kind="VP8L"),
}


@given(st.sampled_from(sorted(MAKERS)), st.integers(1, 16_383), st.integers(1, 16_383))
def test_every_format_says_its_size(name: str, width: int, height: int) -> None:
    """PNG, GIF, JPEG and the three kinds of WebP are read, whatever the media type says."""
    assert size_of(data_url(MAKERS[name](width, height), "image/anything")) == (width, height)


@given(st.lists(st.integers(2, 65_535), max_size=9))
def test_a_jpeg_is_followed_from_segment_to_segment(before: list[int]) -> None:
    """Metadata before the frame, of any length, are passed over."""
    assert size_of(data_url(jpeg(640, 480, *before))) == (640, 480)


def test_only_a_few_bytes_are_decoded() -> None:
    """A picture of 20 MB costs microseconds."""
    url = data_url(jpeg(640, 480, 60_000, 60_000) + bytes(20_000_000))
    begun = time.perf_counter()
    for _ in range(100):
        size_of(url)
    assert time.perf_counter() - begun < 0.1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://example.com/a.png",
        "data:",
        "data:,",
        "data:image/png,abc",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,\ud800\u6f22",
        "data:image/png;base64" + "x" * 300 + ",iVBOR",
        "xdata:image/png;base64," + data_url(png(5, 5)).partition(",")[2],
        data_url(b"no picture at all, but bytes enough for one"),
        data_url(png(0, 5)),
        data_url(png(5, LARGEST + 1)),
        data_url(png(5, 5)[:20]),
        data_url(gif(0, 0)),
        data_url(jpeg(5, 5)[:8]),
        data_url(jpeg(5, 5, *[2] * 100)),
        data_url(b"\xff\xd8\xff\xd9" + jpeg(5, 5)[2:]),
        data_url(b"\xff\xd8no marker here"),
        data_url(webp(5, 5)[:29]),
        data_url(webp(5, 5).replace(b"VP8X", b"VP9X")),
        data_url(webp(5, 5, "VP8 ").replace(b"\x9d\x01\x2a", b"\0\0\0")),
        data_url(webp(5, 5, "VP8L").replace(b"\x2f", b"\x2e")),
    ],
)
def test_what_does_not_say_its_size(url: str) -> None:
    """What lies elsewhere, is damaged, absurd or of another format has no known size, and is no error."""
    assert size_of(url) is None


def test_filling_and_bare_markers_of_a_jpeg() -> None:
    """Bytes that fill the space before a marker, and markers without a segment, are passed over."""
    frame = jpeg(640, 480)[2:]
    assert size_of(data_url(b"\xff\xd8" + b"\xff" * 9 + b"\xff\x01" + frame)) == (640, 480)


@given(st.sampled_from(sorted(MAKERS)), st.binary(max_size=80), st.integers(0, 60))
def test_no_bytes_make_it_fail(name: str, noise: bytes, at: int) -> None:
    """Damage anywhere in a head gives some believable size, or none."""
    damaged = MAKERS[name](640, 480)
    size = size_of(data_url(damaged[:at] + noise + damaged[at + len(noise) :]))
    assert size is None or 1 <= min(size) <= max(size) <= LARGEST
