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

    uv run benchmarks/transports.py            about 40 minutes; medians of rounds
    uv run benchmarks/transports.py --quick    one round at 50 and 500 in flight, about 4 minutes
    uv run benchmarks/transports.py --save     and write benchmarks/results/transports.json and .md
    uv run benchmarks/transports.py "openai own" "openai scheduler"    only these

Method: a server in a process of its own answers with a small chat completion and the headers of a token bucket that
holds nobody back, after a delay that keeps as many requests in flight as the column says (0.3 s at 50, 0.6 s at 500, 1
s at 1,000; give or take half). A client in another process keeps exactly so many going, each followed by the next when
its answer has been parsed. Two waves open the connections; then the CPU of the whole client process (user and system,
all threads) is taken over some waves and divided by the requests. Every cell has a fresh process, and rounds go
through all cells in turn, so that whatever else the machine does meets all of them: read the ratios. Plain http over
loopback: TLS would add the same to each.

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
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from transports_clients import BODY, Server, contender
from writing import Note, bullets, here, installed, table, today

from scheduler.http.inner import sync_inner

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
Row = dict[str, Any]
PACKAGES = ("aiohttp", "h2", "httpx", "httpx-aiohttp", "httpx2", "openai", "pyreqwest")


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


def rows_of(found: dict[tuple[str, str, int], list[float]]) -> list[Row]:
    """Return the median, the lowest and the highest of each cell."""
    return [
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


def tables(rows: list[Row]) -> str:
    """Return medians, and in brackets the lowest and the highest, as tables."""
    found = {_key(row): f"{row['median_us']:,} ({row['low_us']:,}-{row['high_us']:,})" for row in rows}
    parts = []
    for kind in dict.fromkeys(kind for kind, _, _ in found):
        columns = sorted({column for which, _, column in found if which == kind})
        names = dict.fromkeys(name for which, name, _ in found if which == kind)
        lines = ((name, *(found.get((kind, name, column), "-") for column in columns)) for name in names)
        heads = ("client and transport", *(f"{column:,} in flight" for column in columns))
        parts.append(f"### {kind.capitalize()}: microseconds of CPU each\n\n{table(heads, lines)}")
    return "\n".join(parts)


def _key(row: Row) -> tuple[str, str, int]:
    return row["kind"], row["contender"], row["in_flight"]


def save(rows: list[Row], rounds: int) -> None:
    """Write what was found; rows of others stay as they were measured."""
    path = Path(__file__).with_name("results") / "transports.json"
    if path.exists():
        fresh = {_key(row) for row in rows}
        rows = [row for row in json.loads(path.read_text())["rows"] if _key(row) not in fresh] + rows
    note: Note = {"date": today(), **here(), "rounds": rounds, "versions": installed(PACKAGES)}
    path.write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n")
    path.with_suffix(".md").write_text(f"# What a request costs\n\n{bullets(note)}\n{tables(rows)}")


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
    rows = rows_of(found)
    print(tables(rows))
    if options.save:
        save(rows, rounds)


if __name__ == "__main__":
    main()
