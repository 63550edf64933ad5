"""Side by side: what others use and what this project is, against the same provider, in turn.

    python benchmarks/compare.py                      the short form: two cells, about 4 minutes
    python benchmarks/compare.py --full               every cell, worlds in double size, three rounds: hours
    python benchmarks/compare.py --cells tokens,tenant --contenders "openai 50,transport" --rounds 3
    python benchmarks/compare.py --llmock             the main comparison on a limiter that nobody here wrote
    ... --save NAME                                   and write results/compare-NAME.json, .md and .svg
    ... --at-once 3                                   where the machine is too slow for six races

Each contender is a script in `contenders/` with an environment of its own, made from the registry as of one day. It
gets ready; then the provider, `scheduler.simulator` in another process, begins anew, and so does the race. Six races go
on at once, which wait more than they work, and begin one after the other: beside each other on two cores, `transport`
takes the time that it takes alone, to 1 in 1,000. (Not so on slower cores: `--at-once 3`.) Rounds go through all cells
and contenders in turn. What needs limits to be told and is told nothing is given the truth, and marked with *.

Every race is written down at once in results/compare-NAME.races.jsonl: what was interrupted goes on with --missing.

ratio: seconds to the last answer over the ideal (see `ideals.py`); void where an answer is missing. used: of what the
limits allowed until the last answer. refused: per 1,000 requests, by the provider's count; late: those after the first
minute. wait: see `contenders/race.py`. cpu: milliseconds a request, of the client's process. All figures are medians of
the rounds.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from environments import available
from providers import LLMOCK
from races import Contender, race, script_of
from records import Records, medians
from reports import line, save, table
from workloads import CELLS, Cell
from writing import pinned

RESULTS = Path(__file__).parent / "results"
SHORT = ("tokens", "tenant")
AT_ONCE = 6
FILES = ("people", "trace", "streams")
"""Cells that nobody can do who is given a file, and takes its lines in any order."""
SEVERAL = ("projects",)
"""Cells that nobody can do who has one set of limits for a model."""
OTHERS = ("images", *SEVERAL)
"""Cells that nobody can do who limits the chats of one key."""
CONTENDERS = [
    Contender("openai 50", "openai_sdk", "50"),
    Contender("openai 500", "openai_sdk", "500", variant=True),
    Contender("httpx cookbook", "httpx_tenacity", "cookbook", variant=True),
    Contender("httpx retry-after", "httpx_tenacity", "retry-after"),
    Contender("aiolimiter", "aiolimiter_tenacity", needs_limits=True),
    Contender("token-throttle", "token_throttle_openai", "returned", needs_limits=True),
    Contender("token-throttle kept", "token_throttle_openai", "kept", needs_limits=True, variant=True),
    Contender("langchain", "langchain_limiter", needs_limits=True, unable=("embeddings", *OTHERS)),
    Contender("litellm usage", "litellm_router", "usage", unable=SEVERAL, variant=True),
    Contender("litellm enforce", "litellm_router", "enforce", unable=SEVERAL),
    Contender(
        "parallel script 75 %", "parallel_script", "0.75", needs_limits=True, unable=(*FILES, *OTHERS), variant=True
    ),
    Contender("parallel script 100 %", "parallel_script", "1", needs_limits=True, unable=(*FILES, *OTHERS)),
    Contender("curator openai", "curator", "openai", unable=(*FILES, "embeddings", *OTHERS), variant=True),
    Contender("curator litellm", "curator", "litellm", unable=(*FILES, "embeddings", *OTHERS)),
    Contender("transport", "ours", "transport"),
    Contender("reserve", "ours", "reserve", unable=("embeddings", "streams", *OTHERS)),
    Contender("scheduler run", "ours_run", unable=FILES),
]


def named(text: str) -> list[str]:
    """Return names that are separated by commas; one with a space behind it belongs to a name."""
    return re.split(r",(?! )", text)


Job = tuple[Cell, Contender, int, int]


def jobs(cells: Iterable[Cell], contenders: Iterable[Contender], rounds: int, *, full: bool = False) -> Iterator[Job]:
    """Return a cell, a contender, a seed and a size for each race, in the order of races."""
    for seed, cell, contender in itertools.product(range(rounds), cells, contenders):
        if cell.name not in contender.unable:
            yield cell, contender, seed, cell.full if full else 1


def compare(races: Iterable[Job], records: Records, *, llmock: bool = False, at_once: int = AT_ONCE) -> None:
    """Have all races run, *at_once* beside each other, and recorded."""

    def run(cell: Cell, contender: Contender, seed: int, size: int) -> None:
        row = {**race(cell, contender, size, seed, independent=llmock), "at_once": at_once}
        records.keep(row)
        print(line(row), file=sys.stderr, flush=True)

    with ThreadPoolExecutor(at_once) as threads:
        for running in [threads.submit(run, *each) for each in races]:
            running.result()


def main() -> int:
    """Compare what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every cell, worlds in double size, three rounds")
    parser.add_argument("--cells", help="names, separated by commas")
    parser.add_argument("--contenders", help="names, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--llmock", action="store_true", help="on an independent limiter")
    parser.add_argument("--save", metavar="NAME", help="write results/compare-NAME.json; other races there stay")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="races beside each other")
    parser.add_argument("--missing", action="store_true", help="run only what NAME does not have")
    options = parser.parse_args()
    names = named(options.cells) if options.cells else list(CELLS) if options.full else SHORT
    short = not (options.full or options.cells)
    wanted = [each.name for each in CONTENDERS if not (short and each.variant)]
    wanted = named(options.contenders) if options.contenders else wanted
    contenders = [each for each in CONTENDERS if each.name in wanted and available(each.name, script_of(each))]
    path = RESULTS / f"compare-{options.save}.json" if options.save else None
    records = Records(path and path.with_suffix(".races.jsonl"))
    rounds = options.rounds or (3 if options.full else 1)
    races = [*jobs([CELLS[name] for name in names], contenders, rounds, full=options.full)]
    if options.missing:
        races = [each for each in races if (each[0].name, each[1].name, *each[2:]) not in records]
    else:
        records.forget(names, wanted)
    compare(races, records, llmock=options.llmock, at_once=options.at_once)
    rows = medians(records.rows(), list(CELLS), [each.name for each in CONTENDERS])
    print(table(rows))
    if path:
        raced = {row["contender"] for row in rows}
        scripts = [script_of(each) for each in CONTENDERS if each.name in raced]
        how = {
            "provider": "llmock" if options.llmock else "simulator",
            "versions": pinned([*scripts, LLMOCK] if options.llmock else scripts),
        }
        save(path, rows, how)
    return 0


if __name__ == "__main__":
    sys.exit(main())
