"""Every race that has been run, one JSON object a line, so that hours of races survive an interruption.

A race is known by its cell, contender, seed and size, and `medians` are over all that there are. Who is to race again
in a cell is forgotten there first: medians are not of two machines.
"""

import itertools
import json
import statistics
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_KEY = ("cell", "contender", "seed", "size")
_MIDDLE = ("seconds", "ideal", "used", "refused", "late", "cpu_ms", "peak_mib")
_MOST = ("lost", "twice")


class Records:
    """The races in a file, or in memory only where *path* is None."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there."""
        self._path = path
        self._lock = threading.Lock()
        self._rows: dict[tuple[Any, ...], Row] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self._rows[_key(row)] = row

    def __contains__(self, key: tuple[str, str, int, int]) -> bool:
        """Whether a race of that cell, contender, seed and size has been run."""
        return key in self._rows

    def forget(self, cells: Iterable[str], contenders: Iterable[str]) -> None:
        """Forget all races of the *contenders* in the *cells*; the file does when the next one is kept."""
        gone = {*itertools.product(cells, contenders)}
        self._rows = {key: row for key, row in self._rows.items() if key[:2] not in gone}

    def keep(self, row: Row) -> None:
        """Take a race up, and write it down at once."""
        with self._lock:
            self._rows[_key(row)] = row
            if self._path is not None:
                lines = [json.dumps(each) + "\n" for _, each in sorted(self._rows.items())]
                self._path.write_text("".join(lines), encoding="utf-8")

    def rows(self) -> list[Row]:
        """Return all races."""
        return list(self._rows.values())


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def medians(rows: Iterable[Row], cells: Sequence[str], contenders: Sequence[str]) -> list[Row]:
    """Return a row for each of the *cells* and *contenders* that has raced, in their order, and for each size.

    Figures are medians of those races that measured them; what is lost or done twice is the most; a ratio is None if
    any race is void, or was not at its end when it was ended.
    """
    groups: dict[tuple[str, str], dict[int, list[Row]]] = {}
    for row in rows:
        groups.setdefault((row["cell"], row["contender"]), {}).setdefault(row["size"], []).append(row)
    wanted = (groups.get((cell, name), {}) for cell in cells for name in contenders)
    return [_median(group) for sizes in wanted for _, group in sorted(sizes.items())]


def _median(group: list[Row]) -> Row:
    merged = {name: group[0][name] for name in ("cell", "contender", "given", "size", "requests")}
    merged["rounds"] = len(group)
    merged |= {f"{name}s": sorted({row[name] for row in group}) for name in ("date", "machine")}
    merged["at_once"] = sorted({row["at_once"] for row in group})
    ratios = [row["ratio"] for row in group if row["ratio"] is not None]
    merged["ratio"] = statistics.median(ratios) if len(ratios) == len(group) else None
    merged["spread"] = [min(ratios), max(ratios)] if ratios else None
    merged |= {name: _middle(_measured(group, name)) for name in _MIDDLE}
    merged |= {name: max(_measured(group, name), default=None) for name in _MOST}
    merged["unfinished"] = any(row["unfinished"] for row in group)
    merged["waits"] = {
        priority: {name: statistics.median(row["waits"][priority][name] for row in group) for name in ("p50", "p99")}
        for priority in group[0]["waits"]
        if all(priority in row["waits"] for row in group)
    }
    return merged


def _measured(group: Iterable[Row], name: str) -> list[float]:
    return [row[name] for row in group if row[name] is not None]


def _middle(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
