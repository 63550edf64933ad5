"""What the budget does in worlds that are not as the client was told, on virtual time.

    python benchmarks/scenarios.py                    every world, 5 seeds (about 10 minutes)
    python benchmarks/scenarios.py sliced "blind*"    only these; names or patterns
    python benchmarks/scenarios.py --drawn 200        worlds drawn at random, and the worst ten of them
    python benchmarks/scenarios.py --save             and write benchmarks/results/scenarios.json

Each run is the whole engine behind `Scheduler.request`, against the simulator's own account of what it charged.

refused: refusals per 1,000 requests; late: those after the first minute (for changed limits a minute after the change)
per 1,000 admitted then. ratio: makespan over the ideal, the time in which the world as it was could have granted what
it charged. used: granted over grantable from that minute on to the last admission. All are means over the seeds.
"""

import argparse
import fnmatch
import itertools
import json
import logging
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
from worlds import OTHERS, STUDY, Case, drawn, slow

from scheduler.clock import LoopClock
from scheduler.facade import Scheduler
from scheduler.simulator import Simulator, World
from scheduler.testing import run as run_virtually

RESULTS = Path(__file__).parent / "results"
SLOW = (
    "as configured",
    "starts empty",
    "configured at 2x",
    "nothing configured",
    "tenant 50 %, 3 s bursts",
    "charge x1.25",
    "charge x2",
    "headers 5 s stale",
    "sliced",
    "unconfigured + tenant 30 % + x2",
)
Row = dict[str, Any]


def bodies(case: Case, seed: int) -> list[dict[str, Any]]:
    """Return chat requests with lognormal charges: 900 tokens in the median, at most 0.3 of a minute's."""
    chance = random.Random(seed)
    made = []
    for number in range(case.requests):
        text, most = f"request {number}", int(chance.lognormvariate(math.log(900), 0.8))
        if case.world.get("charge") == "sum":
            text = text.ljust(4 * int(max(20, chance.lognormvariate(math.log(600), 0.8))), ".")
            most = chance.choice((200, 400, 800, 1600))
        most = int(min(max(50, most), 0.3 * case.limit))
        made.append({"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": most})
    return made


async def play(case: Case, seed: int) -> Row:
    """Do the job of a case once, and hold what came of it against the provider's account."""
    settings = case.settings()
    told: dict[str, Any] = {}
    if case.told is not None:
        told = {"*": {name: int(case.limits[name] * case.told) for name in ("rpm", "tpm")}}
    projects: dict[str, Any] = {}
    if case.projects:
        projects = {name: {"*": {"tpm": int(case.limit * share)}} for name, share in (("alpha", 0.7), ("beta", 0.4))}
    simulator = Simulator(World(**settings, project_limits=projects, seed=seed))
    scheduler = Scheduler(
        limits=told,
        project_limits=projects,
        transport=httpx.ASGITransport(app=simulator),
        clock=LoopClock(),
        api_key="none",
        max_attempts=50,
        seed=seed,
    )
    done: list[int] = []
    settled: list[Row] = []
    began = anyio.current_time()

    async def one(index: int, body: dict[str, Any]) -> None:
        project = ("alpha", "beta")[index % 2] if case.projects else None
        job = scheduler.job("POST", "/v1/chat/completions", body, project=project)
        answer = await scheduler.driver.perform(job)
        if answer.error is None:
            done.append(index)

    async def look() -> None:
        await anyio.sleep(case.settled)
        settled.append(simulator.report())

    async with scheduler, anyio.create_task_group() as looking:
        looking.start_soon(look)
        async with anyio.create_task_group() as group:
            for index, body in enumerate(bodies(case, seed)):
                group.start_soon(one, index, body)
        makespan = anyio.current_time() - began
        looking.cancel_scope.cancel()
    return judged(case, simulator.report(), settled, makespan, done)


# ---- what the world could have granted


def supply(case: Case, name: str, limit: Row, until: float) -> float:
    """Return the units of a limit that the client could have been given *until* seconds after the start."""
    points = {0.0, until}
    for at in (*(case.change or ())[:1], *(case.tenant or ())[2:]):
        if 0 < at < until:
            points.add(at)
    total = float(limit["start_level"])
    edges = sorted(points)
    window = limit["window"]
    for begin, end in itertools.pairwise(edges):
        amount = limit["first"] * (case.change[1] if case.change and begin >= case.change[0] else 1.0)
        share = case.tenant[0] if case.tenant and case.tenant[2] <= begin < case.tenant[3] and window == 60 else 0.0
        total += (end - begin) * amount / window * (1 - share)
    if case.world.get("slices") and name == "tpm":
        total = min(total, (until + 1.0) * limit["first"] / window)
    return total


def ideal(case: Case, limits: Iterable[tuple[str, Row]], latency: float) -> float:
    """Return the seconds in which the limits could have granted what was charged, and the shortest answer."""
    longest = 0.0
    for name, limit in limits:
        work = limit["charged"] - limit["returned"]
        low, high = 0.0, 1e6
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if supply(case, name, limit, middle) < work else (low, middle)
        longest = max(longest, high)
    return longest + latency


def limits_of(case: Case, report: Row) -> Iterator[tuple[str, Row]]:
    """Yield the limits that bind: of the organization, and of projects."""
    for scope in report["scopes"]:
        for name, limit in scope["limits"].items():
            first = limit["limit"]
            if case.change and limit["window"] == 60:
                first = case.limits[name]
            yield name, {**limit, "first": first, "scope": scope["project"]}


def judged(case: Case, report: Row, settled: list[Row], makespan: float, done: list[int]) -> Row:
    """Return the figures of one run."""
    limits = list(limits_of(case, report))
    best = ideal(case, limits, report["shortest_latency"] or 0.0)
    row: Row = {
        "refused": 1000 * report["refused"] / case.requests,
        "late": 0.0,
        "makespan": makespan,
        "ideal": best,
        "ratio": makespan / best if best else math.nan,
        "used": None,
        "lost": case.requests - len(set(done)),
        "twice": len(done) - len(set(done)) + report["completed_twice"],
    }
    if settled and report["last_admission"] is not None:
        before = settled[0]
        late = report["granted"] - before["granted"]
        row["late"] = 1000 * (report["refused"] - before["refused"]) / max(1, late)
        span = report["last_admission"] - before["now"]
        if span > 30 and late:
            whole, sliced = report["now"] - before["now"], bool(case.world.get("slices"))
            row["used"] = max(used(*both, span, whole, sliced=sliced) for both in pairs(before, report))
    return row


def pairs(before: Row, after: Row) -> Iterator[tuple[Row, Row]]:
    """Yield each limit of a window then and now."""
    for then, now in zip(before["scopes"], after["scopes"], strict=False):
        for name, limit in now["limits"].items():
            if limit["window"]:
                yield then["limits"][name], limit


def used(then: Row, now: Row, span: float, whole: float, *, sliced: bool) -> float:
    """Return the share of what a limit could grant between two reports that it did grant."""
    granted = now["charged"] - now["returned"] - then["charged"] + then["returned"]
    unseen = (now["unseen"] - then["unseen"]) * span / whole
    level = 0.0 if sliced else max(0.0, then["level"])
    grantable = level + now["limit"] * span / now["window"] - unseen
    return float(granted / grantable) if grantable > 0 else 0.0


# ---- many


def several(job: tuple[Case, range]) -> Row:
    """Play a case with several seeds, and return the means."""
    case, seeds = job
    began = time.perf_counter()
    rows = [run_virtually(play, case, seed) for seed in seeds]
    row: Row = {"world": case.name}
    for key in ("refused", "late", "ratio", "used", "makespan", "ideal"):
        values = [each[key] for each in rows if each[key] is not None]
        row[key] = round(statistics.fmean(values), 4) if values else None
    row["worst"] = round(max(each["refused"] for each in rows), 2)
    row["lost"] = sum(each["lost"] for each in rows)
    row["twice"] = sum(each["twice"] for each in rows)
    row["study"] = None if case.most is None else [*case.most, case.ratio]
    row["seconds"] = round(time.perf_counter() - began, 1)
    return row


def show(row: Row) -> None:
    """Print a row of the table."""
    study = "" if row["study"] is None else "{:.1f} ({:.1f}) {:.3f}".format(*row["study"])
    share = "" if row["used"] is None else f"{row['used']:.3f}"
    cells = f"{row['refused']:.2f} | {row['late']:.2f} | {row['worst']:.1f} | {row['ratio']:.3f} | {share}"
    print(f"| {row['world']} | {cells} | {row['lost']} | {row['twice']} | {study} |", flush=True)


def main() -> int:
    """Play what was asked for; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="*", help="names or patterns; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=100, help="the first seed")
    parser.add_argument("--drawn", type=int, default=0, help="how many worlds to draw at random instead")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/scenarios.json")
    options = parser.parse_args()
    logging.getLogger("scheduler").setLevel(logging.ERROR)
    seeds = range(options.first, options.first + options.seeds)
    if options.drawn:
        jobs = [(drawn(number), range(number, number + 1)) for number in range(options.drawn)]
    else:
        cases = [*STUDY, *OTHERS, *(slow(case) for case in STUDY if case.name in SLOW)]
        wanted = options.worlds or ["*"]
        jobs = [(case, seeds) for case in cases if any(fnmatch.fnmatchcase(case.name, each) for each in wanted)]
    print("| world | refused | late | worst seed | ratio | used | lost | twice | study |\n|" + "---|" * 9)
    rows = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for row in pool.map(several, jobs):
            rows.append(row)
            if not options.drawn:
                show(row)
    if options.drawn:
        ordered = sorted(rows, key=lambda row: row["refused"], reverse=True)
        for row in ordered[:10]:
            show(row)
        print(f"median refused per 1,000: {statistics.median(row['refused'] for row in rows):.2f}")
    if options.save:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "seeds": [*seeds]}
        name = "scenarios-drawn.json" if options.drawn else "scenarios.json"
        (RESULTS / name).write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0 if not any(row["lost"] or row["twice"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
