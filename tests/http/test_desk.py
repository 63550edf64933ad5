"""What requests of SDKs are recognised as, and where their keys may go."""

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from quiet import is_quiet
from seam_support import ANSWER, CHAT, KEY, KINDS, OPEN, PROMPT, STREAM, Kind, chat, completion, here, kind_of, noted

from scheduler import ConfigurationError, InvalidRequest, Scheduler, SchedulerError
from scheduler.http.bodies import HEAD, LOOKED_INTO
from scheduler.http.desk import Desk
from scheduler.http.hints import NOTHING
from scheduler.http.passage import Passage
from scheduler.testing import Recorder

PLAIN = "http://provider.example/v1/chat/completions"
SECRETS = ["authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return kind_of(request.param, monkeypatch)


def desk(*, allow_plain_http: bool = False) -> Desk:
    scheduler = Recorder(limits={"m": OPEN})
    return Desk(lambda: scheduler._seam, NOTHING, allow_plain_http=allow_plain_http)


def received(*args: Any, **content: Any) -> Passage:
    return desk().receive(httpx, httpx.Request(*args, **content))[0]


def test_json_is_looked_into() -> None:
    """A JSON body says model, size and whether the answer is a stream, whatever its type is written like."""
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"):
        call = received("POST", CHAT, content=json.dumps(chat(stream=True)), headers={"content-type": kind}).call
        assert (call.model, call.stream) == ("m", True)
    assert received("POST", CHAT, content=json.dumps(chat()).encode()).call.model == "m"
    assert received("GET", "https://provider.example/v1/models").call.model == ""


@pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {"content-type": "application/octet-stream"}])
def test_what_is_not_looked_into(headers: Mapping[str, str]) -> None:
    """A body that is compressed, or nothing that we know, is sent as it is and says nothing."""
    assert received("POST", CHAT, content=json.dumps(chat()), headers=headers).call.model == ""


def test_a_body_too_large_to_be_looked_into() -> None:
    """A body beyond what is looked into is charged by its size where its endpoint says nothing else."""
    body = json.dumps(chat(x="x" * LOOKED_INTO)).encode()
    assert received("POST", CHAT, content=body, headers={"content-type": "application/json"}).call.model == ""


def test_forms_are_looked_into() -> None:
    """The model of a transcription is found before its file."""
    audio = "https://provider.example/v1/audio/transcriptions"
    form: Any = {"data": {"model": "m"}, "files": {"file": ("a.mp3", io.BytesIO(b"x" * 10 * HEAD))}}
    passage = received("POST", audio, **form)
    assert (passage.call.model, passage.once) == ("m", False)
    assert received("POST", audio, data={"model": "m"}).call.model == "m"


class _Watched(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def test_a_large_upload_is_not_read(kind: Kind) -> None:
    """Of a file of fifty megabytes only the head is read before it is sent, and it is sent whole."""
    file = _Watched(bytes(50_000_000))

    async def main() -> None:
        taken: list[int] = []

        class Inner(type(kind.inner(print))):  # type: ignore[misc]  # of whichever module
            def handle_request(self, request: Any) -> Any:
                taken.append(file.taken)
                taken.append(sum(map(len, request.stream)))
                return kind.answer(json={})

            async def handle_async_request(self, request: Any) -> Any:
                return self.handle_request(request)

        scheduler = kind.scheduler()
        form: dict[str, Any] = {"data": {"model": "m"}, "files": {"file": ("a.mp3", file)}}
        response = await kind.post(kind.client(scheduler, Inner()), **form)
        assert response.status_code == 200
        before, sent = taken
        assert before <= 2 * HEAD
        assert 50_000_000 < sent < 50_010_000

    kind.run(main)


@pytest.mark.parametrize("name", SECRETS)
def test_no_key_over_plain_http(kind: Kind, name: str) -> None:
    """A request that carries a key goes over plain http to this machine only, unless that is allowed."""

    async def main() -> None:
        sent: list[Any] = []
        headers = {name: KEY}
        client = kind.client(kind.scheduler(), noted(sent, completion()))
        response = await kind.post(client, PLAIN, headers=headers)
        assert (response.status_code, sent) == (400, [])
        assert isinstance(response.extensions["scheduler_error"], ConfigurationError)
        assert KEY not in response.text
        for url in ("http://127.0.0.1:8000/v1/x", "http://localhost/v1/x", "http://[::1]:1/v1/x", CHAT):
            assert (await kind.post(client, url, headers=headers)).status_code == 200
        assert (await kind.post(client, PLAIN)).status_code == 200
        client = kind.client(kind.scheduler(allow_plain_http=True), noted(sent, completion()))
        assert (await kind.post(client, PLAIN, headers=headers)).status_code == 200

    kind.run(main)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{KEY}@provider.example/",
        f"{PLAIN}?key={KEY}",
        f"{PLAIN}?a=1&api_key={KEY}",
        "http://localhost.evil.example/?key=x",
        "http://127.0.0.1.evil.example/?key=x",
        "http://0x7f.1.evil/?key=x",
    ],
)
def test_no_key_in_an_address_over_plain_http(url: str) -> None:
    """A key in the address itself is one too, and a name that looks like this machine is none."""
    with pytest.raises(ConfigurationError) as caught:
        received("POST", url, json=chat())
    assert KEY not in str(caught.value)


def redirected(location: str, name: str = "x-api-key", url: str = CHAT, status: int = 307) -> SchedulerError | None:
    request = httpx.Request("POST", url, headers={name: KEY})
    return desk().check_redirect(
        httpx, request, httpx.Response(status, headers=[(b"location", location.encode("latin-1"))])
    )


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key", "proxy-authorization"])
@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/",
        "//evil.example/v1",
        "http://provider.example/v1/chat/completions",
        "https://provider.example:8443/",
        "https://provider.example.evil.example/",
        "https://provider.example@evil.example/",
        "HTTPS://EVIL.example",
        "ftp://provider.example/",
        "http:///v1",
    ],
)
def test_redirects_elsewhere(location: str, name: str) -> None:
    """Where a key that httpx would send along is asked to go to another origin, the redirect is not handed over."""
    for status in (301, 302, 303, 307, 308):
        assert isinstance(redirected(location, name, status=status), InvalidRequest)


@pytest.mark.parametrize(
    "location",
    ["/v2", "v2", "?a=1", "https://provider.example/x", "https://PROVIDER.example:443/x", "", "//provider.example/x"],
)
def test_redirects_to_the_same_origin(location: str) -> None:
    """Within the origin a redirect is the client's own business."""
    assert redirected(location) is None


def test_redirects_of_what_httpx_takes_off() -> None:
    """``Authorization`` and cookies stay behind by httpx's own rules; nor are redirects without a key refused."""
    for name in ("authorization", "cookie", "x-other"):
        assert redirected("https://evil.example/", name) is None
    assert redirected("https://evil.example/", status=200) is None


@given(
    st.text(st.characters(max_codepoint=255), max_size=40), st.sampled_from(["", "https://", "//", "https:///", "h:"])
)
def test_hostile_locations(location: str, begin: str) -> None:
    """Whatever stands in ``Location``, nothing but an error of ours comes of it, and httpx goes nowhere else."""
    error = redirected(begin + location)
    if error is not None:
        assert len(str(error)) < 300
        return
    response = httpx.Response(307, headers=[(b"location", (begin + location).encode("latin-1"))])
    client = httpx.Client()
    request = httpx.Request("POST", CHAT, headers={"x-api-key": KEY})
    with contextlib.suppress(httpx.RemoteProtocolError):
        url = client._redirect_url(request, response)
        assert (url.scheme, url.host, url.port) == ("https", "provider.example", None)


def test_redirects_under_a_client(kind: Kind) -> None:
    """A client that follows redirects gets to the same origin with its key, elsewhere without, or is told."""

    async def main() -> None:
        sent: list[Any] = []
        body = kind.pieces([])

        def handle(request: Any) -> Any:
            sent.append(request)
            if request.url.path == "/done":
                return {}
            location = {"/near": "/done", "/far": "https://other.example/done"}[request.url.path]
            return kind.module.Response(307, headers={"location": location}, stream=body)

        scheduler = kind.scheduler()
        client = kind.client(scheduler, handle, follow_redirects=True)
        origin = "https://provider.example"
        near = await kind.post(client, origin + "/near", headers={"x-api-key": KEY})
        assert (near.status_code, sent[-1].headers["x-api-key"]) == (200, KEY)
        far = await kind.post(client, origin + "/far", headers={"authorization": f"Bearer {KEY}"})
        assert (far.status_code, "authorization" in sent[-1].headers) == (200, False)
        del sent[:]
        told = await kind.post(client, origin + "/far", headers={"x-api-key": KEY})
        assert (told.status_code, len(sent)) == (400, 1)
        assert isinstance(told.extensions["scheduler_error"], InvalidRequest)
        assert body.closed
        assert is_quiet(scheduler)

    kind.run(main)


def test_no_secret_in_words(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    """Keys, prompts and answers are in no log record, representation, error, event or metric."""
    caplog.set_level(logging.DEBUG)
    words: list[str] = []
    registry = CollectorRegistry()
    secret = {"authorization": f"Bearer {KEY}"}

    async def main() -> None:
        scheduler = kind.scheduler(registry=registry, max_attempts=2)
        errors = (kind.module.ReadError("x"), kind.module.ConnectError("y"))
        stream = {"headers": {"content-type": "text/event-stream"}}
        told = kind.module.Response(200, **stream, stream=kind.pieces([*STREAM]))
        for answer in (completion(), 400, 401, 429, 500, 307, *errors, told):
            client = kind.client(scheduler, lambda _, answer=answer: answer)
            with contextlib.suppress(kind.module.TransportError):
                response = await kind.post(client, headers={**secret, "x-scheduler-tenant": "a"})
                words.append(repr(response.extensions) + repr(response.headers))
            words.append(repr(client._transport) + repr(vars(client._transport)))
        bad = await kind.post(client, headers={**secret, "x-scheduler-foo": "1"})
        plain = await kind.post(client, PLAIN, headers=secret)
        words.extend([bad.text, plain.text, repr(scheduler), repr(scheduler.statistics()), repr(scheduler.events)])
        passage, request = desk().receive(httpx, httpx.Request("POST", CHAT, json=chat(), headers=secret))
        words.extend([repr(passage), repr(passage.call), repr(passage.seam), repr(request)])

    kind.run(main)
    everything = "".join(words) + caplog.text + generate_latest(registry).decode()
    for word in (KEY, PROMPT, ANSWER):
        assert word not in everything


def test_nobody_writes_headers_by_hints(kind: Kind) -> None:
    """Line ends and control characters in hints come into no header, of the request or of an answer."""
    hostile = ["a\r\nx-evil: 1", "a\nb", "a\x00b", "a\x7f"]

    async def main() -> None:
        sent: list[Any] = []
        scheduler = kind.scheduler()
        client = kind.client(scheduler, noted(sent, completion()))
        for value in hostile:
            for name in ("priority", "tenant", "deadline", "tokens", f"x{value}"):
                response = await kind.post(client, headers={f"x-scheduler-{name}": value})
                assert response.status_code == 400
                assert not any(character in str(response.headers.raw) for character in ("\\r", "\\n", "\\x"))
            with pytest.raises(InvalidRequest):
                scheduler.context(tenant=value)
        assert sent == []

    kind.run(main)


def test_files_that_are_closed(kind: Kind) -> None:
    """A form whose file is closed is the caller's error, as it is without us, and nothing is reserved."""

    async def main() -> None:
        file = io.BytesIO(b"x")
        scheduler = kind.scheduler()
        client = kind.client(scheduler, noted([], {}))
        request = client.build_request("POST", CHAT, data={"model": "m"}, files={"file": file})
        file.close()
        with pytest.raises(ValueError, match="closed"):
            await here(client.send(request))
        assert is_quiet(scheduler)

    kind.run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child() -> None:
    """In a forked child a transport goes by the child's own scheduler, and says once that both spend the budget."""
    scheduler = Scheduler(limits={"m": OPEN})
    client = httpx.Client(transport=scheduler.sync_transport(httpx.MockTransport(lambda _: httpx.Response(200))))
    client.post(CHAT, json=chat())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(2):
                    client.post(CHAT, json=chat())
            seen = [scheduler.statistics().sent, sum("forked" in str(each.message) for each in caught)]
            os.write(writing, json.dumps(seen).encode())
        finally:
            os._exit(0)  # and no more of this test
    os.close(writing)
    os.waitpid(child, 0)
    told = os.read(reading, 1000)
    os.close(reading)
    assert json.loads(told) == [2, 1]
    assert scheduler.statistics().sent == 1
