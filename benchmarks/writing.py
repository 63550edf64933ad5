"""What result files have in common: a note of machine and versions, and tables in Markdown."""

import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Note = dict[str, Any]


def here() -> Note:
    """Return what is to be said of this machine, and of what runs on it."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "scheduler": version("quota-scheduler"),
    }


def machine() -> str:
    """Return the processor's name, its kind where Linux knows no name, and the number of cores."""
    path = Path("/proc/cpuinfo")
    told = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return f"{found[1] if found else platform.machine()} ({os.cpu_count()} cores)"


def today() -> str:
    """Return the date."""
    return datetime.now(UTC).date().isoformat()


def pinned(scripts: Iterable[Path]) -> list[str]:
    """Return the packages and versions that scripts name in their heads (PEP 723)."""
    heads = (script.read_text(encoding="utf-8").partition('\n"""')[0] for script in scripts)
    return sorted({each for head in heads for each in re.findall(r'"([^"\s]+==[^"\s]+)"', head)})


def installed(packages: Iterable[str]) -> list[str]:
    """Return those packages that are here, with their versions."""
    found = []
    for package in packages:
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return found


def bullets(note: Note) -> str:
    """Return a note as a list."""
    words = ((name, ", ".join(value) if isinstance(value, list) else value) for name, value in note.items())
    return "".join(f"- {name}: {value}\n" for name, value in words)


def table(heads: Iterable[str], lines: Iterable[Iterable[str]], *, words: int = 1) -> str:
    """Return a table whose first columns, so many as *words*, are no figures."""
    heads = list(heads)
    rule = [*["---"] * words, *["---:"] * (len(heads) - words)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, rule, *lines))
