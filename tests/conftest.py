"""What all tests share: virtual time, and the profiles of the property tests."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import settings

from scheduler.testing import run

# Few examples by default, many with HYPOTHESIS_PROFILE=thorough.
settings.register_profile("quick", max_examples=60, stateful_step_count=40, deadline=None)
settings.register_profile("thorough", max_examples=1_000, stateful_step_count=80, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(params=["asyncio", "trio"])
def on_virtual_time(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Run an asynchronous function on virtual time, on each backend."""
    return partial(run, backend=request.param)
