"""What the tests of whole commands share: processes, a simulator over loopback, and raw servers."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from scheduler.simulator import World, serving

KEY = "sk-test-0123456789-secret"
PROMPT = "a-prompt-that-nobody-may-see"
CHAT = "/v1/chat/completions"


def line(custom_id: str, text: str = PROMPT, **fields: Any) -> dict[str, Any]:
    question = f"{text} {custom_id}"
    body = {"model": "gpt-4o", "max_tokens": 20, "messages": [{"role": "user", "content": question}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **fields}


def job(folder: Path, number: int = 0, *others: Any) -> Path:
    """Write a job of *number* good lines and *others*; bytes stand as they are."""
    lines = [*(line(f"r{each}") for each in range(number)), *others]
    path = folder / "job.jsonl"
    path.write_bytes(
        b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)
    )
    return path


class Served:
    """A simulator that is served by a thread of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def report(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/control/report", trust_env=False)
        found: dict[str, Any] = answer.json()
        return found

    def wait_for(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the report is so."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            report = self.report()
            if reached(report):
                return report
            time.sleep(0.02)
        raise AssertionError("it did not come to that")


@contextlib.contextmanager
def simulated(limits: dict[str, int] | None = None, **world: Any) -> Iterator[Served]:
    """Serve a simulator on loopback while the block lasts."""
    pools = {"*": limits} if limits else {}
    with threaded(lambda: serving(World(**{"limits": pools, "latency": 0.05, **world}))) as url:
        yield Served(url)


@contextlib.contextmanager
def threaded(server: Callable[[], contextlib.AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """Run a server in a thread while the block lasts."""
    urls: list[str] = []
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        ended = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        async with server() as url:
            urls.append(url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield urls[0]
    finally:
        loop, ended = loops[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Serve *answer* to every request; yield the url, and the heads and bodies of the requests that come."""
    seen: list[bytes] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(each[15:]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:"))
            seen.append(head + await reader.readexactly(length))
            writer.write(answer)
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def server() -> Any:
        listening = await asyncio.start_server(one, "127.0.0.1", 0)
        async with listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    with threaded(server) as url:
        yield url, seen


def environment(key: str | None = KEY) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name != "FORCE_COLOR"}
    kept.pop("OPENAI_API_KEY", None)
    return {**kept, "COLUMNS": "80", **({} if key is None else {"OPENAI_API_KEY": key})}


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "scheduler", *map(str, arguments)]


def scheduler(*arguments: Any, key: str | None = KEY, timeout: float = 40) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end. Whatever it does, no traceback may show."""
    ran = subprocess.run(  # noqa: S603 -- our own program
        command(*arguments), capture_output=True, text=True, env=environment(key), timeout=timeout, check=False
    )
    assert "Traceback" not in ran.stderr
    return ran


@contextlib.contextmanager
def started(*arguments: Any, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run the command, in a process group of its own, while the block lasts."""
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a job in the background ignores it, as do its own
    process = subprocess.Popen(  # noqa: S603 -- our own program
        command(*arguments),
        **{
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": environment(),
            "start_new_session": True,
            **options,
        },
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Press Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)


def objects(path: Path) -> list[dict[str, Any]]:
    """Return what a file of results holds; every line must be whole."""
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return [json.loads(each) for each in content.splitlines()]


def ids(path: Path) -> list[Any]:
    return [each["custom_id"] for each in objects(path)]


def output_of(path: Path) -> Path:
    return path.with_name(path.stem + ".output.jsonl")


def errors_of(path: Path) -> Path:
    return path.with_name(path.stem + ".errors.jsonl")
