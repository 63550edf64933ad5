"""The HTTP client behind ``request``, ``map`` and ``scheduler run``.

A key goes only to the configured origin: redirects are never followed, plain http is for loopback only unless a flag
allows it, and goes through no proxy of the environment's then. Through proxies https stays closed.
"""

from ipaddress import ip_address

import httpx

from scheduler.errors import ConfigurationError
from scheduler.http.inner import async_inner
from scheduler.providers.base import Provider


def make_client(
    provider: Provider,
    key: str | None,
    *,
    timeout: float,
    transport: httpx.AsyncBaseTransport | None = None,
    allow_plain_http: bool = False,
) -> httpx.AsyncClient:
    """Return a client for the provider's origin.

    Args:
        provider: Whose origin, and how it wants the key.
        key: The key, or None to send none.
        timeout: Seconds that an answer may take from sending to the end of its headers, and between pieces of its
            body. Connecting may take 30 at most.
        transport: What sends, instead of our own.
        allow_plain_http: Whether a key may go over plain http to another machine.

    Raises:
        ConfigurationError: If the base url is unusable, or the key would travel in the clear.
    """
    check_base_url(provider.base_url, secret=key is not None, allow_plain_http=allow_plain_http)
    proxies = allow_plain_http or not provider.base_url.lower().startswith("http:")  # otherwise they would see the key
    fields = provider.authorize(key) if key is not None else {}
    return httpx.AsyncClient(
        base_url=provider.base_url,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in fields.items()],  # str must be ASCII here
        timeout=httpx.Timeout(timeout, connect=min(timeout, 30.0), pool=None),
        follow_redirects=False,
        transport=transport or async_inner(trust_env=proxies),
    )


def check_base_url(base_url: str, *, secret: bool, allow_plain_http: bool) -> None:
    """Refuse a base url that is none, or over which a key would travel in the clear.

    Raises:
        ConfigurationError: If so.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        raise ConfigurationError("this is no url", "base_url", "write http(s)://host[:port][/prefix]") from None
    if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment or url.userinfo:
        raise ConfigurationError("this is no usable origin", "base_url", "write http(s)://host[:port][/prefix]")
    if url.scheme == "http" and secret and not allow_plain_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"the key would go to {url.host} over plain http", "base_url", "use https, or allow plain http explicitly"
        )


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, by address or by the name ``localhost``."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
