"""The whole job, end to end: real requests, a provider that enforces limits, and what came of it.

    python benchmarks/jobs.py                  every scenario over real HTTP, three at a time (about 6 minutes)
    python benchmarks/jobs.py tokens images    only these
    python benchmarks/jobs.py --virtual        the same on virtual time, in seconds, and the scenarios of days

Over HTTP the provider is `scheduler.simulator` in a process of its own and the client is `scheduler run`; on virtual
time both are in one process. The 1,319 requests of GSM8K are read from $SCHEDULER_DATA (default ../shared/data).

ideal: the time in which the limits, by the provider's own account of what it charged, could have brought that much from
their levels at the start, and its shortest answer. target: ideal + 1 % + 2 % of a window.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import httpx

from scheduler.clock import LoopClock
from scheduler.facade import Scheduler
from scheduler.simulator import Simulator, World, run as serve
from scheduler.testing import run as run_virtually

DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[2] / "shared" / "data"))
RESULTS = Path(__file__).parent / "results"
LATENCY: dict[str, Any] = {"latency": 0.6, "latency_sigma": 0.3, "output": 150.0, "output_sigma": 0.4}
NETWORK: dict[str, Any] = {"network": 0.04, "network_sigma": 0.5}  # on virtual time; over HTTP the network is real
TPM = 340_000  # 1,319 requests of 512 tokens: a full bucket, and 59 s of refill

Line = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """A job, a provider, and what the client is told about it."""

    name: str
    world: dict[str, Any]
    told: dict[str, Any] = field(default_factory=dict)
    lines: Callable[[], list[Line]] = lambda: gsm8k()  # noqa: PLW0108 -- it is defined below
    told_projects: dict[str, Any] = field(default_factory=dict)
    virtual_only: bool = False
    judged: bool = True  # told the truth: at most 1 refusal per 1,000, and within the target


def gsm8k(**changes: Any) -> list[Line]:
    """Return the 1,319 requests of GSM8K."""
    lines = [json.loads(line) for line in (DATA / "gsm8k-batch.jsonl").read_text().splitlines()]
    for line in lines:
        line.update(changes)
    return lines


def images() -> list[Line]:
    """Return 130 requests for pictures, worded as questions of GSM8K."""
    return [
        {
            "custom_id": f"image-{number}",
            "method": "POST",
            "url": "/v1/images/generations",
            "body": {"model": "gpt-image-1", "prompt": line["body"]["messages"][1]["content"], "n": 1},
        }
        for number, line in enumerate(gsm8k()[:130])
    ]


def two_projects() -> list[Line]:
    """Deal the requests to two projects; every tenth is interactive."""
    lines = gsm8k()
    for number, line in enumerate(lines):
        line["project"] = "alpha" if number % 2 else "beta"
        line["priority"] = "interactive" if number % 20 in {0, 1} else "batch"
    return lines


TRUTH = {"*": {"tpm": TPM}}
SCENARIOS = [
    Scenario("tokens", {"limits": TRUTH}, TRUTH),
    Scenario("requests", {"limits": {"*": {"rpm": 660, "tpm": 10_000_000}}}, {"*": {"rpm": 660, "tpm": 10_000_000}}),
    Scenario("images", {"limits": {"*": {"ipm": 60, "rpm": 5_000}}}, {"*": {"ipm": 60, "rpm": 5_000}}, images),
    Scenario(
        "two projects",
        {
            "limits": {"*": {"tpm": 600_000}},
            "project_limits": {"alpha": {"*": {"tpm": 170_000}}, "beta": {"*": {"rpm": 330}}},
        },
        {"*": {"tpm": 600_000}},
        two_projects,
        {"alpha": {"*": {"tpm": 170_000}}, "beta": {"*": {"rpm": 330}}},
    ),
    Scenario(
        "a day: rpd and tpd",
        {"limits": {"*": {"rpd": 1_000, "tpd": 520_000, "rpm": 500}}},
        {"*": {"rpd": 1_000, "tpd": 520_000, "rpm": 500}},
        virtual_only=True,
    ),
    Scenario("told nothing", {"limits": TRUTH}, {}, judged=False),
    Scenario("told twice", {"limits": TRUTH}, {"*": {"tpm": 2 * TPM}}, judged=False),
    Scenario("told half", {"limits": TRUTH}, {"*": {"tpm": TPM // 2}}, judged=False),
    Scenario("charge: sum", {"limits": TRUTH, "charge": "sum"}, TRUTH, judged=False),
    Scenario(
        "charge: as recorded in 2025",
        {"limits": {"*": {"tpm": 55_000}}, "charge": "recorded-2025"},
        {"*": {"tpm": 55_000}},
        judged=False,
    ),
    Scenario("charge: unused part returned", {"limits": TRUTH, "unused": "returned"}, TRUTH, judged=False),
    Scenario("refusals charged", {"limits": TRUTH, "refused_charged": ["tpm"]}, TRUTH, judged=False),
]


def over_http(scenario: Scenario) -> dict[str, Any]:
    """Run a scenario by `scheduler run` against the simulator in another process."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "job.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scenario.lines()))
        settings = json.dumps({**scenario.world, **LATENCY})
        provider = subprocess.Popen(
            [sys.executable, __file__, "--provide", settings], stdout=subprocess.PIPE, text=True
        )
        try:
            assert provider.stdout is not None
            url = provider.stdout.readline().strip()
            command = [sys.executable, "-m", "scheduler", "run", str(place / "job.jsonl"), "--base-url", url]
            command += ["--output", str(place / "out.jsonl"), "--errors", str(place / "err.jsonl"), "--json"]
            if scenario.told:
                (place / "limits.toml").write_text(toml(scenario.told))
                command += ["--limits", str(place / "limits.toml")]
            if scenario.told_projects:
                (place / "projects.toml").write_text(toml(scenario.told_projects))
                command += ["--project-limits", str(place / "projects.toml")]
            ran = subprocess.run(command, stdout=subprocess.PIPE, check=False)
            if ran.returncode not in {0, 1}:
                raise SystemExit(f"{scenario.name}: scheduler run ended with {ran.returncode}")
            report = httpx.get(f"{url}/control/report").json()
            ids = [json.loads(line)["custom_id"] for line in (place / "out.jsonl").read_text().splitlines()]
        finally:
            provider.terminate()
            provider.wait()
    return judge(scenario, json.loads(ran.stdout), report, ids)


def virtually(scenario: Scenario) -> dict[str, Any]:
    """Run a scenario on virtual time, client and provider in this process."""
    return run_virtually(_virtual_job, scenario)


async def _virtual_job(scenario: Scenario) -> dict[str, Any]:
    world = World(**scenario.world, **LATENCY, **NETWORK, seed=1)
    simulator = Simulator(world)
    lines = scenario.lines()
    ids: list[str] = []
    scheduler = Scheduler(
        limits=scenario.told,
        project_limits=scenario.told_projects,
        transport=httpx.ASGITransport(app=simulator),
        clock=LoopClock(),
        api_key="none",
        seed=1,
    )
    began = anyio.current_time()

    async def one(line: Line) -> None:
        job = scheduler.job(
            line["method"],
            line["url"],
            line["body"],
            priority=line.get("priority", "batch"),
            project=line.get("project"),
        )
        answer = await scheduler.driver.perform(job)
        if answer.error is None:
            ids.append(line["custom_id"])

    async with scheduler:
        async with anyio.create_task_group() as group:
            for line in sorted(lines, key=lambda line: line.get("priority", "batch") == "batch"):
                group.start_soon(one, line)
        seen = scheduler.statistics()
    summary = {
        "requests": len(lines),
        "succeeded": len(ids),
        "sent": seen.sent,
        "http_429": seen.refusals,
        "makespan_s": anyio.current_time() - began,
    }
    return judge(scenario, summary, simulator.report(), ids)


def judge(scenario: Scenario, summary: dict[str, Any], report: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """Hold what the client says against what the provider says."""
    needed, window, binding = 0.0, 60.0, ""
    for scope in report["scopes"]:
        for name, limit in scope["limits"].items():
            if limit["window"]:
                work = limit["charged"] - limit["returned"] - limit["start_level"]
                seconds = work / limit["limit"] * limit["window"]
                if seconds > needed:
                    needed, window, binding = seconds, limit["window"], f"{scope['project'] or 'org'} {name}"
    ideal = needed + report["shortest_latency"]
    target = ideal * 1.01 + 0.02 * window
    row = {
        "scenario": scenario.name,
        "requests": summary["requests"],
        "succeeded": summary["succeeded"],
        "lost": summary["requests"] - len(set(ids)),
        "twice": len(ids) - len(set(ids)) + report["completed_twice"],
        "refused_per_1000": round(1000 * summary["http_429"] / summary["requests"], 2),
        "makespan_s": round(summary["makespan_s"], 2),
        "ideal_s": round(ideal, 2),
        "target_s": round(target, 2),
        "ratio": round(summary["makespan_s"] / ideal, 4),
        "binding": binding,
        "in_flight": report["peak_in_flight"],
    }
    row["met"] = not row["lost"] and not row["twice"] and row["refused_per_1000"] <= (1 if scenario.judged else 100)
    if scenario.judged:
        row["met"] = row["met"] and row["makespan_s"] <= row["target_s"]
    if scenario.told_projects:
        row["interactive_first"] = first_of(scenario, ids)
    return row


def first_of(scenario: Scenario, ids: list[str]) -> bool:
    """Whether the interactive requests ended, in the mean, before the others."""
    urgent = {line["custom_id"] for line in scenario.lines() if line["priority"] == "interactive"}
    places = [place for place, name in enumerate(ids) if name in urgent]
    return sum(places) / len(places) < 1.5 * len(urgent)


def toml(table: dict[str, Any], prefix: str = "") -> str:
    """Write a nested mapping as TOML."""
    text = ""
    for name, value in table.items():
        path = f'{prefix}"{name}"'
        if any(isinstance(inner, dict) for inner in value.values()):
            text += toml(value, f"{path}.")
        else:
            text += f"[{path}]\n" + "".join(f"{key} = {amount}\n" for key, amount in value.items())
    return text


def provide(settings: str) -> None:
    """Serve a world, and say where."""
    serve(Simulator(World(**json.loads(settings), seed=1)), ready=lambda url: print(url, flush=True))


def show(rows: Iterable[dict[str, Any]]) -> None:
    """Print rows as a Markdown table."""
    columns = (
        "scenario",
        "refused_per_1000",
        "makespan_s",
        "ideal_s",
        "target_s",
        "ratio",
        "lost",
        "twice",
        "binding",
        "met",
    )
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")


def main() -> int:
    """Run what was asked for; exit with 1 if a scenario missed what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="names; all by default")
    parser.add_argument("--virtual", action="store_true", help="on virtual time")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/jobs*.json")
    parser.add_argument("--provide", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.provide:
        provide(options.provide)
        return 0
    chosen = [each for each in SCENARIOS if not options.scenarios or each.name in options.scenarios]
    if options.virtual:
        rows = [virtually(each) for each in chosen]
    else:
        with ThreadPoolExecutor(3) as pool:
            rows = list(pool.map(over_http, [each for each in chosen if not each.virtual_only]))
    show(rows)
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        machine = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "scheduler": version("quota-scheduler"),
        }
        path = RESULTS / ("jobs-virtual.json" if options.virtual else "jobs.json")
        path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
