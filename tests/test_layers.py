"""Imports run one way, from upper rooms to lower ones."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "scheduler"

LAYERS = (
    {"errors", "clock"},
    {"priority", "core"},
    {"tokens", "calendar"},
    {"providers"},
    {"engine"},
    {"stores", "http", "telemetry"},
    {"config", "checks"},
    {"facade"},
    {"testing", "bulk"},
    {"gateway"},
    {"cli"},
    {"demo", "__main__"},
)
"""Rooms from the lowest up. A room may import itself and what lies below it."""
ALONE = {"simulator"}
"""Rooms that import nothing of the package; the command may import them."""
CORE_MAY_NOT = {"time", "random", "asyncio", "datetime", "socket", "threading", "os", "secrets"}

RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: write the import in full, from the package's name on"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _rooms_imported(file: Path) -> set[str]:
    parts = [name.split(".") for name in _imports(file)]
    return {words[1] for words in parts if words[0] == "scheduler" and len(words) > 1}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    """No room imports one that lies above it or beside it."""
    room = _room(file)
    others = _rooms_imported(file) - {room}
    if room == "__init__":
        return
    if room in ALONE:
        assert not others, (
            f"{file.name} imports {others}: the simulator shares no code with what it judges; write it there"
        )
        return
    assert room in RANK, f"give the room {room!r} a place in LAYERS in {Path(__file__).name}"
    upper = {other for other in others if (other in ALONE and room != "cli") or RANK.get(other, -1) >= RANK[room]}
    assert not upper, (
        f"{room}/{file.name} imports {', '.join(sorted(upper))}, which lies above or beside it: take a protocol as an "
        f"argument instead, or move what is needed to a lower room"
    )


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").glob("*.py")), ids=lambda file: file.name)
def test_core_is_arithmetic(file: Path) -> None:
    """The core reads no clock, draws no chance, does no I/O, and imports the standard library alone."""
    import sys  # noqa: PLC0415 -- for this test

    roots = {name.split(".")[0] for name in _imports(file)} - {"scheduler"}
    assert not roots & CORE_MAY_NOT, f"{file.name} imports {roots & CORE_MAY_NOT}: pass instants and chance in"
    assert roots <= sys.stdlib_module_names, f"{file.name} imports more than the standard library: keep that above core"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_clock_reads_a_clock(file: Path) -> None:
    """Instants come from ``clock.py``; only the simulator, which shares nothing, has its own."""
    if _room(file) in {"clock", *ALONE}:
        return
    assert not {name.split(".")[0] for name in _imports(file)} & {"time"}, (
        f"{file.relative_to(PACKAGE)} imports time: take a Clock as an argument, or use clock.py"
    )
