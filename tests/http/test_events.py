"""Listening to streams: what is told depends on the bytes alone, and nothing that a server sends can hurt."""

import gzip
import itertools
import json
import random
import tracemalloc
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.http import events
from scheduler.http.events import Listener
from scheduler.providers.base import Outcome, Reading, Usage
from scheduler.providers.openai import OpenAI

_PROVIDER = OpenAI(counter=lambda text, model: len(text))  # type: ignore[arg-type]  # nothing is counted here


def data(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return (head + f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n").encode()


def delta(text: str = "word", finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return data({"object": "chat.completion.chunk", "choices": [choice]})


def billed(sent: int, got: int) -> bytes:
    usage = {"prompt_tokens": sent, "completion_tokens": got}
    return data({"object": "chat.completion.chunk", "choices": [], "usage": usage})


DONE = data("[DONE]")
FAILURE = data({"error": {"message": "The server had an error", "type": "server_error", "code": "server_error"}})
EVENTS = [
    delta(),
    delta(finish="stop"),
    billed(3, 5),
    billed(7, 2),
    DONE,
    FAILURE,
    b": a comment\n\n",
    b"\n",
    b"data: {broken\n\n",
    data({"type": "response.created"}, "response.created"),
    data({"type": "response.completed", "response": {"usage": {"input_tokens": 4, "output_tokens": 6}}}),
    delta('he wrote "finish_reason": "stop" and data: [DONE] and {"usage": {"x": 1}}'),
    delta("x" * 300),
]
Told = tuple[Usage | None, Reading | None, bool]


def heard(chunks: Iterable[bytes], encoding: str = "", provider: Any = _PROVIDER) -> Told:
    listener = Listener(provider.read_event, encoding)
    for chunk in chunks:
        listener.feed(chunk)
    listener.close()
    return listener.usage, listener.failure, listener.whole


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[begin:end] for begin, end in itertools.pairwise(marks)]


streams = st.builds(
    lambda parts, tail, ends: b"".join([*parts, tail]).replace(b"\n", ends),
    st.lists(st.sampled_from(EVENTS), max_size=12),
    st.sampled_from([b"", b"data: [DONE]", b"data: [DONE]\n", b'data: {"choices"', b"\r", b"\n"]),
    st.sampled_from([b"\n", b"\r\n"]),
)
places = st.lists(st.integers(0, 10_000), max_size=30)


@given(streams, places, st.sampled_from(["", "gzip", "deflate"]))
def test_any_cut_tells_the_same(stream: bytes, cuts: list[int], encoding: str) -> None:
    """What is told depends on the concatenation alone, wherever it was cut, and however it was compressed."""
    whole = heard([stream])
    assert heard(bytes([byte]) for byte in stream) == whole
    packed = {"": lambda it: it, "gzip": gzip.compress, "deflate": zlib.compress}[encoding](stream)
    assert heard(cut(packed, cuts), encoding) == whole
    assert heard([packed], encoding) == whole


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"x" * 19, b"y" * 40, *EVENTS[:6]]), max_size=20),
    places,
)
def test_any_cut_tells_the_same_of_large_events(parts: list[bytes], cuts: list[int]) -> None:
    """Where events are larger than what is kept, and lines end in every way, the cut does not matter either."""
    stream = b"".join(parts)
    before, events.LARGEST = events.LARGEST, 110
    try:
        whole = heard([stream])
        assert heard(cut(stream, cuts)) == whole
        assert heard(bytes([byte]) for byte in stream) == whole
    finally:
        events.LARGEST = before


@given(st.lists(st.binary(max_size=200), max_size=10), st.sampled_from(["", "gzip", "deflate"]))
def test_any_bytes_are_listened_to(chunks: list[bytes], encoding: str) -> None:
    """Nothing that comes raises."""
    heard(chunks, encoding)
    heard([gzip.compress(b"".join(chunks)), *chunks], "gzip")


@pytest.mark.parametrize("depth", [10, 10_000, 1_000_000])
def test_deep_nesting_is_listened_to(depth: int) -> None:
    """An event nested as deep as it likes is no error of ours."""
    deep = b'data: {"usage": {"a": ' + b"[" * depth + b'"error": {' + b"\n\n"
    assert heard([deep, DONE])[0] is None


def test_what_a_chat_stream_tells() -> None:
    """Usage is taken from the chunk that has it, and a finish reason or the end mark shows a stream whole."""
    assert heard([delta(), delta(finish="stop"), billed(3, 5), DONE]) == (Usage(3, 0, 5), None, True)
    assert heard([delta(), delta(finish="stop")])[2]
    assert heard([delta(), DONE])[2]


def test_words_in_an_answer_end_no_stream() -> None:
    """An answer may speak of streams' ends, errors and usages; these are its words, and the stream has not ended."""
    words = 'data: [DONE] [DONE] event: error {"error": {"message": "x"}} "finish_reason": "stop" {"usage": {"a": 1}}'
    assert heard([delta(words)]) == (None, None, False)
    assert heard([delta(words), b"data:[DONE]\n\n"]) == (None, None, True)


def test_an_error_by_its_name_alone() -> None:
    """An event that is named an error is read, whatever its data is like."""
    seen: list[bytes] = []

    class Noting:
        def read_event(self, data: bytes) -> Reading | None:
            seen.append(data)
            return None

    heard([b"event: error\ndata: x\n\n", b"event:error\ndata: y\n\n", b"event: ping\ndata: z\n\n"], provider=Noting())
    assert seen == [b"x", b"y"]


def test_what_a_responses_stream_tells() -> None:
    """Of the Responses endpoint the last event tells the usage and the end."""
    begun = data({"type": "response.created", "response": {"usage": None}}, "response.created")
    done = {"type": "response.completed", "response": {"usage": {"input_tokens": 4, "output_tokens": 6}}}
    assert heard([begun, data(done, "response.completed")]) == (Usage(4, 0, 6), None, True)
    assert heard([begun])[2] is False


class _Likewise:
    """Reads events as of Anthropic: the input is told at the start, the output at the end."""

    def read_event(self, data: bytes) -> Reading | None:
        value = json.loads(data)
        usage = value.get("usage") or value.get("message", {}).get("usage")
        if value["type"] == "error":
            return Reading(Outcome.OVERLOADED)
        if usage is None:
            return None
        usage = Usage(usage.get("input_tokens", 0), 0, usage.get("output_tokens", 0))
        return Reading(Outcome.SUCCESS, usage=usage)


def test_what_a_stream_tells_in_parts() -> None:
    """Usages of several events are joined by the larger of each number; of errors the first counts."""
    begun = data({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}})
    later = data({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 33}})
    stop = data({"type": "message_stop"})
    assert heard([begun, later, stop], provider=_Likewise()) == (Usage(9, 0, 33), None, True)
    assert heard([begun, later], provider=_Likewise())[2] is False
    error = data({"type": "error", "error": {"type": "overloaded_error"}}, "error")
    usage, failure, whole = heard([begun, error], provider=_Likewise())
    assert (usage, whole) == (Usage(9, 0, 1), False)
    assert failure is not None
    assert failure.outcome is Outcome.OVERLOADED


def test_an_error_within_a_stream() -> None:
    """An event that is an error is one, and what was told before it stands."""
    usage, failure, _ = heard([delta(), billed(3, 5), FAILURE, DONE])
    assert usage == Usage(3, 0, 5)
    assert failure is not None
    assert (failure.outcome, failure.code) == (Outcome.FAILED, "server_error")


def test_a_first_event_of_another_kind() -> None:
    """A stream is known by any of its events, be the first of them about something else."""
    filters = data({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
    assert heard([filters, delta()])[2] is False
    assert heard([filters + delta()])[2] is False
    assert heard([filters])[2] is True


def test_a_large_event_says_nothing_and_the_next_ones_do() -> None:
    """An event beyond what is kept is passed by, however it comes, and those after it are heard."""
    large = data({"usage": {"prompt_tokens": 1_000_000}, "text": "x" * events.LARGEST})
    for chunks in ([large + billed(3, 5)], [*cut(large, [*range(0, len(large), 60_000)]), billed(3, 5)]):
        assert heard(chunks)[0] == Usage(3, 0, 5)


def test_memory_is_bounded() -> None:
    """Endless events and bombs are listened to in bounded memory."""
    chunk = random.Random(1).randbytes(1 << 16).replace(b"\n", b"x")
    bomb = zlib.compressobj(wbits=31)
    packed = b"".join([bomb.compress(bytes(1 << 20)) for _ in range(100)]) + bomb.flush()
    assert len(packed) < 1 << 17
    tracemalloc.start()
    try:
        endless, zipped = Listener(lambda _: None), Listener(lambda _: None, "gzip")
        tracemalloc.reset_peak()
        for _ in range(300):
            endless.feed(chunk)
        zipped.feed(packed)
        for _ in range(1000):
            zipped.feed(chunk)  # behind the end
        assert tracemalloc.get_traced_memory()[1] < 5 * events.LARGEST
    finally:
        tracemalloc.stop()


def test_a_stream_that_packs_well() -> None:
    """Nothing is lost of a chunk that becomes many times larger."""
    stream = delta() * 100_000 + billed(3, 5)
    packed = gzip.compress(stream)
    assert len(packed) * 20 < len(stream)
    assert heard([packed], "gzip")[0] == Usage(3, 0, 5)
