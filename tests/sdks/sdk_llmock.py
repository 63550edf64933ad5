"""llmock, a limiter that nobody here wrote, in a process of its own: what the tests ask of it.

Its buckets are continuous, begin full, and are an API key's, over all models. It charges a request's bytes over four
and the most output that it allows. Of each run it gives a report of what the client did wrong.
"""

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from sdk_support import STRAY

from scheduler import Scheduler

KEY = "sk-a-key-for-tests"
_PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
    "groq": "/groq/openai/v1/chat/completions",
}
_BOOT = "import sys; from llmock.cli import app; sys.argv = ['llmock', *sys.argv[1:]]; app()"


class Llmock:
    """A running llmock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def spend(self, style: str, tokens: int) -> None:
        """Have somebody unseen spend that many tokens of the key's minute, and a few more; no record is left of it."""
        body = {"model": "of-somebody", "messages": [{"role": "user", "content": "x"}], "max_tokens": tokens}
        for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
            self._client.post(_PATHS[style], json=body, headers=headers).raise_for_status()
        self._client.delete("/_llmock/requests").raise_for_status()

    def script(self, **behavior: Any) -> None:
        """Have requests to come behave so; see its README."""
        self._client.post("/_llmock/scenario", json={"behaviors": [behavior]}).raise_for_status()

    def forget(self) -> None:
        """Forget the requests so far; buckets, too, begin anew."""
        self._client.post("/_llmock/reset").raise_for_status()

    def statuses(self) -> Counter[int]:
        """Return the requests so far by status."""
        return Counter(record["status"] for record in self.records())

    def records(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self._client.get("/_llmock/requests").json()["requests"]
        return records

    def findings(self) -> list[str]:
        """Return what it finds fault with."""
        verdict = self._client.get("/_llmock/verdict").json()
        return [f"{finding['code']}: {finding['title']}" for finding in verdict["findings"]]

    def close(self) -> None:
        self._client.close()


def check_llmock(server: Llmock, scheduler: Scheduler, calls: int) -> None:
    """What must hold after a rush: next to nothing refused and nothing lost, no fault found, all usage read."""
    statuses = server.statuses()
    stray = statuses[429]
    assert stray <= STRAY
    assert (statuses[200], statuses.total()) == (calls, calls + stray)
    assert server.findings() == []
    seen = scheduler.statistics()
    assert (seen.sent, seen.refusals, seen.in_flight, seen.queued) == (calls + stray, stray, 0, 0)
    assert min(seen.usage.input_tokens, seen.usage.output_tokens) > 0


@contextmanager
def llmock(**settings: object) -> Iterator[Llmock]:
    """Run llmock with options such as ``tpm=60000``."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-c", _BOOT, "serve", "--port", str(port), "--log-level", "critical", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Llmock(f"http://127.0.0.1:{port}")
    try:
        _await(server, process)
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(10)


def _await(server: Llmock, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server._client.get("/health").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("llmock does not start")
