"""How well charges are estimated, on recorded ones: each is predicted, and then told.

    python benchmarks/charges.py           prints the table; SCHEDULER_DATA names the folder of recorded data
    python benchmarks/charges.py --save    and writes benchmarks/results/charges.json

`observed-charges.txt` holds calls of 2024 to 2026 and what they were charged, as limit less remaining. They are played
in the order of their dates, host by host, as the engine would see them: a body of that shape is described by the
adapter, whose candidates make the estimate; then the charge is told. A charge of 0 is told to nobody, as in the engine,
and counts as an error all the same.

median: of the error over the charge. within: the share of calls off by no more than the larger of 3 tokens and 20 % of
the charge. p90: of the error, in those terms: 1.0 is just within. `fixed` is the default rule, without learning.

What a row does not tell is filled in as the adapter would see it. The chats without characters are of vision: one
image, and the 22 characters of "What is in this image?", which is what the recordings ask (openllmetry, test_vision).
The Responses without characters have inputs of many parts, and tools: nothing can be said of them, they are left out.
"""

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from writing import here, today

from scheduler.core.estimate import Estimator
from scheduler.providers.openai import OpenAI
from scheduler.tokens.text import ByteEstimate

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("SCHEDULER_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
ROLES = ("system", "user", "assistant", "user", "assistant")
"""Of messages in their order, as is usual; a single one is the user's."""
VISION = 22
ENOUGH = 3, 0.2
"""Tokens, and share of the charge, by which an estimate may be off: the larger of them."""


class Row(NamedTuple):
    """A recorded call: where, what, and what it was charged."""

    day: datetime
    host: str
    url: str
    model: str
    body: dict[str, Any] | None
    charge: int


class Guess(NamedTuple):
    """What was estimated for a call, and what it was charged."""

    fixed: int
    learned: int
    charge: int


def rows(data: Path) -> list[Row]:
    """Return the recorded calls by date; those of a day as they stand in the file."""
    lines = (data / "observed-charges.txt").read_text("utf-8").splitlines()
    return sorted((_row(line.split()) for line in lines if not line.startswith("#")), key=lambda row: row.day)


def _row(words: list[str]) -> Row:
    day = datetime.strptime(" ".join(words[:3]), "%d %b %Y").replace(tzinfo=UTC)
    host, tail, model = words[3:6]
    characters, items, cap, n = (None if word == "None" else int(word) for word in words[6:10])
    charge = int(words[13])
    url = next(
        f"/v1/{known}" for known in ("chat/completions", "completions", "embeddings", "responses") if known in tail
    )
    return Row(day, host, url, model, _body(url, model, characters, items or 1, cap, n), charge)


def _body(
    url: str, model: str, characters: int | None, items: int, cap: int | None, n: int | None
) -> dict[str, Any] | None:
    """Return a body of the recorded shape, or None where too little of it is known."""
    body: dict[str, Any] = {"model": model, "n": n}
    if url == "/v1/chat/completions":
        text: Any = "x" * (VISION if characters is None else characters)
        if characters is None:
            text = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "https://example.com/"}}]
        roles = ROLES[:items] if items > 1 else ("user",)
        body["messages"] = [{"role": role, "content": text if role == "user" else ""} for role in roles]
        for message in [each for each in body["messages"] if each["role"] == "user"][1:]:
            message["content"] = ""
        return body | {"max_tokens": cap}
    if characters is None:
        return None
    if url == "/v1/completions":
        return body | {"prompt": "x" * characters, "max_tokens": cap}
    if url == "/v1/responses":
        return body | {"input": "x" * characters, "max_output_tokens": cap}
    return body | {"input": ["x" * characters, *[""] * (items - 1)]}


def play(recorded: Iterable[Row]) -> Iterator[tuple[str, Guess]]:
    """Estimate each call and tell its charge; yield the name of its group and the guess."""
    provider = OpenAI(ByteEstimate())
    estimators: dict[str, Estimator] = {}
    for row in recorded:
        if row.body is None:
            continue
        call = provider.describe("POST", row.url, row.body)
        estimator = estimators.setdefault(row.host, Estimator())
        learned = estimator.estimate(call.url, call.model, call.candidates)
        estimator.learn(call.url, call.model, call.candidates, row.charge)
        host = "openai" if row.host == "api.openai.com" else row.host.strip(".")
        yield f"{host} {row.url.removeprefix('/v1/')}", Guess(call.charge.tokens, learned, row.charge)


def figures(pairs: list[tuple[int, int]]) -> dict[str, float]:
    """Return the figures of estimates and charges."""
    off = sorted(abs(said - charge) / max(ENOUGH[0], ENOUGH[1] * charge) for said, charge in pairs)
    return {
        "median": round(statistics.median(abs(said - charge) / max(1, charge) for said, charge in pairs), 4),
        "within": round(sum(each <= 1 for each in off) / len(off), 4),
        "p90": round(off[math.ceil(0.9 * len(off)) - 1], 4),
    }


def table(recorded: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the figures by group, with learning and without."""
    groups: dict[str, list[Guess]] = {}
    for name, guess in play(recorded):
        groups.setdefault(name, []).append(guess)
    return {
        name: {
            "calls": len(guesses),
            "learned": figures([(guess.learned, guess.charge) for guess in guesses]),
            "fixed": figures([(guess.fixed, guess.charge) for guess in guesses]),
        }
        for name, guesses in sorted(groups.items(), key=lambda group: -len(group[1]))
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/charges.json")
    parser.add_argument("--each", action="store_true", help="print every call")
    options = parser.parse_args()
    recorded = rows(DATA)
    if options.each:
        for name, guess in play(recorded):
            print(name, *guess)
    left_out = sum(row.body is None for row in recorded)
    found = table(recorded)
    print("| group | calls | median | within | p90 | fixed: median | within | p90 |\n|" + "---|" * 8)
    for name, group in found.items():
        cells = [
            cell
            for each in (group["learned"], group["fixed"])
            for cell in (f"{each['median']:.1%}", f"{each['within']:.1%}", f"{each['p90']:.2f}")
        ]
        print(f"| {name} | {group['calls']} | {' | '.join(cells)} |")
    print(f"{left_out} calls left out, whose size is not recorded")
    if options.save:
        text = json.dumps({"note": {"date": today(), **here()}, "left_out": left_out, "groups": found}, indent=1)
        (RESULTS / "charges.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
