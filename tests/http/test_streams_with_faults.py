"""A thousand streams at once over real connections, most of which end badly: nothing leaks, each outcome is right."""

import asyncio
import gc
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from quiet import is_quiet

from scheduler import Scheduler
from scheduler.engine.waiter import Waiter
from scheduler.http.events import Listener
from scheduler.http.hearing import Hearing

STREAMS = 1_000
OUTCOMES = {
    "whole": "success",
    "truncate": "failed",
    "disconnect": "failed",
    "stall": "failed",
    "error": "failed",
    "left": "success",
    "cancelled": "success",
}
"""How each kind of stream ends for the scheduler; what its caller sees is in ``_consume``."""
KINDS = tuple(OUTCOMES)
CHUNKS = 10
PAUSE = 0.02
TIMEOUT = {True: httpx.Timeout(60, read=16), False: httpx.Timeout(60)}  # longer than a slow machine takes to begin all
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DELTA = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"hello"},"finish_reason":null}]}\n\n'
USAGE = b'data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\n'
ERROR = b'data: {"error":{"message":"sorry","type":"server_error","code":"server_error"}}\n\n'
DONE = b"data: [DONE]\n\n"


class Server:
    """Speaks HTTP over a socket, and breaks it off as each request asks."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.together = 0
        self.most_together = 0
        self.connections = 0

    async def serve(self, socket: anyio.abc.ByteStream) -> None:
        self.connections += 1
        try:
            async with socket:
                received = BufferedByteReceiveStream(socket)
                while await self._answer(socket, received):
                    pass
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, anyio.EndOfStream):
            pass
        finally:
            self.connections -= 1

    async def _answer(self, socket: anyio.abc.ByteStream, received: BufferedByteReceiveStream) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = (await received.receive_until(b"\r\n\r\n", 65_536)).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        kind = json.loads(await received.receive_exactly(length))["model"]
        self.asked[kind] += 1
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            return await self._stream(socket, received, kind)
        finally:
            self.together -= 1

    async def _stream(self, socket: anyio.abc.ByteStream, received: BufferedByteReceiveStream, kind: str) -> bool:
        await anyio.sleep(1.0)  # until all are there
        await socket.send(HEAD)
        for number in range(CHUNKS):
            if number == CHUNKS // 2 and kind == "disconnect":
                return False
            if number == CHUNKS // 2 and kind == "stall":
                await received.receive()  # until the client has had enough
            if number == CHUNKS // 2 and kind == "truncate":
                break
            await socket.send(_chunk(DELTA))
            await anyio.sleep(PAUSE)
        if kind == "error":
            await socket.send(_chunk(ERROR))
        elif kind != "truncate":
            await socket.send(_chunk(USAGE) + _chunk(DONE))
        await socket.send(b"0\r\n\r\n")
        return True


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=4_096)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.serve)
        port = listener.extra_attributes[anyio.abc.SocketAttribute.local_port]()
        yield server, f"http://127.0.0.1:{port}/v1/"
        group.cancel_scope.cancel()


async def _consume(client: httpx.AsyncClient, kind: str, seen: Counter[tuple[str, str]]) -> None:
    """Read one stream as its kind has it read, and note how it ended for its reader."""
    body = {"model": kind, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    received = b""
    ended = "end"
    with anyio.CancelScope() as scope:
        try:
            async with (
                client.stream("POST", "chat/completions", json=body, timeout=TIMEOUT[kind == "stall"]) as response,
                aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as pieces,  # trio does not close it
            ):
                async for piece in pieces:
                    received += piece
                    if kind == "left" and received.count(b"hello") == 2:
                        ended = "left"
                        break
                    if kind == "cancelled" and received.count(b"hello") == 2:
                        scope.cancel()
                        await anyio.lowlevel.checkpoint()
        except httpx.TransportError as error:
            ended = type(error).__name__
    if scope.cancelled_caught:
        ended = "cancelled"
    assert received.startswith(DELTA)
    seen[kind, ended] += 1


async def _round(client: httpx.AsyncClient, number: int) -> Counter[tuple[str, str]]:
    seen: Counter[tuple[str, str]] = Counter()
    async with anyio.create_task_group() as group:
        for index in range(number):
            group.start_soon(_consume, client, KINDS[index % len(KINDS)], seen)
    return seen


def _left_over() -> Counter[str]:
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, (Waiter, Hearing, Listener)))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(300)
# Generators of httpx and httpcore, which do not close them when a reader leaves a stream midway; trio complains.
@pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)[.]:ResourceWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thousand_streams_with_faults(backend: str) -> None:
    """Every stream ends for its reader and for the scheduler as it did on the wire, and nothing of it is left."""

    async def main() -> None:
        limits = {kind: {"rpm": 600_000, "tpm": 600_000_000} for kind in KINDS}
        scheduler = Scheduler(limits=limits, seed=1)
        expected = Counter(KINDS[index % len(KINDS)] for index in range(STREAMS))
        async with _serving() as (server, url):
            async with httpx.AsyncClient(transport=scheduler.transport(), base_url=url) as client:
                for turn in (1, 2):
                    seen = await _round(client, STREAMS)
                    assert {kind: number for (kind, _), number in seen.items()} == expected
                    _readers_saw(seen)
                    outcomes = {scope.name: dict(scope.outcomes) for scope in scheduler.statistics().scopes}
                    assert outcomes == {kind: {OUTCOMES[kind]: turn * expected[kind]} for kind in KINDS}
                    assert is_quiet(scheduler)
                    gc.collect()
                    await anyio.sleep(0.1)  # in which trio ends what httpx has left
                    assert not _left_over()
                    if turn == 1:
                        before = tracemalloc.get_traced_memory()[0]
                grown = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                assert grown < 1_000 * STREAMS, f"{grown / STREAMS:.0f} bytes a stream stay"
                assert server.most_together > STREAMS * 0.9
                assert server.asked == Counter({kind: 2 * number for kind, number in expected.items()})
                usage = scheduler.statistics().usage
                assert usage.output_tokens == 2 * 7 * expected["whole"]
            await anyio.sleep(0.5)
            assert not server.connections
        if backend == "asyncio":
            assert asyncio.all_tasks() == {asyncio.current_task()}

    tracemalloc.start()
    anyio.run(main, backend=backend)


def _readers_saw(seen: Counter[tuple[str, str]]) -> None:
    """What the reader of each kind of stream has seen of its end."""
    ends = {kind: {end for name, end in seen if name == kind} for kind in KINDS}
    assert ends == {
        "whole": {"end"},
        "truncate": {"end"},
        "disconnect": {"RemoteProtocolError"},
        "stall": {"ReadTimeout"},
        "error": {"end"},
        "left": {"left"},
        "cancelled": {"cancelled"},
    }
