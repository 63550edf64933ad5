"""One scheduler under clients in many threads and loops at once, over real sockets."""

import asyncio
import contextlib
import gc
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
from quiet import is_quiet
from seam_support import STREAM, chat, completion

from scheduler import Scheduler
from scheduler.simulator import Simulator, World, serving

pytestmark = pytest.mark.network
MODULES = [httpx, httpx2]
EVENTS = {"content-type": "text/event-stream"}


def _asynchronous(scheduler: Scheduler, module: Any) -> Any:
    return scheduler.transport() if module is httpx else scheduler.transport2()


def _blocking(scheduler: Scheduler, module: Any) -> Any:
    return scheduler.sync_transport() if module is httpx else scheduler.sync_transport2()


@contextlib.contextmanager
def elsewhere(simulator: Simulator) -> Iterator[str]:
    """Serve a simulator from a thread with a loop of its own; yield its base url."""
    begun, url, stop = threading.Event(), [], []

    async def serve() -> None:
        over = asyncio.Event()
        stop.append((asyncio.get_running_loop(), over))
        async with serving(simulator) as address:
            url.append(address)
            begun.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(10)
    try:
        yield url[0]
    finally:
        loop, over = stop[0]
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


@pytest.mark.parametrize("module", MODULES)
def test_threads_and_loops_at_once(module: Any) -> None:
    """Fifty threads, a loop beside them and another loop later share one budget: nothing is lost, nothing is over."""
    limits = {"m": {"rpm": 6_000, "tpm": 6_000_000, "concurrency": 20}}
    simulator = Simulator(World(limits={"m": {"rpm": 6_000, "tpm": 6_000_000}}, latency=0.002, faults={"drop": 0.02}))
    scheduler = Scheduler(limits=limits, seed=1)
    statuses: list[int] = []
    sync = _blocking(scheduler, module)

    with elsewhere(simulator) as url, module.Client(transport=sync, base_url=url) as client:

        def thread(number: int) -> None:
            with scheduler.context(tenant=f"t{number % 3}", priority=number % 2):
                for index in range(4):
                    body = chat(seed=number * 100 + index, stream=index % 2 == 0)
                    statuses.append(client.post("/v1/chat/completions", json=body).status_code)

        async def loop(base: int) -> None:
            async with module.AsyncClient(transport=_asynchronous(scheduler, module), base_url=url) as client:

                async def one(index: int) -> None:
                    body = chat(seed=base + index, stream=index % 2 == 0)
                    statuses.append((await client.post("/v1/chat/completions", json=body)).status_code)

                async with anyio.create_task_group() as group:
                    for index in range(50):
                        group.start_soon(one, index)

        threads = [threading.Thread(target=thread, args=(number,), daemon=True) for number in range(50)]
        for each in threads:
            each.start()
        anyio.run(loop, 100_000)
        for each in threads:
            each.join(20)
        anyio.run(loop, 200_000, backend="trio")
    report = simulator.report()  # its thread is done: it may count a moment after its client has read
    assert Counter(statuses) == {200: 300}
    assert (report["refused"], report["completed"], report["completed_twice"]) == (0, 300, 0)
    assert isinstance(report["peak_in_flight"], int)
    assert report["peak_in_flight"] <= 20 + scheduler.statistics().retries  # what was dropped may end later there
    assert scheduler.statistics().sent == report["granted"]
    assert is_quiet(scheduler)


def test_a_context_goes_along_into_threads() -> None:
    """What a task says holds for the requests of a thread that it starts, and for no other."""
    scheduler = Scheduler(limits={"m": {"rpm": 60_000}})
    seen: list[tuple[str, int]] = []
    enter = scheduler.admission.enter

    def noting(waiter: Any, *, blocking: bool) -> bool:
        seen.append((waiter.tenant, waiter.priority))
        return enter(waiter, blocking=blocking)

    scheduler.admission.enter = noting  # type: ignore[method-assign]  # to see what comes in
    transport = scheduler.sync_transport(httpx.MockTransport(lambda _: httpx.Response(200, json=completion())))

    def post() -> None:
        httpx.Client(transport=transport).post("https://a.example/v1/chat/completions", json=chat())

    async def main() -> None:
        with scheduler.context(tenant="acme", priority=3):
            await asyncio.to_thread(post)
            await anyio.to_thread.run_sync(post)
        await asyncio.to_thread(post)

    anyio.run(main)
    assert seen == [("acme", 3), ("acme", 3), ("", 50)]


class _Slowly:
    """A server of one stream: it sends a chunk whenever it is told to, and notes when its client leaves."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1/chat/completions"
        self.go = threading.Semaphore(0)
        self.left = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self.listener, self.listener.accept()[0] as connection:
            request = b""
            while b"messages" not in request:
                request += connection.recv(65536)
            head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            connection.sendall(head.encode())
            for piece in STREAM:
                self.go.acquire(timeout=5)
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
            connection.settimeout(5)
            assert connection.recv(1) == b""
            self.left.set()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_chunks_of_a_real_server_come_one_by_one(module: Any, backend: str) -> None:
    """The first chunk is read before the second is sent, over real sockets as well."""
    server = _Slowly()

    async def main() -> None:
        scheduler = Scheduler(limits={"m": {"rpm": 60_000}})
        transport = _asynchronous(scheduler, module)
        async with (
            module.AsyncClient(transport=transport, timeout=5) as client,
            client.stream("POST", server.url, json=chat(stream=True)) as response,
        ):
            chunks = response.aiter_raw()
            for piece in STREAM:
                assert scheduler.statistics().in_flight == 1
                server.go.release()
                assert await anext(chunks) == piece
            assert await anext(chunks, None) is None
        assert scheduler.statistics().usage.output_tokens == 5
        assert is_quiet(scheduler)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("module", MODULES)
def test_chunks_in_a_thread_come_one_by_one(module: Any) -> None:
    """The same in a thread; who leaves midway leaves the connection closed."""
    scheduler = Scheduler(limits={"m": {"rpm": 60_000}})
    transport = _blocking(scheduler, module)
    with module.Client(transport=transport, timeout=5) as client:
        server = _Slowly()
        with client.stream("POST", server.url, json=chat(stream=True)) as response:
            chunks = response.iter_raw()
            for piece in STREAM:
                server.go.release()
                assert next(chunks) == piece
            assert next(chunks, None) is None
        assert scheduler.statistics().usage.output_tokens == 5
        server = _Slowly()
        with client.stream("POST", server.url, json=chat(stream=True)) as response:
            chunks = response.iter_raw()
            server.go.release()
            assert next(chunks) == STREAM[0]
            assert scheduler.statistics().in_flight == 1
        assert is_quiet(scheduler)


@pytest.mark.parametrize("module", MODULES)
def test_a_forgotten_stream_over_a_real_connection(module: Any) -> None:
    """A response that is dropped unclosed gives its place back when it is collected."""
    scheduler = Scheduler(limits={"m": {"rpm": 60_000}})
    transport = _blocking(scheduler, module)
    server = _Slowly()
    client = module.Client(transport=transport, timeout=5)
    response = client.send(client.build_request("POST", server.url, json=chat(stream=True)), stream=True)
    assert scheduler.statistics().in_flight == 1
    del response
    gc.collect()
    assert scheduler.statistics().in_flight == 0
    client.close()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("cut", ["nothing", "head", "part", "wrong length", "no HTTP"])
def test_servers_that_break_off(module: Any, cut: str) -> None:
    """Whatever a server does instead of answering, the client sees its library's exception, and nothing stays."""
    said = {
        "nothing": b"",
        "head": b"HTTP/1.1 200 OK\r\ncontent-",
        "part": b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"a":',
        "wrong length": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}",
        "no HTTP": b"\x16\x03\x01 hello\r\n\r\n",
    }[cut]
    listener = socket.create_server(("127.0.0.1", 0))
    served = 0

    def serve() -> None:
        nonlocal served
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                served += 1
                with connection:
                    request = b""
                    while b"messages" not in request:
                        request += connection.recv(65536)
                    connection.sendall(said)

    threading.Thread(target=serve, daemon=True).start()
    scheduler = Scheduler(limits={"m": {"rpm": 60_000}}, max_attempts=2, seed=3)
    transport = _blocking(scheduler, module)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"
    with module.Client(transport=transport, timeout=5) as client, pytest.raises(module.TransportError):
        client.post(url, json=chat())
    listener.close()
    assert served == 2
    assert dict(scheduler.statistics().scopes[0].outcomes) == {"unknown": 2}
    assert is_quiet(scheduler)


def test_what_was_there_before_is_as_it_was() -> None:
    """Turns and decorated functions go on as they did beside transports, and share their budget."""
    scheduler = Scheduler(limits={"m": {"rpm": 60_000}})
    transport = scheduler.sync_transport(httpx.MockTransport(lambda _: httpx.Response(200, json=completion())))
    client = httpx.Client(transport=transport)

    @scheduler.throttled(model="m", tokens=5)
    def call(number: int) -> str:
        """Say a number."""
        return json.dumps(number)

    @scheduler.throttled(model="m")
    async def later(number: int) -> int:
        return number

    assert (call(3), call.__doc__) == ("3", "Say a number.")
    assert anyio.run(later, 4) == 4
    with scheduler.context(tokens=99, tenant="t"), scheduler.reserve("m", tokens=7) as reservation:
        assert (reservation.charge.tokens, client.post("https://a.example/", json=chat()).status_code) == (7, 200)
    assert scheduler.statistics().sent == 4
    assert is_quiet(scheduler)
