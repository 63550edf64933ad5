"""Bodies of answers that are heard as they are read, or of which a part has been read.

Their classes must be those of httpx or of httpx2: its client looks.
"""

import functools
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from scheduler.http.hearing import Hearing


class _Heard:
    """A body that is heard as it is read."""

    def __init__(self, inner: Any, hearing: Hearing) -> None:
        self._inner = inner
        self._hearing = hearing
        self._chunks: Any = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = self._inner.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await self._chunks.__anext__()
        except StopAsyncIteration:
            self._hearing.ended()
            raise
        except Exception:
            self._hearing.broke()
            raise
        self._hearing.heard(chunk)
        return chunk

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._hearing.left()


class _HeardSync:
    """The same in a thread."""

    def __init__(self, inner: Any, hearing: Hearing) -> None:
        self._inner = inner
        self._hearing = hearing

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                self._hearing.heard(chunk)
                yield chunk
        except Exception:
            self._hearing.broke()
            raise
        self._hearing.ended()

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._hearing.left()


class _Begun:
    """A body of which a part has been read."""

    def __init__(self, pieces: list[bytes], rest: Any, stream: Any) -> None:
        self._pieces = deque(pieces)
        self._rest = rest
        self._stream = stream


class _Chained(_Begun):
    """What has been read, and the rest."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        piece: bytes = await self._rest.__anext__()
        return piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ChainedSync(_Begun):
    """The same in a thread."""

    def __iter__(self) -> Iterator[bytes]:
        while self._pieces:
            yield self._pieces.popleft()
        yield from self._rest

    def close(self) -> None:
        self._stream.close()


@functools.cache
def streams_of(module: ModuleType) -> dict[str, Any]:
    """Return the streams as classes of *module*."""
    return {
        "heard": type("Heard", (_Heard, module.AsyncByteStream), {}),
        "heard_sync": type("HeardSync", (_HeardSync, module.SyncByteStream), {}),
        "chained": type("Chained", (_Chained, module.AsyncByteStream), {}),
        "chained_sync": type("ChainedSync", (_ChainedSync, module.SyncByteStream), {}),
    }
