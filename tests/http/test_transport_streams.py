"""Streams under a transport: they pass as they come, hold their place until they end, and tell what they used."""

import gc
import gzip
from typing import Any

import anyio
import pytest
from quiet import is_quiet
from seam_support import ANSWER, CHAT, KINDS, STREAM, USAGE, Kind, chat, chunk, event, kind_of

from scheduler.engine.events import Answered
from scheduler.http.bodies import LOOKED_INTO
from scheduler.http.wires import AsyncWire
from scheduler.providers.base import Usage
from scheduler.simulator import Simulator, World

EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return kind_of(request.param, monkeypatch)


def streaming(kind: Kind, pieces: list[Any], **headers: str) -> Any:
    """Return an answer that comes in pieces."""
    return kind.module.Response(200, headers={**EVENTS, **headers}, stream=kind.pieces(pieces))


def outcomes(scheduler: Any) -> dict[str, int]:
    return dict(scheduler.statistics().scopes[0].outcomes)


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("size", [0, 7])
def test_a_stream_passes_as_it_comes(kind: Kind, encoding: str, size: int) -> None:
    """A chunk is there before the next is sent, cut as it was; usage counts, and the place is held to the end."""

    async def main() -> None:
        scheduler = kind.scheduler()
        whole = gzip.compress(b"".join(STREAM)) if encoding else b"".join(STREAM)
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)] if size else STREAM
        if encoding and not size:
            pieces = [whole]
        coding = {"content-encoding": encoding} if encoding else {}
        answer = streaming(kind, pieces, **coding)
        body = answer.stream
        response = await kind.stream(kind.client(scheduler, lambda _: answer))
        assert len(body.left) == len(pieces)  # nothing is read ahead
        assert scheduler.statistics().in_flight == 1
        if kind.threaded:
            raw = response.iter_raw()
            for index in range(len(pieces)):
                assert (next(raw), len(body.left)) == (pieces[index], len(pieces) - index - 1)
            assert scheduler.statistics().in_flight == 1
            assert next(raw, None) is None
        else:
            chunks = response.aiter_raw()
            for index in range(len(pieces)):
                assert (await anext(chunks), len(body.left)) == (pieces[index], len(pieces) - index - 1)
            assert scheduler.statistics().in_flight == 1
            assert await anext(chunks, None) is None
        assert (scheduler.statistics().usage, outcomes(scheduler)) == (Usage(12, 0, 5), {"success": 1})
        assert is_quiet(scheduler)
        await kind.close(response)
        await kind.close(response)  # twice is no matter
        assert body.closed

    kind.run(main)


@pytest.mark.parametrize("module", ["httpx", "httpx2"])
@pytest.mark.parametrize("path", ["chat/completions", "responses", "completions"])
def test_streams_of_the_simulator(module: str, path: str) -> None:
    """Streams of every endpoint tell their usage, and come to their end."""
    kind = Kind(__import__(module), threaded=False, backend="asyncio")
    bodies = {
        "chat/completions": chat(stream=True, stream_options={"include_usage": True}),
        "responses": {"model": "m", "input": "hello", "stream": True},
        "completions": {"model": "m", "prompt": "hello", "stream": True, "stream_options": {"include_usage": True}},
    }

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(scheduler, kind.module.ASGITransport(Simulator(World(limits={"m": {"rpm": 6000}}))))
        response = await kind.post(client, f"https://a.example/v1/{path}", json=bodies[path])
        assert response.status_code == 200
        assert scheduler.statistics().usage.output_tokens > 0
        assert outcomes(scheduler) == {"success": 1}

    kind.run(main)


FAILURE = event({"error": {"message": "The server had an error", "type": "server_error"}})
OVERLOADED = event({"error": {"message": "overloaded", "code": "server_is_overloaded"}})
THROTTLED = event({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}})


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        ([*STREAM], "success"),
        ([], "success"),
        ([chunk("a"), FAILURE], "failed"),
        ([chunk("a"), OVERLOADED], "overloaded"),
        ([chunk("a"), THROTTLED, STREAM[-1]], "throttled"),
        ([chunk("a")], "failed"),
        ([chunk("a"), b'data: {"choi'], "failed"),
        ([b": hello\n\n"], "success"),
        ([b"\xff\xfe\x00" * 100], "success"),
    ],
)
def test_how_streams_end(kind: Kind, pieces: list[Any], outcome: str) -> None:
    """Errors within a stream are its outcome, and one that lacks its end has failed; it is handed over all the same."""

    async def main() -> None:
        scheduler = kind.scheduler()
        told: list[Any] = []
        scheduler.on_event(lambda each: told.append(each) if isinstance(each, Answered) else None)
        response = await kind.stream(kind.client(scheduler, lambda _: streaming(kind, pieces)))
        assert await kind.read(response) == pieces
        await kind.close(response)
        assert outcomes(scheduler) == {outcome: 1}
        if outcome in {"overloaded", "throttled"}:
            assert told[-1].outcome == outcome
            assert scheduler.statistics().scopes[0].paused
        assert scheduler.statistics().in_flight == 0

    kind.run(main)


def test_a_stream_that_breaks(kind: Kind) -> None:
    """What breaks a stream comes out as it is, what was told before counts, and nothing is sent again."""

    async def main() -> None:
        scheduler = kind.scheduler()
        error = kind.module.ReadError("cut")
        sent: list[Any] = []

        def handle(request: Any) -> Any:
            sent.append(request)
            return streaming(kind, [chunk("a", usage=USAGE), error])

        response = await kind.stream(kind.client(scheduler, handle))
        with pytest.raises(kind.module.ReadError) as caught:
            await kind.read(response)
        assert caught.value is error
        assert (outcomes(scheduler), len(sent)) == ({"failed": 1}, 1)
        assert scheduler.statistics().usage == Usage(12, 0, 5)
        await kind.close(response)
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("read", [0, 1, 3])
def test_a_stream_that_is_closed_midway(kind: Kind, read: int) -> None:
    """Whoever has enough of a stream closes it, and leaves nothing; he has had a success."""

    async def main() -> None:
        scheduler = kind.scheduler()
        answer = streaming(kind, [*STREAM])
        response = await kind.stream(kind.client(scheduler, lambda _: answer))
        body = response.stream._stream  # ours: httpx's own generators around it cannot be left midway on trio
        chunks = iter(body) if kind.threaded else aiter(body)
        for _ in range(read):
            assert (next(chunks) if kind.threaded else await anext(chunks)) in STREAM
        await kind.close(response)
        assert outcomes(scheduler) == {"success": 1}
        assert is_quiet(scheduler)
        await kind.close(response)

    kind.run(main)


def test_a_stream_that_is_forgotten(kind: Kind) -> None:
    """A stream that was dropped without a word gives its place back once nobody holds it."""

    async def main() -> None:
        scheduler = kind.scheduler(concurrency=1)
        client = kind.client(scheduler, lambda _: streaming(kind, [*STREAM]))
        for read in (0, 1):
            response = await kind.stream(client)
            assert scheduler.statistics().in_flight == 1
            if read:
                chunks = iter(response.stream) if kind.threaded else aiter(response.stream)
                assert (next(chunks) if kind.threaded else await anext(chunks)) == STREAM[0]
                if not kind.threaded:
                    await chunks.aclose()
                del chunks
            del response
            gc.collect()
            assert is_quiet(scheduler)
        assert outcomes(scheduler) == {"success": 2}

    kind.run(main)


@pytest.mark.parametrize("when", ["turn", "sending", "stream"])
@pytest.mark.parametrize("module", ["httpx", "httpx2"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_task_that_is_cancelled(module: str, backend: str, when: str) -> None:
    """A task cancelled while it waits, sends or reads leaves nothing; what was sent and not answered is unknown."""
    kind = Kind(__import__(module), threaded=False, backend=backend)

    async def main() -> None:
        scheduler = kind.scheduler(concurrency=1)

        class Slow(kind.module.AsyncByteStream):  # type: ignore[misc,name-defined]  # of whichever module
            def __aiter__(self) -> Any:
                return self

            async def __anext__(self) -> bytes:
                await anyio.sleep(1)
                return chunk()

        class Inner(kind.module.AsyncBaseTransport):  # type: ignore[misc,name-defined]  # the same
            async def handle_async_request(self, request: Any) -> Any:
                await anyio.sleep(1)
                return kind.module.Response(200, headers=EVENTS, stream=Slow())

        client = kind.client(scheduler, Inner())

        async def read() -> None:
            async with client.stream("POST", CHAT, json=chat(stream=True)) as response:
                async for _ in response.aiter_raw():
                    pass

        before = scheduler.reserve_nowait("m") if when == "turn" else None
        with anyio.move_on_after({"turn": 0.5, "sending": 0.5, "stream": 4.5}[when]) as scope:
            await read()
        assert scope.cancelled_caught
        if before is not None:
            before.settle()
        expected = {"turn": {"success": 1}, "sending": {"unknown": 1}, "stream": {"success": 1}}
        assert outcomes(scheduler) == expected[when]
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("limit", ["local", "model"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_holds_its_place(backend: str, limit: str) -> None:
    """Of streams two are open at a time where two may be, until they end, not until they begin."""
    kind = Kind(__import__("httpx"), threaded=False, backend=backend)
    now = most = 0

    class Counted(kind.module.AsyncByteStream):  # type: ignore[misc,name-defined]  # a part of a module
        async def __aiter__(self) -> Any:
            nonlocal now, most
            now += 1
            most = max(now, most)
            for piece in STREAM:
                await anyio.sleep(0.2)
                yield piece
            now -= 1

    class Inner(kind.module.AsyncBaseTransport):  # type: ignore[misc,name-defined]  # the same
        async def handle_async_request(self, request: Any) -> Any:
            return kind.module.Response(200, headers=EVENTS, stream=Counted())

    async def main() -> None:
        settings: dict[str, Any] = {"concurrency": 2} if limit == "local" else {"limits": {"m": {"concurrency": 2}}}
        scheduler = kind.scheduler(**settings)
        client = kind.client(scheduler, Inner())
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(kind.post, client)
        assert most == 2
        assert anyio.current_time() == pytest.approx(3, abs=0.01)  # six of a second, two at a time
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-ndjson", "application/jsonl", "audio/mpeg", "text/plain", "", "application/json-seq"],
)
def test_other_bodies_pass_as_they_come(kind: Kind, content_type: str) -> None:
    """What is no single JSON value is not read ahead: lines of JSON, sound, files."""

    async def main() -> None:
        scheduler = kind.scheduler()
        body = kind.pieces([b'{"a": 1}\n', b'{"b": 2}\n'])
        answer = kind.module.Response(200, headers={"content-type": content_type}, stream=body)
        response = await kind.stream(kind.client(scheduler, lambda _: answer), json=chat())
        assert len(body.left) == 2
        assert len(await kind.read(response)) == 2
        assert outcomes(scheduler) == {"success": 1}
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "text/x+json;a=b"])
def test_json_is_read_whole(kind: Kind, content_type: str) -> None:
    """A JSON answer has been read, and its usage counted, when it is handed over."""

    async def main() -> None:
        scheduler = kind.scheduler()
        body = kind.pieces([b'{"usage": {"prompt_tokens": 12,', b'"completion_tokens": 5}}'])
        answer = kind.module.Response(200, headers={"content-type": content_type}, stream=body)
        response = await kind.stream(kind.client(scheduler, lambda _: answer), json=chat())
        assert (body.left, body.closed) == ([], 1)
        assert scheduler.statistics().usage == Usage(12, 0, 5)
        assert is_quiet(scheduler)
        assert b"".join(await kind.read(response)).startswith(b'{"usage"')

    kind.run(main)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("end", ["whole", "closed", "broken"])
def test_large_json_passes_as_it_comes(kind: Kind, known: bool, end: str) -> None:  # noqa: FBT001 -- a parameter
    """A JSON answer too large to be looked into is handed over as it comes, whether its size was known or not."""
    pieces: list[Any] = [b"x" * (LOOKED_INTO // 4)] * 6

    async def main() -> None:
        scheduler = kind.scheduler()
        size = {"content-length": str(sum(map(len, pieces)))} if known else {}
        cut = [kind.module.ReadError("cut")] if end == "broken" else []
        body = kind.pieces([*pieces, *cut])
        answer = kind.module.Response(200, headers={"content-type": "application/json", **size}, stream=body)
        response = await kind.stream(kind.client(scheduler, lambda _: answer), json=chat())
        assert len(body.left) == (6 if known else 1) + len(cut)
        assert scheduler.statistics().in_flight == 1
        if end == "whole":
            assert await kind.read(response) == pieces
        elif end == "broken":
            with pytest.raises(kind.module.ReadError):
                await kind.read(response)
        await kind.close(response)
        assert body.closed
        assert outcomes(scheduler) == {"failed" if end == "broken" else "success": 1}
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_large_errors_body(kind: Kind, encoding: str) -> None:
    """An error's body above a megabyte is handed over whole; of it only a part is looked at."""
    whole = b'{"error": {"message": "too long", "x": "' + b"x" * 3_000_000 + b'"}}'
    content = gzip.compress(whole, 0) if encoding else whole
    pieces = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]

    async def main() -> None:
        scheduler = kind.scheduler()
        headers = {"content-encoding": encoding} if encoding else {}
        body = kind.pieces([*pieces])
        response = await kind.stream(
            kind.client(scheduler, lambda _: kind.module.Response(400, headers=headers, stream=body)), json=chat()
        )
        assert len(body.left) > 20
        assert b"".join(await kind.read(response)) == content
        await kind.close(response)
        assert body.closed
        assert is_quiet(scheduler)

    kind.run(main)


def test_a_compressed_error_is_understood(kind: Kind) -> None:
    """The words of a compressed refusal decide what is done about it."""
    words = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'

    async def main() -> None:
        scheduler = kind.scheduler()
        body = kind.pieces([gzip.compress(words)])
        answer = kind.module.Response(429, headers={"content-encoding": "gzip"}, stream=body)
        response = await kind.post(kind.client(scheduler, lambda _: answer))
        assert (response.content, response.headers["x-scheduler-error"]) == (words, "QuotaExhausted")

    kind.run(main)


@pytest.mark.parametrize(("status", "outcome"), [(200, "success"), (500, "unknown")])
def test_a_reader_that_is_interrupted(kind: Kind, status: int, outcome: str) -> None:
    """An interrupt in the middle of a body that we read closes it; a success was one, of whomever had enough of it."""

    async def main() -> None:
        scheduler = kind.scheduler()
        body = kind.pieces([b"{", KeyboardInterrupt()])
        answer = kind.module.Response(status, headers={"content-type": "application/json"}, stream=body)
        with pytest.raises(KeyboardInterrupt):
            await kind.post(kind.client(scheduler, lambda _: answer))
        assert body.closed == 1
        assert outcomes(scheduler) == {outcome: 1}
        assert is_quiet(scheduler)

    kind.run(main)


def test_packed_errors_that_nobody_bounds(kind: Kind) -> None:
    """Of a large body in a compression that nothing here bounds, nothing is unpacked."""

    async def main() -> None:
        scheduler = kind.scheduler()
        body = b"x" * 3_000_000
        headers = {"content-encoding": "br", "content-type": "application/json"}
        for status in (200, 400):
            answer = kind.module.Response(status, headers=headers, stream=kind.pieces([body]))
            response = await kind.stream(kind.client(scheduler, lambda _, answer=answer: answer), json=chat())
            assert b"".join(await kind.read(response)) == body
        assert is_quiet(scheduler)

    kind.run(main)


def test_words_of_the_answer_are_heard_and_not_kept() -> None:
    """What listens to a stream keeps none of it."""
    kind = Kind(__import__("httpx"), threaded=False, backend="asyncio")

    async def main() -> None:
        scheduler = kind.scheduler()
        response = await kind.stream(kind.client(scheduler, lambda _: streaming(kind, [chunk(ANSWER), *STREAM])))
        await kind.read(response)
        held = [each for each in gc.get_objects() if type(each).__name__ == "Listener"]
        assert all(not each._rest for each in held)

    kind.run(main)


def test_a_wire_closes_what_it_could_not_read() -> None:
    """A body whose reading is broken off from outside is closed."""
    kind = Kind(__import__("httpx"), threaded=False, backend="asyncio")

    class Endless(kind.module.AsyncByteStream):  # type: ignore[misc,name-defined]  # a part of a module
        closed = False

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            await anyio.sleep(1)
            return b"x"

        async def aclose(self) -> None:
            await anyio.sleep(0.1)
            self.closed = True

    async def main() -> None:
        stream = Endless()
        with anyio.move_on_after(3):
            await AsyncWire(kind.module, None).read(kind.module.Response(200, stream=stream), 100)
        assert stream.closed

    kind.run(main)
