"""The other way out: httpx's own transports, as httpx itself would choose among them.

Which proxy a url goes by is httpx's to say: how it reads the environment, and what it makes of `NO_PROXY`, is its own
and differs from what others make of it. So each pool is one of its clients, asked for the transport that it would use,
and used for nothing else: no cookies, no redirects, no headers.
"""

import ssl
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.request import getproxies

from scheduler.http.origins import is_loopback
from scheduler.http.shards import SHARD

_PROXIED = frozenset({"http", "https", "all"})  # what httpx looks for


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transport was asked for.

    Attributes:
        module: httpx or httpx2.
        context: For TLS.
        proxy: Instead of those of the environment, or None.
        trust_env: Whether the environment's are looked for.
        max_connections: Requests in flight at most, or None.
        keepalive: Seconds that an idle connection is kept.
    """

    module: ModuleType
    context: ssl.SSLContext
    proxy: Any = field(repr=False)  # may hold a password
    trust_env: bool
    max_connections: int | None
    keepalive: float

    @property
    def may_proxy(self) -> bool:
        """Whether there is a proxy that something may go by."""
        return self.proxy is not None or (self.trust_env and not getproxies().keys().isdisjoint(_PROXIED))

    def client(self, kind: str) -> Any:
        """Return one of httpx's own clients: a pool of its own for what goes directly, and for each proxy."""
        limits = self.module.Limits(
            max_connections=None, max_keepalive_connections=SHARD, keepalive_expiry=self.keepalive
        )
        make = getattr(self.module, kind)
        return make(verify=self.context, proxy=self.proxy, trust_env=self.trust_env, limits=limits)


def tls_context(module: ModuleType, *, verify: Any, cert: Any, trust_env: bool) -> ssl.SSLContext:
    """Return the TLS context that httpx or httpx2 would use."""
    context: ssl.SSLContext = module.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
    context.set_alpn_protocols(["http/1.1"])  # as httpx's transport sets it on every context it is given
    return context


class Routed:
    """A client of httpx as the transport that it picks for a url: directly, or by a proxy."""

    def __init__(self, terms: Terms, kind: str) -> None:
        """Choose as a client of *kind* would, made on these terms."""
        self._client = terms.client(kind)
        self._stated = terms.proxy is not None

    def transport(self, url: Any) -> Any:
        """Return what carries requests to a url.

        What goes to this machine in the clear goes there, and to no proxy of the environment, as httpx would have it:
        it may carry a key.
        """
        if url.scheme == "http" and not self._stated and is_loopback(url.host):
            return self._client._transport  # noqa: SLF001 -- where it sends directly
        return self._client._transport_for_url(url)  # noqa: SLF001 -- who else knows what httpx makes of NO_PROXY

    def is_direct(self, url: Any) -> bool:
        """Whether no proxy lies between."""
        return self.transport(url) is self._client._transport  # noqa: SLF001 -- the same


class AsyncRouted(Routed):
    """The same, asynchronous."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        return await self.transport(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


class SyncRouted(Routed):
    """The same, synchronous."""

    def handle_request(self, request: Any) -> Any:
        """Send a request."""
        return self.transport(request.url).handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()
