"""Wires: how a task or a thread waits, and sends by httpx or by httpx2.

The two libraries are one code base that has split; what is said here of one holds for the other, so a wire takes the
module. The classes of the streams must be the module's own: its client looks.
"""

import functools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import anyio

from scheduler.clock import pause
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.http.bodies import plain, understood
from scheduler.http.hearing import Hearing

_SMALL = 1 << 20  # bytes of a body whose decompression nothing bounds


class _Wire:
    """What both kinds have in common."""

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
        headers = [*request.headers.raw, (name.encode(), value.encode())]
        return self.module.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def fields(self, response: Any) -> dict[str, str]:
        """Return the headers, their names in small letters; those that occur again are joined."""
        fields: dict[str, str] = {}
        for raw_name, raw_value in response.headers.raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

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


class AsyncWire(_Wire):
    """A task's."""

    async def enter(self, waiter: Waiter) -> Reservation:
        """Wait for a turn."""
        return await waiter.__aenter__()

    async def sleep(self, seconds: float) -> None:
        """Wait out a delay."""
        await anyio.sleep(seconds)

    async def send(self, request: Any) -> Any:
        """Send a request and return the response, its body unread."""
        return await self.inner.handle_async_request(request)

    async def read(self, response: Any, most: int, *, mend: bool = False) -> tuple[bytes, bool]:
        """Read a body, and return it with whether that is all; the response has it still."""
        stream, pieces, size = response.stream, [], 0
        rest = stream.__aiter__()
        try:
            async for piece in rest:
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    response.stream = _streams(self.module)["chained"](pieces, rest, stream)
                    return b"".join(pieces), False
        except self.broken:
            if not mend:
                await _aclose(stream)
                raise
        except BaseException:
            await _aclose(stream)
            raise
        await stream.aclose()
        body = b"".join(pieces)
        response.stream = self.module.ByteStream(body)
        return body, True

    async def close(self, response: Any) -> None:
        """Let go of a response."""
        await response.stream.aclose()

    def hand_over(self, response: Any, hearing: Hearing) -> None:
        """Have *hearing* hear the body."""
        response.stream = _streams(self.module)["heard"](response.stream, hearing)


class SyncWire(_Wire):
    """A thread's. Its coroutines never suspend."""

    async def enter(self, waiter: Waiter) -> Reservation:
        """Wait for a turn."""
        return waiter.__enter__()

    async def sleep(self, seconds: float) -> None:
        """Wait out a delay."""
        pause(seconds)

    async def send(self, request: Any) -> Any:
        """Send a request and return the response, its body unread."""
        return self.inner.handle_request(request)

    async def read(self, response: Any, most: int, *, mend: bool = False) -> tuple[bytes, bool]:
        """Read a body, and return it with whether that is all; the response has it still."""
        stream, pieces, size = response.stream, [], 0
        rest = iter(stream)
        try:
            for piece in rest:
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    response.stream = _streams(self.module)["chained_sync"](pieces, rest, stream)
                    return b"".join(pieces), False
        except self.broken:
            if not mend:
                stream.close()
                raise
        except BaseException:
            stream.close()
            raise
        stream.close()
        body = b"".join(pieces)
        response.stream = self.module.ByteStream(body)
        return body, True

    async def close(self, response: Any) -> None:
        """Let go of a response."""
        response.stream.close()

    def hand_over(self, response: Any, hearing: Hearing) -> None:
        """Have *hearing* hear the body."""
        response.stream = _streams(self.module)["heard_sync"](response.stream, hearing)


async def _aclose(stream: Any) -> None:
    with anyio.CancelScope(shield=True):
        await stream.aclose()


class _Heard:
    """A body that is heard as it is read."""

    def __init__(self, inner: Any, hearing: Hearing) -> None:
        self._inner = inner
        self._hearing = hearing
        self._chunks: Any = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = self._inner.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._hearing.ended()
            raise
        except Exception:
            self._hearing.broke()
            raise
        self._hearing.heard(chunk)
        return chunk

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._hearing.left()


class _HeardSync:
    """The same in a thread."""

    def __init__(self, inner: Any, hearing: Hearing) -> None:
        self._inner = inner
        self._hearing = hearing

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                self._hearing.heard(chunk)
                yield chunk
        except Exception:
            self._hearing.broke()
            raise
        self._hearing.ended()

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._hearing.left()


class _Chained:
    """A body of which a part has been read."""

    def __init__(self, pieces: list[bytes], rest: Any, stream: Any) -> None:
        self._pieces = deque(pieces)
        self._rest = rest
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        piece: bytes = await self._rest.__anext__()
        return piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ChainedSync:
    """The same in a thread."""

    def __init__(self, pieces: list[bytes], rest: Any, stream: Any) -> None:
        self._pieces = deque(pieces)
        self._rest = rest
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        while self._pieces:
            yield self._pieces.popleft()
        yield from self._rest

    def close(self) -> None:
        self._stream.close()


@functools.cache
def _streams(module: ModuleType) -> dict[str, Any]:
    """Return the streams as classes of *module*."""
    return {
        "heard": type("Heard", (_Heard, module.AsyncByteStream), {}),
        "heard_sync": type("HeardSync", (_HeardSync, module.SyncByteStream), {}),
        "chained": type("Chained", (_Chained, module.AsyncByteStream), {}),
        "chained_sync": type("ChainedSync", (_ChainedSync, module.SyncByteStream), {}),
    }
