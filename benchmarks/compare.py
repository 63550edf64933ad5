"""Side by side: what others use and what this project is, against the same provider, in turn.

    python benchmarks/compare.py                      the short form: two cells, about 10 minutes
    python benchmarks/compare.py --full               every cell in double size, three rounds: hours
    python benchmarks/compare.py --cells tokens,tenant --contenders "openai 50,transport" --rounds 3
    python benchmarks/compare.py --llmock             the main comparison on a limiter that nobody here wrote
    ... --save NAME                                   and write results/compare-NAME.json, .md and .svg

Each contender is a script in `contenders/` with an environment of its own, made from the registry as of one day. It
gets ready; then the provider, `scheduler.simulator` in another process, begins anew, and so does the race. Three races
go on at once, which wait more than they work. Rounds go through all cells and contenders in turn. What needs limits to
be told and is told nothing is given the truth, and marked with *.

ratio: seconds to the last answer over the ideal (see `ideals.py`); void where an answer is missing. refused: per 1,000
requests, by the provider's count; late: those after the first minute. wait: see `contenders/race.py`. cpu: milliseconds
a request, of the client's process. All figures are medians of the rounds.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from environments import available, interpreter
from races import Contender, Row, race, script_of
from workloads import CELLS, Cell

RESULTS = Path(__file__).parent / "results"
SHORT = ("tokens", "tenant")
AT_ONCE = 6
FILES = ("people", "trace", "streams")
"""Cells that nobody can do who is given a file, and takes its lines in any order."""
CONTENDERS = [
    Contender("openai 50", "openai_sdk", "50"),
    Contender("openai 500", "openai_sdk", "500", variant=True),
    Contender("httpx cookbook", "httpx_tenacity", "cookbook", variant=True),
    Contender("httpx retry-after", "httpx_tenacity", "retry-after"),
    Contender("aiolimiter", "aiolimiter_tenacity", needs_limits=True),
    Contender("token-throttle", "token_throttle_openai", needs_limits=True),
    Contender("langchain", "langchain_limiter", needs_limits=True, unable=("embeddings",)),
    Contender("litellm usage", "litellm_router", "usage", variant=True),
    Contender("litellm enforce", "litellm_router", "enforce"),
    Contender("parallel script 75 %", "parallel_script", "0.75", needs_limits=True, unable=FILES, variant=True),
    Contender("parallel script 100 %", "parallel_script", "1", needs_limits=True, unable=FILES),
    Contender("curator openai", "curator", "openai", unable=(*FILES, "embeddings"), variant=True),
    Contender("curator litellm", "curator", "litellm", unable=(*FILES, "embeddings")),
    Contender("transport", "ours", "transport"),
    Contender("reserve", "ours", "reserve", unable=("embeddings", "streams")),
    Contender("scheduler run", "ours_run", unable=FILES),
]


def compare(cells: Iterable[Cell], contenders: list[Contender], rounds: int, size: int, *, llmock: bool) -> list[Row]:
    """Have all contenders do all cells, in turn; return a row of each race."""
    jobs = [
        (cell, contender, seed)
        for seed, cell, contender in itertools.product(range(rounds), cells, contenders)
        if cell.name not in contender.unable
    ]
    rows = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for row in threads.map(lambda job: race(job[0], job[1], size, job[2], independent=llmock), jobs):
            print(_line(row), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def medians(rows: Iterable[Row]) -> list[Row]:
    """Return a row for each cell and contender, in the order of their first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["cell"], row["contender"]), []).append(row)
    return [_median(group) for group in groups.values()]


def _median(group: list[Row]) -> Row:
    ratios = [row["ratio"] for row in group if row["ratio"] is not None]
    merged = dict(group[0])
    for name in ("seconds", "ideal", "refused", "late", "cpu_ms", "peak_mib"):
        merged[name] = statistics.median(row[name] for row in group)
    merged["ratio"] = statistics.median(ratios) if len(ratios) == len(group) else None
    merged["spread"] = [min(ratios), max(ratios)] if ratios else None
    for name in ("lost", "twice"):
        merged[name] = max(row[name] for row in group)
    merged["waits"] = {
        priority: {name: statistics.median(row["waits"][priority][name] for row in group) for name in ("p50", "p99")}
        for priority in group[0]["waits"]
        if all(priority in row["waits"] for row in group)
    }
    return merged


def table(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table, cell by cell."""
    text = "| cell | contender | ratio | refused | late | lost | wait p50 / p99, s | cpu, ms | MiB |\n"
    text += "|---|---|---:|---:|---:|---:|---:|---:|---:|\n"
    return text + "".join(f"| {_line(row)} |\n" for row in rows)


def _line(row: Row) -> str:
    waits = ", ".join(f"{priority} {each['p50']:.1f} / {each['p99']:.1f}" for priority, each in row["waits"].items())
    ratio = f"{row['ratio']:.3f}" if row["ratio"] is not None else "void"
    name = row["contender"] + ("*" if row["given"] else "")
    figures: tuple[Any, ...] = (ratio, row["refused"], row["late"], row["lost"], waits, row["cpu_ms"], row["peak_mib"])
    return " | ".join(map(str, (row["cell"], name, *figures)))


def main() -> int:
    """Compare what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every cell, double size, three rounds")
    parser.add_argument("--cells", help="names, separated by commas")
    parser.add_argument("--contenders", help="names, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--llmock", action="store_true", help="on an independent limiter")
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/compare-NAME.json")
    options = parser.parse_args()
    names = options.cells.split(",") if options.cells else list(CELLS) if options.full else SHORT
    short = not (options.full or options.cells)
    wanted = [each.name for each in CONTENDERS if not (short and each.variant)]
    wanted = options.contenders.split(",") if options.contenders else wanted
    contenders = [each for each in CONTENDERS if each.name in wanted and available(each.name, script_of(each))]
    rounds, size = options.rounds or (3 if options.full else 1), 2 if options.full else 1
    rows = medians(compare([CELLS[name] for name in names], contenders, rounds, size, llmock=options.llmock))
    print(table(rows))
    if options.save:
        note = {
            "date": datetime.now(UTC).date().isoformat(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "scheduler": version("quota-scheduler"),
            "rounds": rounds,
            "size": size,
            "provider": "llmock" if options.llmock else "simulator",
        }
        save(options.save, note, rows)
    return 0


def save(name: str, note: Row, rows: list[Row]) -> None:
    """Write the rows as JSON, as a table and as a picture."""
    path = RESULTS / f"compare-{name}.json"
    path.write_text(json.dumps({"note": note, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    words = "\n".join(f"- {key}: {value}" for key, value in note.items())
    meanings = "\n".join(f"- **{cell}**: {CELLS[cell].meaning}" for cell in dict.fromkeys(row["cell"] for row in rows))
    path.with_suffix(".md").write_text(
        f"# Side by side: {name}\n\n{words}\n\n{meanings}\n\n{table(rows)}\n`*`: told nothing like the others, it was"
        " given the true limits, which it cannot do without.\n",
        encoding="utf-8",
    )
    script = Path(__file__).parent / "plots.py"
    subprocess.run([interpreter(script), str(script), str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main())
