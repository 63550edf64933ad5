# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib==3.11.2"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""Draws what `compare.py` has saved: results/compare-NAME.json becomes results/compare-NAME.svg.

A row of panels for each cell: how much longer than the ideal each contender took, how many requests were refused, and
the CPU of the client. Refusals are drawn on a scale that has room for none, ten and ten thousand. A contender that lost
requests has no makespan; the bar says how many it lost.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

OURS = {"transport", "reserve", "scheduler run"}
COLOURS = {True: "#1f77b4", False: "#b0b0b0"}
PANELS = (("time over the ideal, %", "over"), ("refused per 1,000", "refused"), ("CPU a request, ms", "cpu_ms"))

Row = dict[str, Any]


def draw(rows: list[Row], note: Row, place: Path) -> None:
    """Draw the cells of *rows* one below the other."""
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    groups = [[row for row in reversed(rows) if row["cell"] == cell] for cell in cells]
    heights = [0.32 * len(group) + 0.7 for group in groups]
    figure = Figure(figsize=(12, sum(heights)), layout="constrained")
    axes = figure.subplots(len(cells), len(PANELS), squeeze=False, height_ratios=heights)
    for group, panels in zip(groups, axes, strict=True):
        for index, (title, name) in enumerate(PANELS):
            _panel(panels[index], group, name, named=index == 0)
            panels[index].set_title(f"{group[0]['cell']}: {title}" if index == 0 else title, fontsize=9, loc="left")
    rounds = "one round" if note["rounds"] == 1 else f"medians of {note['rounds']} rounds"
    figure.suptitle(f"{note['provider']}, {rounds}: less is better", fontsize=9)
    with mpl.rc_context({"svg.hashsalt": "compare", "svg.fonttype": "none"}):  # the same rows give the same file
        figure.savefig(place, metadata={"Date": None})


def _panel(axis: Any, group: list[Row], name: str, *, named: bool) -> None:
    places = range(len(group))
    values = [_value(row, name) for row in group]
    colours = [COLOURS[row["contender"] in OURS] for row in group]
    axis.barh(places, [value or 0 for value in values], color=colours, clip_on=False)  # clips have names by address
    if name == "refused":
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, 10 * max(1, *(value or 0 for value in values)))
    for place, row, value in zip(places, group, values, strict=True):
        missing = " unfinished" if row["unfinished"] else f" {row['lost']} lost"
        text = missing if value is None else f" {value:,.3g}" if value < 1_000 else f" {value:,.0f}"
        axis.text(value or 0, place, text, va="center", fontsize=7)
    axis.set_yticks(places, [row["contender"] + "*" * row["given"] for row in group] if named else [""] * len(group))
    axis.tick_params(labelsize=7)
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)


def _value(row: Row, name: str) -> float | None:
    if name == "over":
        return None if row["ratio"] is None else 100 * (row["ratio"] - 1)
    measured: float | None = row[name]
    return measured


def main() -> None:
    """Draw the files that are named, or all."""
    results = Path(__file__).parent / "results"
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(results.glob("compare-*.json")):
        saved = json.loads(path.read_text(encoding="utf-8"))
        draw(saved["rows"], saved["note"], path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
