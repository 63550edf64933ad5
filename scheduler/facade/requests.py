"""Whole requests: what ``async with Scheduler(...)`` sends by itself."""

import contextlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
import httpx

from scheduler.checks import encoded, header, named, nanoseconds, whole
from scheduler.facade.configured import Configured
from scheduler.http.client import client_settings
from scheduler.http.driver import Driver, Job
from scheduler.http.inner import async_inner
from scheduler.http.many import Result, perform_many
from scheduler.priority import Priority, priority_of


class Requests(Configured):
    """Sends whole requests."""

    _driver: Driver | None = None
    _client: httpx.AsyncClient | None = None
    _group: anyio.abc.TaskGroup | None = None
    _closing = False

    async def __aenter__(self) -> Self:
        if self._forked:
            self._warn_forked()
        key = self._key if self._key is not None else os.environ.get(self.provider.key_variable) or None
        settings = client_settings(
            httpx, self.provider, key, timeout=self._timeout, allow_plain_http=self._allow_plain_http
        )
        inner = self._transport or async_inner(httpx)
        self._client = httpx.AsyncClient(transport=inner, **settings)
        self._driver = Driver(self._seam, self._client, inner)
        self._closing = False
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._client is not None
        assert self._group is not None
        client, group = self._client, self._group
        self._client = self._driver = self._group = None
        group.cancel_scope.cancel()
        try:
            await group.__aexit__(None, None, None)  # the block's own error goes its way as it is
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    @property
    def driver(self) -> Driver:
        """What carries out whole requests.

        Raises:
            RuntimeError: Outside ``async with``.
        """
        if self._driver is None:
            raise RuntimeError("use request and map inside `async with Scheduler(...) as scheduler:`")
        return self._driver

    def job(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any],
        *,
        priority: int | str = Priority.NORMAL,
        tenant: str | None = None,
        project: str | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Describe a whole request.

        Raises:
            InvalidRequest: If it cannot be sent as it is.
        """
        call = self.provider.describe(method, url, body)
        wait = None if timeout is None else nanoseconds(timeout)
        return Job(call, encoded(body), priority_of(priority), tenant and named(tenant), header(project), wait)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Mapping[str, Any],
        priority: int | str = Priority.NORMAL,
        tenant: str | None = None,
        project: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- it bounds waits and attempts, not this coroutine
    ) -> httpx.Response:
        """Send a request when its turn comes, as often as need be, and return the successful response.

        Args:
            method: HTTP method.
            url: Relative path of a known endpoint, such as ``/v1/chat/completions``.
            json: The body.
            priority: Who goes first; the lowest.
            tenant: On whose behalf it is sent.
            project: Project that it is sent in.
            timeout: Seconds within which its last attempt begins; one under way is not cut short.

        Raises:
            InvalidRequest: If it cannot be sent as it is.
            SchedulerError: If it failed for good; see ``scheduler.errors``.
            RuntimeError: Outside ``async with``, or after ``drain``.
        """
        self._refuse_closing()
        job = self.job(method, url, json, priority=priority, tenant=tenant, project=project, timeout=timeout)
        answer = await self.driver.perform(job)
        if answer.error is not None:
            raise answer.error
        assert answer.response is not None
        return answer.response

    async def map(
        self,
        bodies: Iterable[Mapping[str, Any]],
        *,
        url: str = "/v1/chat/completions",
        priority: int | str = Priority.BATCH,
        project: str | None = None,
        most: int = 1_000,
    ) -> AsyncGenerator[Result, None]:
        """Send many requests and yield their results as they come; nothing is raised for a single failure.

        Args:
            bodies: The bodies, read as they are needed.
            url: Endpoint of all.
            priority: Who goes first; the lowest.
            project: Project that they are sent in.
            most: How many may be waiting or in flight.

        Raises:
            RuntimeError: Outside ``async with``, after ``drain``, or if the block is left meanwhile.
        """
        self._refuse_closing()
        driver, group = self.driver, self._group
        assert group is not None

        def job(body: Mapping[str, Any]) -> Job:
            return self.job("POST", url, body, priority=priority, project=project)

        async with contextlib.aclosing(perform_many(driver, group, bodies, job, whole(most, "most"))) as results:
            async for result in results:
                yield result

    async def drain(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 -- it bounds the wait
        """Refuse new requests and maps, and wait until nothing waits, flies or is under way.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether all was done in that time.
        """
        self._closing = True
        with anyio.move_on_after(timeout) as scope:
            await self.admission.wait_idle()
        return not scope.cancelled_caught

    def _refuse_closing(self) -> None:
        if self._closing:
            raise RuntimeError("this scheduler is draining; make another, or enter it again")
