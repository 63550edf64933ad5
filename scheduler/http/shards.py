"""Many connections at flat cost: small pools beside each other.

httpx's pool looks at every connection for every request, and for each idle one at all the others: with 350 connections
a request costs 40 ms of CPU, more than a core can give at ten requests a second. A pool of 16 costs next to nothing.
So requests are spread over pools that never hold more than 16; the first one with room takes a request, which keeps
connections warm and lets the last pools run empty.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import anyio
import httpx

SHARD = 16
"""Requests in flight that one pool takes."""


class ShardedTransport(httpx.AsyncBaseTransport):
    """httpx's transport over HTTP, spread over small pools."""

    def __init__(self) -> None:
        """Make the first pool when it is needed."""
        self._tls = httpx.create_ssl_context()  # one for all: loading certificates takes 20 ms
        self._shards: list[httpx.AsyncHTTPTransport] = []
        self._flying: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the first pool that has room."""
        index = next((index for index, flying in enumerate(self._flying) if flying < SHARD), len(self._shards))
        if index == len(self._shards):
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=SHARD, keepalive_expiry=30.0)
            self._shards.append(httpx.AsyncHTTPTransport(verify=self._tls, limits=limits))
            self._flying.append(0)
        self._flying[index] += 1
        try:
            response = await self._shards[index].handle_async_request(request)
        except BaseException:
            self._flying[index] -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Counted(response.stream, self._flying, index)
        return response

    async def aclose(self) -> None:
        """Close every pool."""
        with anyio.CancelScope(shield=True):
            for shard in self._shards:
                await shard.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _Counted(httpx.AsyncByteStream):
    """A body that frees its place when it is closed."""

    def __init__(self, inner: httpx.AsyncByteStream, flying: list[int], index: int) -> None:
        self._inner = inner
        self._flying = flying
        self._index = index
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._flying[self._index] -= 1
        await self._inner.aclose()
