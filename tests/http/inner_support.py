"""A raw server on loopback, which keeps what it was asked byte for byte; and requests sent to it in every way."""

import asyncio
import contextlib
import ssl
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import anyio
import trustme

from scheduler.http.inner import async_inner, sync_inner

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Asked:
    """A request as it came."""

    head: bytes
    body: bytes
    connection: int
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def get(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


Answer = bytes | Callable[[Asked], Awaitable[bytes | None]]
"""What is sent for every request, or what makes it: None to close the connection."""


async def silence(asked: Asked) -> None:
    """Answer nothing, until the other side hangs up."""
    await asked.reader.read()


async def hang_up(asked: Asked) -> None:
    """Close the connection instead of answering."""


class Loopback:
    """The server. Its fields are read by the test's own thread."""

    def __init__(self, answer: Answer = OK, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._all: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/"

    @contextlib.contextmanager
    def running(self) -> Iterator["Loopback"]:
        up = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._main(up)))
        thread.start()
        assert up.wait(5)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            thread.join()

    async def _main(self, up: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        await self._over.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())  # who is on his way in would be lost by a close now
        for _ in range(3):  # some may be on their way in, and some have not quite gone
            for writer in list(self._all):
                writer.transport.abort()
            if serving := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(serving, timeout=5)
            await asyncio.sleep(0.005)
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._changed:
            self.connections += 1
            self.open += 1
        number = self.connections
        self._writers.add(writer)
        self._all.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                await self._requests(reader, writer, number)
        finally:
            self._writers.discard(writer)
            writer.transport.abort() if self._tls else writer.close()
            with self._changed:
                self.open -= 1
                self._changed.notify_all()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            asked = Asked(head, b"", number, reader, writer)
            asked.body = await _body(asked, reader)
            self.asked.append(asked)
            answer = self.answer if isinstance(self.answer, bytes) else await self.answer(asked)
            if answer is None:
                return
            writer.write(answer.split(b"ok")[0] if asked.line.startswith(b"HEAD") else answer)
            await writer.drain()

    def until(self, met: Callable[[], bool]) -> bool:
        """Wait until something of this server holds, 5 seconds at most."""
        with self._changed:
            return self._changed.wait_for(met, 5)

    def hang_up(self) -> None:
        """Close all connections, and wait for it."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.close)
        assert self.until(lambda: self.open == 0)

    def say(self, words: bytes) -> None:
        """Send something on all connections, asked or not."""
        for writer in list(self._writers):
            self._loop.call_soon_threadsafe(writer.write, words)


async def _body(asked: Asked, reader: asyncio.StreamReader) -> bytes:
    if (length := asked.get(b"content-length")) is not None:
        return await reader.readexactly(int(length))
    if asked.get(b"transfer-encoding") != b"chunked":
        return b""
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)


CONTEXT = ssl.create_default_context()
"""Where TLS does not matter: to load certificates takes longer than a test."""
KINDS = ["asyncio", "trio", "threads"]
"""Who sends: a task of asyncio or of trio, or a thread."""


@dataclass
class Seen:
    """A response, its body as it came."""

    response: Any
    body: bytes


def fetch(kind: str, module: ModuleType, request: Any, transport: Any = None, **options: Any) -> Seen:
    """Send a request by an inner transport, or by *transport*, and close it."""
    options.setdefault("verify", CONTEXT)
    if kind == "threads":
        with transport or sync_inner(module, **options) as sender:
            response: Any = sender.handle_request(request)
            try:
                return Seen(response, b"".join(response.stream))
            finally:
                response.close()

    async def main() -> Seen:
        async with transport or async_inner(module, **options) as sender:
            return await read(sender, request)

    return anyio.run(main, backend=kind)


async def read(transport: Any, request: Any) -> Seen:
    """Send a request and read its answer to the end."""
    response = await transport.handle_async_request(request)
    try:
        return Seen(response, b"".join([piece async for piece in response.stream]))
    finally:
        await response.aclose()


def timed(**seconds: float) -> dict[str, Any]:
    """Return the extensions of a request with these timeouts; 5 seconds for the rest."""
    return {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0, **seconds}}


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Return a server's TLS context, with a certificate for *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context
