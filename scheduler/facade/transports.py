"""Transports and clients: the scheduler under an SDK."""

import os
from contextlib import AbstractContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx

from scheduler.errors import ConfigurationError
from scheduler.facade.configured import Configured
from scheduler.http.client import client_settings
from scheduler.http.desk import Desk
from scheduler.http.hints import hints_of, within
from scheduler.http.inner import async_inner, sync_inner
from scheduler.http.passage import Seam
from scheduler.http.transport import async_transport, sync_transport

if TYPE_CHECKING:
    import httpx2


class Transports(Configured):
    """Makes transports: one line puts the scheduler under the SDK that is there already.

    All of them, in all threads and loops, share this scheduler's budget. Set the SDK's own retries to 0; where it still
    tries again, that is recognised and not multiplied. A request that is turned away here is answered with an error
    that the SDK shows as its own; ``response.extensions["scheduler_error"]`` holds the exception.
    """

    def transport(
        self,
        inner: httpx.AsyncBaseTransport | None = None,
        *,
        priority: int | str | None = None,
        tenant: str | None = None,
    ) -> httpx.AsyncBaseTransport:
        """Return a transport for ``httpx.AsyncClient``.

        Args:
            inner: What sends; by default one that costs little with a thousand requests in flight, and follows the
                proxies of the environment.
            priority: Priority of requests that say nothing else.
            tenant: Tenant of requests that say nothing else.

        Raises:
            InvalidRequest: If the tenant is unusable.
            ConfigurationError: If the priority is none.
        """
        transport: httpx.AsyncBaseTransport = async_transport(
            httpx, self._desk(priority, tenant), inner or self._transport or async_inner(httpx)
        )
        return transport

    def transport2(
        self,
        inner: "httpx2.AsyncBaseTransport | None" = None,
        *,
        priority: int | str | None = None,
        tenant: str | None = None,
    ) -> "httpx2.AsyncBaseTransport":
        """Return a transport for ``httpx2.AsyncClient``. See ``transport``."""
        module = _httpx2()
        transport: httpx2.AsyncBaseTransport = async_transport(
            module, self._desk(priority, tenant), inner or async_inner(module)
        )
        return transport

    def sync_transport(
        self,
        inner: httpx.BaseTransport | None = None,
        *,
        priority: int | str | None = None,
        tenant: str | None = None,
    ) -> httpx.BaseTransport:
        """Return a transport for ``httpx.Client``, in any number of threads. See ``transport``."""
        transport: httpx.BaseTransport = sync_transport(httpx, self._desk(priority, tenant), inner or sync_inner(httpx))
        return transport

    def sync_transport2(
        self,
        inner: "httpx2.BaseTransport | None" = None,
        *,
        priority: int | str | None = None,
        tenant: str | None = None,
    ) -> "httpx2.BaseTransport":
        """Return a transport for ``httpx2.Client``, in any number of threads. See ``transport``."""
        module = _httpx2()
        transport: httpx2.BaseTransport = sync_transport(
            module, self._desk(priority, tenant), inner or sync_inner(module)
        )
        return transport

    def client(self, **settings: Any) -> httpx.AsyncClient:
        """Return an ``httpx.AsyncClient`` over this scheduler, with the provider's origin, key and a long timeout.

        Args:
            settings: Arguments of the client that count before these; headers are added to these.

        Raises:
            ConfigurationError: If the base url is unusable, or the key would travel in the clear.
        """
        settings["transport"] = settings.get("transport") or self.transport()
        return httpx.AsyncClient(**self._client_settings(httpx, settings))

    def client2(self, **settings: Any) -> "httpx2.AsyncClient":
        """Return an ``httpx2.AsyncClient``. See ``client``."""
        module = _httpx2()
        settings["transport"] = settings.get("transport") or self.transport2()
        client: httpx2.AsyncClient = module.AsyncClient(**self._client_settings(module, settings))
        return client

    def sync_client(self, **settings: Any) -> httpx.Client:
        """Return an ``httpx.Client``, for any number of threads. See ``client``."""
        settings["transport"] = settings.get("transport") or self.sync_transport()
        return httpx.Client(**self._client_settings(httpx, settings))

    def sync_client2(self, **settings: Any) -> "httpx2.Client":
        """Return an ``httpx2.Client``, for any number of threads. See ``client``."""
        module = _httpx2()
        settings["transport"] = settings.get("transport") or self.sync_transport2()
        client: httpx2.Client = module.Client(**self._client_settings(module, settings))
        return client

    def context(
        self,
        *,
        priority: int | str | None = None,
        tenant: str | None = None,
        deadline: float | None = None,
        tokens: int | None = None,
    ) -> AbstractContextManager[None]:
        """Say of every request that an SDK makes inside the block what its call has no room for.

        It holds in the task or thread that enters it, and in tasks started from there. Inner blocks count before outer
        ones, headers ``x-scheduler-priority``, ``-tenant``, ``-deadline`` and ``-tokens`` before both.

        Args:
            priority: Who goes first; the lowest.
            tenant: On whose behalf the requests are sent.
            deadline: Seconds from now after which no attempt begins; of nested ones the earlier counts.
            tokens: Tokens that each request is expected to be charged, instead of the estimate.

        Raises:
            InvalidRequest: If one of them is unusable.
            ConfigurationError: If the priority is none.
        """
        now = self._clock.now()
        return within(hints_of(now, priority=priority, tenant=tenant, deadline=deadline, tokens=tokens))

    def _desk(self, priority: int | str | None, tenant: str | None) -> Desk:
        defaults = hints_of(0, priority=priority, tenant=tenant)
        return Desk(self._seam_now, defaults, allow_plain_http=self._allow_plain_http)

    def _seam_now(self) -> Seam:
        if self._forked:
            self._warn_forked()
        return self._seam

    def _client_settings(self, module: ModuleType, given: dict[str, Any]) -> dict[str, Any]:
        key = self._key if self._key is not None else os.environ.get(self.provider.key_variable) or None
        settings = client_settings(
            module, self.provider, key, timeout=self._timeout, allow_plain_http=self._allow_plain_http
        )
        headers = module.Headers(settings["headers"])
        headers.update(given.get("headers"))
        return {**settings, **given, "headers": headers}


def _httpx2() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415 -- an extra
    except ImportError:
        mend = "install quota-scheduler[httpx2]"
        raise ConfigurationError("httpx2 is not installed", "transport2", mend) from None
    return httpx2
