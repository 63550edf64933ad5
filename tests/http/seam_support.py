"""The four kinds of clients under which a transport is tested, and what they are given to talk to."""

import inspect
import json
import math
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from scheduler.core.quota import SECOND
from scheduler.engine import parking
from scheduler.http import wires
from scheduler.testing import Recorder, run

CHAT = "https://provider.example/v1/chat/completions"
KEY = "sk-secret-0123456789"
PROMPT = "the words of the prompt"
ANSWER = "the words of the answer"
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
OPEN = {"rpm": 600_000, "tpm": 600_000_000}
"""Limits that let everything through at once."""


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": PROMPT}], **fields}


def completion(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [choice], "usage": USAGE, **fields}


def event(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(text: str = ANSWER, finish: str | None = None, **fields: Any) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    return event({"object": "chat.completion.chunk", "choices": choices, **fields})


STREAM = [chunk("a"), chunk("b"), chunk("", "stop"), event({"choices": [], "usage": USAGE}), event(b"[DONE]")]


class Pieces:
    """A body that comes in pieces, for tasks and for threads; an exception among them is raised."""

    def __init__(self, pieces: list[Any]) -> None:
        self.left: list[Any] = list(pieces)
        self.closed = 0

    def _next(self) -> bytes:
        piece = self.left.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        taken: bytes = piece
        return taken

    def __iter__(self) -> Iterator[bytes]:
        while self.left:
            yield self._next()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        return self._next()

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class JumpingClock:
    """A clock for one thread, which stands still but for its sleeps."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        return self._now

    wall = now

    def jump(self, seconds: float) -> None:
        self._now += math.ceil(seconds * SECOND)

    def condition(self) -> Any:
        """Return what stands for a ``threading.Condition``: it jumps instead of waiting."""
        clock = self

        class Condition(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None, "nobody would wake this thread"
                clock.jump(timeout)
                return False

        return Condition()


class Kind:
    """One kind of client: of httpx or of httpx2, in a task or in a thread.

    Those of threads are called from the task all the same, so that one test serves all. Their scheduler has a clock
    of its own, which jumps where the thread would sleep; there is one thread, so nobody else could wake it.
    """

    def __init__(self, module: Any, *, threaded: bool, backend: str) -> None:
        self.module, self.threaded, self.backend = module, threaded, backend
        self.clock = JumpingClock()

    def run(self, function: Callable[[], Awaitable[Any]]) -> None:
        """Run a test on virtual time."""
        run(function, backend=self.backend)

    def scheduler(self, **settings: Any) -> Recorder:
        """Return a scheduler that learns, whose model ``m`` is let through at once unless limited."""
        clock = {"clock": self.clock} if self.threaded else {}
        scheduler = Recorder(**{"api_key": KEY, "seed": 1, "limits": {"m": OPEN, "*": OPEN}, **clock, **settings})
        scheduler.admission.book.learn = True
        return scheduler

    def pieces(self, pieces: list[Any]) -> Any:
        """Return a body in pieces."""
        module = self.module
        return type("Body", (Pieces, module.AsyncByteStream, module.SyncByteStream), {})(pieces)

    def answer(self, status: int = 200, **content: Any) -> Any:
        """Return an answer that comes over the wire: what is given as its content is yet to be read."""
        made = self.module.Response(status, **content)
        if not isinstance(made.stream, self.module.ByteStream):
            return made
        body = [made.content] if made.content else []
        if "content-encoding" in made.headers:
            body = [content["content"]]
        return self.module.Response(status, headers=made.headers, stream=self.pieces(body))

    def inner(self, handle: Callable[[Any], Any]) -> Any:
        """Return an inner transport that asks *handle* for answers; statuses and bodies are made answers."""

        def made(request: Any) -> Any:
            told = handle(request)
            if isinstance(told, Exception):
                raise told
            if isinstance(told, int):
                return self.answer(told, json={"error": {"message": "no"}})
            return self.answer(json=told) if isinstance(told, dict) else told

        module = self.module
        base = module.BaseTransport if self.threaded else module.AsyncBaseTransport

        class Inner(base):  # type: ignore[misc,valid-type]  # of whichever module
            def handle_request(self, request: Any) -> Any:
                request.read()
                return made(request)

            async def handle_async_request(self, request: Any) -> Any:
                await request.aread()
                return made(request)

        return Inner()

    def client(self, scheduler: Recorder, inner: Any, **settings: Any) -> Any:
        """Return a client over a scheduler that sends by *inner*, or by what *inner* answers."""
        if callable(inner):
            inner = self.inner(inner)
        two = self.module is httpx2
        hints = {name: settings.pop(name) for name in ("priority", "tenant") if name in settings}
        if self.threaded:
            transport: Any = (scheduler.sync_transport2 if two else scheduler.sync_transport)(inner, **hints)
            return self.module.Client(transport=transport, **settings)
        transport = (scheduler.transport2 if two else scheduler.transport)(inner, **hints)
        return self.module.AsyncClient(transport=transport, **settings)

    async def wait(self, seconds: float) -> None:
        """Let time pass, by the clock that the scheduler goes by."""
        if self.threaded:
            self.clock.jump(seconds)
        else:
            await anyio.sleep(seconds)

    async def post(self, client: Any, url: str = CHAT, **content: Any) -> Any:
        """Post something, a chat unless told, and return the answer, read."""
        if not content.keys() & {"json", "content", "files", "data"}:
            content["json"] = chat()
        return await here(client.post(url, **content))

    async def stream(self, client: Any, url: str = CHAT, **content: Any) -> Any:
        """Post something whose answer comes in pieces, and return it unread."""
        request = client.build_request("POST", url, **(content or {"json": chat(stream=True)}))
        return await here(client.send(request, stream=True))

    async def read(self, response: Any) -> list[bytes]:
        """Return the pieces of an answer as they came."""
        if self.threaded:
            return list(response.iter_raw())
        return [piece async for piece in response.aiter_raw()]

    async def close(self, thing: Any) -> None:
        """Close an answer or a client."""
        await here(thing.close() if self.threaded else thing.aclose())


async def here(value: Any) -> Any:
    """Return what was returned, or what it leads to."""
    return await value if inspect.isawaitable(value) else value


def noted(sent: list[Any], answer: Any) -> Callable[[Any], Any]:
    """Return what notes the requests that are sent, and gives them all one answer."""

    def handle(request: Any) -> Any:
        sent.append(request)
        return answer

    return handle


KINDS = [
    pytest.param((module, threaded, backend), id=f"{module.__name__}-{'thread' if threaded else backend}")
    for module in (httpx, httpx2)
    for threaded, backend in ((False, "asyncio"), (False, "trio"), (True, "asyncio"))
]


def kind_of(param: Any, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Return a kind; its thread does not sleep."""
    module, threaded, backend = param
    kind = Kind(module, threaded=threaded, backend=backend)
    if threaded:
        monkeypatch.setattr(wires, "pause", kind.clock.jump)
        monkeypatch.setattr(
            parking, "threading", types.SimpleNamespace(Condition=kind.clock.condition, get_ident=threading.get_ident)
        )
    return kind
