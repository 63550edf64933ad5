"""Tokens of a text, estimated and counted."""

import importlib
import inspect
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given, strategies as st
from token_data import token_data

from scheduler.tokens import text as text_module
from scheduler.tokens.encodings import HASHES, cache_file, encoding_name, is_cached
from scheduler.tokens.text import PIECE, PIECES, ByteEstimate, TiktokenCounter


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The encodings that come with the recorded data, as tiktoken's cache; none are loaded yet."""
    place = token_data("tiktoken")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(place))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    return place


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


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The urls that something tried to download; none is."""
    tried: list[str] = []

    def read_file(path: str) -> bytes:
        tried.append(path)
        raise ConnectionError("no network, and secrets in words")

    monkeypatch.setattr("tiktoken.load.read_file", read_file)
    return tried


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("\u00e9\u00e9", 1), ("\u6f22" * 4, 3), ("\ud800", 1)],
)
def test_estimate(text: str, tokens: int) -> None:
    """Four bytes of UTF-8 are a token, rounded up; a lone surrogate is no obstacle."""
    assert tokens == ByteEstimate().count(text, "any")


@given(st.text(st.characters(codec=None), max_size=50))
def test_estimate_of_any_text(text: str) -> None:
    """Something is at least one token, nothing is none."""
    assert (ByteEstimate().count(text, "m") >= 1) == bool(text)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-5.6-sol", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("ft:gpt-3.5-turbo:acme::abc", "cl100k_base"),
        ("ft:gpt-4o:acme::abc", "o200k_base"),
        ("ft:o1:acme::abc", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("text-davinci-edit-001", "p50k_base"),
        ("gpt2", "r50k_base"),
        ("gpt-6-luna", "o200k_base"),
        ("claude-opus-5", "o200k_base"),
        ("", "o200k_base"),
    ],
)
def test_encoding_of_each_model(model: str, encoding: str) -> None:
    """Tiktoken's own table decides; what it does not know has the newest encoding."""
    assert encoding == encoding_name(model)


def test_the_cache_is_looked_up_as_tiktoken_does(cache: Path) -> None:
    """The recorded files are found under the names that tiktoken gives them."""
    for name in ("o200k_base", "cl100k_base"):
        file = cache_file(name)
        assert file is not None
        assert file.parent == cache
        assert is_cached(name)
    assert not is_cached("p50k_base")
    assert not is_cached("unheard_of")


@pytest.mark.parametrize("name", HASHES)
def test_hashes_are_those_of_the_installed_tiktoken(name: str) -> None:
    """An encoding whose file tiktoken changes would be downloaded unasked; so their hashes must agree."""
    module = importlib.import_module("tiktoken_ext.openai_public")
    assert HASHES[name] in inspect.getsource(getattr(module, name))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables and the default are tiktoken's; an empty variable turns the cache off."""
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    default = cache_file("o200k_base")
    assert default is not None
    assert default.parent.name == "data-gym-cache"
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(tmp_path))
    assert cache_file("o200k_base") == tmp_path / default.name
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert cache_file("o200k_base") is None
    assert not is_cached("o200k_base")


@pytest.mark.parametrize(
    ("text", "model", "tokens"),
    [
        ("tiktoken is great!", "gpt-4o", 6),
        ("antidisestablishmentarianism", "gpt-4", 6),
        ("", "gpt-4o", 0),
        ("<|endoftext|>", "gpt-4o", 7),
        ("\ud800 x", "gpt-4o", 2),
    ],
)
def test_counts(counter: TiktokenCounter, text: str, model: str, tokens: int) -> None:
    """Counts are tiktoken's; special tokens and lone surrogates in a text are counted as text."""
    assert tokens == counter.count(text, model)


def test_long_texts_are_counted_in_pieces_and_by_samples(counter: TiktokenCounter) -> None:
    """Pieces are within a token each of the whole, samples within 3 %, on real requests."""
    bodies = [json.loads(line)["body"] for line in token_data("gsm8k-batch.jsonl").read_text("utf-8").splitlines()]
    text = " ".join(message["content"] for body in bodies for message in body["messages"])
    encoding = tiktoken.get_encoding("o200k_base")
    whole = PIECE * PIECES
    for start in range(0, len(text) - whole, whole):
        part = text[start : start + whole]
        assert abs(counter.count(part, "gpt-4o") - len(encoding.encode(part))) <= 2 * PIECES
    for start in range(0, len(text) - 100_000, 100_000):
        part = text[start : start + 100_000]
        assert counter.count(part, "gpt-4o") == pytest.approx(len(encoding.encode(part)), rel=0.03)


@pytest.mark.parametrize("character", ["a", " ", "\n", "\u6f22", "!"])
def test_runs_without_end_do_not_block(counter: TiktokenCounter, character: str) -> None:
    """Five million of the same character, tiktoken's worst case, are counted in a moment."""
    begun = time.process_time()
    assert counter.count(character * 5_000_000, "gpt-4o") > 0
    assert time.process_time() - begun < 4


def test_estimates_until_the_encoding_is_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first counts begin loading once, in another thread, and do not wait for it."""
    loaders: list[threading.Thread] = []
    may_load = threading.Event()

    def slowly(name: str) -> tiktoken.Encoding:
        loaders.append(threading.current_thread())
        may_load.wait(10)
        return tiktoken.get_encoding(name)

    monkeypatch.setattr(text_module, "get_encoding", slowly)
    counter = TiktokenCounter()
    text = "antidisestablishmentarianism"
    assert [counter.count(text, "gpt-4") for _ in range(3)] == [7, 7, 7]
    may_load.set()
    assert counter.load("gpt-4")
    assert counter.count(text, "gpt-4") == 6
    assert len(loaders) == 1
    assert loaders[0] is not threading.current_thread()
    assert loaders[0].daemon


@pytest.mark.parametrize("download", [False, True])
def test_a_failed_load_is_said_once_and_estimates_go_on(
    download: bool,  # noqa: FBT001  # a column
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    no_download: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the file there is one warning without a traceback; only a counter that may download tries to."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    counter = TiktokenCounter(download=download)
    with caplog.at_level(logging.DEBUG, "scheduler.tokens"):
        assert not counter.load("gpt-4o")
        assert not counter.load("gpt-5")
        assert counter.count("abcdefgh", "gpt-4o") == 2
    (record,) = caplog.records
    assert (record.name, record.levelno, record.exc_info) == ("scheduler.tokens", logging.INFO, None)
    assert "secrets" not in record.getMessage()
    assert bool(no_download) == download


def test_a_corrupt_file_is_neither_used_nor_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_download: list[str]
) -> None:
    """Tiktoken would delete a file with a wrong hash and download another; here it counts as absent."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    file = cache_file("o200k_base")
    assert file is not None
    file.write_text("corrupt")
    assert not TiktokenCounter().load("gpt-4o")
    assert file.read_text() == "corrupt"
    assert no_download == []


def test_waiting_for_a_load_is_bounded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that hangs holds up nobody for longer than the timeout, and is used if it ends after all."""
    may_load = threading.Event()

    def hang(name: str) -> Any:
        may_load.wait(10)
        return tiktoken.get_encoding(name)

    monkeypatch.setattr(text_module, "get_encoding", hang)
    counter = TiktokenCounter(timeout=0.01)
    assert not counter.load("gpt-4")
    may_load.set()
    counter.timeout = 10
    assert counter.load("gpt-4")
