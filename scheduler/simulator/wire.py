"""What goes over the wire, as ASGI has it: one body in, one answer or stream out, or a cut."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import httpx
import msgspec

from scheduler.simulator.errors import Answer
from scheduler.simulator.headers import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


class ConnectionDropped(httpx.RemoteProtocolError, ConnectionResetError):
    """The simulator dropped a connection, in process.

    It is what an HTTP client would have raised, so that a program above an in-process transport sees the same.
    """


class BodyTooLarge(Exception):
    """A request's body is larger than the world allows."""


class Transport(Protocol):
    """The server's end of a connection, as asyncio has it."""

    def abort(self) -> None:
        """Close at once; what is not yet sent is lost."""
        ...

    def is_closing(self) -> bool:
        """Say whether it is closed or about to be."""
        ...


Connections = dict[tuple[Any, Any], Transport]
"""Connections of servers, by the client's and the server's address."""


class Wire:
    """One request's connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, connections: Connections) -> None:
        self._receive, self._send = receive, send
        self.method, self.path = str(scope["method"]), str(scope["path"])
        self.client = scope.get("client")
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self._transport = connections.get((_address(self.client), _address(scope.get("server"))))

    def header(self, name: bytes) -> str | None:
        """Return a request header, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, most: int) -> bytes:
        """Return the request's body.

        Raises:
            BodyTooLarge: If it is longer than *most* bytes. The rest is read and thrown away, so that the client is
                there to hear about it.
        """
        parts, size, more = [], 0, True
        while more:
            message = await self._receive()
            part = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()
        if size > most:
            raise BodyTooLarge
        return b"".join(parts)

    async def answer(self, answer: Answer, headers: Headers) -> None:
        """Send a whole answer."""
        body = msgspec.json.encode(answer.body)
        length = (b"content-length", str(len(body)).encode())
        await self._start(answer.status, [_JSON, length, *headers, *answer.headers])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin_stream(self, headers: Headers) -> None:
        """Send the headers of a stream."""
        await self._start(200, [_EVENTS, (b"cache-control", b"no-cache"), *headers])

    async def chunk(self, data: bytes) -> None:
        """Send a part of a stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self) -> None:
        """End a stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def drop(self) -> None:
        """Close the connection with what was sent so far.

        Raises:
            ConnectionDropped: In process, where there is no connection to close.
        """
        if self._transport is None:
            raise ConnectionDropped("Server disconnected without sending a response.")
        self._transport.abort()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    @property
    def gone(self) -> bool:
        """Whether the client has gone away."""
        return self._transport is not None and self._transport.is_closing()


def _address(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
