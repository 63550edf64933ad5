"""Help that can be read, and options that do what they are for."""

import resource
from pathlib import Path

import pytest
from cli_support import Command

from scheduler.cli.options import MOST_IN_FLIGHT, SPARE_FILES, concurrency_of, limits_of, paths_of, project_limits_in


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


OPTIONS = {
    "run": (
        "--output --errors --base-url --provider --tier --limits --rpm --tpm --rpd --tpd --ipm --project-limits "
        "--concurrency --max-attempts --timeout --resume --metrics-port --no-progress --json --allow-plain-http"
    ),
    "simulate": "--tier --provider --port --host --rpm --tpm --rpd --tpd --ipm --charge --latency --seed --expose",
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_explained_at_80_columns(command: Command, name: str) -> None:
    """Help fits a terminal of 80 columns, and each option has words of its own."""
    ended = command(name, "--help")
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert max(map(len, lines)) <= 80
    for option in OPTIONS[name].split():
        row = next(row for row in ended.out.split("\n  -") if option in f"-{row}".split())
        assert len(" ".join(row.split()).partition("  ")[0]) > len(option) + 15, option
    assert "[0m" not in ended.out


def test_the_commands_are_listed(command: Command) -> None:
    """Without a command the commands are shown."""
    for arguments in ([], ["--help"]):
        ended = command(*arguments)
        said = ended.out + ended.err
        assert "run" in said
        assert "simulate" in said
        assert max(map(len, said.splitlines())) <= 80


def test_an_unknown_command_or_option_is_bad_input(command: Command) -> None:
    """Typing errors exit with 2 and point to the help."""
    for arguments in (["runn"], ["run", "x.jsonl", "--rmp", "5"], ["run"], ["run", "x.jsonl", "--rpm", "many"]):
        ended = command(*arguments)
        assert ended.code == 2
        assert "--help" in ended.err


def test_limits_come_from_one_place(tmp_path: Path) -> None:
    """Single options mean all models; a file says its own; a tier, or nothing, says nothing here."""
    assert limits_of(None, None, {"rpm": 5, "tpm": None}) == {"*": {"rpm": 5}}
    assert limits_of(None, None, {"rpm": None}) == {}
    assert limits_of("1", None, {}) == {}
    file = tmp_path / "limits.toml"
    file.write_text('["gpt-4o"]\nrpm = 5\n["gpt-4o*"]\ntpm = 6')
    assert limits_of(None, file, {}) == {"gpt-4o": {"rpm": 5}, "gpt-4o*": {"tpm": 6}}
    assert project_limits_in(None) is None
    file.write_text('[alpha."gpt-4o"]\nrpm = 5')
    assert project_limits_in(file) == {"alpha": {"gpt-4o": {"rpm": 5}}}


def test_results_stand_beside_the_input(tmp_path: Path) -> None:
    """Names are made of the input's, whatever its suffix."""
    for name in ("job.jsonl", "job", "job.v2.txt"):
        stem = name.removesuffix(".jsonl").removesuffix(".txt")
        output, errors = paths_of(tmp_path / name, None, None)
        assert (output.name, errors.name) == (f"{stem}.output.jsonl", f"{stem}.errors.jsonl")
        assert output.parent == tmp_path


def test_concurrency_is_bounded_by_open_files() -> None:
    """Each request in flight needs an open file: the limit is raised as far as it may be, and respected."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        assert concurrency_of(None) == min(MOST_IN_FLIGHT, hard - SPARE_FILES)
        assert concurrency_of(7) == 7
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
