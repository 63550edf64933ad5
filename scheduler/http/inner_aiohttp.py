"""The fast way out: plain requests of httpx and httpx2, carried by aiohttp.

The naive version hands every request to httpx's own pool. That pool looks at all its connections for each request: at
500 in flight a request costs 2 (httpx2) to 20 ms (httpx) of CPU, most of it looking. aiohttp keeps a queue of idle
connections for each origin and parses in C; the same request costs 0.37 to 0.46 ms, at 500 in flight and at 1,000, of
which 0.1 is the client's (`benchmarks/transports.py`).

What breaks is all that the two mean differently. aiohttp adds headers, keeps cookies, decompresses, asks again by
itself, rewrites urls, and waits for ever for a server that does not read. And the published bridges (httpx-aiohttp 0.2,
and the copy of it in OpenAI's client) leave those as they are, live in one loop, and report a connection that broke
*after* it had the request as a failure to connect: a scheduler takes that for "never sent", returns the charge, and
sends again. That is why this is not one of them.

The idea is to carry only what goes through unchanged, and to leave the rest to httpx's own transport. Here go requests
whose body is whole in memory and small enough to be handed to the connection at once (so that writing never waits),
whose target aiohttp keeps byte for byte, and whose framing needs no header more or less: the calls that a client of an
API makes by the thousand. Uploads in pieces, upgrades, traces and oddities are not for us; `parcel` says so before
anything is sent.

The invariant: *a request was sent if and only if it was given a connection.* The connector turns all that goes wrong
before into `ConnectError` and `ConnectTimeout`; what comes after is `ReadTimeout`, `ReadError` or
`RemoteProtocolError`, and is never tried again here. Idle connections that the server has closed meanwhile, or spoken
on unasked, are thrown away before one is given.

Four differences stay. A server that reads not even a small body is a read timeout, not a write timeout: the connection
has taken the body. The read timeout runs while nobody reads the body, too, as long as nothing comes. The connect
timeout is for all of connecting; httpx takes it once for the socket and once for TLS. And what a server says beyond the
end of an answer, in the same breath, spoils the answer; httpx only closes the connection.
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from types import ModuleType
from typing import Any, ClassVar
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from scheduler.http.inner_parcel import LARGEST, Parcel

_WRITE_BUFFER = 2 * LARGEST  # room for the largest body and its headers: writing never waits
_LONGEST_LINE = 100 * 1024  # of an answer's headers; as httpx has it
_MOST_FIELDS = 1_000  # of an answer


class FastWay:
    """aiohttp's connections of one event loop; to be made while it runs."""

    def __init__(self, module: ModuleType, context: ssl.SSLContext, keepalive: float) -> None:
        """Carry requests of *module* over TLS of *context*; keep idle connections for *keepalive* seconds."""
        self._module = module
        self._body = _body_class(module)
        self._connector = _Connector(module, context, keepalive)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            response_class=FastAnswer,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_MOST_FIELDS,
            middlewares=(self._carry,),
        )

    async def send(self, parcel: Parcel) -> Any:
        """Send a request and return the response, its body unread, as *module* has it. Raises as ``ask`` does."""
        answer = await self.ask(parcel)
        response = answer.response(self._module)
        del answer.stream  # which holds the answer: it is to go with the response, and not with a collection
        return response

    async def ask(self, parcel: Parcel) -> "FastAnswer":
        """Send a request and return the answer, its body unread.

        Raises:
            module.ConnectError: If it was never sent.
            module.ConnectTimeout: The same.
            module.LocalProtocolError: If a header holds what none may; never sent.
            module.TransportError: Another one, if it was.
        """
        try:
            answer = await self._session.request(
                parcel.method,
                parcel.url,
                headers=parcel.headers,
                skip_auto_headers=parcel.missing,
                data=parcel.content,
                timeout=parcel.timeout,
                allow_redirects=False,
            )
        except ValueError as error:
            raise self._module.LocalProtocolError(str(error)) from None
        assert isinstance(answer, FastAnswer)
        answer.stream = self._body(answer, self._module)
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _carry(
        self, request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[Any]]
    ) -> Any:
        """See one request through. aiohttp would repeat some that failed: not those whose errors it does not know."""
        given = self._connector.given
        try:
            answer = await handler(request)
        except BaseException as error:
            if (transport := given.pop(request, None)) is not None:
                transport.abort()
            if not isinstance(error, (aiohttp.ClientError, OSError)):
                raise
            failure = _failure(self._module, error)
        else:
            answer.transport = given.pop(request)
            return answer
        raise failure  # out here, so that it drags no headers along


class FastAnswer(aiohttp.ClientResponse):
    """An answer of aiohttp's that knows what it came through, and its body as httpx has it."""

    transport: asyncio.Transport
    stream: Any
    """The body: of the httpx that asked."""
    fields: dict[str, str]
    """The headers, their names in small letters, once somebody has looked at them."""

    @property
    def status_code(self) -> int:
        """The HTTP status, by the name that httpx has for it."""
        return self.status

    def response(self, module: ModuleType) -> Any:
        """Return it as *module* has it."""
        assert self.version is not None
        return module.Response(
            self.status,
            headers=self.raw_headers,
            stream=self.stream,
            extensions={
                "http_version": b"HTTP/%d.%d" % self.version,
                "reason_phrase": (self.reason or "").encode("utf-8", "surrogateescape"),
                "network_stream": NetworkStream(self.transport),
            },
        )


class _Connector(aiohttp.TCPConnector):
    """Gives connections that can be used, or says that nothing was sent."""

    def __init__(self, module: ModuleType, context: ssl.SSLContext, keepalive: float) -> None:
        super().__init__(limit=0, ssl=context, keepalive_timeout=keepalive, resolver=aiohttp.ThreadedResolver())
        self.given: dict[aiohttp.ClientRequest, asyncio.Transport] = {}
        self._module = module
        self._used = WeakSet[ResponseHandler]()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 -- aiohttp's
    ) -> Connection:
        try:
            while True:
                connection = await super().connect(req, traces, timeout)
                if (transport := self._usable(connection)) is not None:
                    self.given[req] = transport
                    return connection
                connection.close()
        except TimeoutError as error:
            raise self._module.ConnectTimeout(str(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._module.ConnectError(_why(error)) from error

    @property
    def closed(self) -> bool:
        """Whether there is nothing left to close: so it is where the loop is gone."""
        return super().closed or self._loop.is_closed()

    def _usable(self, connection: Connection) -> asyncio.Transport | None:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            return None
        if protocol not in self._used:
            self._used.add(protocol)
            transport.set_write_buffer_limits(_WRITE_BUFFER)
        elif protocol.should_close or _readable(transport):
            return None
        return transport


def _readable(transport: asyncio.Transport) -> bool:
    """Whether something lies unread in a connection's socket: if nothing was asked, its end."""
    number = transport.get_extra_info("socket").fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def _why(error: Exception) -> str:
    """Return what went wrong, without aiohttp's words around it."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(inner)


def _failure(module: ModuleType, error: Exception) -> Exception:
    """Return an error of *module* for one of aiohttp's that came after sending."""
    failure: Exception
    if isinstance(error, TimeoutError):
        failure = module.ReadTimeout("")
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        failure = module.RemoteProtocolError("Server disconnected without sending a response.")
    elif isinstance(error, aiohttp.ClientPayloadError):
        failure = module.RemoteProtocolError("peer closed connection without sending complete message body")
    elif isinstance(error, aiohttp.ClientResponseError):
        failure = module.RemoteProtocolError(error.message)
    else:
        failure = module.ReadError(str(error))
    return failure


class _Body:
    """A response's body as it comes. Closed early, it takes its connection with it."""

    def __init__(self, answer: FastAnswer, module: ModuleType) -> None:
        self._answer = answer
        self._module = module

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        try:
            while chunk := await content.readany():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            failure = _failure(self._module, error)
        else:
            return
        raise failure

    async def aclose(self) -> None:
        if self._answer.connection is not None:  # it is not at its end
            self._answer.transport.abort()
        self._answer.close()


@cache
def _body_class(module: ModuleType) -> type[Any]:
    return type("Body", (_Body, module.AsyncByteStream), {})


class NetworkStream:
    """What can be told of the connection under a response, by the names that httpx has for it."""

    _NAMES: ClassVar = {"client_addr": "sockname", "server_addr": "peername"}

    def __init__(self, transport: asyncio.Transport) -> None:
        """Tell of *transport*."""
        self._transport = transport

    def get_extra_info(self, info: str) -> Any:
        """Return ``ssl_object``, ``client_addr``, ``server_addr``, ``socket`` or ``is_readable``; None for others."""
        if info == "is_readable":
            return _readable(self._transport)
        return self._transport.get_extra_info(self._NAMES.get(info, info))
