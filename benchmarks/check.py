"""Have our figures become worse? `make bench-check` races again and compares with what was saved.

    python benchmarks/check.py

The cells of the short form, ours beside one peer. Times are compared as ratios to the ideal, CPU as a ratio to the
peer's in the same run: so a slow machine is no regression. What was saved is in results/compare-short.json.
"""

import json
import sys
from pathlib import Path

from compare import CONTENDERS, SHORT, compare, jobs
from records import Records, Row, medians
from reports import table
from workloads import CELLS

SAVED = Path(__file__).parent / "results" / "compare-short.json"
PEER = "openai 50"
OURS = ("transport", "reserve", "scheduler run")
SLOWER = 0.03  # of the ideal: what the machine may do
DEARER = 1.25  # times
REFUSED = 1.0  # more per 1,000
ROUNDS = 2


def worse(row: Row, saved: Row, peer: Row, saved_peer: Row) -> list[str]:
    """Return what has become worse."""
    if row["unfinished"]:
        return ["does not come to an end"]
    found = []
    if row["lost"] or row["twice"]:
        found.append(f"{row['lost']} lost, {row['twice']} done twice")
    if row["ratio"] is not None and row["ratio"] > saved["ratio"] + SLOWER:
        found.append(f"takes {row['ratio']:.3f} of the ideal, and took {saved['ratio']:.3f}")
    if row["refused"] > saved["refused"] + REFUSED:
        found.append(f"{row['refused']} of 1,000 are refused, and {saved['refused']} were")
    dear, was = row["cpu_ms"] / peer["cpu_ms"], saved["cpu_ms"] / saved_peer["cpu_ms"]
    if dear > was * DEARER:
        found.append(f"takes {dear:.2f} of the CPU of {PEER}, and took {was:.2f}")
    return found


def main() -> int:
    """Race, compare, and say what has become worse; return 1 if anything has."""
    saved = {(row["cell"], row["contender"]): row for row in json.loads(SAVED.read_text(encoding="utf-8"))["rows"]}
    contenders = [each for each in CONTENDERS if each.name in {PEER, *OURS}]
    records = Records(None)
    compare(jobs([CELLS[name] for name in SHORT], contenders, ROUNDS), records)
    rows = medians(records.rows(), SHORT, [each.name for each in contenders])
    print(table(rows))
    now = {(row["cell"], row["contender"]): row for row in rows}
    failed = 0
    for (cell, name), row in now.items():
        if name in OURS:
            for words in worse(row, saved[cell, name], now[cell, PEER], saved[cell, PEER]):
                print(f"{cell}, {name}: {words}")
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
