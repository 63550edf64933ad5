"""Recorded data of the tests of tokens: where it lies."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def token_data(name: str) -> Path:
    """Return a file or folder of recorded data, or skip the test where it is absent."""
    place = DATA / name
    if not place.exists():
        pytest.skip(f"no {name}: SCHEDULER_DATA names the folder of recorded data")
    return place
