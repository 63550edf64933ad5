"""Letters: whole requests of our own over real sockets, whichever way they go."""

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from inner_fixtures import loopback as loopback, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, Asked, Loopback

from scheduler import RequestFailed, Scheduler
from scheduler.http.bodies import LOOKED_INTO
from scheduler.http.driver import Answer
from scheduler.http.inner import async_inner
from scheduler.http.inner_parcel import LARGEST

CHAT = "/v1/chat/completions"
BODY = b'{"id": "x", "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'

WAYS: dict[str, dict[str, Any]] = {"direct": {}, "in turn": {"max_connections": 5}}
"""By aiohttp with nothing of httpx between, and as any other request."""


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    return WAYS[str(request.param)]


def said(body: bytes = BODY, *fields: bytes) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*lines, b"", body])


def performed(
    loopback: Loopback,
    backend: str,
    way: dict[str, Any],
    text: str = "hello",
    project: str | None = None,
    stamp: str | None = None,
) -> Answer:
    """Return how a chat ended."""

    async def main() -> Answer:
        inner = async_inner(verify=CONTEXT, **way)
        async with Scheduler(base_url=loopback.url, api_key="sk-12345678", transport=inner) as scheduler:
            scheduler.provider.idempotency_header = stamp
            body = {"model": "m", "messages": [{"role": "user", "content": text}]}
            return await scheduler.driver.perform(scheduler.job("POST", CHAT, body, project=project))

    return anyio.run(main, backend=backend)


def test_what_is_sent_is_the_same_whichever_way_it_goes(loopback: Loopback, backend: str) -> None:
    """The same line, headers and body, byte for byte and in the same order, and told once."""
    for way in WAYS.values():
        performed(loopback, backend, way, project="p", stamp="Idempotency-Key")
    heads = []
    for asked in loopback.asked:
        names = [name.lower() for name, _ in asked.fields]
        assert len(set(names)) == len(names)
        assert asked.get(b"content-length") == b"%d" % len(asked.body)
        assert asked.get(b"openai-project") == b"p"
        assert asked.get(b"idempotency-key")
        heads.append((asked.line, [field for field in asked.fields if field[0].lower() != b"idempotency-key"]))
    assert heads[0] == heads[1]
    assert loopback.asked[0].body == loopback.asked[1].body


def test_an_answer_is_made_a_response_when_somebody_asks(loopback: Loopback, backend: str, way: dict[str, Any]) -> None:
    """With all that a client's would have; before that, status, name and body are there."""
    loopback.answer = said(BODY, b"X-Request-ID: req-\xe4", b"X-Other: 1", b"X-Other: 2")
    answer = performed(loopback, backend, way)
    assert answer.error is None
    assert answer.received is not None
    assert (answer.received.status, answer.received.content) == (200, BODY)
    assert answer.received.request_id == "req-\xe4"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 4)
    response = answer.response
    assert response is not None
    assert response is answer.response
    assert (response.status_code, response.http_version, response.reason_phrase) == (200, "HTTP/1.1", "OK")
    assert response.json()["id"] == "x"
    assert response.headers.get_list("x-other") == ["1", "2"]
    assert response.is_closed
    assert response.elapsed.total_seconds() == pytest.approx(answer.latency / 1e9, abs=1e-5)
    assert response.request.url.path == CHAT
    assert response.request.content == loopback.asked[0].body
    assert response.request.headers["authorization"] == "Bearer sk-12345678"


def test_a_compressed_answer_is_handed_over_as_it_was(loopback: Loopback, backend: str, way: dict[str, Any]) -> None:
    """Decompressed, with its usage."""
    loopback.answer = said(gzip.compress(BODY), b"Content-Encoding: gzip")
    answer = performed(loopback, backend, way)
    assert answer.received is not None
    assert answer.received.content == BODY
    assert answer.usage is not None


class _Watching:
    """A transport of somebody's own around ours."""

    def __init__(self) -> None:
        self.inner = async_inner(verify=CONTEXT)
        self.seen: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def handle_async_request(self, request: Any) -> Any:
        self.seen.append(request.url.path)
        return await self.inner.handle_async_request(request)


def test_a_transport_around_ours_sees_requests(loopback: Loopback) -> None:
    """Nothing passes it by."""
    transport = _Watching()

    async def main() -> None:
        mine: Any = transport
        async with Scheduler(base_url=loopback.url, transport=mine) as scheduler:
            await scheduler.request("POST", CHAT, json={"model": "m", "messages": []})

    anyio.run(main)
    assert transport.seen == [CHAT]


def test_a_large_body_goes_another_way(loopback: Loopback, backend: str) -> None:
    """What no connection takes at once arrives all the same."""
    answer = performed(loopback, backend, {}, "x" * (2 * LARGEST))
    assert answer.error is None
    assert len(loopback.asked[0].body) > 2 * LARGEST


def test_a_large_answer_is_whole(loopback: Loopback, way: dict[str, Any]) -> None:
    """Also where it is larger than what is looked into."""
    body = b'"' + b"x" * (LOOKED_INTO + 10) + b'"'
    loopback.answer = said(body)
    answer = performed(loopback, "asyncio", way)
    assert answer.error is None
    assert answer.received is not None
    assert answer.received.content == body


def _cut(body: bytes) -> Callable[[Asked], Awaitable[bytes | None]]:
    async def answer(asked: Asked) -> None:
        asked.writer.write(said(body)[:-1])
        await asked.writer.drain()

    return answer


def test_a_large_answer_that_breaks_off_is_unknown(loopback: Loopback, way: dict[str, Any]) -> None:
    """Nothing is raised, and nothing called a success."""
    loopback.answer = _cut(b'"' + b"x" * (LOOKED_INTO + 10) + b'"')
    answer = performed(loopback, "asyncio", way)
    assert answer.received is None
    assert isinstance(answer.error, RequestFailed)
    assert answer.error.unknown


async def _endless(asked: Asked) -> None:
    asked.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        asked.writer.write(b"x" * 65_536)
        await asked.writer.drain()


def test_an_endless_error_ends(loopback: Loopback, way: dict[str, Any]) -> None:
    """After about a megabyte."""
    loopback.answer = _endless
    answer = performed(loopback, "asyncio", way)
    assert isinstance(answer.error, RequestFailed)
    assert answer.received is not None
    assert (1 << 20) < len(answer.received.content) < (1 << 22)
    assert loopback.until(lambda: loopback.open == 0)
