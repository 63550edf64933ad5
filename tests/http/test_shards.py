"""Connections in small pools: reused, spread, and counted right whatever becomes of a request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx
import pytest

from scheduler.http.client import make_client
from scheduler.http.shards import SHARD, ShardedTransport
from scheduler.providers.registry import provider_named
from scheduler.tokens.text import ByteEstimate

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A raw server on loopback that counts connections; *answer* is what a request gets."""

    def __init__(self, answer: bytes = ANSWER, delay: float = 0.0) -> None:
        self.answer, self.delay = answer, delay
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.delay)
                writer.write(self.answer)
                if not self.answer.endswith(b"ok"):
                    break
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()
            for writer in self.writers:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


async def many(transport: ShardedTransport, url: str, number: int) -> None:
    """Send requests, all at once."""
    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(one, transport, url)


async def one(transport: ShardedTransport, url: str) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    try:
        await response.aread()
    finally:
        await response.aclose()


def test_no_pool_holds_more_than_its_share() -> None:
    """Requests at once are spread over as many pools as they need."""

    async def main() -> None:
        async with Server(delay=0.05).running() as server, ShardedTransport() as transport:
            async with anyio.create_task_group() as group:
                for _ in range(3 * SHARD + 1):
                    group.start_soon(one, transport, server.url)
                await asyncio.sleep(0.02)
                assert transport._flying == [SHARD, SHARD, SHARD, 1]
            assert transport._flying == [0, 0, 0, 0]
            assert server.connections == 3 * SHARD + 1

    anyio.run(main)


def test_connections_are_reused() -> None:
    """One after the other, requests share a connection; a second wave opens none."""

    async def main() -> None:
        async with Server().running() as server, ShardedTransport() as transport:
            for _ in range(20):
                await one(transport, server.url)
            assert server.connections == 1
        async with Server(delay=0.02).running() as server, ShardedTransport() as transport:
            await many(transport, server.url, 40)
            await many(transport, server.url, 40)
            assert server.connections == 40

    anyio.run(main)


def test_the_first_pools_take_what_there_is() -> None:
    """After a wave the last pools run empty: quiet traffic keeps few connections warm."""

    async def main() -> None:
        async with Server(delay=0.02).running() as server, ShardedTransport() as transport:
            await many(transport, server.url, 3 * SHARD)
            for _ in range(5):
                response = await transport.handle_async_request(httpx.Request("GET", server.url))
                assert transport._flying == [1, 0, 0]
                await response.aclose()

    anyio.run(main)


def test_errors_leave_no_count_behind() -> None:
    """A refused connection, a cut answer and a cut body each free their place."""

    async def main() -> None:
        async with ShardedTransport() as transport:
            async with Server(b"").running() as server:
                with pytest.raises(httpx.RemoteProtocolError):
                    await one(transport, server.url)
                closed = server.url
            with pytest.raises(httpx.ConnectError):
                await one(transport, closed)
            async with Server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").running() as server:
                with pytest.raises(httpx.RemoteProtocolError):
                    await one(transport, server.url)
            assert transport._flying == [0]

    anyio.run(main)


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.06])
def test_cancellation_leaves_no_count_behind(moment: float) -> None:
    """Whether a request is cancelled while it connects, waits or is read, its place is free afterwards."""

    async def main() -> None:
        slow = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok"
        transport = ShardedTransport()
        async with Server(slow, delay=0.05).running() as server, httpx.AsyncClient(transport=transport) as client:
            with anyio.move_on_after(moment):
                async with client.stream("GET", server.url) as response:
                    async for _ in response.aiter_raw():
                        await anyio.sleep(1)
            assert transport._flying in ([0], [])

    anyio.run(main)


def test_abandoned_streams_leave_no_count_behind() -> None:
    """A stream that is left in the middle frees its place when its block ends; closing twice counts once."""

    async def main() -> None:
        transport = ShardedTransport()
        async with Server().running() as server, httpx.AsyncClient(transport=transport) as client:
            async with client.stream("GET", server.url) as response:
                assert transport._flying == [1]
                await response.aclose()
                await response.aclose()
            assert transport._flying == [0]
            with contextlib.suppress(RuntimeError):
                async with client.stream("GET", server.url):
                    raise RuntimeError
            assert transport._flying == [0]

    anyio.run(main)


def test_a_proxy_of_the_environment_keeps_httpx_s_own_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a proxy is set, httpx finds it; where none is, connections are spread."""
    provider = provider_named("openai", ByteEstimate(), None)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(make_client(provider, None, timeout=1.0)._transport, ShardedTransport)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    client = make_client(provider, None, timeout=1.0)
    assert not isinstance(client._transport, ShardedTransport)
    assert isinstance(client._transport_for_url(httpx.URL("https://api.openai.com/v1")), httpx.AsyncHTTPTransport)
