"""What sends by default."""

from types import ModuleType
from typing import Any


def async_inner(module: ModuleType) -> Any:
    """Return an ``AsyncBaseTransport`` of *module*."""
    return module.AsyncHTTPTransport(limits=module.Limits(max_connections=None))


def sync_inner(module: ModuleType) -> Any:
    """Return a ``BaseTransport`` of *module*."""
    return module.HTTPTransport(limits=module.Limits(max_connections=None))
