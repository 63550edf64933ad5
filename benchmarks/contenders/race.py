"""A race, as each contender runs it: in the standard library alone, for a contender has an environment of its own.

A contender is a script that says in its head what it needs (PEP 723). `compare.py` starts it with the name of a file:
where the provider is, what may be believed of its limits, and the requests. It gets ready and says so; at a word it
begins, and writes down as JSON what came of it.

A request's wait is the time from when it is due to its answer, less the time in which the provider makes an answer,
which is the same for all. CPU is that of the whole process, user and system, from the word to the last answer.
"""

import asyncio
import json
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Limits = dict[str, int]
Send = Callable[["Request"], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """A request of the workload.

    Attributes:
        number: Its place in the order of submission.
        at: When it is due, in seconds from the beginning.
        priority: ``interactive`` or ``batch``.
        endpoint: ``chat/completions``, ``embeddings`` or ``images/generations``.
        body: What is sent.
        project: The project that it belongs to, or None.
    """

    number: int
    at: float
    priority: str
    endpoint: str
    body: dict[str, Any]
    project: str | None = None

    @property
    def model(self) -> str:
        """The model that it names."""
        name: str = self.body["model"]
        return name

    @property
    def headers(self) -> dict[str, str]:
        """What its sender adds to the headers."""
        return {"OpenAI-Project": self.project} if self.project else {}


@dataclass
class Race:
    """What there is to do, and what has come of it.

    Attributes:
        url: The provider's base url, with ``/v1``.
        limits: Model -> what is believed of its limits.
        project_limits: Project -> the same, of the project.
        requests: By when they are due.
        latency: Seconds in which the provider makes an answer.
        option: What distinguishes contenders that share a script.
    """

    url: str
    limits: dict[str, Limits]
    project_limits: dict[str, dict[str, Limits]]
    requests: list[Request]
    latency: float
    option: str
    errors: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    began: float = 0.0
    last: float = 0.0
    _cpu: float = 0.0

    @classmethod
    def read(cls, path: str) -> "Race":
        """Read what `compare.py` has written."""
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(
            told["url"],
            told["limits"],
            told["project_limits"],
            [Request(number, **each) for number, each in enumerate(told["requests"])],
            told["latency"],
            told["option"],
        )

    def ready(self) -> None:
        """Say that all is imported and made, and wait for the word."""
        print("ready", flush=True)
        sys.stdin.readline()
        self.began = self.last = time.monotonic()
        self._cpu = _cpu()

    async def run(self, send: Send) -> None:
        """Send every request when it is due, each in a task of its own, and wait for all."""
        self.ready()
        async with asyncio.TaskGroup() as group:
            for request in self.requests:
                early = self.began + request.at - time.monotonic()
                if early > 0:
                    await asyncio.sleep(early)
                group.create_task(self._one(send, request))
        self.report()

    async def _one(self, send: Send, request: Request) -> None:
        try:
            await send(request)
        except Exception as error:  # noqa: BLE001 -- a contender may fail in any way; which, is a result
            self.errors[type(error).__name__] += 1
        else:
            self.answered(request)

    def answered(self, request: Request) -> None:
        """Note that a request has its answer."""
        self.last = time.monotonic()
        self.waits[request.priority].append(self.last - self.began - request.at - self.latency)

    def report(self, answered: int | None = None) -> None:
        """Print what came of it; *answered* where the contender does not say of each when it was."""
        if answered is not None:
            self.last = time.monotonic()
        waits = {priority: _quantiles(values) for priority, values in self.waits.items()}
        result = {
            "answered": sum(map(len, self.waits.values())) if answered is None else answered,
            "errors": dict(self.errors),
            "seconds": self.last - self.began,
            "waits": waits,
            "cpu": _cpu() - self._cpu,
            "peak_mib": round(_peak() / 1024),
        }
        print(json.dumps(result), flush=True)


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it has waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _peak() -> int:
    """Most KiB of memory of this process or of one that it has waited for, on Linux.

    Not ``ru_maxrss`` of this process: that is at least what the process that started it had then.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _quantiles(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in _SHARES.items()}


_SHARES = {"p50": 0.5, "p99": 0.99}


async def call(client: Any, request: Request) -> None:
    """Send a request by an AsyncOpenAI *client*, as its docs show it, and read the whole answer."""
    how: dict[str, Any] = {**request.body, "extra_headers": request.headers}
    if request.endpoint == "embeddings":
        await client.embeddings.create(**how)
    elif request.endpoint == "images/generations":
        await client.images.generate(**how)
    elif request.body.get("stream"):
        async for _ in await client.chat.completions.create(**how):
            pass
    else:
        await client.chat.completions.create(**how)


def start(main: Callable[[Race], Awaitable[None]]) -> None:
    """Run a contender."""

    async def run() -> None:
        await main(Race.read(sys.argv[1]))

    asyncio.run(run())
