"""What `compare.py` says of its races: a table, and files of figures, words and a picture."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import writing
from environments import interpreter
from records import Row
from workloads import CELLS

HEADS = (
    *("cell", "contender", "ratio", "spread", "used, %", "refused", "late", "lost"),
    *("wait p50 / p99, s", "cpu, ms", "MiB"),
)
_FOOT = (
    "void: answers are missing. unfinished: not at its end after five minutes, or nine in the worlds. `*`: told nothing"
    " like the others, it was given the true limits, which it cannot do without."
)


def table(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table, cell by cell."""
    return writing.table(HEADS, map(figures, rows), words=2)


def line(row: Row) -> str:
    """Return a race, or the median of some, as a line of the table."""
    return " | ".join(figures(row))


def figures(row: Row) -> list[str]:
    """Return the cells of a line."""
    waits = ", ".join(f"{priority} {each['p50']:.1f} / {each['p99']:.1f}" for priority, each in row["waits"].items())
    low, high = row.get("spread") or (None, None)
    ratio = f"{row['ratio']:.3f}" if row["ratio"] is not None else "unfinished" if row["unfinished"] else "void"
    spread = f"{low:.3f} to {high:.3f}" if row.get("rounds", 1) > 1 and low is not None else ""
    return [
        *(row["cell"], row["contender"] + "*" * row["given"], ratio, spread, f"{100 * row['used']:.1f}"),
        *(f"{row['refused']:.1f}", _shown(row["late"], ".1f"), _shown(row["lost"], "d"), waits),
        *(_shown(row["cpu_ms"], ".2f"), _shown(row["peak_mib"], ".0f")),
    ]


def _shown(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def save(path: Path, rows: list[Row], how: writing.Note) -> None:
    """Write the rows to *path* as JSON, and beside it as a table and as a picture; *how* says how they were raced."""
    note = {
        "dates": sorted({date for row in rows for date in row["dates"]}),
        **writing.here(),
        "machine": sorted({machine for row in rows for machine in row["machines"]}),
        "races at once": _span(number for row in rows for number in row["at_once"]),
        "rounds": _span(row["rounds"] for row in rows),
        **how,
    }
    path.write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    meanings = "\n".join(f"- **{cell}**: {CELLS[cell].meaning}" for cell in dict.fromkeys(row["cell"] for row in rows))
    title = path.stem.removeprefix("compare-")
    path.with_suffix(".md").write_text(
        f"# Side by side: {title}\n\n{writing.bullets(note)}\n{meanings}\n\n{table(rows)}\n{_FOOT}\n", encoding="utf-8"
    )
    script = Path(__file__).parent / "plots.py"
    subprocess.run([interpreter(script), str(script), str(path)], check=True)


def _span(numbers: Iterable[int]) -> int | str:
    """Return a number that is the same in all, or from which to which."""
    low, *_, high = sorted([*numbers] * 2)
    return low if low == high else f"{low} to {high}"
