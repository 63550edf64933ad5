"""Small pools beside each other: filled from the front, and counted right whatever becomes of a request."""

import threading

import anyio
import httpx
import pytest
from hypothesis import given, strategies as st

from scheduler.http.shards import SHARD, AsyncShards, Shards, SyncShards


class Pool:
    """Answers, or fails."""

    def __init__(self) -> None:
        self.failing = False
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.failing:
            raise httpx.ConnectError("no")
        return httpx.Response(204)

    async def aclose(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


@given(st.lists(st.booleans(), max_size=200))
def test_no_pool_holds_more_than_its_share(steps: list[bool]) -> None:
    """Whoever comes goes to the first pool with room; counts are those of who is there."""
    shards = Shards(Pool)
    there: list[int] = []
    for comes in steps:
        if comes:
            before = list(shards.flying)
            index = shards.take()
            there.append(index)
            assert all(flying == SHARD for flying in before[:index])
        elif there:
            shards.give_back(there.pop(len(there) // 2))
        assert shards.flying == [there.count(index) for index in range(len(shards.pools))]
        assert all(flying <= SHARD for flying in shards.flying)


def test_many_threads_at_once() -> None:
    """Threads do not get in each other's way."""
    shards = Shards(Pool)

    def come_and_go() -> None:
        for _ in range(200):
            shards.give_back(shards.take())

    threads = [threading.Thread(target=come_and_go) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(shards.flying)
    assert len(shards.pools) <= 2


def test_what_is_sent_is_counted_until_it_is_closed() -> None:
    """A response holds its place until its end is told; an error frees it at once."""
    request = httpx.Request("GET", "http://localhost/")
    sync = SyncShards(Pool)
    _, closed = sync.send(request)
    assert sync.flying == [1]
    closed()
    sync.pools[0].failing = True
    with pytest.raises(httpx.ConnectError):
        sync.send(request)
    assert sync.flying == [0]
    sync.close()
    assert sync.pools[0].closed

    async def main() -> None:
        shards = AsyncShards(Pool)
        _, closed = await shards.send(request)
        assert shards.flying == [1]
        closed()
        shards.pools[0].failing = True
        with pytest.raises(httpx.ConnectError):
            await shards.send(request)
        assert shards.flying == [0]
        await shards.aclose()
        assert shards.pools[0].closed

    anyio.run(main)
