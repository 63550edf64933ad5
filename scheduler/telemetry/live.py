"""The live view of a run: done, in flight, queued, each quota in use, time left, cost so far.

    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━  412 of 1,319  31%  2m05s left
    12 in flight   890 queued   3 failed   1 refused   1m02s elapsed   $0.0123
    gpt-4o      rpm  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  62% of 500
                tpm  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  98% of 30,000

Beside a limit stands what one would not expect of it: that its scope is paused, that a hidden window holds it back,
that headers are old, or that another limit was configured.

Names may hold terminal escapes or markup; they are shown, never obeyed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import nlargest

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scheduler.engine.bucket_statistics import BucketStatistics
from scheduler.engine.statistics import ScopeStatistics, Statistics
from scheduler.telemetry.texts import duration, printable

_ROWS = 8
"""Quotas that are shown; of more, the fullest."""
_NAME = 28
"""Cells of the longest name of a scope."""
_HIGH = 0.9
_ABSURD = 999  # percent


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        total: Lines to be sent.
        done: Lines that have ended.
        failed: Those of them that failed.
        elapsed: Seconds since it began.
        left: Seconds that it will take yet, or None where that is not known.
        note: What a user should know besides, or "".
    """

    total: int
    done: int
    failed: int
    elapsed: float
    left: float | None
    note: str = ""


@contextmanager
def live_view(
    console: Console, position: Callable[[], Position], statistics: Callable[[], Statistics]
) -> Iterator[None]:
    """Show a run while the block lasts; the view asks four times a second, from a thread of its own."""

    class View:
        def __rich__(self) -> RenderableType:
            return render(position(), statistics())

    with Live(View(), console=console, refresh_per_second=4, transient=False):
        yield


def render(position: Position, seen: Statistics) -> RenderableType:
    """Draw a run as it stands, in as many columns as there are."""
    parts: list[RenderableType] = [_head(position), _counts(position, seen)]
    rows = [(scope, bucket) for scope in seen.scopes for bucket in scope.buckets if _shown(scope, bucket)]
    fullest = {number for number, _ in nlargest(_ROWS, enumerate(rows), key=lambda row: _share(row[1][1]))}
    if fullest:
        parts.append(_quotas([row for number, row in enumerate(rows) if number in fullest]))
    if len(rows) > len(fullest):
        parts.append(Text(f"and {len(rows) - len(fullest):,} quotas that are used less", style="dim"))
    if position.note:
        parts.append(Text(printable(position.note), style="yellow"))
    return Group(*parts)


def _head(position: Position) -> Table:
    total = max(1, position.total)
    ended = position.done >= position.total
    head = _grid("bar", "right", "right", "right")
    head.add_row(
        ProgressBar(total=total, completed=min(position.done, total)),
        Text(f"{position.done:,} of {position.total:,}"),
        Text(f"{min(position.done, total) * 100 // total}%" if position.total else "100%", style="bold"),
        Text("done" if ended else f"{duration(position.left)} left", style="green" if ended else "cyan"),
    )
    return head


def _counts(position: Position, seen: Statistics) -> Text:
    queued = max(0, position.total - position.done - seen.in_flight)
    parts = [
        (f"{seen.in_flight:,} in flight", ""),
        (f"{queued:,} queued", ""),
        (f"{position.failed:,} failed", "red" if position.failed else "dim"),
        (f"{seen.refusals:,} refused", "yellow" if seen.refusals else "dim"),
        (f"{duration(position.elapsed)} elapsed", ""),
        (f"${seen.cost:,.4f}", ""),
    ]
    return Text("   ").join(Text(words.replace(" ", "\u00a0"), style=style) for words, style in parts)


def _shown(scope: ScopeStatistics, bucket: BucketStatistics) -> bool:
    return bool(bucket.limit) and bucket.level is not None and scope.sent > 0


def _share(bucket: BucketStatistics) -> float:
    assert bucket.limit is not None
    assert bucket.level is not None
    return max(0, bucket.limit - bucket.level) / bucket.limit


def _quotas(rows: list[tuple[ScopeStatistics, BucketStatistics]]) -> Table:
    table = _grid("left", "left", "bar", "right", "left")
    above = None
    for scope, bucket in rows:
        share = _share(bucket)
        style = "red" if scope.paused else "yellow" if share >= _HIGH else "green"
        name = Text("" if scope is above else _name(scope), style="bold")
        name.truncate(_NAME, overflow="ellipsis")
        table.add_row(
            name,
            bucket.quota,
            ProgressBar(total=1.0, completed=min(share, 1.0), complete_style=style, finished_style=style),
            f"{min(round(share * 100), _ABSURD)}%",
            f"of {bucket.limit:,}{_remark(scope, bucket)}",
        )
        above = scope
    return table


def _remark(scope: ScopeStatistics, bucket: BucketStatistics) -> str:
    """Say what a user would not expect of a quota, if anything: the most pressing, in few words."""
    if scope.paused:
        return " paused"
    if bucket.hidden is not None:
        return f", {bucket.hidden.seconds:.2g}s slices"
    if bucket.lag:
        return f", headers {bucket.lag:.0f}s old"
    if bucket.configured not in {None, bucket.limit}:
        return f", not {bucket.configured:,}"
    return ""


def _name(scope: ScopeStatistics) -> str:
    return "all models" if scope.name == "*" else printable(scope.name)


def _grid(*columns: str) -> Table:
    """Return a table without lines; the bar takes what the others leave."""
    grid = Table.grid(padding=(0, 2), expand=True)
    for kind in columns:
        if kind == "bar":
            grid.add_column(ratio=1, min_width=8)
        else:
            grid.add_column(justify="right" if kind == "right" else "left", no_wrap=True)
    return grid
