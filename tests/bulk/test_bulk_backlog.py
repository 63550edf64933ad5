"""The backlog: who goes next, and how much is out at a time."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from bulk_support import body, line, raw, scanned

from scheduler.bulk import backlog as room
from scheduler.bulk.backlog import Backlog
from scheduler.bulk.reader import Item
from scheduler.testing import Deadlock, run


def items_of(folder: Path, *lines: dict[str, Any]) -> list[Item]:
    numbered = [{**each, "custom_id": str(number)} for number, each in enumerate(lines)]
    return [each for each in scanned(folder / "job.jsonl", raw(*numbered)) if isinstance(each, Item)]


def of_model(model: str, **fields: Any) -> dict[str, Any]:
    return line(body=body(model=model), **fields)


def taken(backlog: Backlog, most: int) -> list[Item]:
    """Take until there is no room, or *most* are out."""

    async def take() -> list[Item]:
        found: list[Item] = []
        with anyio.move_on_after(1):
            while len(found) < most and (item := await backlog.take()) is not None:
                found.append(item)
        return found

    return run(take)


def test_lowest_priority_first_then_by_line(tmp_path: Path) -> None:
    """Priorities go in order over all models, and lines of one priority in that of the file."""
    order = ["batch", 70, "interactive", 70, "normal", 0]
    items = items_of(tmp_path, *(of_model(f"m{number % 2}", priority=each) for number, each in enumerate(order)))
    assert [int(item.custom_id) for item in taken(Backlog(items), 99)] == [2, 5, 4, 1, 3, 0]


def test_tenants_of_one_priority_take_turns(tmp_path: Path) -> None:
    """However long one tenant's part of the file is, the others are in the window beside it."""
    lines = [of_model("m", tenant="large")] * 4 + [of_model("m", tenant="small")] * 2 + [of_model("m", priority=0)]
    items = items_of(tmp_path, *lines)
    assert [int(item.custom_id) for item in taken(Backlog(items), 99)] == [6, 0, 4, 1, 5, 2, 3]


def test_a_model_that_waits_does_not_hold_back_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model has a window of its own: behind a full one the others go on."""
    monkeypatch.setattr(room, "WINDOW", 50)
    items = items_of(tmp_path, *[of_model("slow")] * 120, *[of_model("quick")] * 30)
    out = taken(Backlog(items), 999)
    assert [item.model for item in out] == ["slow"] * 50 + ["quick"] * 30


def test_an_end_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a line ends the next of its model goes, and after the last there is none."""
    monkeypatch.setattr(room, "WINDOW", 50)
    items = items_of(tmp_path, *[of_model("m")] * 60)
    backlog = Backlog(items)

    async def all_of_them() -> list[str]:
        found = []
        out: list[Item] = []
        while (item := await backlog.take()) is not None:
            found.append(item.custom_id)
            out.append(item)
            if len(out) == 50:
                backlog.ended(out.pop(0))
        return found

    assert run(all_of_them) == [str(number) for number in range(60)]


def test_without_an_end_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is a bound, not a hint."""
    monkeypatch.setattr(room, "WINDOW", 50)
    backlog = Backlog(items_of(tmp_path, *[of_model("m")] * 51))

    async def all_of_them() -> None:
        while await backlog.take() is not None:
            pass

    with pytest.raises(Deadlock):
        run(all_of_them)


def test_large_lines_are_out_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are bounded too, but for one line, however large it is."""
    large = of_model("m")
    size = len(json.dumps(large)) + 1
    monkeypatch.setattr(room, "WINDOW_BYTES", 3 * size)
    items = items_of(tmp_path, *[large] * 9)
    assert len(taken(Backlog(items), 99)) == 3
    monkeypatch.setattr(room, "WINDOW_BYTES", 1)
    backlog = Backlog(items)
    (first,) = taken(backlog, 99)
    backlog.ended(first)
    assert len(taken(backlog, 99)) == 1


def test_many_models_share_the_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of models do not multiply what is out without bound."""
    monkeypatch.setattr(room, "WINDOW", 200)
    items = items_of(tmp_path, *(of_model(f"m{number % 16}") for number in range(16 * 200)))
    assert len(taken(Backlog(items), 9_999)) == 16 * 100


def test_projects_have_windows_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a project bind its lines alone."""
    monkeypatch.setattr(room, "WINDOW", 50)
    items = items_of(tmp_path, *[line(project="a")] * 60, *[line(project="b")] * 10)
    assert [item.project for item in taken(Backlog(items), 99)] == ["a"] * 50 + ["b"] * 10


def test_nothing_to_do(tmp_path: Path) -> None:
    """An empty backlog is at its end."""
    assert taken(Backlog([]), 1) == []
