"""Tables of what turns cost, in Markdown: a table for each measurement, ours beside the others."""

from collections.abc import Callable, Iterable
from typing import Any

from writing import table

Row = dict[str, Any]
NONE = "-"


def tables(rows: list[Row]) -> str:
    """Return all tables."""
    parts = (_admission, _queue, _memory, _backlog, _lifecycle, _metrics)
    return "\n".join(part(rows) for part in parts)


def _table(title: str, heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    return f"### {title}\n\n{table(heads, lines)}"


def _of(rows: list[Row], what: str) -> list[Row]:
    return [row for row in rows if row["what"] == what]


def _figure(row: Row, name: str, form: str = ",.1f") -> str:
    return format(row[name], form) if name in row else NONE


def _whos(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["who"] for row in rows))


def _admission(rows: list[Row]) -> str:
    found = _of(rows, "admission")
    heads = ("who", "one dimension", "several", "how many")
    lines = (
        (
            row["who"],
            _figure(row, "one_us", ",.2f"),
            _figure(row, "several_us", ",.2f"),
            _figure(row, "dimensions", ".0f"),
        )
        for row in found
    )
    return _table("A turn that nothing waits for, us", heads, lines)


def _pivot(rows: list[Row], title: str, cell: Callable[[Row], str]) -> str:
    numbers = sorted({row["number"] for row in rows})
    cells = {(row["who"], row["number"]): cell(row) for row in rows}
    lines = ((who, *(cells.get((who, number), NONE) for number in numbers)) for who in _whos(rows))
    return _table(title, ("who", *(f"{number:,}" for number in numbers)), lines)


def _queue(rows: list[Row]) -> str:
    def spent(row: Row) -> str:
        decided = f" ({row['decide_us']:.1f})" if "decide_us" in row else ""
        return f"{_figure(row, 'park_us')} / {_figure(row, 'release_us')}{decided}"

    return _pivot(_of(rows, "queue"), "Waiters: us to park / to release one (to decide it)", spent)


def _memory(rows: list[Row]) -> str:
    asyncio = _pivot(
        _of(rows, "queue"), "Waiters: bytes of one with its task, on asyncio", lambda row: _figure(row, "bytes", ",.0f")
    )
    lines = ((row["who"], _figure(row, "bytes", ",.0f")) for row in _of(rows, "memory on trio"))
    return asyncio + "\n" + _table("The same on trio", ("who", "bytes"), lines)


def _backlog(rows: list[Row]) -> str:
    heads = ("who", "% of a core", "turns a second", "loop late, ms: median", "most")
    names = ("core_percent", "per_second", "late_ms", "latest_ms")
    lines = ((row["who"], *(_figure(row, name) for name in names)) for row in _of(rows, "backlog"))
    return _table("A standing backlog: 20,000 wait, 100 turns a second", heads, lines)


def _lifecycle(rows: list[Row]) -> str:
    parts = {
        "task_us": "a bare task",
        "reserve_us": "+ reserve and leave",
        "settle_us": "+ settle",
        "read_us": "+ observe: read headers",
        "learn_us": "+ observe: learn from them",
        "whole_us": "all of it over the bare task",
    }
    lines = ((words, _figure(row, name)) for row in _of(rows, "lifecycle") for name, words in parts.items())
    return _table("The life of a reservation of ours, us", ("part", "us"), lines)


def _metrics(rows: list[Row]) -> str:
    scrapes = [
        (f"a scrape of {row['number']} scopes, {row['series']:,.0f} lines", f"{row['scrape_ms']:.1f} ms")
        for row in _of(rows, "scrape")
    ]
    turns = [
        (words, f"{row[name]:.2f} us")
        for row in _of(rows, "registry")
        for name, words in (("plain_us", "a turn without a registry"), ("registered_us", "a turn with a registry"))
    ]
    return _table("Metrics of ours", ("what", "time"), scrapes + turns)
