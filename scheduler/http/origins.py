"""Origins: where a request may go, and what may be sent there."""

from functools import lru_cache
from ipaddress import ip_address

import httpx

from scheduler.errors import ConfigurationError


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


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, by address or by the name ``localhost``."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
