"""Fixtures of the tests of inner transports."""

import importlib
import os
from collections.abc import Iterator
from types import ModuleType

import pytest
from inner_support import KINDS, Loopback


@pytest.fixture(params=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Httpx or httpx2."""
    name = str(request.param)
    pytest.importorskip(name, reason=f"{name} is not installed")
    return importlib.import_module(name)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Who sends."""
    return str(request.param)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """Run a server that says ok."""
    with Loopback().running() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of this machine out of the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
