"""What turns cost, ours beside those of other rate limiters and beside the floor: all in one run.

    python benchmarks/micro.py           15 to 35 minutes; medians of three rounds, and a million waiters once
    python benchmarks/micro.py --quick   under two minutes: one round, a shorter backlog, at most 10,000 waiters
    python benchmarks/micro.py --save    and write benchmarks/results/micro.json and .md

Each figure is of a process of its own, and rounds go through all cases in turn. Each contender is a script in
`contenders/`; others' have environments of their own, made from the registry as of one day. What each does for a turn,
and why some figures are absent, those scripts say. Times are of CPU, not of the clock.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import available, interpreter
from micro_tables import tables
from writing import Note, bullets, here, pinned, today

HERE = Path(__file__).parent
CONTENDERS = HERE / "contenders"
ROUNDS = 3
QUEUED = (1_000, 10_000, 100_000)
MILLION = 1_000_000
QUICK_MOST = 10_000
SECONDS, QUICK_SECONDS = 10, 3  # that a standing backlog is watched
PEERS = {
    "aiolimiter": "admission",
    "pyrate-limiter": "admission",
    "throttled-py": "admission",
    "langchain-core": "admission",
    "openlimit": "admission_openlimit",
    "token-throttle": "admission_token_throttle",
}
ASKED = ("limits, fixed window", "limits, moving window", "limits, sliding counter")


@dataclass(frozen=True)
class Case:
    """One measurement of one contender.

    Attributes:
        script: In `contenders/`.
        who: Whose turns.
        what: Is measured of them.
        number: Of waiters, of scopes, or of seconds.
    """

    script: str
    who: str
    what: str
    number: int = 0


def cases(*, quick: bool) -> list[Case]:
    """Return what there is to measure."""
    peers = {who: script for who, script in PEERS.items() if available(who, CONTENDERS / f"{script}.py")}
    plain = {"floor": "admission_floor", "ours": "admission_ours", **peers}
    mixed = {"floor, mixed": "admission_floor", "ours, all on": "admission_ours"}
    found = [Case(script, who, "admission") for who, script in plain.items()]
    found += [Case("admission", who, "admission") for who in ASKED]
    queued = [number for number in QUEUED if number <= QUICK_MOST or not quick]
    found += [Case(script, who, "queue", number) for number in queued for who, script in plain.items()]
    found += [Case(script, who, "queue", number) for number in queued[1:] for who, script in mixed.items()]
    if not quick:
        own = {who: script for who, script in {**plain, **mixed}.items() if who not in PEERS}
        found += [Case(script, who, "queue", MILLION) for who, script in own.items()]
    found += [Case(plain[who], who, "memory on trio", 20_000) for who in ("floor", "ours")]
    found += [Case(script, who, "backlog", QUICK_SECONDS if quick else SECONDS) for who, script in plain.items()]
    found += [Case("lifecycle_ours", "ours", what) for what in ("lifecycle", "registry")]
    return found + [Case("lifecycle_ours", "ours", "scrape", scopes) for scopes in (10, 100)]


def pythons(scripts: Iterable[str]) -> dict[str, str]:
    """Return the interpreter of each script: of those that say what they need their own, for the others this one."""
    paths = {script: CONTENDERS / f"{script}.py" for script in scripts}
    return {
        script: interpreter(path) if path.read_text(encoding="utf-8").startswith("# /// script") else sys.executable
        for script, path in paths.items()
    }


def measured(case: Case, python: str) -> dict[str, float]:
    """Measure one thing once, in a process of its own."""
    script = CONTENDERS / f"{case.script}.py"
    command = [python, str(script), case.who, case.what, str(case.number)]
    figures: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return figures


def rows_of(wanted: list[Case], rounds: int) -> list[dict[str, Any]]:
    """Return the medians of *rounds* through all cases in turn; a million waiters are for the first alone."""
    python = pythons({case.script for case in wanted})
    found: dict[Case, list[dict[str, float]]] = {case: [] for case in wanted}
    for turn in range(rounds):
        for case in wanted if turn == 0 else [case for case in wanted if case.number != MILLION]:
            found[case].append(measured(case, python[case.script]))
            print(turn + 1, case.who, case.what, case.number, found[case][-1], file=sys.stderr, flush=True)
    return [
        {"who": case.who, "what": case.what, "number": case.number}
        | {name: round(statistics.median(each[name] for each in figures), 2) for name in figures[0]}
        for case, figures in found.items()
    ]


def save(rows: list[dict[str, Any]], rounds: int) -> None:
    """Write the figures, and beside them the tables."""
    note: Note = {"date": today(), **here(), "rounds": rounds}
    note["versions"] = pinned(CONTENDERS / f"{script}.py" for script in dict.fromkeys(PEERS.values()))
    path = HERE / "results" / "micro.json"
    path.write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    words = f"# What turns cost\n\n{bullets(note)}\n{tables(rows)}"
    path.with_suffix(".md").write_text(words, encoding="utf-8")


def main() -> int:
    """Measure everything and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, a shorter backlog, at most 10,000 waiters")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/micro.json and .md")
    options = parser.parse_args()
    rounds = 1 if options.quick else ROUNDS
    rows = rows_of(cases(quick=options.quick), rounds)
    print(tables(rows))
    if options.save:
        save(rows, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
