"""The simulator over real HTTP, by uvicorn, on loopback unless told."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from typing import Any

import anyio
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from scheduler.simulator.app import Simulator
from scheduler.simulator.wire import Connections, Receive, Scope, Send, Wire
from scheduler.simulator.world import World

_KEEP_ALIVE = 3600  # seconds; a client may pause for a day bucket and still find its connections
_BACKLOG = 4096  # connections that may wait to be accepted
_PATIENCE = 1  # seconds that requests under way get when the server stops


@contextlib.asynccontextmanager
async def serving(
    world_or_simulator: World | Simulator, host: str = "127.0.0.1", port: int = 0, *, expose: bool = False
) -> AsyncIterator[str]:
    """Serve a simulator in the running asyncio loop, for as long as the block lasts.

    Args:
        world_or_simulator: What to serve.
        host: Address to listen on.
        port: Port, or 0 for any free one.
        expose: Whether *host* may be other than loopback.

    Yields:
        The base URL, such as ``http://127.0.0.1:49152``, without a path.

    Raises:
        ValueError: If *host* is not loopback and *expose* is not set.
        OSError: If the address cannot be listened on.
    """
    simulator = world_or_simulator if isinstance(world_or_simulator, Simulator) else Simulator(world_or_simulator)
    asyncio.get_running_loop()  # uvicorn runs on nothing else: say so before a socket is open
    listener = _listen(host, port, expose=expose)
    server = _EmbeddedServer(_Application(simulator))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        simulator.begin()
        yield _url(listener)
    finally:
        server.should_exit = True
        await task


def run(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    expose: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve *simulator* until the process is told to stop. Prints nothing.

    Args:
        simulator: What to serve.
        host: Address to listen on.
        port: Port, or 0 for any free one.
        expose: Whether *host* may be other than loopback.
        ready: Is called with the base URL when connections are accepted.

    Raises:
        ValueError: If *host* is not loopback and *expose* is not set.
        OSError: If the address cannot be listened on.
    """
    listener = _listen(host, port, expose=expose)
    url = _url(listener)

    async def serve() -> None:
        simulator.begin()
        if ready is not None:
            asyncio.get_running_loop().call_soon(ready, url)
        await _Server(_Application(simulator)).serve(sockets=[listener])

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


def _listen(host: str, port: int, *, expose: bool) -> socket.socket:
    if not expose and not _loopback(host):
        raise ValueError(f"{host} is not a loopback address; whoever can reach it could use the simulator: say expose")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of protocol TCP by name: asyncio sends at once (TCP_NODELAY) only where it sees that. Otherwise an answer in three
    # writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Application:
    """The simulator, with an end: when the server stops, requests under way are cut rather than waited for."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._under_way: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as inside:
            self._under_way.add(inside)
            try:
                await self.simulator(scope, receive, send)
            finally:
                self._under_way.discard(inside)
        if inside.cancelled_caught:
            await Wire(scope, receive, send, self.simulator.connections).drop()

    def close(self) -> None:
        """Cut what is under way."""
        for inside in self._under_way:
            inside.cancel()


def _config(application: _Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=_tracked(application.simulator.connections),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_PATIENCE,
    )


def _tracked(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, which in addition enters its connections in *connections*, so that one can be cut."""

    class Tracked(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # which class it is depends on what is installed
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connections[self.client, self.server] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop((self.client, self.server), None)
            super().connection_lost(exc)

    return Tracked


class _Server(uvicorn.Server):
    """A server that does not wait for requests under way when it stops.

    Attributes:
        ready: Is set when connections are accepted.
    """

    def __init__(self, application: _Application) -> None:
        super().__init__(_config(application))
        self.ready = asyncio.Event()
        self._application = application

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut what is under way, and stop."""
        self._application.close()
        await super().shutdown(sockets=sockets)


class _EmbeddedServer(_Server):
    """A server inside somebody else's program: signals are that program's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
