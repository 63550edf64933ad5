"""One transport for many loops and threads; cancelled tasks and ended loops leave nothing behind."""

import asyncio
import gc
import threading
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trustme
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, OK, Asked, Loopback, read, server_context, silence

from scheduler.http.inner import async_inner, sync_inner
from scheduler.http.shards import SHARD


def in_shards(module: ModuleType, url: str) -> Any:
    """Return a request that goes by httpx's own transport."""
    return module.Request("DELETE", url)


def both(module: ModuleType, url: str) -> list[Any]:
    """Return a request of either way."""
    return [module.Request("GET", url), in_shards(module, url)]


def empty(transport: Any) -> bool:
    """Whether nothing flies and nothing is kept for a loop that is gone."""
    return all(_still(ways) for ways, _ in transport._ways._kept.values())


def _still(ways: Any) -> bool:
    flying = [*ways._own.flying, *([ways._fast._connector.given] if ways._fast else [])]
    return not any(flying)


def test_one_run_after_another(module: ModuleType, loopback: Loopback) -> None:
    """Each `asyncio.run` has connections of its own, closed without a warning when it ends; trio's runs, too."""
    transport = async_inner(module, verify=CONTEXT)

    async def main() -> None:
        for request in both(module, loopback.url) * 2:
            await read(transport, request)

    for runs, backend in enumerate(["asyncio", "asyncio", "trio", "asyncio"], 1):
        anyio.run(main, backend=backend)
        assert loopback.until(lambda: loopback.open == 0)
        assert not transport._ways._kept  # type: ignore[attr-defined]  # looks inside
        assert loopback.connections == 2 * runs - (runs > 2)  # on trio, both go the same way
    gc.collect()


def test_many_loops_at_once(module: ModuleType) -> None:
    """Threads with loops of their own share a transport."""
    transport = async_inner(module, verify=CONTEXT)
    failures: list[BaseException] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for request in both(module, server.url) * 5:
                group.start_soon(read, transport, request)

    def run(backend: str) -> None:
        try:
            for _ in range(3):
                anyio.run(main, backend=backend)
        except BaseException as error:  # noqa: BLE001 -- told by the test
            failures.append(error)

    with Loopback().running() as server:
        threads = [threading.Thread(target=run, args=(backend,)) for backend in ["asyncio", "trio"] * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.until(lambda: server.open == 0)
    assert not failures
    assert not transport._ways._kept  # type: ignore[attr-defined]  # looks inside


def test_closing(module: ModuleType, loopback: Loopback, kind: str) -> None:
    """A closed transport holds no connection, and sends again if it is asked to."""
    if kind == "threads":
        with sync_inner(module, verify=CONTEXT) as transport:
            transport.handle_request(module.Request("GET", loopback.url)).close()
        assert loopback.until(lambda: loopback.open == 0)
        return

    async def main() -> None:
        transport = async_inner(module, verify=CONTEXT)
        for connections in (2, 4) if kind == "asyncio" else (1, 2):
            for request in both(module, loopback.url) * 2:
                await read(transport, request)
            assert loopback.connections == connections
            await transport.aclose()
            await transport.aclose()
            assert await anyio.to_thread.run_sync(loopback.until, lambda: loopback.open == 0)

    anyio.run(main, backend=kind)


def test_closing_one_loop_leaves_the_others(module: ModuleType, loopback: Loopback) -> None:
    """What one loop closes is its own."""
    transport = async_inner(module, verify=CONTEXT)

    async def other() -> None:
        await read(transport, module.Request("GET", loopback.url))
        await transport.aclose()

    async def main() -> None:
        await read(transport, module.Request("GET", loopback.url))
        await anyio.to_thread.run_sync(lambda: anyio.run(other))
        await read(transport, module.Request("GET", loopback.url))

    anyio.run(main)
    assert [asked.connection for asked in loopback.asked] == [1, 2, 1]


def test_a_forgotten_transport(module: ModuleType, loopback: Loopback) -> None:
    """One that nobody closed goes with its last reference, while its loop goes on."""

    async def main() -> None:
        await read(async_inner(module, verify=CONTEXT), module.Request("GET", loopback.url))
        gc.collect()
        assert await anyio.to_thread.run_sync(loopback.until, lambda: loopback.open == 0)

    anyio.run(main)


def test_loops_closed_without_ado(module: ModuleType) -> None:
    """A loop that is just closed is forgotten when the next one begins."""
    transport = async_inner(module, verify=CONTEXT)

    async def answer(asked: Asked) -> bytes:
        return OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    async def once() -> None:
        await read(transport, module.Request("GET", server.url))
        await asyncio.sleep(0.05)  # for the connection to be closed

    with Loopback(answer).running() as server:
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(once())
            loop.close()
            assert len(transport._ways._kept) == 1  # type: ignore[attr-defined]  # looks inside


@pytest.mark.parametrize("kind", ["asyncio", "trio"])  # threads are not cancelled
@pytest.mark.parametrize("moment", [0.0, 0.002, 0.05])
@pytest.mark.parametrize("way", [0, 1])
def test_cancelled_tasks(kind: str, module: ModuleType, moment: float, way: int) -> None:
    """Whether it connects, waits or reads when it is cancelled: the connection is closed, and nothing is counted."""

    async def main() -> None:
        transport = async_inner(module, verify=CONTEXT)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(read, transport, both(module, server.url)[way])
            await anyio.sleep(moment)
            group.cancel_scope.cancel()
        assert empty(transport)
        assert await anyio.to_thread.run_sync(server.until, lambda: server.open == 0)
        await transport.aclose()

    with Loopback(silence).running() as server:
        anyio.run(main, backend=kind)


def test_cancelled_while_reading(module: ModuleType) -> None:
    """A body that is left by a cancellation takes its connection along."""

    async def endless(asked: Asked) -> None:
        asked.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await silence(asked)

    async def main() -> None:
        transport = async_inner(module, verify=CONTEXT)
        for request in both(module, server.url):
            with anyio.move_on_after(0.05):
                await read(transport, request)
        assert empty(transport)
        assert await anyio.to_thread.run_sync(server.until, lambda: server.open == 0)
        await transport.aclose()

    with Loopback(endless).running() as server:
        anyio.run(main)


@pytest.mark.parametrize("moment", [0.0, 0.004, 0.008, 0.1])
def test_a_run_that_ends_in_the_middle(module: ModuleType, moment: float) -> None:
    """Requests over TLS that are under way when a run ends are cut off without a warning: in its midst, too."""
    context = module.create_ssl_context(verify=False)

    async def main() -> None:
        transport = async_inner(module, verify=context)
        tasks = [asyncio.create_task(read(transport, module.Request("GET", server.url))) for _ in range(3)]
        await asyncio.sleep(moment)
        assert not any(task.done() for task in tasks)

    with Loopback(silence, tls=server_context(trustme.CA(), "localhost")).running() as server:
        asyncio.run(main())
        gc.collect()
        assert server.until(lambda: server.open == 0)


def test_many_at_once_and_again(module: ModuleType) -> None:
    """Each has a connection of its own, and a second wave opens none."""

    async def slow(asked: Asked) -> bytes:
        await asyncio.sleep(0.1)
        return OK

    async def main() -> None:
        async with async_inner(module, verify=CONTEXT) as transport:
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    for request in [module.Request("GET", server.url) for _ in range(3 * SHARD)]:
                        group.start_soon(read, transport, request)
                assert server.connections == 3 * SHARD

    with Loopback(slow).running() as server:
        anyio.run(main)


def test_many_threads(module: ModuleType, loopback: Loopback) -> None:
    """Threads share a synchronous transport; what they used is used again."""
    with sync_inner(module, verify=CONTEXT) as transport:

        def send() -> None:
            for _ in range(10):
                response = transport.handle_request(module.Request("GET", loopback.url))
                assert b"".join(response.stream) == b"ok"  # type: ignore[arg-type]  # it is a synchronous one
                response.close()

        threads = [threading.Thread(target=send) for _ in range(2 * SHARD)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(loopback.asked) == 20 * SHARD
        assert loopback.connections <= 2 * SHARD
        assert not any(transport._own.flying)  # type: ignore[attr-defined]  # looks inside
