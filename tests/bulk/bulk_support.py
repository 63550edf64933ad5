"""What the tests of bulk jobs share: jobs in files, their results, and runs against a simulator on virtual time."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import anyio
import httpx

from scheduler.bulk.lines import BadLine
from scheduler.bulk.progress import Progress
from scheduler.bulk.reader import Item, JobFile
from scheduler.bulk.results import Results
from scheduler.bulk.runner import Runner
from scheduler.clock import LoopClock
from scheduler.facade import Scheduler
from scheduler.http.driver import Answer
from scheduler.http.letters import Received
from scheduler.providers.base import Provider
from scheduler.providers.registry import provider_named
from scheduler.simulator import Simulator
from scheduler.testing import run
from scheduler.tokens.text import ByteEstimate

CHAT = "/v1/chat/completions"
MODEL = "gpt-5-mini"


def body(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def line(custom_id: str = "a", **fields: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body(), **fields}


def raw(*lines: Any) -> bytes:
    """Return lines as bytes of JSONL; bytes stand as they are."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


def provider() -> Provider:
    return provider_named("openai", ByteEstimate(), None)


def job_file(path: Path, content: bytes) -> JobFile:
    path.write_bytes(content)
    return JobFile(path, provider())


def scanned(path: Path, content: bytes) -> list[Item | BadLine]:
    with job_file(path, content) as job:
        return list(job.scan())


def one_bad(path: Path, content: bytes) -> BadLine:
    """Return the one bad line of *content*."""
    (found,) = scanned(path, content)
    assert isinstance(found, BadLine), found
    return found


def objects(path: Path) -> list[dict[str, Any]]:
    """Return what a file of results holds; every line must be whole."""
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return [json.loads(each) for each in content.splitlines()]


def ids(path: Path) -> list[Any]:
    return [each["custom_id"] for each in objects(path)]


def answer(content: bytes = b'{"id":"x"}', status: int = 200, request_id: str = "") -> Answer:
    return Answer(Received.of(httpx.Response(status, content=content, headers={"x-request-id": request_id})), None, 1)


class Ran:
    """A job that ran against a simulator, on virtual time."""

    def __init__(
        self,
        folder: Path,
        simulator: Callable[..., Awaitable[None]] | Simulator,
        lines: Iterable[Any],
        *,
        meanwhile: Callable[["Ran"], Coroutine[Any, Any, None]] | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> None:
        self.progress = Progress()
        self.output, self.errors = folder / "output.jsonl", folder / "errors.jsonl"
        self.runner: Runner
        self._meanwhile = meanwhile
        with (
            job_file(folder / "input.jsonl", raw(*lines)) as job,
            Results(self.output, self.errors, resume=resume) as results,
        ):
            items = [item for item in job.scan() if isinstance(item, Item) and item.custom_id not in results.done]
            self.progress.total = len(items)
            self.job = job
            run(self._send, simulator, settings, results, items)

    async def _send(self, simulator: Any, settings: dict[str, Any], results: Results, items: list[Item]) -> None:
        self.scheduler = Scheduler(
            transport=httpx.ASGITransport(simulator),
            clock=LoopClock(),
            base_url="http://127.0.0.1",
            api_key="sk-of-the-tests",
            **settings,
        )
        async with self.scheduler:
            self.runner = Runner(self.scheduler.driver, self.job, results, self.progress)
            async with anyio.create_task_group() as group:
                if self._meanwhile is not None:
                    group.start_soon(self._meanwhile, self)
                await self.runner.run(items)
                group.cancel_scope.cancel()
            self.seen = self.scheduler.statistics()
            self.left = self.progress.seconds_left(self.scheduler.admission, 1.0)
            self.work_left = self.progress.work.seconds_needed(self.scheduler.admission, full=True)
