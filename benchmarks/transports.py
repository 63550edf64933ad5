# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "h2==4.4.1", "httpx-aiohttp==0.2.0", "httpx2==2.16.2", "openai==3.54.0", "pyreqwest==0.15.1", "quota-scheduler",
# ]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# [tool.uv.sources]
# quota-scheduler = { path = "..", editable = true }
# ///
"""What a request costs the client's process: transports side by side, with many really in flight.

    uv run benchmarks/transports.py            about 25 minutes; medians of rounds
    uv run benchmarks/transports.py --quick    one round at 50 and 500 in flight, about 4 minutes
    uv run benchmarks/transports.py --save     and write benchmarks/results/transports.json
    uv run benchmarks/transports.py "openai own" "openai scheduler"    only these

Method: a server in a process of its own answers with a small chat completion, after a delay that keeps as many requests
in flight as the column says (0.3 s at 50, 0.6 s at 500, 1 s at 1,000; give or take half). A client in another process
keeps exactly so many going, each followed by the next when its answer has been parsed. Two waves open the connections;
then the CPU of the whole client process (user and system, all threads) is taken over some waves and divided by the
requests. Every cell has a fresh process, and rounds go through all cells in turn, so that whatever else the machine
does meets all of them: read the ratios. Plain http over loopback: TLS would add the same to each.

`scheduler` is the whole scheduler, which admits each request and learns from its answer; `ours` is what sends for it,
`scheduler.http.inner`, alone; `shards` is what it uses where aiohttp cannot serve; `nothing` is the client over a
transport that only waits: what no transport can undercut. `threads` are synchronous clients, one shared by all.
What is not installed is left out; `uv run` installs all.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from scheduler import Scheduler
from scheduler.http.inner import async_inner, sync_inner
from scheduler.http.inner_bodies import async_body
from scheduler.http.inner_own import AsyncRouted, Terms
from scheduler.http.shards import AsyncShards

MODEL = "gpt-5-mini"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "What is the answer?"}], "max_tokens": 50}
DELAY = {50: 300, 500: 600, 1000: 1000}  # milliseconds
WAVES = {50: 16, 500: 3, 1000: 2}
LIBRARIES = ("httpx", "httpx2")
CONTENDERS = [
    *(
        f"{library} {way}"
        for library in LIBRARIES
        for way in ("own", "http2", "shards", "bridge", "ours", "scheduler", "nothing")
    ),
    "aiohttp",
    "pyreqwest",
    "openai own",
    "openai bridge",
    "openai ours",
    "openai scheduler",
    "openai nothing",
]
TOO_SLOW = {("httpx own", 1000), ("httpx http2", 1000)}  # minutes each: the cost of looking grows with the square
STREAMS = [
    "httpx own",
    "httpx2 own",
    "httpx ours",
    "httpx2 ours",
    "httpx2 bridge",
    "aiohttp",
    "openai own",
    "openai ours",
    "openai scheduler",
]
THREADS = [f"{library} {way}" for library in LIBRARIES for way in ("own", "ours")]
PACKAGES = ("aiohttp", "h2", "httpx", "httpx-aiohttp", "httpx2", "openai", "pyreqwest")

Send = Callable[[], Awaitable[None]]


class Server:
    """Where the server is."""

    def __init__(self, ports: str, in_flight: int) -> None:
        """Parse what the server printed."""
        self.http1, self.http2 = (f"http://127.0.0.1:{port}/{DELAY[in_flight]}" for port in ports.split(","))


# ---- contenders


class Sharded:
    """httpx's own transport in shards, and nothing else."""

    def __init__(self, module: ModuleType) -> None:
        """Of httpx or httpx2."""
        terms = Terms(module, module.create_ssl_context(), None, trust_env=False, max_connections=None, keepalive=30.0)
        self._pools = AsyncShards(lambda: AsyncRouted(terms, "AsyncClient"))
        self._body = async_body(module)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        response, closed = await self._pools.send(request)
        response.stream = self._body(response.stream, closed)
        return response


def nothing(module: ModuleType, server: Server) -> Any:
    """Return a transport that waits and answers."""
    content = importlib.import_module("transports_server").BODY

    async def answer(_: Any) -> Any:
        await asyncio.sleep(int(server.http1.rpartition("/")[2]) / 1000)
        return module.Response(200, headers={"content-type": "application/json"}, content=content)

    return module.MockTransport(answer)


def transport_of(module: ModuleType, way: str, server: Server) -> Any:
    """Return a transport of httpx or httpx2."""
    limits = module.Limits(max_connections=None, max_keepalive_connections=None)
    if way == "bridge":
        bridge = importlib.import_module("httpx_aiohttp" if module.__name__ == "httpx" else "httpx_aiohttp.httpx2")
        return bridge.AiohttpTransport(limits=module.Limits(max_connections=0))
    makers: dict[str, Callable[[], Any]] = {
        "own": lambda: module.AsyncHTTPTransport(limits=limits),
        "http2": lambda: module.AsyncHTTPTransport(limits=limits, http1=False, http2=True),
        "shards": lambda: Sharded(module),
        "ours": lambda: async_inner(module),
        "scheduler": lambda: scheduled(module),
        "nothing": lambda: nothing(module, server),
    }
    return makers[way]()


def scheduled(module: ModuleType) -> Any:
    """Return the transport of a scheduler whose limits hold nobody back."""
    scheduler = Scheduler(limits={MODEL: {"rpm": 100_000_000, "tpm": 10_000_000_000}})
    return scheduler.transport() if module.__name__ == "httpx" else scheduler.transport2()


def httpx_client(library: str, way: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request by httpx or httpx2."""
    module = importlib.import_module(library)
    client = module.AsyncClient(transport=transport_of(module, way, server), timeout=60)
    url = f"{server.http2 if way == 'http2' else server.http1}/v1/chat/completions"

    async def send() -> None:
        response = await client.post(url, json=BODY)
        response.json()

    async def read() -> None:
        async with client.stream("POST", url, json={**BODY, "stream": True}) as response:
            async for _ in response.aiter_lines():
                pass

    return read if stream else send


def openai_client(way: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request by OpenAI's client."""
    openai = importlib.import_module("openai")
    module = importlib.import_module("httpx2")
    makers: dict[str, Callable[[], Any]] = {
        "own": lambda: None,
        "bridge": openai.DefaultAioHttpClient,
        "ours": lambda: module.AsyncClient(transport=async_inner(module)),
        "scheduler": lambda: module.AsyncClient(transport=scheduled(module)),
        "nothing": lambda: module.AsyncClient(transport=nothing(module, server)),
    }
    client = makers[way]()
    chat = openai.AsyncOpenAI(api_key="k", base_url=f"{server.http1}/v1", http_client=client, max_retries=0).chat

    async def send() -> None:
        await chat.completions.create(**BODY)

    async def read() -> None:
        async for _ in await chat.completions.create(**BODY, stream=True):
            pass

    return read if stream else send


def aiohttp_client(server: Server, *, stream: bool) -> Send:
    """Return what sends a request by aiohttp itself."""
    aiohttp = importlib.import_module("aiohttp")
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    url = f"{server.http1}/v1/chat/completions"

    async def send() -> None:
        async with session.post(url, json={**BODY, "stream": True} if stream else BODY) as response:
            if stream:
                async for _ in response.content:
                    pass
            else:
                await response.json()

    return send


def pyreqwest_client(server: Server) -> Send:
    """Return what sends a request by pyreqwest itself."""
    client = importlib.import_module("pyreqwest.client").ClientBuilder().build()

    async def send() -> None:
        response = await client.post(f"{server.http1}/v1/chat/completions").body_json(BODY).build().send()
        await response.json()

    return send


def contender(name: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request and reads its answer."""
    library, _, way = name.partition(" ")
    if library == "openai":
        return openai_client(way, server, stream=stream)
    if library == "aiohttp":
        return aiohttp_client(server, stream=stream)
    if library == "pyreqwest":
        return pyreqwest_client(server)
    return httpx_client(library, way, server, stream=stream)


# ---- one cell, in a process of its own


async def tasks(name: str, in_flight: int, server: Server, *, stream: bool) -> float:
    """Return the microseconds of CPU a request."""
    send = contender(name, server, stream=stream)

    async def waves(number: int) -> None:
        async def one() -> None:
            for _ in range(number):
                await send()

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(one())

    await waves(1)
    await waves(1)
    gc.collect()
    began = time.process_time()
    await waves(WAVES[in_flight])
    return (time.process_time() - began) / in_flight / WAVES[in_flight] * 1e6


def threads(name: str, in_flight: int, server: Server) -> float:
    """Return the microseconds of CPU a request, each in a thread."""
    library, _, way = name.partition(" ")
    module = importlib.import_module(library)
    limits = module.Limits(max_connections=None, max_keepalive_connections=None)
    transport = sync_inner(module) if way == "ours" else module.HTTPTransport(limits=limits)
    client = module.Client(transport=transport, timeout=60)

    def waves(number: int) -> None:
        def one() -> None:
            for _ in range(number):
                client.post(f"{server.http1}/v1/chat/completions", json=BODY).json()

        running = [threading.Thread(target=one) for _ in range(in_flight)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    waves(2)
    gc.collect()
    began = time.process_time()
    waves(WAVES[in_flight])
    return (time.process_time() - began) / in_flight / WAVES[in_flight] * 1e6


def cell(kind: str, name: str, in_flight: int, ports: str) -> float:
    """Measure here and now."""
    server = Server(ports, in_flight)
    if kind == "threads":
        return threads(name, in_flight, server)
    return asyncio.run(tasks(name, in_flight, server, stream=kind == "streams"))


def apart(kind: str, name: str, in_flight: int, ports: str) -> float | None:
    """Measure in a fresh process; None where the contender is not installed."""
    command = [sys.executable, __file__, "--cell", kind, name, str(in_flight), ports]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("us "):
            return float(line.split()[1])
    if "ModuleNotFoundError" in done.stderr:
        return None
    raise RuntimeError(f"{kind} {name} {in_flight}: {done.stderr[-2000:]}")


# ---- all of them


def measure(rounds: int, columns: list[int], named: Collection[str]) -> dict[tuple[str, str, int], list[float]]:
    """Go through the cells of those that are *named*, *rounds* times."""
    cells = [
        *(
            ("requests", name, in_flight)
            for name in CONTENDERS
            for in_flight in columns
            if (name, in_flight) not in TOO_SLOW
        ),
        *(("streams", name, 50) for name in STREAMS),
        *(("threads", name, in_flight) for name in THREADS for in_flight in columns if in_flight <= 500),
    ]
    plan = [what for what in cells if what[1] in named]
    command = [sys.executable, str(Path(__file__).with_name("transports_server.py"))]
    found: dict[tuple[str, str, int], list[float]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ports = ",".join(server.stdout.readline().split())
            for number in range(rounds):
                for place, what in enumerate(plan):
                    print(f"\rround {number + 1} of {rounds}, {place + 1} of {len(plan)}", end="", file=sys.stderr)
                    took = apart(*what, ports)
                    if took is not None:
                        found.setdefault(what, []).append(took)
        finally:
            server.kill()
    print(file=sys.stderr)
    return found


def table(found: dict[tuple[str, str, int], list[float]], columns: list[int]) -> None:
    """Print medians, and in brackets the lowest and the highest."""
    for kind in ("requests", "streams", "threads"):
        print(f"\n{kind}: microseconds of CPU each")
        for name in dict.fromkeys(name for which, name, _ in found if which == kind):
            print(f"{name:16}", end="")
            for column in columns:
                if took := found.get((kind, name, column)):
                    spread = f"({min(took):,.0f}-{max(took):,.0f})"
                    print(f"{column:>7,}: {statistics.median(took):7,.0f} {spread:15}", end="")
            print()


def save(found: dict[tuple[str, str, int], list[float]], rounds: int) -> None:
    """Write what was found."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    rows = [
        {
            "kind": kind,
            "contender": name,
            "in_flight": in_flight,
            "median_us": round(statistics.median(took)),
            "low_us": round(min(took)),
            "high_us": round(max(took)),
        }
        for (kind, name, in_flight), took in found.items()
    ]
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "note": "shared with others: read ratios"}
    path = Path(__file__).with_name("results") / "transports.json"
    if path.exists():  # others' rows stay as they were measured
        here = {(row["kind"], row["contender"], row["in_flight"]) for row in rows}
        before = json.loads(path.read_text())["rows"]
        rows = [row for row in before if (row["kind"], row["contender"], row["in_flight"]) not in here] + rows
    content = {"machine": machine, "versions": versions, "rounds": rounds, "rows": rows}
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="*", help="names; all by default")
    parser.add_argument("--quick", action="store_true", help="one round at 50 and 500")
    parser.add_argument("--save", action="store_true", help="write the results beside this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        kind, name, in_flight, ports = options.cell
        print("us", cell(kind, name, int(in_flight), ports), flush=True)
        os._exit(0)  # nothing is closed, so that nothing is measured that closes
    named = options.contenders or [*CONTENDERS, *STREAMS, *THREADS]
    rounds = 1 if options.quick else options.rounds
    columns = [50, 500] if options.quick else [50, 500, 1000]
    found = measure(rounds, columns, named)
    table(found, columns)
    if options.save:
        save(found, rounds)


if __name__ == "__main__":
    main()
