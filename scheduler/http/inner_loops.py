"""Connections by event loop: made when a loop first sends, closed when it ends.

A connection belongs to the loop that opened it. A transport that serves several threads, or one `asyncio.run` after
another, therefore keeps one set of connections for each loop, and has to know when a loop is gone: nobody calls
`aclose` there. Both asyncio and trio close the asynchronous generators that are still alive when a run ends, while it
can still await; so each set is closed by a generator that waits for just that. A loop that is closed without
(`loop.close()` and nothing else) takes its connections with it, as it does with everybody's.
"""

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio


class Closable(Protocol):
    """What is kept for a loop."""

    def aclose(self) -> Awaitable[None]:
        """Close all connections."""
        ...


Kept = TypeVar("Kept", bound=Closable)


class PerLoop(Generic[Kept]):
    """One of something for each running event loop."""

    def __init__(self, make: Callable[[bool], Kept]) -> None:
        """Make what a loop lacks by *make*, which is told whether the loop is asyncio's."""
        self._make = make
        self._kept: dict[object, tuple[Kept, AsyncGenerator[None, None]]] = {}

    async def here(self) -> Kept:
        """Return what belongs to the running loop."""
        loop = running_loop()
        found = self._kept.get(loop)
        return found[0] if found is not None else await self._begin(loop)

    async def _begin(self, loop: object) -> Kept:
        for other in list(self._kept):
            if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
                self._kept.pop(other, None)
        kept = self._make(isinstance(loop, asyncio.AbstractEventLoop))
        keeper = _close_at_the_end(kept, loop, weakref.ref(self))
        self._kept[loop] = kept, keeper
        await anext(keeper)  # the loop learns of it; comes back at once
        return kept

    async def aclose(self) -> None:
        """Close what belongs to the running loop."""
        found = self._kept.get(running_loop())
        if found is not None:
            await found[1].aclose()

    def forget(self, loop: object, kept: Kept) -> None:
        """Note that what belonged to a loop is closed."""
        if loop in self._kept and self._kept[loop][0] is kept:
            del self._kept[loop]


async def _close_at_the_end(
    kept: Closable, loop: object, owner: "weakref.ref[PerLoop[Any]]"
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        if (keeper := owner()) is not None:
            keeper.forget(loop, kept)
        with anyio.CancelScope(shield=True):
            await kept.aclose()


def running_loop() -> object:
    """Return the running event loop: asyncio's, or the token of trio's run."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        token: object = trio.lowlevel.current_trio_token()
        return token
    return asyncio.get_running_loop()
