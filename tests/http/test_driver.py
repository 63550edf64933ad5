"""Whole requests, against the simulator: every kind of answer, retries, deadlines, secrets."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import httpx
import pytest

from scheduler import (
    ConfigurationError,
    DeadlineUnattainable,
    InvalidRequest,
    ProviderOverloaded,
    QuotaExhausted,
    RateLimited,
    RequestFailed,
    RequestTooLarge,
    Result,
    Scheduler,
)
from scheduler.core.quota import Charge
from scheduler.http.driver import Job
from scheduler.http.origins import check_base_url
from scheduler.providers.base import Call
from scheduler.simulator import FaultWindow, Simulator, World, serving
from scheduler.testing import Recorder, run

CHAT = "/v1/chat/completions"
KEY = "sk-secret-0123456789"
PROMPT = "the words of the prompt"


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chat(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": f"{PROMPT} {index}"}], **fields}


def against(app: Any, **settings: Any) -> Recorder:
    """Return a scheduler whose requests go to an ASGI application or a handler, in process."""
    transport = httpx.ASGITransport(app) if isinstance(app, Simulator) else httpx.MockTransport(app)
    scheduler = Recorder(transport=transport, api_key=KEY, seed=1, **settings)
    scheduler.admission.book.learn = True
    return scheduler


async def _collect(results: AsyncIterator[Result], into: list[Result]) -> None:
    async for result in results:
        into.append(result)  # noqa: PERF401 -- what came before an error counts


async def _all(scheduler: Scheduler, number: int, **options: Any) -> list[Result]:
    return [result async for result in scheduler.map((chat(index) for index in range(number)), **options)]


def test_a_success(backend: str) -> None:
    """A request is answered, its usage counted, its headers learned, its cost added."""

    async def main() -> None:
        simulator = Simulator(World(limits={"gpt-4o": {"rpm": 600, "tpm": 60_000}}, latency=0.5))
        async with against(simulator) as scheduler:
            response = await scheduler.request("POST", CHAT, json={**chat(), "model": "gpt-4o"})
            assert response.json()["object"] == "chat.completion"
            seen = scheduler.statistics()
            assert seen.usage.output_tokens > 0
            assert seen.cost > 0
            assert {bucket.limit for bucket in seen.scopes[0].buckets} == {600, 60_000}
            assert (seen.sent, seen.retries, seen.in_flight) == (1, 0, 0)

    run(main, backend=backend)


@pytest.mark.parametrize("bodies", [True, False])
def test_map_through_refusals(backend: str, bodies: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """All results come although the limits were configured far too high, with bodies in refusals and without."""

    async def main() -> None:
        simulator = Simulator(World(limits={"m": {"rpm": 120, "tpm": 12_000}}, bodies=bodies, latency=0.3))
        async with against(simulator, limits={"m": {"rpm": 6000, "tpm": 600_000}}) as scheduler:
            results = await _all(scheduler, 200)
            assert sorted(result.index for result in results) == list(range(200))
            assert all(result.error is None and result.usage is not None for result in results)
            report = simulator.report()
            assert report["completed"] == 200
            assert report["refused"] == scheduler.statistics().refusals
            assert report["refused"] <= 40
            assert await scheduler.drain(0)

    run(main, backend=backend)


@pytest.mark.parametrize("fault", ["server_error", "drop", "overloaded", "slow_down"])
def test_faults_are_tried_again(backend: str, fault: str) -> None:
    """A fault that passes is tried again after a delay, and the answer comes."""

    async def main() -> None:
        world = World(limits={"m": {"rpm": 6000}}, fault_windows=(FaultWindow(kind=fault, begin=0, end=0.005),))
        async with against(Simulator(world), limits={"m": {"rpm": 6000}}) as scheduler:
            response = await scheduler.request("POST", CHAT, json=chat())
            assert response.status_code == 200
            assert scheduler.statistics().retries >= 1
            assert anyio.current_time() > 0.005

    run(main, backend=backend)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("server_error", RequestFailed),
        ("drop", RequestFailed),
        ("overloaded", ProviderOverloaded),
        ("slow_down", ProviderOverloaded),
        ("insufficient_quota", QuotaExhausted),
    ],
)
def test_faults_that_stay_are_errors(backend: str, fault: str, error: type[Exception]) -> None:
    """A fault that does not pass ends in the error of its kind, after as many attempts as allowed."""

    async def main() -> None:
        world = World(limits={"m": {"rpm": 6000}}, faults={fault: 1.0})
        async with against(Simulator(world), limits={"m": {"rpm": 6000}}, max_attempts=3) as scheduler:
            with pytest.raises(error) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            if not isinstance(caught.value, QuotaExhausted):
                assert caught.value.attempts == 3  # type: ignore[attr-defined]  # all of these have it
            if isinstance(caught.value, RequestFailed):
                assert caught.value.unknown is (fault == "drop")
            assert scheduler.statistics().in_flight == 0

    run(main, backend=backend)


class _answers:  # noqa: N801 -- used as a function that remembers
    """Answers with these statuses, the last for ever."""

    def __init__(self, *statuses: int, body: Any = None) -> None:
        self._left, self._body = list(statuses), body
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        status = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return httpx.Response(status, json=self._body, headers={"location": "http://evil.example/"})


@pytest.mark.parametrize(("status", "cause"), [(401, "auth"), (400, "bad request"), (404, "bad request")])
def test_not_tried_again(backend: str, status: int, cause: str) -> None:
    """What the caller has to mend is not tried again."""

    async def main() -> None:
        handle = _answers(status)
        async with against(handle) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert (caught.value.status, caught.value.attempts, caught.value.cause) == (status, 1, cause)
            assert len(handle.seen) == 1

    run(main, backend=backend)


def test_no_redirect_is_followed(backend: str) -> None:
    """A redirect is an error; nothing, and so no key, goes where it points."""

    async def main() -> None:
        handle = _answers(307)
        async with against(handle) as scheduler:
            with pytest.raises(RequestFailed):
                await scheduler.request("POST", CHAT, json=chat())
        assert [request.url.host for request in handle.seen] == ["api.openai.com"]
        assert handle.seen[0].headers["authorization"] == f"Bearer {KEY}"

    run(main, backend=backend)


def test_refused_for_ever(backend: str) -> None:
    """A limit that refuses whatever is done ends in ``RateLimited`` with the provider's words."""

    async def main() -> None:
        handle = _answers(429, body={"error": {"message": "no", "code": "rate_limit_exceeded"}})
        async with against(handle, max_attempts=4) as scheduler:
            with pytest.raises(RateLimited) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert (caught.value.attempts, caught.value.message) == (4, "no")
            assert len(handle.seen) == 4
            assert anyio.current_time() > 0.01  # one probe at a time, apart

    run(main, backend=backend)


def test_refused_with_numbers_and_no_delay(backend: str) -> None:
    """A refusal that states the level and no delay goes back to the queue at once, and waits there for its turn."""

    async def main() -> None:
        words = "Rate limit reached for m on tokens per min (TPM): Limit 6000, Used 6000, Requested 100."
        handle = _answers(429, 200, body={"error": {"message": words, "code": "rate_limit_exceeded"}})
        async with against(handle, limits={"m": {"tpm": 6000}}) as scheduler:
            await scheduler.request("POST", CHAT, json=chat(max_tokens=100))
            assert anyio.current_time() >= 1  # what it takes to refill a hundred
            assert len(handle.seen) == 2

    run(main, backend=backend)


def test_too_large_here_and_there(backend: str) -> None:
    """A request larger than a limit is refused here, without being sent, or there, without being tried again."""

    async def main() -> None:
        simulator = Simulator(World(limits={"m": {"rpm": 600, "tpm": 1000}}))
        async with against(simulator, limits={"m": {"tpm": 1000}}) as scheduler:
            with pytest.raises(RequestTooLarge):
                await scheduler.request("POST", CHAT, json=chat(max_tokens=1001))
            assert simulator.report()["arrived"] == 0
        async with against(simulator) as scheduler:
            with pytest.raises(RequestFailed, match="too large"):
                await scheduler.request("POST", CHAT, json=chat(max_tokens=1001))
            assert simulator.report()["arrived"] == 1

    run(main, backend=backend)


def test_deadlines(backend: str) -> None:
    """A deadline ends the wait in the queue and the wait for another attempt."""

    async def main() -> None:
        handle = _answers(429, body={"error": {"message": "Please try again in 60s.", "code": "rate_limit_exceeded"}})
        async with against(handle, limits={"m": {"rpm": 600}}) as scheduler:
            with pytest.raises(DeadlineUnattainable):
                await scheduler.request("POST", CHAT, json=chat(), timeout=5)
            with pytest.raises(DeadlineUnattainable):  # the lanes are paused: it waits in the queue
                await scheduler.request("POST", CHAT, json=chat(), timeout=5)
            assert len(handle.seen) == 1
            assert anyio.current_time() == pytest.approx(0, abs=0.1)  # neither need wait to know it
        for status, error in ((503, ProviderOverloaded), (500, RequestFailed)):
            async with against(_answers(status), limits={"m": {"rpm": 60}}) as scheduler:
                with pytest.raises((error, DeadlineUnattainable)):
                    await scheduler.request("POST", CHAT, json=chat(), timeout=0.001)

    run(main, backend=backend)


def _raises(error: Exception) -> Any:
    def handle(_: httpx.Request) -> httpx.Response:
        raise error

    return handle


def test_no_connection(backend: str) -> None:
    """Where nothing could be sent the charge comes back, and the error says so."""

    async def main() -> None:
        async with against(
            _raises(httpx.ConnectError("refused")), limits={"m": {"rpd": 100}}, max_attempts=3
        ) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert (caught.value.unknown, caught.value.attempts, caught.value.status) == (False, 3, None)
            seen = scheduler.statistics()
            assert (seen.sent, seen.cancelled) == (0, 3)
            assert seen.scopes[0].buckets[0].level == 100

    run(main, backend=backend)


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ReadError("")])
def test_no_answer(backend: str, error: Exception) -> None:
    """A request that was sent and not answered keeps its charge, and is reported as unknown."""

    async def main() -> None:
        async with against(_raises(error), limits={"m": {"rpm": 6000}}, max_attempts=2) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat(), timeout=1000)
            assert caught.value.unknown
            assert type(error).__name__ in caught.value.message
            assert scheduler.statistics().scopes[0].outcomes == {"unknown": 2}
            with pytest.raises(RequestFailed):
                await scheduler.request("POST", CHAT, json=chat(), timeout=0.0001)

    run(main, backend=backend)


class _Broken(httpx.AsyncByteStream):
    def __init__(self, size: int, error: Exception | None) -> None:
        self.size, self.error, self.closed = size, error, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.size):
            yield b"x" * 65536
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("status", [200, 429])
def test_a_body_that_breaks(backend: str, status: int) -> None:
    """A success whose body breaks is unknown, counted once; a refusal whose body breaks is a refusal still."""

    async def main() -> None:
        streams: list[_Broken] = []

        def handle(_: httpx.Request) -> httpx.Response:
            streams.append(_Broken(1, httpx.ReadError("cut")))
            return httpx.Response(status, stream=streams[-1])

        async with against(handle, limits={"m": {"rpm": 6000}}, max_attempts=2) as scheduler:
            with pytest.raises(RequestFailed if status == 200 else RateLimited):
                await scheduler.request("POST", CHAT, json=chat())
            outcomes = scheduler.statistics().scopes[0].outcomes
            assert outcomes == ({"unknown": 2} if status == 200 else {"throttled": 2})
            assert [stream.closed for stream in streams] == [True, True]

    run(main, backend=backend)


@pytest.mark.parametrize(("status", "told", "unknown"), [(200, None, True), (400, 400, False)])
def test_a_body_that_is_packed_wrongly(status: int, told: int | None, *, unknown: bool) -> None:
    """A success whose body is not compressed as it says is no answer, an error is that; on trio httpx warns."""

    async def main() -> None:
        def handle(_: httpx.Request) -> httpx.Response:
            return httpx.Response(status, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

        async with against(handle, limits={"m": {"rpm": 6000}}) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert (caught.value.status, caught.value.unknown) == (told, unknown)
            assert (caught.value.cause == "no answer") is unknown
            assert scheduler.statistics().in_flight == 0

    run(main)


def test_a_cut_stream_is_failed(backend: str) -> None:
    """A stream that is read whole and lacks its end is handed over, and counted as failed."""
    cut = b'data: {"object": "chat.completion.chunk", "choices": []}\n\n'

    async def main() -> None:
        def handle(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=httpx.ByteStream(cut))

        async with against(handle, limits={"m": {"rpm": 6000}}) as scheduler:
            assert (await scheduler.request("POST", CHAT, json=chat(stream=True))).content == cut
            assert scheduler.statistics().scopes[0].outcomes == {"failed": 1}

    run(main, backend=backend)


def test_an_endless_error_body_is_read_in_part() -> None:
    """Of a refusal's body a megabyte is read at most; on trio httpx's own generators warn when they are left."""

    async def main() -> None:
        stream = _Broken(10_000, None)
        async with against(lambda _: httpx.Response(400, stream=stream)) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert caught.value.status == 400
            assert stream.closed

    run(main)


def test_map_may_be_left_at_any_result(backend: str) -> None:
    """Leaving a map stops its requests; nothing stays in flight, and the scheduler goes on."""

    async def main() -> None:
        simulator = Simulator(World(limits={"m": {"rpm": 6000}}, latency=1))
        async with against(simulator, limits={"m": {"rpm": 6000}}, concurrency=5) as scheduler:
            async with aclosing(scheduler.map(chat(index) for index in range(1000))) as results:
                async for _ in results:
                    break
            await anyio.sleep(0.01)
            assert scheduler.statistics().queued == scheduler.statistics().in_flight == 0
            assert simulator.report()["arrived"] <= 20  # type: ignore[operator]  # a count
            assert (await scheduler.request("POST", CHAT, json=chat())).status_code == 200

    run(main, backend=backend)


def test_map_reads_bodies_as_they_are_needed(backend: str) -> None:
    """No more bodies are read than may wait; single failures are results, not errors."""

    async def main() -> None:
        read = 0

        def bodies() -> Iterator[dict[str, Any]]:
            nonlocal read
            for read in range(1, 51):
                yield chat(read) if read % 10 else {"model": "m", "max_tokens": -1}

        async with against(Simulator(World(latency=0.1)), limits={"m": {"rpm": 60_000}}) as scheduler:
            results = []
            async for result in scheduler.map(bodies(), most=4):
                results.append(result)
                assert read <= len(results) + 5
            assert len(results) == 50
            assert sum(isinstance(result.error, InvalidRequest) for result in results) == 5
            with pytest.raises(ConfigurationError):
                await anext(scheduler.map([], most=0))

    run(main, backend=backend)


def test_bodies_that_fail(backend: str) -> None:
    """An error of the bodies themselves is raised where they are asked for, after the results before it."""

    def bodies() -> Iterator[dict[str, Any]]:
        yield chat()
        raise OSError("theirs")

    async def main() -> None:
        async with against(Simulator(World()), limits={"m": {"rpm": 60_000}}) as scheduler:
            results: list[Result] = []
            with pytest.raises(OSError, match="theirs"):
                await _collect(scheduler.map(bodies()), results)
            assert [result.error for result in results] == [None]
            assert await scheduler.drain(1)

    run(main, backend=backend)


def test_leaving_the_scheduler_during_a_map(backend: str) -> None:
    """A map whose scheduler is left does not pretend to have ended."""

    async def main() -> None:
        scheduler = against(Simulator(World(latency=1)), limits={"m": {"rpm": 60_000}}, concurrency=1)
        async with scheduler:
            results = scheduler.map(chat(index) for index in range(10))
            await anext(results)
        with pytest.raises(RuntimeError, match="left before"):
            await _collect(results, [])

    run(main, backend=backend)


def test_an_error_in_the_block_comes_out_as_it_is(backend: str) -> None:
    """What is raised inside ``async with`` is not wrapped."""

    async def main() -> None:
        with pytest.raises(QuotaExhausted):
            async with against(Simulator(World(faults={"insufficient_quota": 1.0}))) as scheduler:
                await scheduler.request("POST", CHAT, json=chat())

    run(main, backend=backend)


def test_drain(backend: str) -> None:
    """Draining refuses new requests and waits for those under way, also where they wait to be tried again."""

    async def main() -> None:
        handle = _answers(500, 200, body={})
        async with against(handle, limits={"m": {"rpm": 6000}}) as scheduler:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: scheduler.request("POST", CHAT, json=chat()))
                await anyio.sleep(0.001)
                assert scheduler.statistics().in_flight == 0  # it waits beside the queue
                assert not await scheduler.drain(0.001)
                assert await scheduler.drain(100)
                assert len(handle.seen) == 2
            for again in (scheduler.request("POST", CHAT, json=chat()), anext(scheduler.map([chat()]))):
                with pytest.raises(RuntimeError, match="draining"):
                    await again
            with scheduler.reserve_nowait("m"):
                assert not await scheduler.drain(0.001)
            assert await scheduler.drain()

    run(main, backend=backend)


def test_outside_the_block(backend: str) -> None:
    """``request`` and ``map`` say that they need ``async with``."""

    async def main() -> None:
        scheduler = Recorder()
        for use in (scheduler.request("POST", CHAT, json=chat()), anext(scheduler.map([chat()]))):
            with pytest.raises(RuntimeError, match="async with"):
                await use

    run(main, backend=backend)


@pytest.mark.parametrize("fields", [{"json": {"model": "m", "messages": [object()]}}, {"project": "two words"}])
def test_what_cannot_be_sent(backend: str, fields: dict[str, Any]) -> None:
    """A body that is no JSON and a project that no header carries are refused before anything is charged."""

    async def main() -> None:
        async with against(Simulator(World())) as scheduler:
            with pytest.raises(InvalidRequest):
                await scheduler.request("POST", CHAT, **{"json": chat(metadata={1, 2}), **fields})
            assert scheduler.statistics().sent == 0

    run(main, backend=backend)


def test_projects_are_named(backend: str) -> None:
    """The project goes into its header, and draws on its own limits."""

    async def main() -> None:
        handle = _answers(200, body={})
        async with against(handle, project_limits={"proj_a": {"*": {"rpm": 60}}}) as scheduler:
            await scheduler.request("POST", CHAT, json=chat(), project="proj_a", tenant="t")
        assert handle.seen[0].headers["openai-project"] == "proj_a"

    run(main, backend=backend)


def test_no_secret_in_words(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor the prompt is in any error, representation or log line."""
    caplog.set_level(logging.DEBUG)
    words: list[str] = []

    async def main() -> None:
        world = World(limits={"m": {"rpm": 60}}, faults={"server_error": 0.3, "drop": 0.3}, key="another")
        for app in (Simulator(world), _raises(httpx.ReadError("x")), _answers(429), _answers(307)):
            async with against(app, max_attempts=2) as scheduler:
                words.append(repr(scheduler) + repr(scheduler.statistics()) + repr(scheduler.events))
                job = scheduler.job("POST", CHAT, chat())
                words.append(repr(job) + repr(scheduler.driver) + repr(scheduler._client))
                words.extend(
                    repr(result) + str(result.error) + repr(result.error) + repr(result.response)
                    for result in await _all(scheduler, 3)
                )

    run(main, backend=backend)
    everything = "".join(words) + caplog.text
    assert KEY not in everything
    assert PROMPT not in everything


@pytest.mark.parametrize("url", ["http://provider.example", "http://10.0.0.1:8000/v1"])
def test_no_key_over_plain_http(url: str) -> None:
    """A key is refused to go over plain http to another machine, unless that is allowed."""

    async def enter(**settings: Any) -> None:
        async with Scheduler(base_url=url, **settings):
            pass

    with pytest.raises(ConfigurationError, match="plain http") as caught:
        anyio.run(lambda: enter(api_key=KEY))
    assert KEY not in str(caught.value)
    anyio.run(lambda: enter(api_key=KEY, allow_plain_http=True))


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1", "http://[::1]:80", "https://a.example/v1"])
def test_where_a_key_may_go(url: str) -> None:
    """A key may go to this machine, and anywhere by https."""
    check_base_url(url, secret=True, allow_plain_http=False)


@pytest.mark.parametrize("url", ["ftp://a", "a.example", "http://u:p@a", "https://a?x=1", "https://a:b", 5])
def test_no_usable_origin(url: Any) -> None:
    """What is no origin is refused with the mend."""
    with pytest.raises(ConfigurationError) as caught:
        check_base_url(url, secret=False, allow_plain_http=False)
    assert caught.value.key == "base_url"
    assert caught.value.mend


def test_plain_http_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would read the key of a plain http request: it is not used."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.example:3128")

    async def main() -> None:
        async with serving(World(key=KEY)) as url, Scheduler(base_url=url, api_key=KEY) as scheduler:
            response = await scheduler.request("POST", CHAT, json=chat())
            assert response.status_code == 200

    anyio.run(main)


def test_a_key_of_strange_letters_is_not_printed() -> None:
    """A key that ASCII cannot write still shows in no error."""

    async def main() -> None:
        async with Scheduler(api_key="sk-sécret", transport=httpx.MockTransport(_answers(200, body={}))) as scheduler:
            await scheduler.request("POST", CHAT, json=chat())

    anyio.run(main)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the provider's variable is read."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    handle = _answers(200, body={})

    async def main() -> None:
        async with Scheduler(transport=httpx.MockTransport(handle)) as scheduler:
            await scheduler.request("POST", CHAT, json=chat())

    anyio.run(main)
    assert handle.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_stall_over_real_http() -> None:
    """A server that does not answer in time makes the outcome unknown."""

    async def main() -> None:
        world = World(faults={"stall": 1.0}, stall=30)
        async with serving(world) as url, Scheduler(base_url=url, timeout=0.2, max_attempts=1) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert caught.value.unknown
            assert "Timeout" in caught.value.message

    anyio.run(main)


def test_drops_and_answers_over_real_http() -> None:
    """Dropped connections are tried again over real sockets, and all answers come."""

    async def main() -> None:
        world = World(limits={"m": {"rpm": 60_000, "tpm": 6_000_000}}, faults={"drop": 0.2, "broken_stream": 0.1})
        async with serving(world) as url, Scheduler(base_url=url, limits={"m": {"rpm": 60_000}}, seed=1) as scheduler:
            results = await _all(scheduler, 20)
            assert [result.error for result in results] == [None] * 20

    anyio.run(main)


def test_nobody_listens() -> None:
    """A refused connection over real sockets was never sent."""

    async def main() -> None:
        async with Scheduler(base_url="http://127.0.0.1:9", max_attempts=1) as scheduler:
            with pytest.raises(RequestFailed) as caught:
                await scheduler.request("POST", CHAT, json=chat())
            assert (caught.value.cause, caught.value.unknown) == ("no connection", False)

    anyio.run(main)


def test_a_job_shows_no_content() -> None:
    """A job's representation leaves out the body."""
    assert "secret" not in repr(Job(Call("POST", CHAT, "m", Charge()), b"secret", 0))
