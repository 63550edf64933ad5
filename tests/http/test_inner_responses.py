"""Answers come raw, unread and whole, as the server sent them."""

import gzip
import threading
from contextlib import aclosing
from types import ModuleType
from typing import Any

import anyio
import pytest
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, Asked, Loopback, fetch

from scheduler.http.inner import async_inner, sync_inner


def get(module: ModuleType, server: Loopback) -> Any:
    return module.Request("GET", server.url)


def test_headers_as_they_came(kind: str, module: ModuleType) -> None:
    """Order, case, duplicates, emptiness and bytes beyond ASCII are kept; so is what the status line says."""
    fields = [
        (b"X-Limit", b"1"),
        (b"set-cookie", b"a=1"),
        (b"x-limit", b"2"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Empty", b""),
        (b"X-Latin", b"Pr\xfcfung"),
        (b"Content-Length", b"2"),
    ]
    head = b"HTTP/1.1 299 Quite Fine\r\n" + b"".join(b"%s: %s\r\n" % field for field in fields)
    with Loopback(head + b"\r\nok").running() as server:
        response = fetch(kind, module, get(module, server)).response
    assert response.headers.raw == fields
    assert (response.status_code, response.reason_phrase, response.http_version) == (299, "Quite Fine", "HTTP/1.1")


def test_an_old_server(kind: str, module: ModuleType) -> None:
    """An answer of HTTP/1.0 ends with its connection."""
    with Loopback(_then_hang_up(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")).running() as server:
        seen = fetch(kind, module, get(module, server))
    assert seen.body == b"until the end"
    assert seen.response.http_version == "HTTP/1.0"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body(kind: str, module: ModuleType, status: bytes) -> None:
    """Those that have none are at their end."""
    with Loopback(b"HTTP/1.1 " + status + b"\r\n\r\n").running() as server:
        assert fetch(kind, module, get(module, server)).body == b""


def test_early_hints_are_passed_over(kind: str, module: ModuleType) -> None:
    """What comes before the answer is not the answer."""
    with Loopback(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n").running() as server:
        assert fetch(kind, module, get(module, server)).response.status_code == 204


def test_large_headers(kind: str, module: ModuleType) -> None:
    """A field of 60 KB, and 200 fields, are no error."""
    head = b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 60_000 + b"\r\n" + b"X-Many: y\r\n" * 200
    with Loopback(head + b"Content-Length: 2\r\n\r\nok").running() as server:
        response = fetch(kind, module, get(module, server)).response
    assert len(response.headers["x-large"]) == 60_000
    assert len(response.headers.get_list("x-many")) == 200


def test_bodies_are_left_as_they_are(kind: str, module: ModuleType) -> None:
    """The transport hands on what is compressed; the client reads it."""
    packed = gzip.compress(b"plain words")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with Loopback(head + packed).running() as server:
        assert fetch(kind, module, get(module, server)).body == packed
        with module.Client(transport=sync_inner(module, verify=CONTEXT)) as client:
            assert client.get(server.url).text == "plain words"

        async def main() -> None:
            async with module.AsyncClient(transport=async_inner(module, verify=CONTEXT)) as client:
                assert (await client.get(server.url)).text == "plain words"

        if kind != "threads":
            anyio.run(main, backend=kind)


def test_a_large_body(kind: str, module: ModuleType) -> None:
    """Megabytes come whole."""
    body = bytes(range(256)) * 16_384
    with Loopback(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body).running() as server:
        assert fetch(kind, module, get(module, server)).body == body


def test_streams_come_piece_by_piece(kind: str, module: ModuleType) -> None:
    """A piece is there before the server sends the next."""
    seen: list[bytes] = []
    came = threading.Event()

    async def answer(asked: Asked) -> bytes:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            came.clear()
            asked.writer.write(b"8\r\ndata: %d\n\r\n" % number)
            assert await anyio.to_thread.run_sync(came.wait, 5)
        return b"0\r\n\r\n"

    def take(piece: bytes) -> None:
        seen.append(piece)
        came.set()

    with Loopback(answer).running() as server:
        _stream(kind, module, server, take)
    assert seen == [b"data: %d\n" % number for number in range(5)]


@pytest.mark.filterwarnings("ignore:.*Async generator 'httpcore", "ignore:.*ByteStream.__aiter__")  # httpx's, on trio
def test_a_stream_left_early_takes_its_connection_along(kind: str, module: ModuleType) -> None:
    """Nobody reads what is left; the next request has a connection of its own, and the last one stays."""
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    with Loopback(endless).running() as server:
        request = module.Request("GET", server.url)
        if kind == "threads":
            with sync_inner(module, verify=CONTEXT) as transport:
                response: Any = transport.handle_request(request)
                assert next(iter(response.stream)) == b"abc"
                response.close()
                assert server.until(lambda: server.open == 0)
            return

        async def main() -> None:
            async with async_inner(module, verify=CONTEXT) as transport:
                response: Any = await transport.handle_async_request(request)
                async with aclosing(response.stream.__aiter__()) as pieces:
                    assert await anext(pieces) == b"abc"
                await response.aclose()
                assert await anyio.to_thread.run_sync(server.until, lambda: server.open == 0)

        anyio.run(main, backend=kind)


def test_what_is_known_of_the_connection(kind: str, module: ModuleType, loopback: Loopback) -> None:
    """The addresses and the socket under a response can be asked for."""
    stream = fetch(kind, module, get(module, loopback)).response.extensions["network_stream"]
    if kind == "asyncio":  # httpx cannot say once the connection is closed
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", loopback.port)
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("ssl_object") is None
        assert stream.get_extra_info("is_readable") is True
        assert stream.get_extra_info("anything") is None


def _then_hang_up(words: bytes) -> Any:
    async def answer(asked: Asked) -> None:
        asked.writer.write(words)
        await asked.writer.drain()

    return answer


def _stream(kind: str, module: ModuleType, server: Loopback, take: Any) -> None:
    if kind == "threads":
        with (
            module.Client(transport=sync_inner(module, verify=CONTEXT)) as client,
            client.stream("GET", server.url) as response,
        ):
            for piece in response.iter_raw():
                take(piece)
        return

    async def main() -> None:
        async with (
            module.AsyncClient(transport=async_inner(module, verify=CONTEXT)) as client,
            client.stream("GET", server.url) as response,
        ):
            async for piece in response.aiter_raw():
                take(piece)

    anyio.run(main, backend=kind)
