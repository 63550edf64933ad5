"""What the budget does in worlds that are not as the client was told, on virtual time.

    python benchmarks/scenarios.py                    every world, 5 seeds (about 10 minutes)
    python benchmarks/scenarios.py sliced "blind*"    only these; names or patterns
    python benchmarks/scenarios.py --drawn 200        worlds drawn at random, and the worst ten of them
    python benchmarks/scenarios.py --save             and write benchmarks/results/scenarios.json

Each run is the whole engine behind `Scheduler.request`, against the simulator's own account of what it charged.

refused: refusals per 1,000 requests; late: those after the first minute (for changed limits a minute after the change)
per 1,000 admitted then; worst: refused in the worst seed. The others are means over the seeds.

ideal: the time in which the world as it was could have granted what it charged, and the shortest answer. A limit could
have granted what lay in it at the start and what it refilled, less what the tenants took (as much as they really took,
evenly over their time). A slice grants no more than its length and the time that has passed; tenants do not draw on it.
Where slices are smaller than requests, one goes when the one before has been paid back to every slice: the sum of
these times, in the order of submission, is a bound as well. In an outage nothing is granted, and what refills meanwhile
is there afterwards, up to full.

makespan: until the last answer, in seconds; ratio: over the ideal. admitted: until the last admission, over the ideal
without an answer: where answers take long, the ratio is that of the last answer's tail. used: what was granted from the
first minute (a minute after the change) to the last admission, over what was grantable then by the same rules, of the
limit that bound the most. A limit on growth is in none of these. Where the provider asks to slow down, the rates before
and after are shown, and the hold of a quarter of an hour that it asks for shows in ratio and used: it is not taken out
of them.
"""

import argparse
import fnmatch
import itertools
import json
import logging
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
from ideals import reached
from worlds import OTHERS, STUDY, Case, drawn, slow
from writing import here, today

from scheduler.clock import LoopClock
from scheduler.core.growth import Growth
from scheduler.core.quota import SECOND
from scheduler.facade import Scheduler
from scheduler.providers.openai import OpenAI
from scheduler.simulator import Simulator, World
from scheduler.testing import run as run_virtually
from scheduler.tokens.text import TiktokenCounter

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
        if case.world.get("growth"):  # it counts the input
            text, most = text.ljust(4 * min(max(50, most), 2_400), "."), 50
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
    provider = OpenAI(TiktokenCounter())
    limited = case.world.get("growth")
    if limited is not None:  # the provider's documentation, scaled as the world is
        provider.growth = Growth(limited.floor, round(1000 * limited.factor), round(limited.span * SECOND))
    simulator = Simulator(World(**settings, project_limits=projects, seed=seed))
    scheduler = Scheduler(
        provider,
        limits=told,
        project_limits=projects,
        transport=httpx.ASGITransport(app=simulator),
        clock=LoopClock(),
        api_key="none",
        max_attempts=50,
        growth="documented" if case.kept else None,
        seed=seed,
    )
    done: list[int] = []
    charges: list[int] = []
    seen: dict[float, Row] = {}
    began = anyio.current_time()

    async def one(index: int, body: dict[str, Any]) -> None:
        project = ("alpha", "beta")[index % 2] if case.projects else None
        job = scheduler.job("POST", "/v1/chat/completions", body, project=project)
        charges.append(job.call.charge.tokens)
        answer = await scheduler.driver.perform(job)
        if answer.error is None:
            done.append(index)

    async def look(after: float) -> None:
        await anyio.sleep(after)
        seen[after] = simulator.report()

    async with scheduler, anyio.create_task_group() as looking:
        for after in {case.settled, *itertools.chain(*case.compared)}:
            looking.start_soon(look, after)
        async with anyio.create_task_group() as group:
            for index, body in enumerate(bodies(case, seed)):
                group.start_soon(one, index, body)
        makespan = anyio.current_time() - began
        looking.cancel_scope.cancel()
    row = judged(case, simulator.report(), seen.get(case.settled), makespan, done, charges)
    row["rates"] = [
        (seen[end]["granted"] - seen[begin]["granted"]) / (end - begin) for begin, end in case.compared if end in seen
    ]
    return row


# ---- what the world could have granted


def supply(case: Case, name: str, limit: Row, until: float) -> float:
    """Return the units of a limit that the client could have been given *until* seconds after the start."""
    for begin, end in case.world.get("outages", ()):
        if begin < until < end:
            until = begin
    points = {0.0, until}
    if case.change and 0 < case.change[0] < until:
        points.add(case.change[0])
    total = float(limit["start_level"])
    window = limit["window"]
    for begin, end in itertools.pairwise(sorted(points)):
        amount = limit["first"] * (case.change[1] if case.change and begin >= case.change[0] else 1.0)
        total += (end - begin) * amount / window
    total -= taken_by_others(case, limit, until)
    length = slice_of(case, name)
    return min(total, (until + length) * limit["first"] / window) if length else total


def taken_by_others(case: Case, limit: Row, until: float) -> float:
    """Return the units of what tenants took of a limit that they had taken by an instant, as if evenly."""
    if not case.tenant or not limit["unseen"]:
        return 0.0
    begin, end = case.tenant[2], min(case.tenant[3], limit["now"])
    return float(limit["unseen"] * min(1.0, max(0.0, until - begin) / (end - begin)))


def slice_of(case: Case, name: str) -> float:
    """Return the seconds of a limit's slice, or 0."""
    slices = case.world.get("slices") or 0.0
    if isinstance(slices, float):
        return slices if name.endswith("pm") else 0.0
    return float(slices.get(name, 0.0))


def paid_back(case: Case, charges: list[int]) -> float:
    """Return the seconds that slices alone ask for, in the order of submission: what is owed before the next fits."""
    factor = case.world.get("factor", 1.0)
    total = 0.0
    for charge, following in itertools.pairwise(charges):
        waits = [0.0]
        for name, units, then in (("rpm", 1.0, 1.0), ("tpm", charge * factor, following * factor)):
            rate, length = case.limits[name] / 60, slice_of(case, name)
            if length:
                waits.append((units - max(0.0, length * rate - then)) / rate)
        total += max(waits)
    return total


def ideal(case: Case, limits: Iterable[tuple[str, Row]], charges: list[int]) -> float:
    """Return the seconds in which the limits could have granted what was charged."""
    longest = paid_back(case, charges)
    for name, limit in limits:
        work = limit["charged"] - limit["returned"]
        longest = max(longest, reached(partial(supply, case, name, limit), work))
    return longest


def limits_of(case: Case, report: Row) -> Iterator[tuple[str, Row]]:
    """Yield the limits that bind: of the organization, and of projects."""
    for scope in report["scopes"]:
        for name, limit in scope["limits"].items():
            first = limit["limit"]
            if case.change and limit["window"] == 60:
                first = case.limits[name]
            yield name, {**limit, "first": first, "scope": scope["project"], "now": report["now"] - report["started"]}


def judged(case: Case, report: Row, before: Row | None, makespan: float, done: list[int], charges: list[int]) -> Row:
    """Return the figures of one run; *before* is the report of when it had settled, if it came to that."""
    latency = report["shortest_latency"] or 0.0
    best = ideal(case, list(limits_of(case, report)), charges)
    last = report["last_admission"]
    row: Row = {
        "refused": 1000 * refusals(report) / case.requests,
        "late": 0.0,
        "makespan": makespan,
        "ideal": best + latency,
        "ratio": makespan / (best + latency) if best + latency else math.nan,
        "admitted": (last - report["started"]) / best if best > 1 else None,
        "used": None,
        "lost": case.requests - len(set(done)),
        "twice": len(done) - len(set(done)) + report["completed_twice"],
    }
    if before is not None:
        late = report["granted"] - before["granted"]
        row["late"] = 1000 * (refusals(report) - refusals(before)) / max(1, late)
        span = last - before["now"]
        if span > 30 and late:
            row["used"] = max(used(case, *three, span, report, before) for three in pairs(before, report))
            row["used"] = max(row["used"], late * paid_back(case, charges) / len(charges) / span)
    return row


def refusals(report: Row) -> int:
    """Return how many requests limits have refused, that on growth among them."""
    return int(report["refused"] + sum(scope["too_fast"] for scope in report["scopes"]))


def pairs(before: Row, after: Row) -> Iterator[tuple[str, Row, Row]]:
    """Yield the name of each limit of a window, and what it was then and is now."""
    for then, now in zip(before["scopes"], after["scopes"], strict=False):
        for name, limit in now["limits"].items():
            if limit["window"]:
                yield name, then["limits"][name], limit


def used(case: Case, name: str, then: Row, now: Row, span: float, report: Row, before: Row) -> float:
    """Return the share of what a limit could grant in *span* seconds since the report *before* that it did grant."""
    granted = now["charged"] - now["returned"] - then["charged"] + then["returned"]
    unseen = (now["unseen"] - then["unseen"]) * span / (report["now"] - before["now"])
    rate = now["limit"] / now["window"]
    grantable = max(0.0, then["level"]) + rate * span - unseen
    for begin, end in case.world.get("outages", ()):
        grantable -= max(0.0, (end - begin) * rate - now["limit"])
    length = slice_of(case, name)
    if length:
        grantable = min(grantable, (span + length) * rate)
    return float(granted / grantable) if grantable > 0 else 0.0


# ---- many


def several(job: tuple[Case, range]) -> Row:
    """Play a case with several seeds, and return the means."""
    case, seeds = job
    began = time.perf_counter()
    rows = [run_virtually(play, case, seed) for seed in seeds]
    row: Row = {"world": case.name}
    for key in ("refused", "late", "ratio", "admitted", "used", "makespan", "ideal"):
        values = [each[key] for each in rows if each[key] is not None]
        row[key] = round(statistics.fmean(values), 4) if values else None
    row["worst"] = round(max(each["refused"] for each in rows), 2)
    row["lost"] = sum(each["lost"] for each in rows)
    row["twice"] = sum(each["twice"] for each in rows)
    row["rates"] = [
        round(statistics.fmean(values), 2) for values in zip(*(each["rates"] for each in rows), strict=False)
    ]
    row["study"] = None if case.most is None else [*case.most, case.ratio]
    row["seconds"] = round(time.perf_counter() - began, 1)
    return row


HEAD = "| world | refused | late | worst | ratio | admitted | used | makespan | lost | twice | study |"


def show(row: Row) -> None:
    """Print a row of the table."""
    study = "" if row["study"] is None else "{:.1f} ({:.1f}) {:.3f}".format(*row["study"])
    shares = " | ".join("" if row[key] is None else f"{row[key]:.3f}" for key in ("ratio", "admitted", "used"))
    cells = f"{row['refused']:.2f} | {row['late']:.2f} | {row['worst']:.1f} | {shares} | {row['makespan']:.1f}"
    print(f"| {row['world']} | {cells} | {row['lost']} | {row['twice']} | {study} |", flush=True)
    if row["rates"]:
        print(f"  requests a second: {' -> '.join(map(str, row['rates']))}", flush=True)


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
    print(HEAD + "\n|" + "---|" * 11)
    rows = []
    began = time.perf_counter()
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
    print(f"{time.perf_counter() - began:.0f} s")
    if options.save:
        note = {"date": today(), **here(), "seeds": [*seeds]}
        name = "scenarios-drawn.json" if options.drawn else "scenarios.json"
        (RESULTS / name).write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n")
    return 0 if not any(row["lost"] or row["twice"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
