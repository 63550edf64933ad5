"""Letters: whole requests of our own, and their answers, without an object of httpx where nobody asks for one.

The naive version makes an httpx request of every body, takes it apart for aiohttp, makes an httpx response of what
comes, and reads it. That is a tenth of what a request of a long job costs. But the requests of a job differ in their
bodies only. So a *head* is made once, as httpx and as aiohttp want it; and what aiohttp answers stays what it is.

What does not go by aiohttp goes by the transport as a request like any other: large bodies, proxies, trio, and
transports that are not ours.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx

from scheduler.core.quota import SECOND
from scheduler.http.courier import ERROR_BODY, SUCCESS
from scheduler.http.inner import sender_of_parcels
from scheduler.http.inner_aiohttp import FastAnswer
from scheduler.http.inner_parcel import LARGEST, Parcel, parcel
from scheduler.http.wires import AsyncWire, fields_of
from scheduler.providers.headers import Fields

_LENGTH = "Content-Length"


class Head:
    """What requests have in common that differ in their bodies only."""

    __slots__ = ("plain", "request")

    def __init__(self, request: httpx.Request) -> None:
        """Be the head of *request*, which has no body and names no length."""
        self.request = request
        self.plain = parcel(httpx, Letter(self, b"{}").request())
        """One as aiohttp wants it, its length last; or None where none can go that way."""


class Letter:
    """A head, a body, and what headers are its own."""

    __slots__ = ("content", "head", "more")

    def __init__(self, head: Head, content: bytes, more: tuple[tuple[str, str], ...] = ()) -> None:
        self.head = head
        self.content = content
        self.more = more

    @property
    def method(self) -> str:
        """Its HTTP method."""
        return self.head.request.method

    def parcel(self) -> Parcel | None:
        """Return it as aiohttp wants it, or None if it cannot go that way."""
        plain, content = self.head.plain, self.content
        if plain is None or len(content) > LARGEST:
            return None
        headers = [*plain.headers[:-1], *self.more, (_LENGTH, str(len(content)))]
        return Parcel(plain.method, plain.url, headers, plain.missing, content or None, plain.timeout)

    def request(self) -> httpx.Request:
        """Return it as httpx wants it."""
        head = self.head.request
        own = *self.more, (_LENGTH, str(len(self.content)))
        request = httpx.Request(
            head.method,
            head.url,
            headers=[*head.headers.raw, *((name.encode(), value.encode()) for name, value in own)],
            stream=httpx.ByteStream(self.content),
            extensions=dict(head.extensions),
        )
        request.read()
        return request


class Received:
    """An answer, its body read.

    Attributes:
        status: Its HTTP status.
        request_id: What the provider calls the request, or "".
        content: The body, decompressed.
    """

    __slots__ = ("_make", "_response", "content", "request_id", "status")

    def __init__(self, status: int, request_id: str, content: bytes, make: Callable[[], httpx.Response]) -> None:
        """Be an answer of which *make* makes a response."""
        self.status = status
        self.request_id = request_id
        self.content = content
        self._make = make
        self._response: httpx.Response | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> "Received":
        """Return a response that has been read."""
        name = response.headers.get("x-request-id", "")
        return cls(response.status_code, name, response.content, lambda: response)

    @property
    def response(self) -> httpx.Response:
        """It as a client of httpx would return it."""
        if self._response is None:
            self._response = self._make()
        return self._response


class LetterWire(AsyncWire):
    """A task's wire for letters."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        """Send by *inner*."""
        super().__init__(httpx, inner)
        self._send_plain = sender_of_parcels(inner)

    def stamped(self, request: Letter, name: str, value: str) -> Letter:
        """Return a letter with a header, or as it is if it has one of that name."""
        if name in request.head.request.headers:
            return request
        return Letter(request.head, request.content, (*request.more, (name, value)))

    async def send(self, request: Letter) -> Any:
        """Send a letter and return what answers it, its body unread."""
        if self._send_plain is not None and (plain := request.parcel()) is not None:
            answer = await self._send_plain(request.head.request.url, plain)
            if answer is not None:
                return answer
        return await self.inner.handle_async_request(request.request())

    def fields(self, response: Any) -> Fields:
        """Return the headers, their names in small letters; those that occur again are joined."""
        if not isinstance(response, FastAnswer):
            return super().fields(response)
        response.fields = fields_of(response.raw_headers)
        return response.fields

    async def received(self, response: Any, request: Letter, latency: int) -> Received:
        """Read an answer to its end, or an error as far as errors are read, and return it.

        Raises:
            httpx.TransportError: If its body breaks off.
            httpx.DecodingError: If its body is not compressed as it says.
        """
        if not self.at_hand(response):
            broken = response.status_code not in SUCCESS
            body, whole = await self.read(response, ERROR_BODY if broken else sys.maxsize, mend=broken)
            if not whole:
                await self.close(response)
                response.stream = httpx.ByteStream(body)
        if not isinstance(response, FastAnswer):
            return Received.of(_read(response, request, latency))
        if "content-encoding" in response.fields:
            return Received.of(_read(response.response(httpx), request, latency))
        name, body = response.fields.get("x-request-id", ""), b"".join(response.stream)
        return Received(response.status, name, body, lambda: _read(response.response(httpx), request, latency))


def _read(response: httpx.Response, request: Letter, latency: int) -> httpx.Response:
    """Return an answer, whose body is at hand, as a client would."""
    response.request = request.request()
    response.elapsed = timedelta(seconds=latency / SECOND)
    response.read()
    return response
