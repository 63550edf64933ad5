"""The live view, as a user sees it at 80 and 120 columns."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from scheduler.engine.bucket_statistics import BucketStatistics, HiddenStatistics
from scheduler.engine.statistics import ScopeStatistics, Statistics
from scheduler.facade import Scheduler
from scheduler.telemetry.live import Position, live_view, render
from scheduler.telemetry.texts import duration, printable

WIDTHS = pytest.mark.parametrize("width", [80, 120])


def _some() -> Statistics:
    scheduler = Scheduler(limits={"m": {"rpm": 500}})
    scheduler.reserve_nowait("m").settle()
    return scheduler.statistics()


def bucket(quota: str = "rpm", limit: int | None = 500, level: int | None = 190, **fields: Any) -> BucketStatistics:
    return replace(_some().scopes[0].buckets[0], quota=quota, limit=limit, level=level, **fields)


def scope(name: str = "gpt-4o", *buckets: BucketStatistics, **fields: Any) -> ScopeStatistics:
    return replace(_some().scopes[0], name=name, buckets=buckets, **fields)


def statistics(*scopes: ScopeStatistics, **fields: Any) -> Statistics:
    return replace(_some(), scopes=scopes, **fields)


def drawn(position: Position, seen: Statistics, width: int = 80) -> list[str]:
    """Return the lines that a terminal of *width* columns would show."""
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None, force_terminal=True)
    console.print(render(position, seen))
    lines = console.export_text().splitlines()
    assert all(len(line) <= width for line in lines)
    return lines


MIDDLE = Position(total=1_319, done=412, failed=3, elapsed=62.0, left=125.0)
SEEN = statistics(scope("gpt-4o", bucket(), bucket("tpm", 30_000, 600)), in_flight=12, refusals=1, cost=0.0123)


@WIDTHS
def test_everything_a_user_asks_for_is_there(width: int) -> None:
    """Done of all, in flight, queued, failed, refused, time gone and left, cost, and each quota's share in use."""
    lines = drawn(MIDDLE, SEEN, width)
    assert len(lines) == 4
    assert "412 of 1,319" in lines[0]
    assert "31%" in lines[0]
    assert "2m05s left" in lines[0]
    for words in ("12 in flight", "895 queued", "3 failed", "1 refused", "1m02s elapsed", "$0.0123"):
        assert words in lines[1].replace("\u00a0", " ")
    assert "gpt-4o" in lines[2]
    assert "rpm" in lines[2]
    assert "62%  of 500" in lines[2]
    assert "98%  of 30,000" in lines[3]
    assert "━" in lines[0]


@WIDTHS
def test_the_beginning_and_the_end(width: int) -> None:
    """Before the first answer nothing is known; at the end there is nothing left."""
    first = drawn(Position(5, 0, 0, 0.0, None), statistics(), width)
    assert "0 of 5" in first[0]
    assert "? left" in first[0]
    assert len(first) == 2
    last = drawn(Position(5, 5, 0, 3.0, 0.0), statistics(), width)
    assert "100%" in last[0]
    assert "done" in last[0]


def test_a_job_of_nothing() -> None:
    """No lines are no division by zero."""
    lines = drawn(Position(0, 0, 0, 0.0, None), statistics())
    assert "0 of 0" in lines[0]


@pytest.mark.parametrize(
    ("level", "share"), [(-250, "150%"), (-(10**9), "999%"), (10**9, "0%"), (500, "0%"), (0, "100%")]
)
def test_any_level_can_be_shown(level: int, share: str) -> None:
    """Debt is more than everything in use; a level above the limit, which a burst may leave, is nothing in use."""
    lines = drawn(MIDDLE, statistics(scope("m", bucket(level=level))))
    assert f"{share}  of 500" in lines[2]


def test_unknown_and_idle_limits_are_left_out() -> None:
    """What is not known yet, and what nothing was sent to, takes no room."""
    seen = statistics(scope("new", bucket(limit=None, level=None)), scope("idle", bucket(), sent=0))
    assert len(drawn(MIDDLE, seen)) == 2


@WIDTHS
def test_hundreds_of_scopes(width: int) -> None:
    """The fullest quotas are shown, in a steady order, and how many are not."""
    scopes = [
        scope(f"model-{number:03d}", bucket(level=500 - number), bucket("tpm", 500, 500)) for number in range(300)
    ]
    lines = drawn(MIDDLE, statistics(*scopes), width)
    assert len(lines) == 2 + 8 + 1
    assert [line.split()[0] for line in lines[2:10]] == [f"model-{number}" for number in range(292, 300)]
    assert "592 quotas" in lines[-1]


def test_long_and_hostile_names_are_shown_not_obeyed() -> None:
    """A model's name cannot move the cursor, change colours, be markup, or push the numbers off the screen."""
    names = ["\x1b[2J\x1b]0;owned\x07", "[red]x[/red][link=http://x]", "x" * 300, "日本語" * 30, "a\nb\rc"]
    for name in names:
        lines = drawn(MIDDLE, statistics(scope(name, bucket())))
        assert len(lines) == 3
        assert "62%  of 500" in lines[2]
        assert "\x1b" not in "".join(lines)
    assert "[red]x[/red]" in drawn(MIDDLE, statistics(scope(names[1], bucket())))[2]
    assert "\\x1b[2J" in drawn(MIDDLE, statistics(scope(names[0], bucket())))[2]


def test_the_scope_of_all_models_is_called_so() -> None:
    """A star says nothing to people."""
    assert "all models" in drawn(MIDDLE, statistics(scope("*", bucket())))[2]


def test_a_paused_scope_says_so() -> None:
    """After a refusal that proves nothing, everything waits: a user should see why."""
    assert "paused" in drawn(MIDDLE, statistics(scope("m", bucket(), paused=True)))[2]


@WIDTHS
@pytest.mark.parametrize(
    ("learned", "words"),
    [
        ({"hidden": HiddenStatistics(30_000, 0.94, 0.2, 0.99), "lag": 5.0}, "of 2,000,000, 0.94s slices"),
        ({"lag": 4.6, "configured": 500}, "of 2,000,000, headers 5s old"),
        ({"configured": 3_000_000}, "of 2,000,000, not 3,000,000"),
        ({"configured": None}, "of 2,000,000"),
        ({"configured": 2_000_000}, "of 2,000,000"),
    ],
)
def test_what_nobody_would_expect_of_a_quota_stands_beside_it(width: int, learned: dict[str, Any], words: str) -> None:
    """One remark, the most pressing: a hidden window, old headers, another limit than was configured."""
    lines = drawn(MIDDLE, statistics(scope("x" * 300, bucket("tpm", 2_000_000, 10, **learned))), width)
    assert lines[2].rstrip().endswith(words)


def test_a_note_stands_below() -> None:
    """Why nothing is sent any more is said, without escapes."""
    assert drawn(replace(MIDDLE, note="stopped\x1b[1m"), SEEN)[-1] == "stopped\\x1b[1m"


def test_more_in_flight_than_lines_left_is_nothing_queued() -> None:
    """Counts of two instants never make a number below zero."""
    lines = drawn(Position(10, 9, 0, 1.0, 1.0), statistics(in_flight=5))
    assert "0 queued" in lines[1].replace("\u00a0", " ")


def test_a_narrow_terminal() -> None:
    """Forty columns break lines, and nothing else."""
    lines = drawn(MIDDLE, SEEN, 40)
    assert "2m05s left" in lines[0]
    assert "$0.0123" in "".join(lines).replace("\u00a0", " ")


def test_the_last_state_stays() -> None:
    """When the block ends, the view shows how things stand then and stays on screen."""
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    where = Position(10, 1, 0, 1.0, 9.0)
    with live_view(console, lambda: where, statistics):
        where = Position(10, 10, 0, 10.0, 0.0)
    assert isinstance(console.file, io.StringIO)
    assert "10 of 10" in console.file.getvalue().rsplit("1 of 10", 1)[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "?"), (0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3_599, "59m59s"), (3_600, "1h00m"), (90_061, "1d01h")],
)
def test_durations(seconds: float | None, words: str) -> None:
    """Two units are enough for anybody."""
    assert duration(seconds) == words


def test_printable_keeps_what_can_be_seen() -> None:
    """Letters of all alphabets stay; controls, also the invisible ones of unicode, are written out."""
    assert printable("é日本 [b]") == "é日本 [b]"
    assert printable("a\x1b\n\u202e\x9b\ud800") == "a\\x1b\\n\\u202e\\x9b\\ud800"
