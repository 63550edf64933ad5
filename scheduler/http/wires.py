"""Wires: how a task or a thread waits, and sends by httpx or by httpx2.

The two libraries are one code base that has split; what is said here of one holds for the other, so a wire takes the
module.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import anyio

from scheduler.clock import pause
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.http.bodies import plain, understood
from scheduler.http.hearing import Hearing
from scheduler.http.streams import streams_of
from scheduler.providers.headers import Fields

_SMALL = 1 << 20  # bytes of a body whose decompression nothing bounds


def with_headers(module: ModuleType, request: Any, headers: list[tuple[bytes, bytes]]) -> Any:
    """Return a request of *module* that differs in its headers only."""
    return module.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return headers, their names in small letters; those that occur again are joined."""
    fields = Fields()
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class _Wire(ABC):
    """What both kinds have in common."""

    heard: str
    chained: str
    """Its kinds of streams."""

    def __init__(self, module: ModuleType, inner: Any) -> None:
        """Send by the transport *inner* of *module*."""
        self.module = module
        self.inner = inner
        self.unsendable: tuple[type[Exception], ...] = (module.UnsupportedProtocol,)
        self.wrong: tuple[type[Exception], ...] = (module.LocalProtocolError, module.StreamError)
        self.never_sent: tuple[type[Exception], ...] = (
            module.ConnectError,
            module.ConnectTimeout,
            module.PoolTimeout,
            module.ProxyError,
            module.UnsupportedProtocol,
        )
        self.broken: tuple[type[Exception], ...] = (module.TransportError, module.StreamError)

    def stamped(self, request: Any, name: str, value: str) -> Any:
        """Return a request with a header, or as it is if it has one of that name."""
        if name in request.headers:
            return request
        return with_headers(self.module, request, [*request.headers.raw, (name.encode(), value.encode())])

    def fields(self, response: Any) -> Fields:
        """Return the headers, their names in small letters; those that occur again are joined."""
        return fields_of(response.headers.raw)

    def at_hand(self, response: Any) -> bool:
        """Whether a body lies there in one piece."""
        return isinstance(response.stream, self.module.ByteStream)

    def decoded(self, body: bytes, encoding: str) -> bytes | None:
        """Return a body without its compression, or None where nothing here understands it."""
        if understood(encoding):
            return plain(body, encoding)
        if len(body) > _SMALL:
            return None
        try:
            content: bytes = self.module.Response(200, headers={"content-encoding": encoding}, content=body).content
        except (self.module.DecodingError, ValueError):  # a ValueError where its name is none
            return None
        return content

    async def read(self, response: Any, most: int, *, mend: bool = False) -> tuple[bytes, bool]:
        """Read a body, and return it with whether that is all; the response has it still.

        Args:
            response: The response.
            most: Bytes after which a body is left as it is.
            mend: Whether a body that breaks off counts as one that has ended.
        """
        stream, read, size = response.stream, list[bytes](), 0
        pieces = self.pieces(stream)
        try:
            while (piece := await self.next(pieces)) is not None:
                read.append(piece)
                size += len(piece)
                if size > most:
                    response.stream = streams_of(self.module)[self.chained](read, pieces, stream)
                    return b"".join(read), False
        except BaseException as error:
            if not (mend and isinstance(error, self.broken)):
                await self.shut(stream)
                raise
        await self.close(response)
        body = b"".join(read)
        response.stream = self.module.ByteStream(body)
        return body, True

    def hand_over(self, response: Any, hearing: Hearing) -> None:
        """Have *hearing* hear the body."""
        response.stream = streams_of(self.module)[self.heard](response.stream, hearing)

    @abstractmethod
    def pieces(self, stream: Any) -> Any: ...
    @abstractmethod
    async def next(self, pieces: Any) -> bytes | None: ...
    @abstractmethod
    async def shut(self, stream: Any) -> None: ...
    @abstractmethod
    async def close(self, response: Any) -> None: ...


class AsyncWire(_Wire):
    """A task's."""

    heard, chained = "heard", "chained"

    async def enter(self, waiter: Waiter) -> Reservation:
        """Wait for a turn."""
        return await waiter.__aenter__()

    async def sleep(self, seconds: float) -> None:
        """Wait out a delay."""
        await anyio.sleep(seconds)

    async def send(self, request: Any) -> Any:
        """Send a request and return the response, its body unread."""
        return await self.inner.handle_async_request(request)

    def pieces(self, stream: Any) -> Any:
        """Begin to read a body."""
        return stream.__aiter__()

    async def next(self, pieces: Any) -> bytes | None:
        """Return the next piece of a body, or None."""
        return await anext(pieces, None)

    async def shut(self, stream: Any) -> None:
        """Close a body, even where its task is cancelled."""
        with anyio.CancelScope(shield=True):
            await stream.aclose()

    async def close(self, response: Any) -> None:
        """Let go of a response."""
        await response.stream.aclose()


class SyncWire(_Wire):
    """A thread's. Its coroutines never suspend."""

    heard, chained = "heard_sync", "chained_sync"

    async def enter(self, waiter: Waiter) -> Reservation:
        """Wait for a turn."""
        return waiter.__enter__()

    async def sleep(self, seconds: float) -> None:
        """Wait out a delay."""
        pause(seconds)

    async def send(self, request: Any) -> Any:
        """Send a request and return the response, its body unread."""
        return self.inner.handle_request(request)

    def pieces(self, stream: Any) -> Any:
        """Begin to read a body."""
        return iter(stream)

    async def next(self, pieces: Any) -> bytes | None:
        """Return the next piece of a body, or None."""
        return next(pieces, None)

    async def shut(self, stream: Any) -> None:
        """Close a body."""
        stream.close()

    async def close(self, response: Any) -> None:
        """Let go of a response."""
        response.stream.close()
