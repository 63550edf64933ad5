"""Recorded data of the tests: where it lies, and how to read it."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def data_file(name: str) -> Path:
    """Return a file of recorded data, or skip the test where it is absent."""
    file = DATA / name
    if not file.exists():
        pytest.skip(f"no {name}: SCHEDULER_DATA names the folder of recorded data")
    return file


class Sample(NamedTuple):
    """A recorded answer."""

    line: int
    provider: str
    status: int | None
    headers: dict[str, str]
    body: bytes | None
    note: str


@cache
def samples() -> dict[int, Sample]:
    """Return the recorded answers by line."""
    found = {}
    for number, line in enumerate(data_file("header-samples.jsonl").read_text("utf-8").splitlines(), 1):
        row: dict[str, Any] = json.loads(line)
        body = row["body"]
        if body is not None:
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        found[number] = Sample(number, row["provider"], row["status"], row["headers"], body, row["note"])
    return found


class Recorded(NamedTuple):
    """A recorded call and its charge; None where the recording does not say."""

    day: date
    host: str
    endpoint: str
    model: str
    characters: int | None
    items: int | None
    cap: int | None
    n: int | None
    charge: int


def recorded_charges() -> Iterator[Recorded]:
    """Yield the recorded calls."""
    for line in data_file("observed-charges.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        day, month, year, host, endpoint, model, characters, items, cap, n, _, _, _, charge, *_ = line.split()
        instant = datetime.strptime(f"{day} {month} {year}", "%d %b %Y").replace(tzinfo=UTC)
        yield Recorded(
            instant.date(),
            host,
            endpoint,
            model,
            count(characters),
            count(items),
            count(cap),
            count(n),
            int(charge),
        )


def count(text: str) -> int | None:
    return None if text == "None" else int(text)
