"""Where only httpx is installed, nothing needs httpx2."""

import os
from importlib.util import find_spec

import pytest

from scheduler import ConfigurationError, Scheduler

if os.environ.get("SDKS_MATRIX") != "httpx":
    pytest.skip("of the environment that has httpx alone: `make sdks` runs it", allow_module_level=True)


def test_httpx2_is_not_here() -> None:
    """The environment is what it is meant to be."""
    assert find_spec("httpx2") is None
    assert find_spec("httpx") is not None


@pytest.mark.parametrize("name", ["transport2", "sync_transport2", "client2", "sync_client2"])
def test_what_needs_httpx2_says_so(name: str) -> None:
    """The four that are of httpx2 say what to install; the others are as ever."""
    scheduler = Scheduler()
    with pytest.raises(ConfigurationError, match=r"httpx2 is not installed.*quota-scheduler\[httpx2\]"):
        getattr(scheduler, name)()
    assert getattr(scheduler, name.removesuffix("2"))() is not None
