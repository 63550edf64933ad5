"""Bodies that say when they are closed, for httpx and httpx2 alike."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any


class _Closing:
    """What both kinds share: the callback, called once."""

    def __init__(self, inner: Any, closed: Callable[[], None]) -> None:
        self._inner = inner
        self._closed: Callable[[], None] | None = closed

    def _once(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()


class _AsyncBody(_Closing):
    def __aiter__(self) -> AsyncIterator[bytes]:
        body: AsyncIterator[bytes] = self._inner.__aiter__()
        return body

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._once()


class _SyncBody(_Closing):
    def __iter__(self) -> Iterator[bytes]:
        body: Iterator[bytes] = self._inner.__iter__()
        return body

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._once()


@cache
def async_body(module: ModuleType) -> type[Any]:
    """Return the class of asynchronous bodies for httpx or httpx2: of an inner body and what to call at its end."""
    return type("Body", (_AsyncBody, module.AsyncByteStream), {})


@cache
def sync_body(module: ModuleType) -> type[Any]:
    """Return the same of synchronous bodies."""
    return type("Body", (_SyncBody, module.SyncByteStream), {})
