"""Which requests of httpx and httpx2 arrive unchanged when aiohttp carries them; why so, ``inner_aiohttp`` says."""

from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

LARGEST = 256 * 1024
"""Bytes of body that go this way at most: what a connection may hold for a server that is slow to read."""

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})  # for the rest aiohttp adds a length, if there is none
_METHODS = _WITHOUT_BODY | {"POST", "PUT", "PATCH", "DELETE"}
_FRAMING = frozenset({b"upgrade", b"expect", b"transfer-encoding"})  # which aiohttp would act upon
_EXTENSIONS = frozenset({"trace", "sni_hostname", "target"})  # which aiohttp would not
_AUTOMATIC = {  # what aiohttp adds where it is missing
    b"accept": "Accept",
    b"accept-encoding": "Accept-Encoding",
    b"user-agent": "User-Agent",
    b"content-type": "Content-Type",
}


class Parcel(NamedTuple):
    """A request, as aiohttp wants it."""

    method: str
    url: URL
    headers: list[tuple[str, str]]
    missing: list[str] | None
    content: bytes | None
    timeout: aiohttp.ClientTimeout


def parcel(module: ModuleType, request: Any) -> Parcel | None:
    """Return a request of *module* as aiohttp wants it, or None where it would not arrive unchanged."""
    content = _content(module, request)
    if content is None or len(content) > LARGEST:
        return None
    if request.method not in _METHODS or not _EXTENSIONS.isdisjoint(request.extensions):
        return None
    fields = request.headers.raw
    names = [name.lower() for name, _ in fields]
    timeout = _timeout(request.extensions.get("timeout", {}))
    url = _url(request.url.scheme, request.url.netloc, request.url.raw_path)
    headers = _headers(request.method, names, fields, len(content))
    if timeout is None or url is None or headers is None:
        return None
    missing = [title for name, title in _AUTOMATIC.items() if name not in names]
    return Parcel(request.method, url, headers, missing or None, content or None, timeout)


def _content(module: ModuleType, request: Any) -> bytes | None:
    """Return a body that is whole in memory, or None."""
    if not isinstance(request.stream, module.ByteStream):
        return None
    try:
        content: bytes = request.content
    except module.RequestNotRead:  # a client's second request, where it follows a redirect
        return None
    return content


def _headers(
    method: str, names: list[bytes], fields: list[tuple[bytes, bytes]], size: int
) -> list[tuple[str, str]] | None:
    """Return the headers as text, or None where aiohttp would change or misunderstand some."""
    if names[:1] != [b"host"] or names.count(b"host") > 1:  # aiohttp puts it first, and once
        return None
    if not _FRAMING.isdisjoint(names) or not _framed(method, names, fields, size):
        return None
    if len(set(names)) != len({name for name, _ in fields}):  # of two cases of a name, aiohttp loses one
        return None
    try:
        return [(name.decode("ascii"), value.decode()) for name, value in fields]
    except UnicodeDecodeError:  # aiohttp sends UTF-8 and nothing else
        return None


def _framed(method: str, names: list[bytes], fields: list[tuple[bytes, bytes]], size: int) -> bool:
    """Whether the request says itself how long it is, rightly, and once."""
    if b"content-length" in names:
        return names.count(b"content-length") == 1 and fields[names.index(b"content-length")][1] == b"%d" % size
    return size == 0 and method in _WITHOUT_BODY


@lru_cache(maxsize=1024)
def _url(scheme: str, netloc: bytes, target: bytes) -> URL | None:
    if scheme not in {"http", "https"} or not netloc:
        return None
    try:
        url = URL(f"{scheme}://{netloc.decode('ascii')}{target.decode('ascii')}", encoded=True)
        return url if url.raw_path_qs.encode("ascii") == target else None
    except ValueError:
        return None


def _timeout(seconds: dict[str, float | None]) -> aiohttp.ClientTimeout | None:
    return _timeout_of(seconds.get("connect"), seconds.get("read"))


@lru_cache(maxsize=64)
def _timeout_of(connect: float | None, read: float | None) -> aiohttp.ClientTimeout | None:
    if connect == 0 or read == 0:  # for ever, to aiohttp
        return None
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read, ceil_threshold=float("inf"))
