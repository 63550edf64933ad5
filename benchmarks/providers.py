"""The providers of a race: the simulator, or llmock, a limiter that nobody here wrote; in a process of its own."""

import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx
from environments import interpreter
from ideals import ideal, used
from records import Row
from workloads import CELLS, LATENCY, Cell

from scheduler.simulator import Simulator, World, run as serve

MINUTE = 60.0
LLMOCK = Path(__file__).parent / "contenders" / "independent.py"


class Provider(Protocol):
    """A provider that is running."""

    url: str

    def begin(self) -> None:
        """Begin anew."""
        ...

    def account(self, requests: Sequence[Row], seconds: float) -> Row:
        """Return ``ideal``, ``used``, ``refused``, ``late`` (refused after the first minute) and ``twice``.

        Args:
            requests: The job.
            seconds: When the last answer came.
        """
        ...


class Simulated:
    """The simulator."""

    def __init__(self, url: str, settings: Row) -> None:
        """It listens at *url* and has these *settings*."""
        self.url = url
        self._settings = settings
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._after = threading.Timer(MINUTE, self._look)
        self._after.daemon = True
        self._early: int | None = None

    def begin(self) -> None:
        """Begin anew."""
        self._client.post("/control/reset").raise_for_status()
        self._after.start()

    def account(self, requests: Sequence[Row], seconds: float) -> Row:
        """Return what it counted."""
        self._after.cancel()
        report = self._report()
        refused = report["refused"]
        return {
            "ideal": ideal(report, self._settings, max(request["at"] for request in requests)),
            "used": used(report, self._settings, seconds),
            "refused": refused,
            "late": refused - self._early if self._early is not None else 0,
            "twice": report["completed_twice"],
        }

    def _look(self) -> None:
        self._early = self._report()["refused"]

    def _report(self) -> Row:
        report: Row = self._client.get("/control/report").json()
        return report


@contextmanager
def simulator(cell: Cell, seed: int) -> Iterator[Provider]:
    """Run the simulator of a cell."""
    with _process(sys.executable, __file__, cell.name, str(seed)) as said:
        yield Simulated(said, cell.settings(seed))


class Independent:
    """llmock. It charges a request's bytes over four and its cap, and its buckets are full when it starts."""

    def __init__(self, url: str, limits: dict[str, int]) -> None:
        """It listens at *url* and has these *limits*, over all models."""
        self.url = url
        self._limits = limits
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def begin(self) -> None:
        """Begin anew."""
        self._client.post("/_llmock/reset").raise_for_status()

    def account(self, requests: Sequence[Row], seconds: float) -> Row:
        """Return what it counted."""
        records = self._client.get("/_llmock/requests").json()["requests"]
        served = Counter(json.dumps(record["body"]) for record in records if record["status"] == 200)
        work = {"tpm": sum(map(_charged, requests)), "rpm": len(requests)}
        needed = max((work[name] - amount) / amount for name, amount in self._limits.items())
        return {
            "ideal": max(0.0, needed * MINUTE) + LATENCY,
            "used": max(work[name] / (amount * (1 + seconds / MINUTE)) for name, amount in self._limits.items()),
            "refused": sum(record["status"] == 429 for record in records),
            "late": None,  # it keeps no times
            "twice": sum(count > 1 for count in served.values()),
        }


def _charged(request: Row) -> int:
    body = request["body"]
    sent = len(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
    return max(1, sent // 4) + int(body.get("max_completion_tokens", 0))


@contextmanager
def llmock(cell: Cell, seed: int) -> Iterator[Provider]:  # noqa: ARG001 -- it knows no chance
    """Run llmock with the limits of a cell of one model, and no other trait of its world."""
    (limits,) = cell.limits.values()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [interpreter(LLMOCK), str(LLMOCK), "serve", "--port", str(port), "--latency-ms", str(int(1000 * LATENCY))]
    words += ["--log-level", "critical", *(word for name in limits for word in (f"--{name}", str(limits[name])))]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False).get(f"{url}/health").raise_for_status()
        yield Independent(url, limits)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _process(*words: str) -> Iterator[str]:
    """Run a program; give the first line that it says."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    settings = CELLS[sys.argv[1]].settings(int(sys.argv[2]))
    serve(Simulator(World(**settings)), ready=lambda url: print(url, flush=True))
