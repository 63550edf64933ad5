"""What all tests share."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from scheduler.testing import run


@pytest.fixture(params=["asyncio", "trio"])
def on_virtual_time(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run an asynchronous function on virtual time, on each backend."""
    return partial(run, backend=request.param)
