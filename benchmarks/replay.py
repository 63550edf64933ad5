"""A production hour, replayed: who waits how long, and who gets what, on virtual time.

    python benchmarks/replay.py            limits of 120 %, 100 % and 70 % of the mean demand, 3 seeds (about 3 minutes)
    python benchmarks/replay.py --save     and write benchmarks/results/replay.json

The arrivals and sizes are those of 19,366 conversations in one hour of Azure's LLM service (Patel et al., Splitwise,
ISCA 2024; CC-BY), read from $SCHEDULER_DATA (default ../shared/data); a request is charged its context and its
generated tokens. One in twenty, by chance, is interactive, the rest is batch, of four tenants with weights 1:1:2:4.
Requests and tokens are limited together. FIFO is the same engine with one tenant, one priority and nothing kept.

fair: Jain's index of the batch tokens over the weights, in the intervals of 10 s or more in which batch of all four
waits: the least of them, the least of those of 30 s or more, and of all of them taken together (requests cannot be
divided: in 10 s a tenant of weight 1 has about five, of which the largest is as large as all the others); and the share
of the hour that these intervals are.
"""

import argparse
import csv
import itertools
import json
import logging
import os
import random
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
from writing import here, today

from scheduler.clock import LoopClock
from scheduler.facade import Scheduler
from scheduler.http.driver import Job
from scheduler.simulator import Simulator, World
from scheduler.testing import run as run_virtually

DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[2] / "shared" / "data"))
RESULTS = Path(__file__).parent / "results"
WEIGHTS = {"ash": 1.0, "birch": 1.0, "cedar": 2.0, "dogwood": 4.0}
FACTORS = (1.2, 1.0, 0.7)
LEAST = 10.0  # seconds of an interval in which shares are judged
INTERACTIVE = 0.05
Row = dict[str, Any]


@dataclass(slots=True)
class Request:
    """One conversation: when it came, its size, whose it is; and when it was sent first, and how often."""

    at: float
    tokens: int
    tenant: str
    interactive: bool
    sent: list[float] = field(default_factory=list)
    done: bool = False


def trace(seed: int) -> list[Request]:
    """Return the hour, with priorities and tenants dealt by chance."""
    chance = random.Random(seed)
    with (DATA / "azure-llm-trace-conv.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in rows]
    return [
        Request(
            at - times[0],
            int(row["ContextTokens"]) + int(row["GeneratedTokens"]),
            chance.choice([*WEIGHTS]),
            chance.random() < INTERACTIVE,
        )
        for at, row in zip(times, rows, strict=True)
    ]


async def replay(factor: float, seed: int, *, fifo: bool) -> Row:
    """Replay the hour at limits of *factor* times the mean demand."""
    requests = trace(seed)
    minutes = requests[-1].at / 60
    tokens = sum(each.tokens for each in requests)
    limits = {"rpm": round(factor * len(requests) / minutes), "tpm": round(factor * tokens / minutes)}
    world = World(limits={"*": limits}, latency=2.0, latency_sigma=0.5, network=0.04, network_sigma=0.6, seed=seed)
    simulator = Simulator(world)
    scheduler = Scheduler(
        limits={"*": limits},
        transport=httpx.ASGITransport(app=simulator),
        clock=LoopClock(),
        api_key="none",
        weights={} if fifo else WEIGHTS,
        reserved={} if fifo else {"interactive": 0.05},
        seed=seed,
    )
    began = anyio.current_time()

    async def one(number: int, request: Request) -> None:
        def on_flight(away: bool, /) -> None:  # noqa: FBT001 -- as a job calls it
            if away:
                request.sent.append(anyio.current_time() - began)

        body = {
            "model": "m",
            "messages": [{"role": "user", "content": f"conversation {number}"}],
            "max_tokens": max(8, request.tokens),
        }
        plain = scheduler.job("POST", "/v1/chat/completions", body)
        priority = 50 if fifo else 0 if request.interactive else 100
        tenant = None if fifo else request.tenant
        job = Job(plain.call, plain.content, priority, tenant, on_flight=on_flight)
        answer = await scheduler.driver.perform(job)
        request.done = answer.error is None

    async with scheduler, anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            await anyio.sleep(max(0.0, began + request.at - anyio.current_time()))
            group.start_soon(one, number, request)
    report: Row = simulator.report()
    waits = sorted(each.sent[0] - each.at for each in requests if each.interactive)
    batch = sorted(each.sent[0] - each.at for each in requests if not each.interactive)
    return {
        "refused": 1000 * report["refused"] / len(requests),
        "lost": sum(not each.done for each in requests),
        "interactive p50": waits[len(waits) // 2],
        "interactive p99": waits[len(waits) * 99 // 100],
        "batch p50": batch[len(batch) // 2],
        "batch p99": batch[len(batch) * 99 // 100],
        **fairness([each for each in requests if not each.interactive]),
    }


def fairness(requests: list[Request]) -> Row:
    """Return Jain's indices over the intervals in which all tenants wait, and their share of the time."""
    events: list[tuple[float, int, str]] = []
    for each in requests:
        events += [(each.at, 1, each.tenant), (each.sent[0], -1, each.tenant)]
    waiting = dict.fromkeys(WEIGHTS, 0)
    begin: float | None = None
    intervals = []
    for at, change, tenant in sorted(events):
        waiting[tenant] += change
        if all(waiting.values()):
            begin = at if begin is None else begin
        elif begin is not None:
            intervals.append((begin, at))
            begin = None
    judged = [(one, other) for one, other in intervals if other - one >= LEAST]
    shares = [shared(requests, one, other) for one, other in judged]
    long = [share for share, (one, other) in zip(shares, judged, strict=True) if other - one >= 3 * LEAST]
    together = [sum(parts) for parts in zip(*shares, strict=True)]
    return {
        "fair 10 s": min(map(jain, shares), default=None),
        "fair 30 s": min(map(jain, long), default=None),
        "fair": jain(together) if together else None,
        "backlogged": sum(other - one for one, other in judged) / max(each.sent[0] for each in requests),
    }


def shared(requests: list[Request], begin: float, end: float) -> list[float]:
    """Return the tokens over the weights that the tenants had in an interval."""
    had = dict.fromkeys(WEIGHTS, 0.0)
    for each in requests:
        if begin <= each.sent[0] < end:
            had[each.tenant] += each.tokens / WEIGHTS[each.tenant]
    return [*had.values()]


def jain(shares: list[float]) -> float:
    """Return Jain's index of fairness: 1 where all are equal, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def play(job: tuple[float, bool, int]) -> Row:
    """Replay the hour in this process."""
    factor, fifo, seed = job
    logging.getLogger("scheduler").setLevel(logging.ERROR)

    async def main() -> Row:
        return await replay(factor, seed, fifo=fifo)

    return run_virtually(main)


def merged(factor: float, rows: list[Row], *, fifo: bool) -> Row:
    """Return the means of several seeds, and the worst where a promise is about every one."""
    row: Row = {"limits": f"{factor:.0%}", "order": "FIFO" if fifo else "ours"}
    for key in rows[0]:
        values = [each[key] for each in rows if each[key] is not None]
        worst = key.startswith("fair")
        row[key] = round(min(values) if worst else statistics.fmean(values), 4) if values else None
    return row


def main() -> int:
    """Replay the hour at every limit, with our order and first in first out; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/replay.json")
    options = parser.parse_args()
    pairs = list(itertools.product(FACTORS, (False, True)))
    jobs = [(factor, fifo, seed) for factor, fifo in pairs for seed in range(options.seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(play, jobs))
    rows = []
    for index, (factor, fifo) in enumerate(pairs):
        rows.append(merged(factor, results[index * options.seeds : (index + 1) * options.seeds], fifo=fifo))
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join("" if value is None else str(value) for value in row.values()) + " |")
    if options.save:
        note = {"date": today(), **here(), "seeds": options.seeds}
        (RESULTS / "replay.json").write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n")
    return 0 if not any(row["lost"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
