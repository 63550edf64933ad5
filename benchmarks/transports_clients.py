"""Who races in `transports.py`: clients by name, each as what sends a request and reads its answer."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from scheduler import Scheduler
from scheduler.http.inner import async_inner
from scheduler.http.inner_bodies import async_body
from scheduler.http.inner_own import AsyncRouted, Terms
from scheduler.http.shards import AsyncShards

MODEL = "gpt-5-mini"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "What is the answer?"}], "max_tokens": 50}
DELAY = {50: 300, 500: 600, 1000: 1000}  # milliseconds

Send = Callable[[], Awaitable[None]]


class Server:
    """Where the server is."""

    def __init__(self, ports: str, in_flight: int) -> None:
        """Parse what the server printed."""
        self.http1, self.http2 = (f"http://127.0.0.1:{port}/{DELAY[in_flight]}" for port in ports.split(","))


class Sharded:
    """httpx's own transport in shards, and nothing else."""

    def __init__(self, module: ModuleType) -> None:
        """Of httpx or httpx2."""
        terms = Terms(module, module.create_ssl_context(), None, trust_env=False, max_connections=None, keepalive=30.0)
        self._pools = AsyncShards(lambda: AsyncRouted(terms, "AsyncClient"))
        self._body = async_body(module)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        response, closed = await self._pools.send(request)
        response.stream = self._body(response.stream, closed)
        return response


def nothing(module: ModuleType, server: Server) -> Any:
    """Return a transport that waits and answers."""
    content = importlib.import_module("transports_server").BODY

    async def answer(_: Any) -> Any:
        await asyncio.sleep(int(server.http1.rpartition("/")[2]) / 1000)
        return module.Response(200, headers={"content-type": "application/json"}, content=content)

    return module.MockTransport(answer)


def transport_of(module: ModuleType, way: str, server: Server) -> Any:
    """Return a transport of httpx or httpx2."""
    limits = module.Limits(max_connections=None, max_keepalive_connections=None)
    if way == "bridge":
        bridge = importlib.import_module("httpx_aiohttp" if module.__name__ == "httpx" else "httpx_aiohttp.httpx2")
        return bridge.AiohttpTransport(limits=module.Limits(max_connections=0))
    makers: dict[str, Callable[[], Any]] = {
        "own": lambda: module.AsyncHTTPTransport(limits=limits),
        "http2": lambda: module.AsyncHTTPTransport(limits=limits, http1=False, http2=True),
        "shards": lambda: Sharded(module),
        "ours": lambda: async_inner(module),
        "scheduler": lambda: scheduled(module),
        "nothing": lambda: nothing(module, server),
    }
    return makers[way]()


def scheduled(module: ModuleType) -> Any:
    """Return the transport of a scheduler whose limits hold nobody back."""
    limits = importlib.import_module("transports_server").PER_MINUTE
    scheduler = Scheduler(limits={MODEL: {"rpm": limits["requests"], "tpm": limits["tokens"]}})
    return scheduler.transport() if module.__name__ == "httpx" else scheduler.transport2()


def httpx_client(library: str, way: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request by httpx or httpx2."""
    module = importlib.import_module(library)
    client = module.AsyncClient(transport=transport_of(module, way, server), timeout=60)
    url = f"{server.http2 if way == 'http2' else server.http1}/v1/chat/completions"

    async def send() -> None:
        response = await client.post(url, json=BODY)
        response.json()

    async def read() -> None:
        async with client.stream("POST", url, json={**BODY, "stream": True}) as response:
            async for _ in response.aiter_lines():
                pass

    return read if stream else send


def openai_client(way: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request by OpenAI's client."""
    openai = importlib.import_module("openai")
    module = importlib.import_module("httpx2")
    makers: dict[str, Callable[[], Any]] = {
        "own": lambda: None,
        "bridge": openai.DefaultAioHttpClient,
        "ours": lambda: module.AsyncClient(transport=async_inner(module)),
        "scheduler": lambda: module.AsyncClient(transport=scheduled(module)),
        "nothing": lambda: module.AsyncClient(transport=nothing(module, server)),
    }
    client = makers[way]()
    chat = openai.AsyncOpenAI(api_key="k", base_url=f"{server.http1}/v1", http_client=client, max_retries=0).chat

    async def send() -> None:
        await chat.completions.create(**BODY)

    async def read() -> None:
        async for _ in await chat.completions.create(**BODY, stream=True):
            pass

    return read if stream else send


def aiohttp_client(server: Server, *, stream: bool) -> Send:
    """Return what sends a request by aiohttp itself."""
    aiohttp = importlib.import_module("aiohttp")
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    url = f"{server.http1}/v1/chat/completions"

    async def send() -> None:
        async with session.post(url, json={**BODY, "stream": True} if stream else BODY) as response:
            if stream:
                async for _ in response.content:
                    pass
            else:
                await response.json()

    return send


def pyreqwest_client(server: Server) -> Send:
    """Return what sends a request by pyreqwest itself."""
    client = importlib.import_module("pyreqwest.client").ClientBuilder().build()

    async def send() -> None:
        response = await client.post(f"{server.http1}/v1/chat/completions").body_json(BODY).build().send()
        await response.json()

    return send


def contender(name: str, server: Server, *, stream: bool) -> Send:
    """Return what sends a request and reads its answer."""
    library, _, way = name.partition(" ")
    if library == "openai":
        return openai_client(way, server, stream=stream)
    if library == "aiohttp":
        return aiohttp_client(server, stream=stream)
    if library == "pyreqwest":
        return pyreqwest_client(server)
    return httpx_client(library, way, server, stream=stream)
