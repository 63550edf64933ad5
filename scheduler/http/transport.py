"""Transports: the scheduler under an unchanged client or SDK, by httpx or httpx2, in tasks or in threads.

A transport receives each request that a client makes, lets it wait for its turn, sends it by an *inner* transport as
often as need be, and returns the provider's answer. What the scheduler itself has to say (its turn does not come in
time, it never fits, ...) is an answer as well: see ``local``. Where no answer came at all, the inner transport's own
exception is raised.
"""

import functools
from types import ModuleType, TracebackType
from typing import Any, Self

from scheduler.errors import SchedulerError
from scheduler.http.courier import Wire, blocking, carry
from scheduler.http.desk import Desk
from scheduler.http.local import local_answer, mark_final
from scheduler.http.wires import AsyncWire, SyncWire


def async_transport(module: ModuleType, desk: Desk, inner: Any) -> Any:
    """Return an ``AsyncBaseTransport`` of *module*, which sends by *inner*."""
    return _classes(module)[0](desk, AsyncWire(module, inner))


def sync_transport(module: ModuleType, desk: Desk, inner: Any) -> Any:
    """Return a ``BaseTransport`` of *module*, which sends by *inner*."""
    return _classes(module)[1](desk, SyncWire(module, inner))


async def _handle(module: Any, desk: Desk, wire: Wire, request: Any) -> Any:
    try:
        passage, request = desk.receive(module, request)
    except SchedulerError as error:
        return local_answer(module, error)
    ended = await carry(passage, wire, request)
    if ended.raised is not None:
        try:
            raise ended.raised
        finally:
            del ended  # an error that its own traceback holds on to would keep the request until a collection
    if ended.ours:
        assert ended.error is not None
        return local_answer(module, ended.error)
    if ended.error is not None and passage.tried(ended.response.status_code):
        mark_final(ended.response, ended.error)
    redirected = desk.check_redirect(module, request, ended.response)
    if redirected is not None:
        await wire.close(ended.response)
        return local_answer(module, redirected)
    return ended.response


class _Async:
    """In tasks."""

    def __init__(self, desk: Desk, wire: AsyncWire) -> None:
        self._desk = desk
        self._wire = wire

    async def handle_async_request(self, request: Any) -> Any:
        return await _handle(self._wire.module, self._desk, self._wire, request)

    async def aclose(self) -> None:
        await self._wire.inner.aclose()

    async def __aenter__(self) -> Self:
        await self._wire.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._wire.inner.__aexit__(kind, error, traceback)


class _Sync:
    """In threads."""

    def __init__(self, desk: Desk, wire: SyncWire) -> None:
        self._desk = desk
        self._wire = wire

    def handle_request(self, request: Any) -> Any:
        return blocking(_handle(self._wire.module, self._desk, self._wire, request))

    def close(self) -> None:
        self._wire.inner.close()

    def __enter__(self) -> Self:
        self._wire.inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._wire.inner.__exit__(kind, error, traceback)


@functools.cache
def _classes(module: ModuleType) -> tuple[Any, Any]:
    """Return the transports as classes of *module*: its clients look."""
    return (
        type("AsyncSchedulerTransport", (_Async, module.AsyncBaseTransport), {"__module__": __name__}),
        type("SchedulerTransport", (_Sync, module.BaseTransport), {"__module__": __name__}),
    )
