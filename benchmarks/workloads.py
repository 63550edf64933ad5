"""What `compare.py` has contenders do: requests, a provider, and what may be believed of it.

A cell is a workload in a world. Each is made to take a perfect client half a minute to a minute: a bucket that is full
at the start, and its refill. In the full form worlds have double size, so that two minutes show what a client learns.
All requests are due at the start unless said otherwise, and no two are alike.
"""

import csv
import json
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from scheduler.simulator.parts import Change, Tenant

DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[2] / "shared" / "data"))
LATENCY = 0.6
MODEL = "gpt-5-mini"
PAINTER = "gpt-image-1"
OUTPUT: Mapping[str, Any] = {"output": 150.0, "output_sigma": 0.4}

Limits = dict[str, dict[str, int]]
Request = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A workload in a world.

    Attributes:
        name: As the table shows it.
        make: Makes the requests, of a size, from a seed.
        limits: The provider's limits by model.
        world: Further settings of the simulator.
        told: What contenders are told of the limits; None: nothing.
        meaning: What it is about, in a few words.
        full: Its size in the full form.
    """

    name: str
    make: Callable[[int, int], list[Request]]
    limits: Limits
    meaning: str
    world: Mapping[str, Any] = field(default_factory=dict)
    told: Limits | None = field(default_factory=dict)
    full: int = 1

    @property
    def believed(self) -> Limits | None:
        """What contenders are told: the truth, unless said otherwise."""
        return self.limits if self.told == {} else self.told

    @property
    def project_limits(self) -> Mapping[str, Limits]:
        """What contenders are told of the limits of projects: the truth."""
        told: Mapping[str, Limits] = self.world.get("project_limits", {})
        return told

    def settings(self, seed: int) -> dict[str, Any]:
        """Return the settings of the simulator."""
        return {"limits": self.limits, "latency": LATENCY, "latency_sigma": 0.0, **OUTPUT, **self.world, "seed": seed}


def _request(
    body: dict[str, Any],
    at: float = 0.0,
    priority: str = "batch",
    url: str = "chat/completions",
    project: str | None = None,
) -> Request:
    return {"at": at, "priority": priority, "endpoint": url, "body": body, "project": project}


def _chat(text: str, most: int, model: str = MODEL, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_completion_tokens": most, **more}


def questions(number: int, most: int = 512, models: tuple[str, ...] = (MODEL,), **more: Any) -> list[Request]:
    """Return the first *number* requests of GSM8K, by turns to *models*."""
    lines = (DATA / "gsm8k-batch.jsonl").read_text(encoding="utf-8").splitlines()
    made = []
    for index in range(number):
        body = json.loads(lines[index % len(lines)])["body"]
        body |= {"model": models[index % len(models)], "max_completion_tokens": most, **more}
        body["messages"][0]["content"] += f" ({index})"
        made.append(_request(body))
    return made


def heavy(number: int, largest: int, seed: int) -> list[Request]:
    """Return requests whose sizes spread over four orders of magnitude, up to all that the limit allows."""
    chance = random.Random(seed)
    sizes = [min(largest, max(20, int(chance.lognormvariate(math.log(400), 1.7)))) for _ in range(number - 1)]
    sizes.insert(number // 3, largest)
    return [_request(_chat(f"request {index}", most)) for index, most in enumerate(sizes)]


def people(batch: int, seconds: int, rate: float) -> list[Request]:
    """Return a backlog of batch work, and a few requests a second of people who wait."""
    visits = [
        _request(_chat(f"person {index}", 200), at=2 + index / rate, priority="interactive")
        for index in range(int(seconds * rate))
    ]
    return questions(batch) + visits


def texts(number: int) -> list[Request]:
    """Return requests for embeddings."""
    asked = questions(number)
    return [
        _request(
            {"model": "text-embedding-3-small", "input": request["body"]["messages"][1]["content"] + f" ({index})"},
            url="embeddings",
        )
        for index, request in enumerate(asked)
    ]


def pictures(number: int) -> list[Request]:
    """Return requests for pictures, worded as questions of GSM8K."""
    return [
        _request(
            {"model": PAINTER, "prompt": request["body"]["messages"][1]["content"], "n": 1}, url="images/generations"
        )
        for request in questions(number)
    ]


def dealt(number: int, projects: tuple[str, ...]) -> list[Request]:
    """Return requests that belong to *projects* by turns."""
    return [request | {"project": projects[index % len(projects)]} for index, request in enumerate(questions(number))]


def hour(scale: float, minutes: float) -> list[Request]:
    """Return the first *minutes* of a production hour, *scale* times as fast; a word is about a token."""
    made = []
    with (DATA / "azure-llm-trace-conv.csv").open(encoding="utf-8") as file:
        first: datetime | None = None
        for index, row in enumerate(csv.DictReader(file)):
            instant = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or instant
            at = (instant - first).total_seconds()
            if at > 60 * minutes:
                break
            text = f"request {index}" + " word" * (int(row["ContextTokens"]) - 3)
            made.append(_request(_chat(text, max(16, int(row["GeneratedTokens"]))), at=at / scale))
    return made


def _one(**limits: int) -> Limits:
    return {MODEL: {"rpm": 10_000, **limits}}


TOKENS = _one(tpm=225_000)
SHARED = {"gpt-5": 60_000, "gpt-5-mini": 90_000, "gpt-5-nano": 120_000}
CAPPED: Mapping[str, Any] = {"output": 150.0, "output_sigma": 0.4}


def _asked(number: int, **how: Any) -> Callable[[int, int], list[Request]]:
    return lambda size, _: questions(number * size, **how)


WORKLOADS = [
    Cell("tokens", _asked(660), TOKENS, "tokens bind, as configured"),
    Cell("requests", _asked(990), {MODEL: {"rpm": 660, "tpm": 10_000_000}}, "requests bind"),
    Cell(
        "sizes",
        lambda size, seed: heavy(260 * size, 150_000, seed),
        _one(tpm=300_000),
        "sizes from 20 tokens to half the limit",
    ),
    Cell("caps", _asked(220, most=4_096), _one(tpm=600_000), "caps of 4,096, answers of 150: charged by the cap"),
    Cell("caps, sum", _asked(220, most=4_096), _one(tpm=600_000), "the same, charged input and cap", {"charge": "sum"}),
    Cell(
        "caps, 2025",
        _asked(990, most=4_096),
        _one(tpm=45_000),
        "charged as recorded in 2025",
        {"charge": "recorded-2025"},
    ),
    Cell(
        "caps, returned",
        _asked(990, most=4_096),
        _one(tpm=600_000),
        "what is not used comes back",
        {"unused": "returned"},
    ),
    Cell(
        "models",
        _asked(790, models=tuple(SHARED)),
        {name: {"rpm": 10_000, "tpm": tpm} for name, tpm in SHARED.items()},
        "three models",
    ),
    Cell(
        "people",
        lambda size, _: people(620 * size, 28, float(size)),
        TOKENS,
        "people who come while batch work is waiting",
    ),
    Cell(
        "embeddings",
        lambda size, _: texts(1_000 * size),
        {"text-embedding-3-small": {"rpm": 10_000, "tpm": 41_000}},
        "inputs",
    ),
    Cell("images", lambda size, _: pictures(100 * size), {PAINTER: {"ipm": 60, "rpm": 5_000}}, "pictures"),
    Cell(
        "projects",
        lambda size, _: dealt(1_000 * size, ("alpha", "beta")),
        _one(tpm=600_000),
        "two projects within an organization's limits, each with limits of its own",
        {"project_limits": {"alpha": {MODEL: {"tpm": 170_000}}, "beta": {MODEL: {"rpm": 330}}}},
    ),
    Cell("streams", _asked(660, stream=True), TOKENS, "answers in pieces"),
    Cell(
        "trace", lambda size, _: hour(15, 10 * size), _one(tpm=3_800_000), "ten minutes of production, 15 times as fast"
    ),
]
WORLDS = [
    Cell(
        "tenant",
        _asked(660),
        TOKENS,
        "30 % of the limit is spent by others",
        {"tenants": (Tenant(limit="tpm", share=0.3, every=0.5),)},
    ),
    Cell("told twice", _asked(660), TOKENS, "told twice the true limit", told=_one(tpm=450_000)),
    Cell("told nothing", _asked(660), TOKENS, "told nothing", told=None),
    Cell(
        "changed",
        _asked(660),
        TOKENS,
        "the limit halves after 10 s",
        {"changes": (Change(at=10.0, model=MODEL, limits={"tpm": 112_500}),)},
    ),
    Cell("x1.25", _asked(660), TOKENS, "a quarter more is charged", {"factor": 1.25}),
    Cell("sliced", _asked(660), TOKENS, "enforced by the second", {"slices": 1.0}),
    Cell("errors", _asked(660), TOKENS, "2 % of the answers are errors", {"faults": {"server_error": 0.02}}),
    Cell("blind", _asked(660), TOKENS, "no headers", {"headers": False}),
]
CELLS = {cell.name: cell for cell in (*WORKLOADS, *(replace(cell, full=2) for cell in WORLDS))}
