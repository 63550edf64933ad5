"""Many connections at flat cost: small pools beside each other.

httpx's pool looks at every connection for every request, and for each idle one at all the others: with 350 connections
a request costs 40 ms of CPU, more than a core can give at ten requests a second. A pool of 16 costs next to nothing.
So requests are spread over pools that never hold more than 16; the first one with room takes a request, which keeps
connections warm and lets the last pools run empty.

It serves httpx and httpx2 alike, wherever aiohttp does not: on trio, in threads, through proxies, for uploads in
pieces.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

SHARD = 16
"""Requests in flight that one pool takes."""

Pool = TypeVar("Pool")


class Shards(Generic[Pool]):
    """Pools, and how many requests each has in flight. Any thread may take and give back."""

    def __init__(self, make: Callable[[], Pool]) -> None:
        """Make pools by *make* as they are needed."""
        self._make = make
        self._lock = Lock()
        self.pools: list[Pool] = []
        self.flying: list[int] = []

    def take(self) -> int:
        """Return the index of the first pool with room; one more flies there until it is given back."""
        with self._lock:
            index = next((index for index, flying in enumerate(self.flying) if flying < SHARD), len(self.pools))
            if index == len(self.pools):
                self.pools.append(self._make())
                self.flying.append(0)
            self.flying[index] += 1
            return index

    def give_back(self, index: int) -> None:
        """Note that one request less flies in a pool."""
        with self._lock:
            self.flying[index] -= 1


class AsyncShards(Shards[Any]):
    """Asynchronous transports of httpx or httpx2, spread."""

    async def send(self, request: Any) -> tuple[Any, Callable[[], None]]:
        """Return the response and what to call when it has been closed."""
        index = self.take()
        try:
            return await self.pools[index].handle_async_request(request), lambda: self.give_back(index)
        except BaseException:
            self.give_back(index)
            raise

    async def aclose(self) -> None:
        """Close every pool."""
        for pool in self.pools:
            await pool.aclose()


class SyncShards(Shards[Any]):
    """Synchronous transports of httpx or httpx2, spread."""

    def send(self, request: Any) -> tuple[Any, Callable[[], None]]:
        """Return the response and what to call when it has been closed."""
        index = self.take()
        try:
            return self.pools[index].handle_request(request), lambda: self.give_back(index)
        except BaseException:
            self.give_back(index)
            raise

    def close(self) -> None:
        """Close every pool."""
        for pool in self.pools:
            pool.close()
