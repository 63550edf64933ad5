"""Under a transport only the scheduler tries again: what, how often, and what becomes of the charge."""

import gc
import io
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from quiet import is_quiet
from seam_support import CHAT, KINDS, Kind, chat, completion, here, kind_of

from scheduler import RateLimited
from scheduler.simulator import FaultWindow, Simulator, World

FILES = "https://provider.example/v1/files"
BATCHES = "https://provider.example/v1/batches"
AUDIO = "https://provider.example/v1/audio/transcriptions"
MODELS = "https://provider.example/v1/models"
REFUSED = {"error": {"message": "no", "code": "rate_limit_exceeded"}}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return kind_of(request.param, monkeypatch)


class Script:
    """Answers one after the other, the last for ever; keeps what was sent as it was read."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)
        self.sent: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.sent.append(request)
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return answer() if callable(answer) else answer


def connect_error(kind: Kind) -> Exception:
    error: Exception = kind.module.ConnectError("refused")
    return error


def read_error(kind: Kind) -> Exception:
    error: Exception = kind.module.ReadError("cut")
    return error


@pytest.mark.parametrize("first", [429, 500, 502, 503, 504, 529, 408, 409, "connect", "read", "timeout", "pool"])
def test_what_passes_is_tried_again(kind: Kind, first: Any) -> None:
    """A refusal, a fault and a broken connection are tried again, and the answer comes."""
    module = kind.module
    errors = {
        "connect": module.ConnectError,
        "read": module.RemoteProtocolError,
        "timeout": module.ReadTimeout,
        "pool": module.PoolTimeout,
    }

    async def main() -> None:
        scheduler = kind.scheduler()
        script = Script(first if isinstance(first, int) else errors[first]("x"), completion())
        response = await kind.post(kind.client(scheduler, script))
        assert response.status_code == 200
        assert [request.content for request in script.sent] == [script.sent[0].content] * 2
        seen = scheduler.statistics()
        assert (seen.retries, seen.cancelled) == (1, 1 if first in {"connect", "pool"} else 0)
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("bodies", [True, False])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("module", ["httpx", "httpx2"])
def test_through_refusals(module: str, backend: str, bodies: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """With limits configured far too high all answers come all the same, with numbers in refusals and without."""
    import anyio  # noqa: PLC0415 -- for this test alone

    kind = Kind(__import__(module), threaded=False, backend=backend)

    async def main() -> None:
        window = FaultWindow(kind="server_error", begin=1, end=2)
        simulator = Simulator(
            World(limits={"m": {"rpm": 120, "tpm": 12_000}}, bodies=bodies, latency=0.3, fault_windows=(window,))
        )
        scheduler = kind.scheduler(limits={"m": {"rpm": 6000, "tpm": 600_000}})
        client = kind.client(scheduler, kind.module.ASGITransport(simulator))
        statuses: list[int] = []

        async def one(index: int) -> None:
            statuses.append((await kind.post(client, json=chat(seed=index))).status_code)

        async with anyio.create_task_group() as group:
            for index in range(150):
                group.start_soon(one, index)
        report = simulator.report()
        assert statuses == [200] * 150
        assert report["completed"] == 150
        assert report["refused"] == scheduler.statistics().refusals <= 40
        assert is_quiet(scheduler)

    kind.run(main)


def test_no_connection_at_all(kind: Kind) -> None:
    """After the last attempt the inner transport's own exception is raised; what was never sent is not charged."""

    async def main() -> None:
        scheduler = kind.scheduler(limits={"m": {"rpd": 100}}, max_attempts=3)
        error = connect_error(kind)
        script = Script(error)
        client = kind.client(scheduler, script)
        with pytest.raises(kind.module.ConnectError) as caught:
            await kind.post(client)
        assert caught.value is error
        assert str(getattr(caught.value, "request").url) == CHAT  # noqa: B009 -- of whichever module
        seen = scheduler.statistics()
        assert (len(script.sent), seen.sent, seen.cancelled) == (3, 0, 3)
        assert seen.scopes[0].buckets[0].level == 100
        assert is_quiet(scheduler)

    kind.run(main)


def test_no_answer_at_all(kind: Kind) -> None:
    """What was sent and never answered is charged each time, and unknown."""

    async def main() -> None:
        scheduler = kind.scheduler(limits={"m": {"rpd": 100}}, max_attempts=3)
        client = kind.client(scheduler, Script(kind.module.ReadTimeout("slow")))
        with pytest.raises(kind.module.ReadTimeout):
            await kind.post(client)
        seen = scheduler.statistics().scopes[0]
        assert (seen.outcomes, seen.buckets[0].level) == ({"unknown": 3}, 97)
        assert is_quiet(scheduler)

    kind.run(main)


def test_an_error_is_forgotten_with_its_request(kind: Kind) -> None:
    """An exception that was dealt with holds on to nothing: the next collection may be far away."""

    async def main() -> None:
        scheduler = kind.scheduler(max_attempts=2)

        def handle(_: Any) -> Any:
            raise kind.module.ReadError("x")

        client = kind.client(scheduler, handle)
        seen: list[Any] = []
        gc.disable()
        try:
            try:
                await kind.post(client)
            except kind.module.ReadError as error:
                seen.append(weakref.ref(error))
            assert seen[0]() is None
        finally:
            gc.enable()

    kind.run(main)


def test_a_body_that_breaks(kind: Kind) -> None:
    """A success whose body breaks is tried again; if it always does, its exception is raised."""

    async def main() -> None:
        streams: list[Any] = []

        def broken() -> Any:
            streams.append(kind.pieces([b'{"usage": ', read_error(kind)]))
            return kind.module.Response(200, headers={"content-type": "application/json"}, stream=streams[-1])

        scheduler = kind.scheduler(max_attempts=2)
        with pytest.raises(kind.module.ReadError):
            await kind.post(kind.client(scheduler, Script(broken)))
        assert scheduler.statistics().scopes[0].outcomes == {"unknown": 2}
        assert (await kind.post(kind.client(scheduler, Script(broken, completion())))).status_code == 200
        assert all(stream.closed for stream in streams)
        assert is_quiet(scheduler)

    kind.run(main)


def test_an_errors_body_that_breaks(kind: Kind) -> None:
    """An error whose body breaks is the error still, with what came of its body."""

    async def main() -> None:
        stream = kind.pieces([b'{"error": ', read_error(kind)])
        scheduler = kind.scheduler()
        response = await kind.post(kind.client(scheduler, Script(kind.module.Response(404, stream=stream))))
        assert (response.status_code, response.content, stream.closed) == (404, b'{"error": ', 1)
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("error", ["UnsupportedProtocol", "LocalProtocolError"])
def test_requests_that_can_never_be_sent(kind: Kind, error: str) -> None:
    """What is wrong with the request itself is raised at once."""

    async def main() -> None:
        scheduler = kind.scheduler()
        script = Script(getattr(kind.module, error)("no such protocol"))
        with pytest.raises(getattr(kind.module, error)):
            await kind.post(kind.client(scheduler, script))
        assert len(script.sent) == 1
        assert scheduler.statistics().cancelled == (1 if error == "UnsupportedProtocol" else 0)
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize("error", [OSError("theirs"), KeyboardInterrupt(), RuntimeError()])
def test_what_is_foreign_comes_out_as_it_is(kind: Kind, error: BaseException) -> None:
    """An exception that no HTTP library raises passes through, and leaves nothing in flight."""

    async def main() -> None:
        scheduler = kind.scheduler()

        def handle(_: Any) -> Any:
            raise error

        with pytest.raises(type(error)) as caught:
            await kind.post(kind.client(scheduler, handle))
        assert caught.value is error
        assert scheduler.statistics().scopes[0].outcomes == {"unknown": 1}
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize(
    ("method", "url", "content", "times"),
    [
        ("POST", FILES, {"data": {"purpose": "batch"}, "files": {"file": b"{}"}}, 1),
        ("POST", BATCHES, {"json": {"input_file_id": "file-1", "endpoint": "/v1/responses"}}, 1),
        ("POST", CHAT, {"json": chat()}, 3),
        ("GET", MODELS, {}, 3),
        ("DELETE", FILES + "/file-1", {}, 3),
        ("POST", AUDIO, {"data": {"model": "m"}, "files": {"file": b"RIFF"}}, 3),
    ],
)
def test_what_may_have_been_done(kind: Kind, method: str, url: str, content: Any, times: int) -> None:
    """What makes something at the provider is not sent twice where it may have been done; where it was not, it is."""

    async def main() -> None:
        for error, expected in ((kind.module.ReadError("x"), times), (kind.module.ConnectError("x"), 3)):
            scheduler = kind.scheduler(max_attempts=3)
            script = Script(error)
            client = kind.client(scheduler, script)
            with pytest.raises(type(error)):
                await here(client.request(method, url, **content))
            assert len(script.sent) == expected

    kind.run(main)


class _Unseekable(io.RawIOBase):
    def __init__(self, content: bytes) -> None:
        self._left = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


async def _later() -> AsyncIterator[bytes]:
    yield b'{"model": "m",'
    yield b'"messages": []}'


def _now() -> Iterator[bytes]:
    yield b'{"model": "m",'
    yield b'"messages": []}'


@pytest.mark.parametrize("answer", [429, 500, "connect"])
@pytest.mark.parametrize("body", ["generator", "file"])
def test_bodies_that_cannot_be_read_again(kind: Kind, body: str, answer: Any) -> None:
    """They are sent once; what comes is handed over unmarked, so that an SDK which can make them again does."""

    async def main() -> None:
        scheduler = kind.scheduler()
        script = Script(connect_error(kind) if answer == "connect" else answer)
        client = kind.client(scheduler, script)
        content: dict[str, Any] = {"content": _now() if kind.threaded else _later()}
        if body == "file":
            content = {"data": {"model": "m"}, "files": {"file": _Unseekable(b"x" * 100_000)}}
        if answer == "connect":
            with pytest.raises(kind.module.ConnectError):
                await kind.post(client, **content)
        else:
            response = await kind.post(client, **content)
            assert response.status_code == answer
            assert "x-should-retry" not in response.headers
        assert len(script.sent) == 1
        assert len(script.sent[0].content) > (100_000 if body == "file" else 20)
        assert is_quiet(scheduler)

    kind.run(main)


def test_forms_are_sent_again_as_they_were(kind: Kind) -> None:
    """A form whose files can be read again is sent again byte for byte, and its model is known."""

    async def main() -> None:
        scheduler = kind.scheduler()
        script = Script(500, 429, {"text": "words"})
        file = io.BytesIO(bytes(range(256)) * 1000)
        file.seek(500)
        form = {"data": {"model": "m", "language": "en"}, "files": {"file": ("a.mp3", file, "audio/mpeg")}}
        response = await kind.post(kind.client(scheduler, script), AUDIO, **form)
        assert response.json() == {"text": "words"}
        bodies = {request.content for request in script.sent}
        assert (len(script.sent), len(bodies)) == (3, 1)
        assert len(bodies.pop()) == int(script.sent[0].headers["content-length"])
        assert {each.model for each in scheduler.admitted} == {"m"}

    kind.run(main)


def test_what_an_sdk_tries_again(kind: Kind) -> None:
    """A retry of an SDK is recognised, counted, sent once, and shown in statistics and metrics."""
    registry = CollectorRegistry()

    async def main() -> None:
        scheduler = kind.scheduler(max_attempts=5, registry=registry)
        script = Script(500)
        client = kind.client(scheduler, script)
        for retry in ("0", "1", "2"):
            response = await kind.post(client, headers={"x-stainless-retry-count": retry})
            assert response.headers["x-should-retry"] == "false"
        assert len(script.sent) == 5 + 1 + 1
        assert scheduler.statistics().resumed == 2
        assert registry.get_sample_value("scheduler_sdk_retries_total") == 2

    kind.run(main)


def test_patience_has_an_end(kind: Kind) -> None:
    """A refusal that lasts is handed over after as many attempts as allowed, with the provider's words."""

    async def main() -> None:
        scheduler = kind.scheduler(max_attempts=3)
        script = Script(lambda: kind.answer(429, json=REFUSED, headers={"retry-after": "0"}))
        response = await kind.post(kind.client(scheduler, script))
        assert (response.status_code, response.json(), len(script.sent)) == (429, REFUSED, 3)
        assert isinstance(response.extensions["scheduler_error"], RateLimited)
        assert response.extensions["scheduler_error"].attempts == 3

    kind.run(main)


def test_answers_that_are_not_wanted_are_let_go(kind: Kind) -> None:
    """Every answer but the last is closed before the next attempt."""
    streams: list[Any] = []

    async def main() -> None:
        def refuse() -> Any:
            assert all(stream.closed for stream in streams)
            streams.append(kind.pieces([b"x" * 600_000] * 3))
            return kind.module.Response(500, stream=streams[-1])

        scheduler = kind.scheduler(max_attempts=4)
        response = await kind.post(kind.client(scheduler, Script(refuse)))
        assert len(response.content) == 1_800_000
        assert [bool(stream.closed) for stream in streams] == [True] * 4
        assert is_quiet(scheduler)

    kind.run(main)


def test_all_attempts_carry_one_idempotency_key_where_the_provider_takes_one(kind: Kind) -> None:
    """Each request has its own, its attempts share it, and one that the caller gave stays; a GET needs none."""

    async def main() -> None:
        scheduler = kind.scheduler()
        scheduler.provider.idempotency_header = "Idempotency-Key"
        script = Script(500, completion(), 500, completion(), completion())
        client = kind.client(scheduler, script)
        await kind.post(client)
        await kind.post(client, headers={"idempotency-key": "mine"}, json=chat())
        await kind.post(client)
        keys = [request.headers.get_list("idempotency-key") for request in script.sent]
        assert all(len(each) == 1 for each in keys)
        first, again, mine, mine_again, last = (each[0] for each in keys)
        assert (mine, mine_again) == ("mine", "mine")
        assert first == again != last
        assert {request.content for request in script.sent} == {script.sent[0].content}
        await here(client.get(MODELS))
        assert "idempotency-key" not in script.sent[-1].headers

    kind.run(main)


def test_an_error_in_an_answer_of_status_200_is_counted_as_what_it_is(kind: Kind) -> None:
    """It is handed over as it came, and not sent again: who gave it took it for an answer."""

    async def main() -> None:
        scheduler = kind.scheduler()
        error = {"error": {"message": "Provider returned error", "code": 502}}
        script = Script(error)
        response = await kind.post(kind.client(scheduler, script))
        assert (response.status_code, response.json()) == (200, error)
        assert len(script.sent) == 1
        outcomes = {scope.name: dict(scope.outcomes) for scope in scheduler.statistics().scopes}
        assert outcomes == {"m": {"failed": 1}}
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (BATCHES, {"input_file_id": "f"}),
        ("https://provider.example/v1/videos", {"model": "m", "prompt": "a film"}),
        ("https://provider.example/v1/responses", {"model": "m", "input": "hi", "background": True}),
    ],
)
@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_a_fault_may_have_left_made_is_not_made_again(
    kind: Kind, url: str, body: dict[str, Any], status: int
) -> None:
    """A fault may strike after all else was done; whether to begin anew is the sender's to say. A refusal is none."""

    async def main() -> None:
        scheduler = kind.scheduler()
        script = Script(429, status, completion())
        response = await kind.post(kind.client(scheduler, script), url, json=body)
        assert response.status_code == status
        assert "x-should-retry" not in response.headers
        assert len(script.sent) == 2
        assert is_quiet(scheduler)

    kind.run(main)
