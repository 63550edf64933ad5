"""What goes wrong, told as httpx tells it: never sent, or sent and not answered."""

import asyncio
import logging
import socket
import time
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import anyio
import pytest
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, OK, Asked, Loopback, fetch, hang_up, read, silence, timed

from scheduler.http.inner import async_inner, sync_inner

KEY = "sk-very-secret"


def post(module: ModuleType, url: str, content: bytes = b"{}", **seconds: float) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    return module.Request("POST", url, content=content, headers=headers, extensions=timed(**seconds))


async def reset(asked: Asked) -> None:
    """Break the connection instead of answering."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    asked.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.fixture
def deaf() -> Iterator[int]:
    """Return a port where connections are taken and nothing is ever said or read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full() -> Iterator[int]:
    """Return a port where connecting takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_nobody_listens(kind: str, module: ModuleType) -> None:
    """A refused connection was never sent on."""
    with pytest.raises(module.ConnectError):
        fetch(kind, module, post(module, f"http://127.0.0.1:{closed_port()}/"))


def test_a_name_that_nobody_has(kind: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is a failure to connect."""

    def unknown(*arguments: object, **named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(module.ConnectError, match="not known"):
        fetch(kind, module, post(module, "http://nowhere.invalid/"))


def test_connecting_takes_too_long(kind: str, module: ModuleType, full: int) -> None:
    """The connect timeout is told from all others."""
    with pytest.raises(module.ConnectTimeout):
        fetch(kind, module, post(module, f"http://127.0.0.1:{full}/", connect=0.1))


def test_the_tls_handshake_takes_too_long(kind: str, module: ModuleType, deaf: int) -> None:
    """It belongs to connecting."""
    with pytest.raises(module.ConnectTimeout):
        fetch(kind, module, post(module, f"https://127.0.0.1:{deaf}/", connect=0.1))


def test_no_answer_in_time(kind: str, module: ModuleType) -> None:
    """The read timeout: sent, and not answered."""
    with Loopback(silence).running() as server:
        with pytest.raises(module.ReadTimeout):
            fetch(kind, module, post(module, server.url, read=0.1))
        assert len(server.asked) == 1
        assert server.until(lambda: server.open == 0)


def test_a_body_that_stops(kind: str, module: ModuleType) -> None:
    """The read timeout holds between pieces, too."""

    async def half(asked: Asked) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await silence(asked)

    with Loopback(half).running() as server, pytest.raises(module.ReadTimeout):
        fetch(kind, module, post(module, server.url, read=0.1))


@pytest.mark.filterwarnings("ignore:.*Async generator 'httpx", "ignore:.*ByteStream.__aiter__")  # httpx's, on trio
def test_nobody_reads(kind: str, module: ModuleType, deaf: int) -> None:
    """The write timeout: a large body that the server does not take."""
    with pytest.raises(module.WriteTimeout):
        fetch(kind, module, post(module, f"http://127.0.0.1:{deaf}/", b"x" * (32 << 20), write=0.2, read=30))


def test_nobody_reads_a_smaller_body(module: ModuleType, deaf: int) -> None:
    """What the connection can hold is written at once: then it is the answer that does not come."""
    with pytest.raises(module.ReadTimeout):
        fetch("asyncio", module, post(module, f"http://127.0.0.1:{deaf}/", b"x" * (256 << 10), write=30, read=0.1))


def test_no_room(kind: str, module: ModuleType) -> None:
    """The pool timeout, where connections are limited; what fails or ends makes room."""
    request = module.Request
    with Loopback().running() as server:
        if kind == "threads":
            with sync_inner(module, verify=CONTEXT, max_connections=1) as transport:
                first = transport.handle_request(request("GET", server.url))
                with pytest.raises(module.PoolTimeout):
                    transport.handle_request(request("GET", server.url, extensions=timed(pool=0.05)))
                first.close()
                with pytest.raises(module.ConnectError):
                    transport.handle_request(request("GET", f"http://127.0.0.1:{closed_port()}/"))
                transport.handle_request(request("GET", server.url, extensions=timed(pool=0.05))).close()
            return

        async def main() -> None:
            async with async_inner(module, verify=CONTEXT, max_connections=1) as transport:
                first = await transport.handle_async_request(request("GET", server.url))
                with pytest.raises(module.PoolTimeout):
                    await transport.handle_async_request(request("GET", server.url, extensions=timed(pool=0.05)))
                await first.aclose()
                with pytest.raises(module.ConnectError):
                    await transport.handle_async_request(request("GET", f"http://127.0.0.1:{closed_port()}/"))
                await read(transport, request("GET", server.url, extensions=timed(pool=0.05)))

        anyio.run(main, backend=kind)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", [hang_up, reset])
def test_a_connection_that_breaks_after_sending(module: ModuleType, kind: str, method: str, how: Any) -> None:
    """Sent once and not answered: it is no failure to connect, and nobody but the caller tries again."""
    answers = iter([OK])

    async def answer(asked: Asked) -> bytes | None:
        return next(answers, None) or await how(asked)

    with Loopback(answer).running() as server:

        def request() -> Any:
            return module.Request(method, server.url, content=b"{}", extensions=timed())

        if kind == "threads":
            with sync_inner(module, verify=CONTEXT) as transport:
                transport.handle_request(request()).close()
                with pytest.raises((module.ReadError, module.RemoteProtocolError)):
                    transport.handle_request(request())
        else:

            async def main() -> None:
                async with async_inner(module, verify=CONTEXT) as transport:
                    await read(transport, request())
                    with pytest.raises((module.ReadError, module.RemoteProtocolError)):
                        await read(transport, request())

            anyio.run(main, backend=kind)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_broken_answers(kind: str, module: ModuleType, words: bytes) -> None:
    """An answer that is cut off or none at all is the server's fault, and says nothing of keys."""

    async def answer(asked: Asked) -> None:
        asked.writer.write(words)
        await asked.writer.drain()

    with Loopback(answer).running() as server, pytest.raises(module.RemoteProtocolError) as caught:
        fetch(kind, module, post(module, server.url))
    if kind == "asyncio":
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert KEY not in told + repr(caught.value.__context__) + repr(caught.value.__cause__)


def test_keys_are_in_no_log(
    kind: str, module: ModuleType, loopback: Loopback, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is logged, of success and of failure."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with caplog.at_level(logging.DEBUG), Loopback(hang_up).running() as broken:
        fetch(kind, module, post(module, loopback.url))
        with pytest.raises(module.TransportError):
            fetch(kind, module, post(module, broken.url))
        with pytest.raises(module.ConnectError):
            fetch(kind, module, post(module, f"http://127.0.0.1:{closed_port()}/"))
    assert len(loopback.asked) == len(broken.asked) == 1
    assert KEY not in caplog.text


async def twice(transport: Any, module: ModuleType, server: Loopback, between: Any) -> Any:
    """Send a request, let something happen, and send another."""
    await read(transport, post(module, server.url))
    between()
    return await read(transport, post(module, server.url))


def test_an_idle_connection_that_the_server_closed(module: ModuleType) -> None:
    """It is not used: not even where the loop has had no time to see that it is closed."""

    def between() -> None:
        server.hang_up()  # blocks this loop
        time.sleep(0.05)

    async def main() -> None:
        async with async_inner(module, verify=CONTEXT) as transport:
            assert (await twice(transport, module, server, between)).body == b"ok"

    with Loopback().running() as server:
        anyio.run(main)
        assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("noticed", [True, False])
def test_words_that_nobody_asked_for(module: ModuleType, noticed: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """What a server says on an idle connection is nobody's answer."""

    async def main() -> None:
        async with async_inner(module, verify=CONTEXT) as transport:
            await read(transport, post(module, server.url))
            server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            if noticed:
                await asyncio.sleep(0.05)
            else:
                time.sleep(0.05)  # noqa: ASYNC251 -- the loop must not look
            assert (await read(transport, post(module, server.url))).body == b"ok"

    with Loopback().running() as server:
        anyio.run(main)
        assert [asked.connection for asked in server.asked] == [1, 2]
