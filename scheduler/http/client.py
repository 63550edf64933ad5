"""The HTTP clients that come with the provider's origin and key.

A key goes only to the configured origin: redirects are never followed, plain http is for loopback only unless a flag
allows it, and goes through no proxy of the environment's then. Through proxies https stays closed.
"""

from types import ModuleType
from typing import Any

from scheduler.http.origins import check_base_url
from scheduler.providers.base import Provider

_CONNECTING = 30.0  # seconds that it may take at most


def client_settings(
    module: ModuleType, provider: Provider, key: str | None, *, timeout: float, allow_plain_http: bool = False
) -> dict[str, Any]:
    """Return the arguments of a client of *module* for the provider's origin, but for its transport.

    Args:
        module: httpx or httpx2.
        provider: Whose origin, and how it wants the key.
        key: The key, or None to send none.
        timeout: Seconds that an answer may take from sending to the end of its headers, and between pieces of its
            body. Connecting may take 30 at most.
        allow_plain_http: Whether a key may go over plain http to another machine.

    Raises:
        ConfigurationError: If the base url is unusable, or the key would travel in the clear.
    """
    check_base_url(provider.base_url, secret=key is not None, allow_plain_http=allow_plain_http)
    fields = provider.authorize(key) if key is not None else {}
    return {
        "base_url": provider.base_url,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in fields.items()],  # str must be ASCII
        "timeout": module.Timeout(timeout, connect=min(timeout, _CONNECTING), pool=None),
        "follow_redirects": False,
    }
