"""What arrives is what httpx itself would have sent, byte for byte."""

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import HealthCheck, given, reject, settings, strategies as st
from inner_fixtures import kind as kind, loopback as loopback, module as module, no_proxies as no_proxies  # noqa: PLC0414 -- fixtures
from inner_support import CONTEXT, OK, Asked, Loopback, fetch, read

from scheduler.http.inner import async_inner, sync_inner
from scheduler.http.inner_parcel import LARGEST, parcel

PLAIN: dict[str, dict[str, Any]] = {
    "get": {"method": "GET"},
    "get_with_a_body": {"method": "GET", "content": b"{}"},
    "head": {"method": "HEAD"},
    "options": {"method": "OPTIONS"},
    "json": {"method": "POST", "json": {"model": "m", "messages": []}},
    "form": {"method": "POST", "data": {"a": "1 2", "b": ["3", "4"]}},
    "patch": {"method": "PATCH", "content": b"\x00\xff"},
    "put_of_nothing": {"method": "PUT"},
    "post_of_nothing": {"method": "POST", "content": b""},
    "delete_with_a_body": {"method": "DELETE", "content": b"x"},
    "no_automatic_headers": {"method": "POST", "content": b"x", "headers": {}},
    "order_and_case": {
        "method": "GET",
        "headers": [("x-B", "1"), ("Accept", "a"), ("COOKIE", "k=v; l=w"), ("x-a", ""), ("x-B", "3")],
    },
    "utf8_in_a_header": {"method": "GET", "headers": [(b"x-title", "Prüfung".encode())]},
    "own_host": {"method": "GET", "headers": {"Host": "api.example.com"}},
    "close": {"method": "POST", "content": b"x", "headers": {"Connection": "close"}},
    "large_header": {"method": "GET", "headers": {"x-large": "y" * 60_000}},
    "large_body": {"method": "POST", "content": b"z" * LARGEST},
    "query": {"method": "GET", "target": "v1/x?a=1&a=2&b=%20+%2F;c"},
    "escapes": {"method": "GET", "target": "v1/%7Euser/a%2Fb/ü ~'()*!$&,;=:@"},
    "dots_and_slashes": {"method": "GET", "target": "/a//b/"},
    "user_in_the_url": {"method": "GET", "user": "me:secret@"},
}
"""Requests that go by aiohttp, where that is."""

ODD: dict[str, dict[str, Any]] = {
    "delete_of_nothing": {"method": "DELETE"},
    "unknown_method": {"method": "PURGE"},
    "empty_query": {"method": "GET", "target": "v1/x?"},
    "latin1_in_a_header": {"method": "GET", "headers": [(b"x-title", b"Pr\xfcfung")]},
    "larger_body": {"method": "POST", "content": b"z" * (2 << 20)},
    "two_cases_of_a_name": {"method": "GET", "headers": [("x-B", "1"), ("X-b", "2"), ("x-B", "3")]},
    "host_not_first": {"method": "GET", "headers": [("x-a", "1"), ("Host", "api.example.com")]},
    "upgrade": {"method": "GET", "headers": {"Connection": "Upgrade", "Upgrade": "x"}},
    "target": {"method": "OPTIONS", "extensions": {"target": b"*"}},
}
"""Requests that aiohttp would change."""


def request_of(module: ModuleType, url: str, case: dict[str, Any]) -> Any:
    case = dict(case)
    url = url.replace("//", f"//{case.pop('user', '')}") + case.pop("target", "v1/models")
    return module.Request(case.pop("method"), url, **case)


@pytest.mark.parametrize("case", [*PLAIN, *ODD])
def test_requests_arrive_unchanged(module: ModuleType, loopback: Loopback, case: str) -> None:
    """Request line, headers in their order and case, and body are those that httpx's own transport sends."""
    request = request_of(module, loopback.url, (PLAIN | ODD)[case])
    fetch("asyncio", module, request, module.AsyncHTTPTransport(verify=CONTEXT))
    fetch("asyncio", module, request)
    theirs, ours = loopback.asked
    assert ours.head == theirs.head
    assert ours.body == theirs.body


@pytest.mark.parametrize("case", [*PLAIN, *ODD])
def test_the_way_out(module: ModuleType, case: str) -> None:
    """Plain requests go by aiohttp, odd ones do not."""
    assert (parcel(module, request_of(module, "http://localhost:1/", (PLAIN | ODD)[case])) is not None) == (
        case in PLAIN
    )


@pytest.mark.parametrize("lengths", [["3"], ["1", "1"], ["01"], ["-1"]])
def test_lengths_that_are_wrong(module: ModuleType, lengths: list[str]) -> None:
    """A request that says something else than its length is left to httpx, which refuses it."""
    fields = [("Host", "localhost"), *(("Content-Length", length) for length in lengths)]
    assert parcel(module, module.Request("POST", "http://localhost:1/", content=b"x", headers=fields)) is None


def test_a_client_s_requests_go_by_aiohttp(module: ModuleType) -> None:
    """What clients add themselves (headers, timeouts) keeps nothing from the fast way."""
    request = module.Client().build_request("POST", "https://api.example.com/v1/chat/completions", json={"model": "m"})
    assert parcel(module, request) is not None


def test_bodies_in_pieces(kind: str, module: ModuleType, loopback: Loopback) -> None:
    """A body from a generator arrives whole, in chunks."""

    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces():
            await anyio.lowlevel.checkpoint()
            yield piece

    fetch(kind, module, module.Request("POST", loopback.url, content=pieces() if kind == "threads" else later()))
    assert loopback.asked[0].body == b"one two"
    assert loopback.asked[0].get(b"Transfer-Encoding") == b"chunked"


def test_files(kind: str, module: ModuleType, loopback: Loopback) -> None:
    """A multipart body with a file arrives whole."""
    content = bytes(range(256)) * 1000
    request = module.Request("POST", loopback.url, files={"file": ("a.bin", content)}, data={"purpose": "batch"})
    fetch(kind, module, request)
    assert content in loopback.asked[0].body
    assert b'filename="a.bin"' in loopback.asked[0].body
    assert loopback.asked[0].get(b"Content-Length") == str(len(loopback.asked[0].body)).encode()


def test_a_redirect_that_the_client_follows(kind: str, module: ModuleType) -> None:
    """A body is sent again where the client says so."""

    async def answer(asked: Asked) -> bytes:
        if b" /a " in asked.line:
            return b"HTTP/1.1 307 There\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
        return OK

    async def main() -> None:
        transport = async_inner(module, verify=CONTEXT)
        async with module.AsyncClient(transport=transport, follow_redirects=True) as client:
            assert (await client.post(f"{server.url}a", json={"model": "m"})).text == "ok"

    with Loopback(answer).running() as server:
        if kind == "threads":
            transport = sync_inner(module, verify=CONTEXT)
            with module.Client(transport=transport, follow_redirects=True) as client:
                assert client.post(f"{server.url}a", json={"model": "m"}).text == "ok"
        else:
            anyio.run(main, backend=kind)
        assert len({asked.body for asked in server.asked}) == 1
        assert len(server.asked) == 2


def test_what_servers_set_is_not_kept(kind: str, module: ModuleType) -> None:
    """No cookie comes back to the server, and no redirect is followed."""
    answer = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b; Path=/\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with Loopback(answer).running() as server:
        for _ in range(2):
            seen = fetch(kind, module, module.Request("GET", server.url))
            assert seen.response.status_code == 302
        assert [asked.get(b"cookie") for asked in server.asked] == [None, None]


def test_a_newline_in_a_header_is_refused(module: ModuleType, loopback: Loopback) -> None:
    """What no header may hold is an error, and nothing is sent."""
    request = module.Request("GET", loopback.url, headers={"x-a": "b\r\nx-c: d"})
    with pytest.raises(module.LocalProtocolError):
        fetch("asyncio", module, request)
    assert not loopback.asked


TOKEN = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_!#$%&'*+.^`|~", min_size=1, max_size=12
)
SPECIAL = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"}
FIELDS = st.lists(
    st.tuples(
        TOKEN.filter(lambda name: name.lower() not in SPECIAL),
        st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Cc", "Cs"]), max_size=12),
    ),
    max_size=8,
)
PATHS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=12)


@given(
    fields=FIELDS,
    path=PATHS,
    query=st.just("") | PATHS.map(lambda text: f"?{text}"),
    body=st.binary(max_size=50),
    method=st.sampled_from(["GET", "POST"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_arrives_unchanged(
    loopback: Loopback, fields: list[tuple[str, str]], path: str, query: str, body: bytes, method: str
) -> None:
    """Whatever the headers, the path and the body hold, it arrives as httpx sends it."""
    try:
        url = httpx.URL(f"{loopback.url}{path}{query}")
    except httpx.InvalidURL:
        reject()
    raw = [(name.encode(), value.encode()) for name, value in fields]

    async def main() -> None:
        async with httpx.AsyncHTTPTransport(verify=CONTEXT) as theirs, async_inner(verify=CONTEXT) as ours:
            for transport in (theirs, ours):
                await read(transport, httpx.Request(method, url, headers=raw, content=body))

    anyio.run(main)
    theirs, ours = loopback.asked[-2:]
    assert ours.head == theirs.head
    assert ours.body == theirs.body
