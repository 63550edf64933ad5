"""One race: a contender does a cell once, against a provider that begins anew."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from environments import interpreter
from providers import Provider, llmock, simulator
from records import Row
from workloads import DATA, LATENCY, Cell
from writing import machine, today

CONTENDERS = Path(__file__).parent / "contenders"
RUSH = 2.0  # seconds in which most of a race's work is done
PATIENCE = 240.0  # seconds for each of the size, after which a race is ended, and a minute

_BEGINNING = threading.Lock()
"""One race begins at a time: programs that load, and a thousand requests at once, are what fills a machine."""


@dataclass(frozen=True)
class Contender:
    """Who races.

    Attributes:
        name: As the table shows it.
        script: In `contenders/`.
        option: What distinguishes those that share a script.
        needs_limits: Whether it cannot do without limits.
        unable: Cells that it has no way to do.
        variant: Whether it is another way to use what is in the short form already.
    """

    name: str
    script: str
    option: str = ""
    needs_limits: bool = False
    unable: tuple[str, ...] = ()
    variant: bool = False


def race(cell: Cell, contender: Contender, size: int, seed: int, *, independent: bool = False) -> Row:
    """Have a contender do a cell once, against an *independent* limiter or against the simulator."""
    requests = cell.make(size, seed)
    limits = cell.believed or (cell.limits if contender.needs_limits else {})
    serving = llmock if independent else simulator
    with tempfile.TemporaryDirectory() as folder, serving(cell, seed) as provider:
        told = Path(folder) / "race.json"
        told.write_text(
            json.dumps(
                {
                    "url": f"{provider.url}/v1",
                    "limits": limits,
                    "project_limits": cell.project_limits,
                    "requests": requests,
                    "latency": LATENCY,
                    "option": contender.option,
                }
            )
        )
        with ExitStack() as stack:
            with _BEGINNING:
                process = stack.enter_context(_started(contender, told))
                provider.begin()
                running = _Running(process, 60 + PATIENCE * size)
                time.sleep(RUSH)
            outcome = running.outcome()
        row = _judged(provider, outcome, requests)
    return {
        "cell": cell.name,
        "contender": contender.name,
        "seed": seed,
        "size": size,
        "date": today(),
        "machine": machine(),
        "given": not cell.believed and contender.needs_limits,
        **row,
    }


def _judged(provider: Provider, outcome: Row, requests: list[Row]) -> Row:
    number = len(requests)
    account = provider.account(requests, outcome["seconds"])
    missing, unfinished = number - outcome["answered"], outcome.get("unfinished", False)
    return {
        "requests": number,
        "unfinished": unfinished,
        "lost": None if unfinished else missing,
        "errors": outcome["errors"],
        "twice": account["twice"],
        "seconds": round(outcome["seconds"], 2),
        "ideal": round(account["ideal"], 2),
        "ratio": None if missing else round(outcome["seconds"] / account["ideal"], 4),
        "used": round(account["used"], 4),
        "refused": _thousandth(account["refused"], number, 2),
        "late": _thousandth(account["late"], number, 2),
        "waits": outcome["waits"],
        "cpu_ms": _thousandth(outcome["cpu"], number, 3),
        "peak_mib": outcome["peak_mib"],
    }


def _thousandth(value: float | None, number: int, digits: int) -> float | None:
    """Return 1,000 times a value for each of a number of requests; None where nobody has measured it."""
    return None if value is None else round(1000 * value / number, digits)


class _Running:
    """A contender that has been given the word."""

    def __init__(self, process: "subprocess.Popen[str]", patience: float) -> None:
        """Say the word. Who has not come to an end when *patience*, in seconds, has ended does not."""
        assert process.stdin is not None
        self._process = process
        self._unfinished = False
        self._timer = threading.Timer(patience, self._end)
        self._timer.start()
        process.stdin.write("go\n")
        process.stdin.flush()
        self._began = time.monotonic()

    def _end(self) -> None:
        self._unfinished = True
        self._process.kill()

    def outcome(self) -> Row:
        """Return what the contender says at the end; of one that broke down before, that all is lost."""
        assert self._process.stdout is not None
        words = self._process.stdout.read().strip().splitlines()
        self._timer.cancel()
        if words and words[-1].startswith("{"):
            outcome: Row = json.loads(words[-1])
            return outcome
        return {
            "answered": 0,
            "unfinished": self._unfinished,
            "errors": {} if self._unfinished else {"broke down": 1},
            "seconds": time.monotonic() - self._began,
            "waits": {},
            "cpu": None,
            "peak_mib": None,
        }


@contextmanager
def _started(contender: Contender, told: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a contender, and wait until it is ready."""
    script = script_of(contender)
    process = subprocess.Popen(
        [interpreter(script), str(script), str(told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("COMPARE_LOUD") else subprocess.DEVNULL,
        text=True,
        env={"TIKTOKEN_CACHE_DIR": str(DATA / "tiktoken"), **os.environ},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:  # some libraries greet
            if line.strip() == "ready":
                break
        else:
            raise SystemExit(f"{contender.name} does not get ready; COMPARE_LOUD=1 shows why")
        yield process
    finally:
        process.kill()
        process.wait()


def script_of(contender: Contender) -> Path:
    """Return where a contender's script lies."""
    return CONTENDERS / f"{contender.script}.py"
