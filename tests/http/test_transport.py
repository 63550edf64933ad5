"""A transport under the clients of httpx and httpx2: answers come as they are, requests wait, hints are obeyed."""

import gzip
import json
import sys
import zlib
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from quiet import is_quiet
from seam_support import CHAT, KINDS, OPEN, STREAM, Kind, chat, completion, here, kind_of, noted

from scheduler import ConfigurationError, DeadlineUnattainable, InvalidRequest, Priority
from scheduler.http.courier import blocking
from scheduler.http.hints import current
from scheduler.providers.base import Usage
from scheduler.simulator import Simulator, World


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return kind_of(request.param, monkeypatch)


def test_an_answer_as_it_is(kind: Kind) -> None:
    """Status, headers, their order and doubles, body and extensions are the provider's; its usage is counted."""
    body = json.dumps(completion()).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Request-Id", "req_1"),
    ]
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": b"Fine", "network_stream": object()}

    async def main() -> None:
        scheduler = kind.scheduler()
        answers = [
            kind.module.Response(201, headers=headers, stream=kind.pieces([body[:9], body[9:]]), extensions=extensions)
        ]
        client = kind.client(scheduler, lambda _: answers.pop())
        response = await kind.post(client)
        assert (response.status_code, response.reason_phrase) == (201, "Fine")
        assert response.headers.raw == [(name.encode(), value.encode()) for name, value in headers]
        assert response.content == body
        assert {**extensions, **response.extensions} == response.extensions
        seen = scheduler.statistics()
        assert (seen.usage, seen.sent, seen.scopes[0].outcomes) == (Usage(12, 0, 5), 1, {"success": 1})
        assert is_quiet(scheduler)
        await kind.close(client)

    kind.run(main)


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress, "br": lambda body: b"\x0b\x02\x80" + body}


@pytest.mark.parametrize("encoding", PACKED)
def test_compressed_answers_stay_compressed(kind: Kind, encoding: str) -> None:
    """A compressed answer reaches the client as it was sent, and what it says is understood where we can."""
    body = PACKED[encoding](json.dumps(completion()).encode())
    headers = {"content-type": "application/json", "content-encoding": encoding}

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(
            scheduler, lambda _: kind.module.Response(200, headers=headers, stream=kind.pieces([body[:20], body[20:]]))
        )
        response = await kind.stream(client, json=chat())
        assert response.headers["content-encoding"] == encoding
        assert b"".join(await kind.read(response)) == body
        assert scheduler.statistics().usage.output_tokens == (0 if encoding == "br" else 5)
        await kind.close(client)

    kind.run(main)


@pytest.mark.parametrize("status", [200, 204, 206, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_empty_answers(kind: Kind, method: str, status: int) -> None:
    """Answers without a body, and to methods that ask for none, come back, and nothing of them stays."""

    async def main() -> None:
        scheduler = kind.scheduler()
        for headers in ({}, {"content-type": "application/json", "content-length": "7"}):
            client = kind.client(scheduler, lambda _, headers=headers: kind.answer(status, headers=headers))
            response = await here(client.request(method, "https://provider.example/v1/models"))
            assert (response.status_code, response.content) == (status, b"")
        assert is_quiet(scheduler)
        assert scheduler.statistics().sent == 2

    kind.run(main)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"usage": 5}', b'{"a":' + b"[" * 50_000, b"\xff\xfe"])
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br", "gzip, deflate", "x" * 5000, "\xe9"])
def test_nonsense_is_handed_over(kind: Kind, body: bytes, encoding: str) -> None:
    """What nobody can make sense of is the caller's to see, as a success and as an error."""
    headers = [(b"content-type", b"application/json"), (b"content-encoding", encoding.encode("latin-1"))]

    async def main() -> None:
        scheduler = kind.scheduler()
        for status in (200, 400):
            answer = kind.module.Response(status, headers=headers, stream=kind.pieces([body]))
            client = kind.client(scheduler, lambda _, answer=answer: answer)
            response = await kind.stream(client, json=chat())
            assert response.status_code == status
            assert b"".join(await kind.read(response)) == body
        assert is_quiet(scheduler)

    kind.run(main)


def test_an_answer_that_lies_there(kind: Kind) -> None:
    """An inner transport whose answers are read already, as those of tests are, leaves nothing in flight."""

    async def main() -> None:
        scheduler = kind.scheduler()
        bodies = {"text/plain": b"words", "application/json": json.dumps(completion()).encode()}
        bodies["text/event-stream"] = b"".join(STREAM)
        for name, body in bodies.items():
            answer = kind.module.Response(200, headers={"content-type": name}, content=body)
            client = kind.client(scheduler, kind.module.MockTransport(lambda _, answer=answer: answer))
            assert (await kind.post(client)).content == body
            assert is_quiet(scheduler)
        assert scheduler.statistics().usage == Usage(24, 0, 10)

    kind.run(main)


def test_a_cut_stream_that_lies_there(kind: Kind) -> None:
    """A stream that lies there whole and lacks its end is failed as one that comes is."""

    async def main() -> None:
        scheduler = kind.scheduler()
        answer = kind.module.Response(200, headers={"content-type": "text/event-stream"}, content=STREAM[0])
        client = kind.client(scheduler, kind.module.MockTransport(lambda _: answer))
        await kind.post(client)
        assert scheduler.statistics().scopes[0].outcomes == {"failed": 1}

    kind.run(main)


def test_another_protocol(kind: Kind) -> None:
    """A connection that goes on in another protocol is handed over open, and holds its place until it is closed."""

    async def main() -> None:
        scheduler = kind.scheduler()
        body = kind.pieces([])
        asked: list[Any] = []

        def handle(request: Any) -> Any:
            asked.append(request)
            return kind.module.Response(101, headers={"upgrade": "websocket"}, stream=body)

        client = kind.client(scheduler, handle)
        request = client.build_request("GET", "https://provider.example/v1/realtime?model=m")
        response = await here(client.send(request, stream=True))
        assert (response.status_code, len(asked), body.closed) == (101, 1, 0)
        assert scheduler.statistics().in_flight == 1
        await kind.close(response)
        assert body.closed == 1
        assert is_quiet(scheduler)
        assert scheduler.statistics().scopes[-1].outcomes == {"success": 1}

    kind.run(main)


@pytest.mark.parametrize("module_name", ["httpx", "httpx2"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_requests_wait_for_their_turns(module_name: str, backend: str) -> None:
    """A hundred requests at once, through a limit that lets twenty a minute through: none is refused, all come."""
    kind = Kind(__import__(module_name), threaded=False, backend=backend)

    async def main() -> None:
        simulator = Simulator(World(limits={"m": {"rpm": 120, "tpm": 50_000}}, latency=0.3))
        scheduler = kind.scheduler(limits={"m": {"rpm": 120, "tpm": 50_000}})
        inner = kind.module.ASGITransport(simulator)
        client = kind.client(scheduler, inner)
        statuses: list[int] = []

        async def one(index: int) -> None:
            statuses.append((await kind.post(client, json=chat(max_tokens=20, n=1, seed=index))).status_code)

        async with anyio.create_task_group() as group:
            for index in range(200):
                group.start_soon(one, index)
        report = simulator.report()
        assert statuses == [200] * 200
        assert (report["refused"], report["completed"]) == (0, 200)
        assert 40 <= anyio.current_time() < 60  # 120 at once, and 80 at two a second
        assert scheduler.statistics().usage.output_tokens > 200
        assert is_quiet(scheduler)

    kind.run(main)


def _order(backend: str, hints: list[dict[str, Any]]) -> list[str]:
    """Return in which order requests went that waited together, by what each said in its context and headers."""
    kind = Kind(httpx, threaded=False, backend=backend)
    went: list[Any] = []

    async def main() -> None:
        scheduler = kind.scheduler(concurrency=1)
        client = kind.client(scheduler, noted(went, completion()))
        before = scheduler.reserve_nowait("m")

        async def one(index: int, said: dict[str, Any]) -> None:
            headers = {"x-name": str(index), **said.get("headers", {})}
            with scheduler.context(**said.get("context", {})):
                await kind.post(client, headers=headers)

        async with anyio.create_task_group() as group:
            for index, said in enumerate(hints):
                group.start_soon(one, index, said)
                await anyio.sleep(0.1)
            before.settle()
        assert is_quiet(scheduler)

    kind.run(main)
    return [request.headers["x-name"] for request in went]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_goes_first(backend: str) -> None:
    """Priorities of contexts and headers decide the order; headers count before contexts, none is sent."""
    went = _order(
        backend,
        [
            {},
            {"context": {"priority": "batch"}},
            {"context": {"priority": "batch"}, "headers": {"X-Scheduler-Priority": "interactive"}},
            {"context": {"priority": 10}},
            {"headers": {"x-scheduler-priority": "99"}},
        ],
    )
    assert went == ["2", "3", "0", "4", "1"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tenants_share(backend: str) -> None:
    """Of two tenants who wait, each has his turn, be the one's requests all there before the other's."""
    said = [{"context": {"tenant": "a"}}] * 4 + [{"headers": {"x-scheduler-tenant": "b"}}] * 2
    went = _order(backend, said)
    assert went.index("5") < went.index("3")
    assert sorted(went) == sorted(map(str, range(6)))


def test_defaults_of_a_transport_count_last(kind: Kind) -> None:
    """What a transport was made with holds where neither headers nor context say anything."""

    async def main() -> None:
        scheduler = kind.scheduler()
        said = []
        admit = scheduler.admission.enter

        def enter(waiter: Any, *, blocking: bool) -> bool:
            said.append((waiter.priority, waiter.tenant))
            return admit(waiter, blocking=blocking)

        scheduler.admission.enter = enter  # type: ignore[method-assign]  # to see what comes in
        client = kind.client(scheduler, lambda _: completion(), priority="batch", tenant="house")
        await kind.post(client)
        with scheduler.context(tenant="guest"):
            await kind.post(client)
            await kind.post(client, headers={"x-scheduler-tenant": "", "x-scheduler-priority": "3"})
        assert said == [(Priority.BATCH, "house"), (Priority.BATCH, "guest"), (3, "")]

    kind.run(main)


def test_nothing_of_ours_is_sent(kind: Kind) -> None:
    """Headers for the scheduler are taken off; the others, the body, the address and the timeouts are sent as given."""
    sent: list[Any] = []

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(scheduler, noted(sent, completion()), timeout=7)
        hints = {
            "X-Scheduler-Tokens": "9",
            "x-scheduler-tenant": "acme",
            "X-Other": "stays",
            "authorization": "Bearer k",
        }
        plain = await kind.post(client, CHAT + "?a=1")
        hinted = await kind.post(client, CHAT + "?a=1", headers=hints)
        assert plain.request.headers["host"] == "provider.example"
        assert hinted.request.headers["x-scheduler-tokens"] == "9"  # what the caller holds is as he made it
        assert [each.charge.tokens for each in scheduler.admitted][1] == 9
        one, other = sent
        assert not [name for name in other.headers if name.startswith("x-scheduler")]
        assert dict(other.headers) == {**one.headers, "x-other": "stays", "authorization": "Bearer k"}
        assert (other.method, other.url, other.content) == (one.method, one.url, one.content)
        assert other.extensions["timeout"] == one.extensions["timeout"]

    kind.run(main)


@pytest.mark.parametrize(
    "hint",
    [
        {"x-scheduler-foo": "1"},
        {"x-scheduler-priority": "urgent"},
        {"x-scheduler-deadline": "soon"},
        {"x-scheduler-tokens": "-5"},
        {"x-scheduler-tenant": "x" * 999},
        {"x-scheduler-": ""},
        {"x-scheduler-priority\x1b[31m": "1"},
    ],
)
def test_malformed_hints(kind: Kind, hint: dict[str, str]) -> None:
    """A hint that is none is answered 400, here, with words that say what to do, and nothing is sent."""

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(scheduler, lambda _: pytest.fail("it was sent"))
        response = await kind.post(client, headers=hint)
        assert (response.status_code, response.headers["x-should-retry"]) == (400, "false")
        words = response.json()["error"]["message"]
        assert "(" in words  # the mend
        assert str(response.extensions["scheduler_error"]) == words
        assert scheduler.statistics().sent == 0

    kind.run(main)


def test_tokens_are_charged_as_said(kind: Kind) -> None:
    """Tokens that a caller expects count instead of the estimate; inner contexts before outer ones."""

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(scheduler, lambda _: completion())
        with scheduler.context(tokens=100):
            await kind.post(client)
            with scheduler.context(tokens=7):
                await kind.post(client)
            await kind.post(client, headers={"x-scheduler-tokens": "0"})
        assert [each.charge.tokens for each in scheduler.admitted] == [100, 7, 0]

    kind.run(main)


def test_a_deadline_that_has_passed(kind: Kind) -> None:
    """After its deadline nothing is sent, be there room; until then it is."""

    async def main() -> None:
        scheduler = kind.scheduler()
        sent: list[Any] = []
        client = kind.client(scheduler, noted(sent, completion()))
        with scheduler.context(deadline=0.02), scheduler.context(deadline=60):
            assert (await kind.post(client)).status_code == 200
            await kind.wait(0.03)
            response = await kind.post(client)
        assert response.status_code == 429
        assert isinstance(response.extensions["scheduler_error"], DeadlineUnattainable)
        assert len(sent) == 1

    kind.run(main)


def test_unusable_defaults(kind: Kind) -> None:
    """A transport is not made with hints that are none."""
    with pytest.raises(InvalidRequest):
        kind.scheduler().transport(tenant="a\nb")


def test_contexts_do_not_leak(kind: Kind) -> None:
    """What a request went with is not seen by the next."""

    async def main() -> None:
        scheduler = kind.scheduler()
        client = kind.client(scheduler, lambda _: completion())
        with scheduler.context(tokens=5):
            await kind.post(client)
        await kind.post(client, headers={"x-scheduler-tokens": "6"})
        await kind.post(client)
        assert current().tokens is None
        first, second, third = (each.charge.tokens for each in scheduler.admitted)
        assert (first, second) == (5, 6)
        assert third not in {5, 6}

    kind.run(main)


def test_a_transport_is_left_with_its_client(kind: Kind) -> None:
    """The inner transport is entered and left with the client, and closed once."""
    done: list[str] = []

    async def main() -> None:
        inner = kind.inner(lambda _: completion())

        class Noted(type(inner)):  # type: ignore[misc]  # of whichever module
            def close(self) -> None:
                done.append("closed")

            async def aclose(self) -> None:
                done.append("closed")

        client = kind.client(kind.scheduler(limits={"m": OPEN}), Noted())
        if kind.threaded:
            with client:
                await kind.post(client)
        else:
            async with client:
                await kind.post(client)
        assert done == ["closed"]
        other = kind.client(kind.scheduler(), Noted())
        await kind.close(other)
        assert done == ["closed"] * 2

    kind.run(main)


def test_ready_made_clients(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that the scheduler makes knows origin, key and timeout; what it is given comes in addition."""
    sent: list[Any] = []
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")

    async def main() -> None:
        name = {True: "sync_client", False: "client"}[kind.threaded] + ("2" if kind.module is httpx2 else "")
        for key, expected in (("sk-given", "sk-given"), (None, "sk-of-the-environment")):
            scheduler = kind.scheduler(api_key=key, base_url="https://other.example/v1", timeout=77)
            transport = kind.client(scheduler, noted(sent, completion()))._transport
            client = getattr(scheduler, name)(transport=transport, headers={"x-other": "1"})
            assert isinstance(client, kind.module.Client if kind.threaded else kind.module.AsyncClient)
            assert (client.timeout.read, client.timeout.connect, client.timeout.pool) == (77, 30, None)
            assert not client.follow_redirects
            assert (await kind.post(client, "/v1/chat/completions")).status_code == 200
            assert sent[-1].url == "https://other.example/v1/chat/completions"
            assert sent[-1].headers["authorization"] == f"Bearer {expected}"
            assert sent[-1].headers["x-other"] == "1"
            await kind.close(client)
        closed = getattr(kind.scheduler(base_url="http://127.0.0.1:9"), name)(timeout=3)
        assert (closed.timeout.read, closed.base_url) == (3, "http://127.0.0.1:9")
        await kind.close(closed)
        scheduler = kind.scheduler(api_key="sk-given", base_url="http://other.example")
        with pytest.raises(ConfigurationError) as caught:
            getattr(scheduler, name)()
        assert "sk-given" not in str(caught.value)

    kind.run(main)


def test_httpx2_is_an_extra(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where httpx2 is not installed, what needs it says what to install."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    for make in ("transport2", "sync_transport2", "client2", "sync_client2"):
        with pytest.raises(ConfigurationError, match="httpx2 is not installed") as caught:
            getattr(kind.scheduler(), make)()
        assert "httpx2" in caught.value.mend


def test_a_transport_of_the_scheduler_is_used() -> None:
    """Without another, what sends is what the scheduler was given."""
    sent: list[Any] = []
    kind = Kind(httpx, threaded=False, backend="asyncio")

    async def main() -> None:
        scheduler = kind.scheduler(transport=kind.inner(noted(sent, completion())))
        async with scheduler.client() as client:
            await kind.post(client)
        assert len(sent) == 1

    kind.run(main)


def test_a_wire_never_suspends_a_thread() -> None:
    """What a thread runs to its end may not wait for an event loop; it says so instead of losing a request."""
    with pytest.raises(RuntimeError, match="suspended"):
        blocking(_suspending())


class _Once:
    def __await__(self) -> Any:
        yield


async def _suspending() -> None:
    await _Once()
