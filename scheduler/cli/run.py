"""``scheduler run``: a file of requests through a rate-limited API, at full quota."""

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from prometheus_client import CollectorRegistry
from rich.console import Console

from scheduler.bulk.lines import BadLine
from scheduler.bulk.progress import Progress
from scheduler.bulk.reader import Item, JobFile
from scheduler.bulk.results import Results
from scheduler.bulk.runner import Runner
from scheduler.bulk.summary import Summary, summarize
from scheduler.bulk.work import Work
from scheduler.cli import options, screen
from scheduler.clock import SystemClock
from scheduler.core.quota import SECOND
from scheduler.facade import Scheduler
from scheduler.telemetry.live import Position
from scheduler.telemetry.texts import printable

_LIMITS = "Limits"
_BAD_LINES_SHOWN = 100
_COLLECTIONS = 20_000, 20, 100
"""When the collector looks for cycles. A job makes few, out of many objects that live for one request: looking every
700 objects, as is the default, costs 8 % of a job."""


def run(
    input: Annotated[Path, typer.Argument(help="File of requests, one JSON object a line.", metavar="INPUT.jsonl")],  # noqa: A002 -- the name that users see
    output: Annotated[Path | None, typer.Option(help="Where results go. [default: INPUT.output.jsonl]")] = None,
    errors: Annotated[Path | None, typer.Option(help="Where failures go. [default: INPUT.errors.jsonl]")] = None,
    base_url: Annotated[str | None, typer.Option(help="Where the provider is, if not at its own address.")] = None,
    provider: Annotated[str, typer.Option(help="Which provider it is.")] = "openai",
    tier: Annotated[
        str | None, typer.Option(help="Take the limits that it publishes for this tier.", rich_help_panel=_LIMITS)
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help='Take limits from a TOML file: ["model"] rpm = 500.', rich_help_panel=_LIMITS)
    ] = None,
    rpm: Annotated[
        int | None, typer.Option(help="Requests per minute, of all models together.", rich_help_panel=_LIMITS)
    ] = None,
    tpm: Annotated[
        int | None, typer.Option(help="Tokens per minute, of all models together.", rich_help_panel=_LIMITS)
    ] = None,
    rpd: Annotated[
        int | None, typer.Option(help="Requests per day, of all models together.", rich_help_panel=_LIMITS)
    ] = None,
    tpd: Annotated[
        int | None, typer.Option(help="Tokens per day, of all models together.", rich_help_panel=_LIMITS)
    ] = None,
    ipm: Annotated[
        int | None, typer.Option(help="Images per minute, of all models together.", rich_help_panel=_LIMITS)
    ] = None,
    project_limits: Annotated[
        Path | None,
        typer.Option(help='Limits of projects, from a TOML file: [project."model"].', rich_help_panel=_LIMITS),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Most requests in flight. [default: as many as files may be open, 1000 at most]")
    ] = None,
    max_attempts: Annotated[int, typer.Option(help="Times that a request is sent at most.")] = 10,
    timeout: Annotated[float, typer.Option(help="Seconds that one answer may take.")] = 600.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Send what the output does not hold yet, and what failed.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics on this port of this machine.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show how far the run is.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    allow_plain_http: Annotated[
        bool, typer.Option("--allow-plain-http", help="Let the key go over plain http to another machine.")
    ] = False,
) -> None:
    """Send every request of a file as fast as the limits allow, and write the answers as they come.

    With none of the options about limits they are learned from the answers. The key comes from the provider's
    environment variable, OPENAI_API_KEY. Exit codes: 0 all succeeded, 1 some failed, 2 bad input, 130 interrupted.
    """
    screen.show_warnings()
    gc.set_threshold(*_COLLECTIONS)
    registry = CollectorRegistry()
    scheduler = options.make_scheduler(
        provider,
        tier=tier,
        limits=options.limits_of(tier, limits, {"rpm": rpm, "tpm": tpm, "rpd": rpd, "tpd": tpd, "ipm": ipm}),
        project_limits=options.project_limits_in(project_limits),
        concurrency=options.concurrency_of(concurrency),
        base_url=base_url,
        timeout=timeout,
        max_attempts=max_attempts,
        registry=registry,
        allow_plain_http=allow_plain_http,
    )
    output, errors = options.paths_of(input, output, errors)
    terminal = screen.console(wanted=progress)
    key = os.environ.get(scheduler.provider.key_variable)
    with (
        screen.metrics(metrics_port, registry),
        JobFile(input, scheduler.provider) as job,
        Results(output, errors, resume=resume, key=key) as results,
    ):
        summary, code = _run(scheduler, job, results, terminal)
    if json:
        screen.print_result(msgspec.json.encode(asdict(summary)).decode())
    else:
        places = f"results: {results.output}" + (f", failures: {results.errors}" if summary.failed else "")
        screen.print_result(f"{summary}\n{printable(places)}")
    sys.exit(code)


def _run(scheduler: Scheduler, job: JobFile, results: Results, terminal: Console | None) -> tuple[Summary, int]:
    progress, whole = Progress(), Work()
    with screen.reading(terminal, str(job.path)):
        items = list(_scan(job, results, progress, whole))
    progress.total = len(items)
    began = SystemClock.now()

    def elapsed() -> float:
        return (SystemClock.now() - began) / SECOND

    def position() -> Position:
        seconds = elapsed()
        left = progress.seconds_left(scheduler.admission, seconds)
        note = f"{progress.stopped}: waiting for what is in flight" if progress.stopped else ""
        return Position(progress.total, progress.done, progress.failed, seconds, left, note)

    async def send() -> None:
        async with scheduler:
            await Runner(scheduler.driver, job, results, progress).run(items)

    with screen.view(terminal, position, scheduler.statistics):
        asyncio.run(send())
    summary = summarize(progress, whole, scheduler.admission, scheduler.statistics(), elapsed())
    return summary, _exit_code(progress, summary)


def _scan(job: JobFile, results: Results, progress: Progress, whole: Work) -> Iterator[Item]:
    for found in job.scan():
        if isinstance(found, BadLine):
            progress.bad += 1
            results.bad_line(found)
            _show_bad_line(job, results, found, progress.bad)
        elif found.custom_id in results.done:
            progress.skipped += 1
        else:
            whole.add(found.pool, found.project, found.charge)
            yield found


def _show_bad_line(job: JobFile, results: Results, bad: BadLine, number: int) -> None:
    if number <= _BAD_LINES_SHOWN:
        screen.say(f"{job.path}: {bad}")
    elif number == _BAD_LINES_SHOWN + 1:
        screen.say(f"{job.path}: more bad lines follow; all stand in {results.errors}")


def _exit_code(progress: Progress, summary: Summary) -> int:
    if progress.interrupted:
        return 130
    if progress.bad and not progress.total and not progress.skipped:
        return 2
    return 1 if summary.failed else 0
