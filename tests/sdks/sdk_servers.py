"""Servers on loopback for the tests of SDKs. Each runs in a thread of its own, and remembers what came to it."""

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import uvicorn
from anyio.from_thread import start_blocking_portal

from scheduler.simulator import Simulator, World, serving

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


@dataclass(frozen=True)
class Seen:
    """A request as a server saw it; *headers* by their names in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""

    @classmethod
    def of(cls, scope: Scope, body: bytes = b"") -> "Seen":
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        return cls(scope["method"], scope["path"], headers, body, scope["query_string"].decode())

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class WatchedSimulator(Simulator):
    """The simulator; in addition it remembers the heads of requests."""

    def __init__(self, world: World) -> None:
        super().__init__(world, clock=time.monotonic)
        self.seen: list[Seen] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(Seen.of(scope))
        await super().__call__(scope, receive, send)

    @property
    def refused(self) -> int:
        return self._count("refused")

    @property
    def completed(self) -> int:
        return self._count("completed")

    def _count(self, name: str) -> int:
        count = self.report()[name]
        assert isinstance(count, int)
        return count


@dataclass(frozen=True)
class Answer:
    """What a scripted server answers.

    Attributes:
        status: HTTP status.
        body: JSON, or bytes as they are.
        headers: Headers in addition.
        chunks: Pieces of a stream instead of a body.
        pause: Seconds before each piece.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    pause: float = 0.0


class Scripted:
    """A server that answers by a function of what it saw."""

    def __init__(self, answer: Callable[[Seen], Answer]) -> None:
        self.seen: list[Seen] = []
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = Seen.of(scope, body)
        self.seen.append(request)
        await _say(self._answer(request), send)


async def _say(answer: Answer, send: Send) -> None:
    content = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    kind = "text/event-stream" if answer.chunks else "application/json"
    headers = {"content-type": kind, **answer.headers}
    if not answer.chunks:
        headers["content-length"] = str(len(content))
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    for chunk in answer.chunks:
        await asyncio.sleep(answer.pause)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if answer.chunks else content})


@contextmanager
def simulated(world: World) -> Iterator[tuple[str, WatchedSimulator]]:
    """Serve a simulated provider; yield its origin and itself."""
    simulator = WatchedSimulator(world)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(simulator)) as url:
        yield url, simulator


@contextmanager
def cutting() -> Iterator[tuple[str, list[bytes]]]:
    """Serve cut connections: each request is read, and none is answered. Yield the origin, and what came."""
    came: list[bytes] = []

    class Cut(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            came.append(self.request.recv(1 << 16))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cut) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", came
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served(application: Callable[[Scope, Receive, Send], Awaitable[None]]) -> Iterator[str]:
    """Serve an ASGI application; yield its origin."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
