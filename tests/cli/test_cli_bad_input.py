"""Bad input: each a clear line that names file, field and mend, exit code 2, and nothing left behind."""

import os
import socket
from pathlib import Path

import pytest
from cli_support import Command

NOWHERE = "http://127.0.0.1:9"  # nothing is sent in these tests; if it were, nobody would be there


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


def refused(command: Command, *arguments: object) -> str:
    """Return the one line that a refused run says; it exits with 2 and leaves no files."""
    before = command.left_behind
    ended = command("run", command.job, "--base-url", NOWHERE, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert command.left_behind == before
    return ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tier", "99"], ["--tier", "known are", "free, 1, 2"]),
        (["--tier", "1", "--rpm", "5"], ["--tier, --limits, --rpm", "given twice"]),
        (["--rpm", "0"], ["--rpm", "leave it out"]),
        (["--tpm", "-5"], ["--tpm", "whole number"]),
        (["--tpd", "9" * 30], ["--tpd", "whole number"]),
        (["--concurrency", "0"], ["--concurrency"]),
        (["--concurrency", "-1"], ["--concurrency"]),
        (["--max-attempts", "0"], ["--max-attempts"]),
        (["--timeout", "0"], ["--timeout", "above 0"]),
        (["--timeout", "nan"], ["--timeout", "above 0"]),
        (["--provider", "nobody"], ["--provider", "openai"]),
        (["--base-url", "ftp://example.com"], ["--base-url", "http(s)://"]),
        (["--base-url", "http://host:port"], ["--base-url", "http(s)://"]),
        (["--base-url", "example.com"], ["--base-url", "http(s)://"]),
        (["--base-url", "https://user:word@example.com"], ["--base-url"]),
        (["--base-url", "http://example.com"], ["--base-url", "plain http"]),
        (["--limits", "nowhere.toml"], ["nowhere.toml", "No such file"]),
        (["--project-limits", "nowhere.toml"], ["nowhere.toml", "No such file"]),
        (["--metrics-port", "70000"], ["--metrics-port"]),
        (["--metrics-port", "-1"], ["--metrics-port"]),
        (["--output", "nowhere/output.jsonl"], ["nowhere/output.jsonl", "No such file"]),
    ],
)
def test_an_unusable_option_is_named_with_its_mend(command: Command, arguments: list[str], words: list[str]) -> None:
    """Whatever is wrong with an option, it is named, and what to write instead."""
    said = refused(command, *arguments)
    assert all(word in said for word in words)
    assert "user:word" not in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rpm = 500", ["--limits.rpm"]),
        ('["gpt-4o"]\nrpm = 0', ["--limits.gpt-4o.rpm", "leave it out"]),
        ('["gpt-4o"]\nrpm = 1.5', ["--limits.gpt-4o.rpm", "whole number"]),
        ('["gpt-4o"]\nspeed = 5', ["--limits.gpt-4o.speed", "known are"]),
        ('["gpt-4o"', ["is not TOML"]),
        ("", ["no limits"]),
        (b"\xff", ["not UTF-8"]),
        ('["\\u001b[31m"]\nrpm = 0', ["\\x1b[31m"]),
    ],
)
def test_a_file_of_limits_is_named_with_the_key(command: Command, content: str | bytes, words: list[str]) -> None:
    """What is wrong in a file of limits names the file, the key and the mend."""
    file = command.file("limits.toml", content)
    said = refused(command, "--limits", file)
    assert str(file) in said
    assert all(word in said for word in words)
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("small = 5", ["--project-limits.small"]),
        ("[small]\nrpm = 5", ["--project-limits.small.rpm"]),
        ('[small."*"]\nrpm = 0', ["--project-limits.small.*.rpm", "leave it out"]),
    ],
)
def test_a_file_of_project_limits_is_named_with_the_key(command: Command, content: str, words: list[str]) -> None:
    """The same holds for limits of projects."""
    file = command.file("projects.toml", content)
    said = refused(command, "--project-limits", file)
    assert str(file) in said
    assert all(word in said for word in words)


def test_a_missing_key_names_its_variable(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent to another machine; on this one it can do without."""
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("OPENAI_API_KEY")
        else:
            monkeypatch.setenv("OPENAI_API_KEY", value)
        for url in ("https://api.example.com", "http://api.example.com"):
            said = refused(command, "--base-url", url)
            assert "OPENAI_API_KEY" in said
            assert "environment variable" in said


def test_an_unusable_key_is_not_repeated(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a line end says so before anything is read, and is not shown."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    said = refused(command)
    assert "OPENAI_API_KEY" in said
    assert "secret" not in said


def test_inputs_that_cannot_be_read(command: Command) -> None:
    """A missing file, a directory and a pipe are named."""
    os.mkfifo(command.folder / "pipe")
    for name, words in (("missing.jsonl", "No such file"), (".", "directory"), ("pipe", "not a regular file")):
        path = command.folder / name
        ended = command("run", path, "--base-url", NOWHERE)
        assert ended.code == 2
        assert str(path) in ended.err
        assert words in ended.err
    assert command.left_behind == {"pipe"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_input_without_permission(command: Command) -> None:
    """A file that is somebody else's is named."""
    command.job.chmod(0)
    assert "Permission denied" in refused(command)


def test_an_input_in_utf_16(command: Command) -> None:
    """A whole file in another encoding is one error, with its mend."""
    command.job.write_bytes(command.job.read_text().encode("utf-16"))
    said = refused(command)
    assert str(command.job) in said
    assert "save it as UTF-8" in said


@pytest.mark.parametrize("option", ["--output", "--errors"])
def test_an_output_that_exists_or_is_the_input(command: Command, option: str) -> None:
    """Nothing is overwritten, least of all the input."""
    content = command.job.read_bytes()
    assert "three files" in refused(command, option, command.job)
    other = command.file("mine.txt", "mine")
    said = refused(command, option, other)
    assert str(other) in said
    assert "--resume" in said
    assert (other.read_text(), command.job.read_bytes()) == ("mine", content)
    assert "is no result" in refused(command, option, other, "--resume")
    assert other.read_text() == "mine"


def test_a_metrics_port_in_use(command: Command) -> None:
    """A port that another program listens on is named before anything is sent."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(command, "--metrics-port", taken.getsockname()[1])
    assert "--metrics-port" in said
    assert "in use" in said


def test_only_bad_lines(command: Command) -> None:
    """A file of nothing but bad lines is bad input: each is said once and stands in the error file."""
    command.job.write_bytes(b'{"custom_id":"\\u001b[31mx"}\nnonsense\n')
    ended = command("run", command.job, "--base-url", NOWHERE, "--json")
    assert ended.code == 2
    assert f"{command.job}: line 1, method: is missing" in ended.err
    assert "line 2: is not JSON" in ended.err
    assert (command.folder / "job.errors.jsonl").read_text().count("\n") == 2


def test_thousands_of_bad_lines_do_not_flood_the_screen(command: Command) -> None:
    """All bad lines stand in the error file; the screen shows a hundred."""
    command.job.write_bytes(b"nonsense\n" * 5_000)
    ended = command("run", command.job, "--base-url", NOWHERE)
    assert ended.code == 2
    assert ended.err.count("\n") == 101
    assert "job.errors.jsonl" in ended.err.splitlines()[-1]
    assert (command.folder / "job.errors.jsonl").read_text().count("\n") == 5_000


def test_an_empty_input_is_done_at_once(command: Command) -> None:
    """Nothing to do succeeds."""
    command.job.write_bytes(b"\n")
    ended = command("run", command.job, "--base-url", NOWHERE)
    assert ended.code == 0
    assert "0 of 0 succeeded" in ended.out


def test_a_fault_of_our_own_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever we did wrong, a user sees no traceback, and nothing of what the error holds."""

    def fail(*_: object) -> None:
        raise ExceptionGroup("tasks", [ZeroDivisionError("a prompt")])

    monkeypatch.setattr("scheduler.cli.options.paths_of", fail)
    ended = command("run", command.job, "--base-url", NOWHERE)
    assert ended.code == 70
    assert "ZeroDivisionError" in ended.err
    assert "SCHEDULER_DEBUG" in ended.err
    assert "a prompt" not in ended.err


# ---- simulate


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tier", "99"], "free"),
        (["--tier", "1", "--tpm", "5"], "leave one of them out"),
        (["--provider", "nobody", "--tier", "1"], "--provider"),
        (["--host", "203.0.113.7"], "--expose"),
        (["--host", "203.0.113.7", "--tier", "1"], "--expose"),
        (["--host", "no.such.host.invalid", "--expose"], "cannot be listened on"),
        (["--port", "70000"], "65535"),
        (["--port", "-1"], "--port"),
        (["--rpm", "-1"], "whole number"),
        (["--latency", "nan"], "finite"),
        (["--error-rate", "2"], "between 0 and 1"),
        (["--charge", "generous"], "documented, sum, recorded-2025"),
    ],
)
def test_a_simulator_that_cannot_be_started_says_why(command: Command, arguments: list[str], words: str) -> None:
    """Every unusable option ends the simulator with 2 and words that help."""
    ended = command("simulate", "--port", 0, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_a_simulators_port_in_use(command: Command) -> None:
    """A port that another program listens on is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = command("simulate", "--port", port)
    assert ended.code == 2
    assert f"--port: 127.0.0.1:{port}" in ended.err
    assert "in use" in ended.err
