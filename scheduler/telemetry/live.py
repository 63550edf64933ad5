"""The live view of a run: done, in flight, queued, each quota in use, time left, cost so far.

Ids and messages may hold terminal escapes or markup; they are shown, never obeyed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scheduler.engine.statistics import BucketStatistics, ScopeStatistics, Statistics

_SCOPES_SHOWN = 6
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        total: Lines to be sent.
        done: Lines that have ended.
        failed: Those of them that failed.
        elapsed: Seconds since it began.
        left: Seconds that it will take yet, or None where that is not known.
    """

    total: int
    done: int
    failed: int
    elapsed: float
    left: float | None


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
    """Draw a run as it stands."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        ProgressBar(total=max(1, position.total), completed=position.done, width=30),
        f"{position.done}/{position.total} done",
        f"{seen.in_flight} in flight",
        f"{position.total - position.done - seen.in_flight} queued",
        Text(f"{position.failed} failed", style="red" if position.failed else ""),
        f"{seen.refusals} refused",
        f"{duration(position.elapsed)} elapsed",
        f"{duration(position.left)} left",
        f"${seen.cost:.4f}",
    )
    quotas = Table.grid(padding=(0, 2))
    for scope in seen.scopes[:_SCOPES_SHOWN]:
        for bucket in scope.buckets:
            if bucket.limit and bucket.level is not None:
                quotas.add_row(*_quota(scope, bucket))
    return Group(head, quotas)


def _quota(scope: ScopeStatistics, bucket: BucketStatistics) -> tuple[RenderableType, ...]:
    limit, level = bucket.limit or 0, bucket.level or 0
    used = max(0, limit - level)
    share = used / limit
    style = "red" if scope.paused else "green"
    return (
        Text(f"{printable(scope.name)} {bucket.quota}", style="bold"),
        ProgressBar(total=limit, completed=min(used, limit), width=24, complete_style=style, finished_style=style),
        f"{share:4.0%} of {limit:,} in use",
    )


def printable(text: str) -> str:
    """Show control characters instead of sending them to the terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def duration(seconds: float | None) -> str:
    """Write seconds as people do."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"
