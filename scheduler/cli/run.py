"""``scheduler run``: a file of requests through a rate-limited API, at full quota."""

import asyncio
import contextlib
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console

from scheduler.bulk.reader import BadLine, Item, JobFile
from scheduler.bulk.results import Results
from scheduler.bulk.runner import Progress, Runner
from scheduler.bulk.summary import Summary, utilisation
from scheduler.bulk.work import Work
from scheduler.clock import SystemClock
from scheduler.config import read_toml
from scheduler.core.quota import SECOND
from scheduler.errors import ConfigurationError
from scheduler.facade import Priority, Scheduler, priority_of
from scheduler.http.client import is_loopback
from scheduler.telemetry.live import Position, duration, live_view, printable

_LIMITS = "Limits"
_SPARE_FILES = 64
_MOST_IN_FLIGHT = 1_000


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
    environment variable, OPENAI_API_KEY.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    given = {"rpm": rpm, "tpm": tpm, "rpd": rpd, "tpd": tpd, "ipm": ipm}
    registry = CollectorRegistry()
    scheduler = Scheduler(
        provider,
        tier=tier,
        limits=_limits(tier, limits, {name: amount for name, amount in given.items() if amount is not None}),
        project_limits=read_toml(project_limits) if project_limits is not None else None,
        concurrency=_in_flight(concurrency),
        base_url=base_url,
        timeout=timeout,
        max_attempts=max_attempts,
        registry=registry,
        allow_plain_http=allow_plain_http,
    )
    _require_key(scheduler)
    output = output or input.with_suffix(".output.jsonl")
    errors = errors or input.with_suffix(".errors.jsonl")
    _refuse_same(input, output, errors)
    console = Console(stderr=True)
    with (
        JobFile(input, scheduler.provider, priority_of, Priority.BATCH) as job,
        Results(output, errors, resume=resume) as results,
        _metrics(metrics_port, registry),
    ):
        summary, code = _run(scheduler, job, results, console if progress else None)
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(asdict(summary)) + b"\n")
    else:
        print_summary(summary)
        sys.stdout.write(
            f"results: {results.output}" + (f", failures: {results.errors}" if summary.failed else "") + "\n"
        )
    sys.exit(code)


def _run(scheduler: Scheduler, job: JobFile, results: Results, console: Console | None) -> tuple[Summary, int]:
    progress = Progress()
    items = _scan(job, results, progress)
    whole = Work()
    for item in items:
        whole.add(item.model, item.project, item.charge)
    began = SystemClock.now()

    def position() -> Position:
        left = progress.work.seconds_needed(scheduler, full=False)
        return Position(progress.total, progress.done, progress.failed, _since(began), left)

    async def send() -> None:
        async with scheduler:
            await Runner(scheduler, job, results, progress).run(items)

    with _view(console, position, scheduler):
        asyncio.run(send())
    summary = _summary(scheduler, progress, whole, _since(began))
    return summary, _exit_code(progress, summary)


def _scan(job: JobFile, results: Results, progress: Progress) -> list[Item]:
    items = []
    for found in job.scan():
        if isinstance(found, BadLine):
            results.bad_line(found)
            progress.bad += 1
            sys.stderr.write(f"{job.path}: {printable(str(found))}\n")
        elif found.custom_id in results.done:
            progress.skipped += 1
        else:
            items.append(found)
    progress.total = len(items)
    return items


def _summary(scheduler: Scheduler, progress: Progress, whole: Work, seconds: float) -> Summary:
    seen = scheduler.statistics()
    ideal = whole.seconds_needed(scheduler, full=True)
    if ideal is not None and progress.shortest is not None:
        ideal = round(ideal + progress.shortest / SECOND, 3)
    return Summary(
        requests=progress.total + progress.bad,
        succeeded=progress.succeeded,
        failed=progress.total + progress.bad - progress.succeeded,
        sent=seen.sent,
        http_429=seen.refusals,
        retries=seen.retries,
        makespan_s=round(seconds, 3),
        ideal_s=ideal,
        tokens=seen.usage.tokens,
        cost_usd=round(seen.cost, 6),
        utilisation=utilisation(seen, seconds),
        skipped=progress.skipped,
        stopped=progress.stopped,
    )


def _exit_code(progress: Progress, summary: Summary) -> int:
    if progress.interrupted:
        return 130
    if progress.bad and not progress.total and not progress.skipped:
        return 2
    return 1 if summary.failed else 0


def _since(began: int) -> float:
    return (SystemClock.now() - began) / SECOND


# ---- settings


def _limits(tier: str | None, file: Path | None, single: Mapping[str, int]) -> dict[str, Any]:
    if sum((tier is not None, file is not None, bool(single))) > 1:
        raise ConfigurationError(
            "limits are given twice", "--tier, --limits, --rpm ...", "give a tier, a file, or single limits"
        )
    if file is not None:
        return read_toml(file)
    return {"*": dict(single)} if single else {}


def _in_flight(asked: int | None) -> int:
    """Return how many requests may be in flight: each needs a connection, and each connection an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (asked or _MOST_IN_FLIGHT) + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if asked is not None:
        return asked
    return _MOST_IN_FLIGHT if soft == resource.RLIM_INFINITY else max(1, min(_MOST_IN_FLIGHT, soft - _SPARE_FILES))


def _require_key(scheduler: Scheduler) -> None:
    variable = scheduler.provider.key_variable
    host = urlsplit(scheduler.provider.base_url).hostname or ""
    if not os.environ.get(variable) and not is_loopback(host):
        raise ConfigurationError("no key", variable, f"set the environment variable {variable}")


def _refuse_same(input: Path, output: Path, errors: Path) -> None:  # noqa: A002 -- the name that users see
    paths = [path.resolve() for path in (input, output, errors)]
    if len(set(paths)) < len(paths):
        raise ConfigurationError("input, output and errors must be three files", "--output, --errors")


# ---- what a user sees


@contextlib.contextmanager
def _metrics(port: int | None, registry: CollectorRegistry) -> Iterator[None]:
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"port {port} cannot be listened on: {error}", "--metrics-port") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _view(console: Console | None, position: Callable[[], Position], scheduler: Scheduler) -> Iterator[None]:
    if console is None or not console.is_terminal:
        yield
        return
    with live_view(console, position, scheduler.statistics):
        yield


def print_summary(summary: Summary) -> None:
    """Print what a run came to, for people."""
    used = ", ".join(f"{share:.0%} of {name}" for name, share in summary.utilisation.items()) or "no limit known"
    ideal = "" if summary.ideal_s is None else f" (ideal {duration(summary.ideal_s)})"
    lines = [
        f"{summary.succeeded} of {summary.requests} succeeded, {summary.failed} failed"
        + (f", {summary.skipped} were there already" if summary.skipped else ""),
        f"{summary.sent} sent, {summary.http_429} refused (429), {summary.retries} retries",
        f"{summary.makespan_s:.1f} s{ideal}, used {used}",
        f"{summary.tokens:,} tokens, ${summary.cost_usd:.4f}",
    ]
    if summary.stopped:
        lines.insert(0, f"stopped: {printable(summary.stopped)}")
    sys.stdout.write("\n".join(lines) + "\n")
