"""What really sends: the transports under ours, for httpx and httpx2.

httpx's own pool is too dear where much is in flight (see ``shards`` and ``inner_aiohttp``). These two are drop-in
replacements for ``httpx.AsyncHTTPTransport`` and ``httpx.HTTPTransport``, and of the same kind in httpx2:

- On asyncio a plain request goes by aiohttp. What aiohttp would change on its way goes by httpx's own transport, in
  small pools beside each other, and so does everything on trio, in threads and through proxies.
- Proxies are found as httpx finds them: the environment is read by httpx itself. (A client that is given a transport
  reads no environment; these do, unless told not to.)
- One transport serves any number of event loops and threads, and any number of `asyncio.run` after another.
"""

import ssl
import threading
from collections.abc import Awaitable, Callable
from functools import cache
from types import ModuleType, TracebackType
from typing import Any, Self

import anyio
import httpx

from scheduler.http.inner_aiohttp import FastAnswer, FastWay
from scheduler.http.inner_bodies import async_body, sync_body
from scheduler.http.inner_loops import PerLoop
from scheduler.http.inner_own import AsyncRouted, Routed, SyncRouted, Terms, tls_context
from scheduler.http.inner_parcel import Parcel, parcel
from scheduler.http.shards import AsyncShards, SyncShards

KEEPALIVE = 30.0
"""Seconds that an idle connection is kept."""


def async_inner(
    module: ModuleType = httpx,
    *,
    verify: ssl.SSLContext | str | bool = True,
    cert: Any = None,
    proxy: Any = None,
    trust_env: bool = True,
    max_connections: int | None = None,
    keepalive: float = KEEPALIVE,
) -> httpx.AsyncBaseTransport:
    """Return an asynchronous transport.

    Args:
        module: httpx or httpx2: whose requests it takes. What it returns and raises is of that module, and so is it.
        verify: As in httpx: a TLS context of one's own, or whether certificates are verified.
        cert: As in httpx: a client's certificate.
        proxy: As in httpx: a url, or *module*'s `Proxy`. Instead of those of the environment.
        trust_env: Whether proxies and certificates are looked for in the environment, as httpx looks for them.
        max_connections: Requests that may be in flight in one event loop; others wait, by the pool timeout. None for
            any number: whoever admits requests has counted them.
        keepalive: Seconds that an idle connection is kept.
    """
    terms = Terms(
        module,
        tls_context(module, verify=verify, cert=cert, trust_env=trust_env),
        proxy,
        trust_env,
        max_connections,
        keepalive,
    )
    transport: httpx.AsyncBaseTransport = _async_class(module)(terms)
    return transport


def sender_of_parcels(transport: Any) -> Callable[[Any, Parcel], Awaitable[FastAnswer | None]] | None:
    """Return what sends parcels by a transport of ours for httpx; None of another, which means to see requests."""
    if type(transport) is not _async_class(httpx):
        return None
    sender: Callable[[Any, Parcel], Awaitable[FastAnswer | None]] = transport.send_plain
    return sender


def sync_inner(
    module: ModuleType = httpx,
    *,
    verify: ssl.SSLContext | str | bool = True,
    cert: Any = None,
    proxy: Any = None,
    trust_env: bool = True,
    max_connections: int | None = None,
    keepalive: float = KEEPALIVE,
) -> httpx.BaseTransport:
    """Return a synchronous transport, for any number of threads; see ``async_inner``."""
    terms = Terms(
        module,
        tls_context(module, verify=verify, cert=cert, trust_env=trust_env),
        proxy,
        trust_env,
        max_connections,
        keepalive,
    )
    transport: httpx.BaseTransport = _sync_class(module)(terms)
    return transport


class _Ways:
    """The ways out of one event loop."""

    def __init__(self, terms: Terms, *, on_asyncio: bool) -> None:
        self._module = terms.module
        self._own = AsyncShards(lambda: AsyncRouted(terms, "AsyncClient"))
        self._fast = FastWay(terms.module, terms.context, terms.keepalive) if on_asyncio else None
        self._gate = None if terms.max_connections is None else anyio.Semaphore(terms.max_connections)

    async def send(self, request: Any, *, direct: bool) -> Any:
        if self._fast is not None and direct and (plain := parcel(self._module, request)) is not None:
            return await self._fast.send(plain)
        response, closed = await self._own.send(request)
        response.stream = async_body(self._module)(response.stream, closed)
        return response

    async def send_plain(self, plain: Parcel) -> FastAnswer | None:
        """Send what aiohttp carries, and return its own answer; None where it may not."""
        if self._fast is None or self._gate is not None:
            return None
        return await self._fast.ask(plain)

    async def send_in_turn(self, request: Any, *, direct: bool) -> Any:
        """Send when there is room."""
        if self._gate is None:
            return await self.send(request, direct=direct)
        seconds = request.extensions.get("timeout", {}).get("pool")
        with anyio.move_on_after(seconds) as scope:
            await self._gate.acquire()
        if scope.cancelled_caught:
            raise self._module.PoolTimeout("")
        try:
            response = await self.send(request, direct=direct)
        except BaseException:
            self._gate.release()
            raise
        response.stream = async_body(self._module)(response.stream, self._gate.release)
        return response

    async def aclose(self) -> None:
        if self._fast is not None:
            await self._fast.aclose()
        await self._own.aclose()


class _AsyncInner:
    """An asynchronous transport: a set of ways out for each event loop."""

    def __init__(self, terms: Terms) -> None:
        self._router = Routed(terms, "AsyncClient") if terms.may_proxy else None
        self._ways = PerLoop(lambda on_asyncio: _Ways(terms, on_asyncio=on_asyncio))

    async def handle_async_request(self, request: Any) -> Any:
        ways = await self._ways.here()
        return await ways.send_in_turn(request, direct=self._is_direct(request.url))

    async def send_plain(self, url: Any, plain: Parcel) -> FastAnswer | None:
        """Send a request to *url* that aiohttp carries, and return its own answer; None if it has to go another way."""
        return await (await self._ways.here()).send_plain(plain) if self._is_direct(url) else None

    def _is_direct(self, url: Any) -> bool:
        return self._router is None or self._router.is_direct(url)

    async def aclose(self) -> None:
        await self._ways.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _SyncInner:
    """A synchronous transport."""

    def __init__(self, terms: Terms) -> None:
        self._module = terms.module
        self._own = SyncShards(lambda: SyncRouted(terms, "Client"))
        self._gate = None if terms.max_connections is None else threading.Semaphore(terms.max_connections)

    def handle_request(self, request: Any) -> Any:
        if self._gate is None:
            return self._send(request)
        if not self._gate.acquire(timeout=request.extensions.get("timeout", {}).get("pool")):
            raise self._module.PoolTimeout("")
        try:
            response = self._send(request)
        except BaseException:
            self._gate.release()
            raise
        response.stream = sync_body(self._module)(response.stream, self._gate.release)
        return response

    def _send(self, request: Any) -> Any:
        response, closed = self._own.send(request)
        response.stream = sync_body(self._module)(response.stream, closed)
        return response

    def close(self) -> None:
        self._own.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


@cache
def _async_class(module: ModuleType) -> type[Any]:
    return type("AsyncInnerTransport", (_AsyncInner, module.AsyncBaseTransport), {})


@cache
def _sync_class(module: ModuleType) -> type[Any]:
    return type("InnerTransport", (_SyncInner, module.BaseTransport), {})
