"""Proxies, of the environment and explicit, as httpx has them."""

import asyncio
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import trustme
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, OK, Asked, Loopback, fetch, server_context

NOWHERE = "http://nowhere.invalid/"


class Proxy(Loopback):
    """A proxy: answers plain requests itself, and tunnels the others to one port, whatever they ask for."""

    def __init__(self, behind: int = 0) -> None:
        super().__init__(self.pass_on)
        self._behind = behind

    async def pass_on(self, asked: Asked) -> bytes | None:
        if not asked.line.startswith(b"CONNECT"):
            return OK
        reader, writer = await asyncio.open_connection("127.0.0.1", self._behind)
        asked.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.wait(
            [asyncio.create_task(_pipe(asked.reader, writer)), asyncio.create_task(_pipe(reader, asked.writer))]
        )
        return None


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while words := await source.read(65_536):
            target.write(words)
    except ConnectionError:
        pass
    finally:
        target.close()


@pytest.fixture
def proxy() -> Iterator[Loopback]:
    """Run a proxy."""
    with Proxy().running() as server:
        yield server


def address(proxy: Loopback, user: str = "") -> str:
    return f"http://{user}localhost:{proxy.port}"


def lines(server: Loopback) -> list[bytes]:
    return [asked.line for asked in server.asked]


def get(module: ModuleType, url: str = NOWHERE) -> Any:
    return module.Request("GET", url)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_of_the_environment(
    kind: str, module: ModuleType, proxy: Loopback, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A proxy that the environment names takes the request, with the password of its url."""
    monkeypatch.setenv(name, address(proxy, "me:secret@"))
    assert fetch(kind, module, get(module)).body == b"ok"
    assert lines(proxy) == [b"GET http://nowhere.invalid/ HTTP/1.1"]
    assert proxy.asked[0].get(b"Proxy-Authorization") == b"Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("ours", ["localhost", "127.0.0.1, localhost:9, localhost", "*"])
def test_exceptions(
    kind: str, module: ModuleType, proxy: Loopback, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    """What `NO_PROXY` names is asked directly."""
    monkeypatch.setenv("HTTP_PROXY", address(proxy))
    monkeypatch.setenv("NO_PROXY", ours)
    fetch(kind, module, get(module, loopback.url))
    assert (len(loopback.asked), len(proxy.asked)) == (1, 0)


def test_the_environment_not_asked(
    kind: str, module: ModuleType, proxy: Loopback, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without trust in the environment there is no proxy."""
    monkeypatch.setenv("ALL_PROXY", address(proxy))
    fetch(kind, module, get(module, loopback.url), trust_env=False)
    assert (len(loopback.asked), len(proxy.asked)) == (1, 0)


def test_explicit(kind: str, module: ModuleType, proxy: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy given is taken, and not that of the environment."""
    monkeypatch.setenv("ALL_PROXY", "http://localhost:9")
    fetch(kind, module, get(module), proxy=address(proxy))
    fetch(kind, module, get(module), proxy=module.Proxy(address(proxy), headers={"x-proxy": "1"}))
    assert len(proxy.asked) == 2
    assert proxy.asked[1].get(b"x-proxy") == b"1"


def test_tunnels(kind: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Https goes through the proxy closed: it sees the name of the server and no more, and the server is verified."""
    authority = trustme.CA()
    context = module.create_ssl_context()
    authority.configure_trust(context)
    with (
        Loopback(tls=server_context(authority, "nowhere.invalid")).running() as server,
        Proxy(server.port).running() as between,
    ):
        monkeypatch.setenv("HTTPS_PROXY", address(between))
        secure = NOWHERE.replace("http:", "https:")
        request = module.Request("GET", secure, headers={"Authorization": "Bearer sk-secret"})
        assert fetch(kind, module, request, verify=context).body == b"ok"
        assert b"sk-secret" not in between.asked[0].head
        with pytest.raises(module.ConnectError):
            fetch(kind, module, get(module, secure), verify=CONTEXT)
        assert lines(between) == [b"CONNECT nowhere.invalid:443 HTTP/1.1"] * 2
        assert lines(server) == [b"GET / HTTP/1.1"]


def test_a_proxy_that_is_not_there(kind: str, module: ModuleType) -> None:
    """It is a failure to connect."""
    with pytest.raises((module.ConnectError, module.ProxyError)):
        fetch(kind, module, get(module), proxy="http://127.0.0.1:1")


def test_what_goes_to_this_machine_in_the_clear_goes_through_no_proxy_of_the_environment(
    kind: str, module: ModuleType, proxy: Loopback, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key may be in it: httpx would show it to the proxy. One that is given is taken all the same."""
    monkeypatch.setenv("HTTP_PROXY", address(proxy))
    url = f"http://127.0.0.1:{loopback.port}/"
    assert fetch(kind, module, get(module, url)).response.status_code == 200
    assert not lines(proxy)
    assert fetch(kind, module, get(module, url), proxy=address(proxy)).response.status_code == 200
    assert len(lines(proxy)) == 1
