"""Ctrl-C, kill, closed pipes, full disks: nothing that was done is lost, nothing is done twice."""

import json
import os
import pty
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from run_support import (
    command,
    environment,
    errors_of,
    ids,
    interrupt,
    job,
    line,
    objects,
    output_of,
    scheduler,
    simulated,
    started,
)

pytestmark = pytest.mark.network


def test_ctrl_c_keeps_what_was_done_and_a_resume_does_the_rest(tmp_path: Path) -> None:
    """An interrupted run ends soon with 130 and whole lines; resuming completes exactly the rest, nothing twice."""
    path = job(tmp_path, 120)
    with simulated() as provider:
        options = ("--base-url", provider.url, "--concurrency", 4, "--rpm", 60_000, "--json")
        with started("run", path, *options) as process:
            provider.wait_for(lambda report: report["completed"] >= 20)
            interrupt(process)
            stdout, stderr = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        summary = json.loads(stdout)
        report = provider.report()
        done = ids(output_of(path))
        assert 20 <= len(done) < 120
        assert summary["stopped"] == "interrupted"
        assert summary["succeeded"] == len(done) == report["completed"]
        assert summary["failed"] == 120 - len(done)
        again = scheduler("run", path, *options, "--resume")
        assert again.returncode == 0
        summary = json.loads(again.stdout)
        assert (summary["requests"], summary["skipped"]) == (120 - len(done), len(done))
        report = provider.report()
    assert sorted(ids(output_of(path))) == sorted(f"r{each}" for each in range(120))
    assert (report["completed"], report["completed_twice"], report["abandoned"]) == (120, 0, 0)


def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    """Whoever does not want to wait for what is in flight asks again."""
    path = job(tmp_path, 3)
    with simulated(latency=60.0) as provider:
        with started("run", path, "--base-url", provider.url) as process:
            provider.wait_for(lambda report: report["in_flight"] >= 1)
            began = time.monotonic()
            interrupt(process)
            time.sleep(0.2)
            interrupt(process)
            process.communicate(timeout=10)
        assert time.monotonic() - began < 2.5
    assert process.returncode == 130


def test_sigterm_stops_as_ctrl_c_does(tmp_path: Path) -> None:
    """A supervisor's signal is as good as a user's."""
    path = job(tmp_path, 60)
    with simulated() as provider:
        options = ("--base-url", provider.url, "--concurrency", 2, "--rpm", 60_000)
        with started("run", path, *options) as process:
            provider.wait_for(lambda report: report["completed"] >= 5)
            process.send_signal(signal.SIGTERM)
            stdout, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopped: interrupted" in stdout


def test_ctrl_c_while_the_input_is_read_leaves_nothing(tmp_path: Path) -> None:
    """Before anything was sent an interruption leaves no files, so that the same command can be given again."""
    path = job(tmp_path)
    one = json.dumps(line("ID")).encode() + b"\n"
    path.write_bytes(b"".join(one.replace(b"ID", b"%d" % number) for number in range(60_000)))
    with started("run", path, "--base-url", "http://127.0.0.1:9") as process:
        until = time.monotonic() + 10
        while not errors_of(path).exists() and time.monotonic() < until:
            time.sleep(0.01)
        interrupt(process)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_resume_after_kill_9(tmp_path: Path) -> None:
    """After a hard end the output holds whole lines but for the last; resuming does the rest, and failures again."""
    path = job(tmp_path, 80)
    with simulated() as provider:
        options = ("--base-url", provider.url, "--concurrency", 4, "--rpm", 60_000)
        with started("run", path, *options) as process:
            provider.wait_for(lambda report: report["completed"] >= 15)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        done = len(ids(output_of(path)))
        assert done >= 11
        with output_of(path).open("ab") as output:
            output.write(b'{"id":"batch_req_torn","custom_id":"r79","resp')
        refused = scheduler("run", path, *options)
        assert refused.returncode == 2
        assert "--resume" in refused.stderr
        assert scheduler("run", path, *options, "--resume").returncode == 0
        report = provider.report()
    assert sorted(ids(output_of(path))) == sorted(f"r{each}" for each in range(80))
    assert report["completed_twice"] <= 4  # those in flight at the end: nobody saw their answers


def test_a_resume_sends_what_failed(tmp_path: Path) -> None:
    """What failed in one run is tried again by the next, and its old error is gone."""
    path = job(tmp_path, 20)
    options = ("--rpm", 60_000, "--max-attempts", 1)
    with simulated(faults={"server_error": 0.5}, seed=1) as provider:
        assert scheduler("run", path, "--base-url", provider.url, *options).returncode == 1
        failed = ids(errors_of(path))
        assert 0 < len(failed) < 20
        assert sorted(ids(output_of(path)) + failed) == sorted(f"r{each}" for each in range(20))
    with simulated() as provider:
        assert scheduler("run", path, "--base-url", provider.url, *options, "--resume").returncode == 0
        assert provider.report()["arrived"] == len(failed)
    assert sorted(ids(output_of(path))) == sorted(f"r{each}" for each in range(20))
    assert objects(errors_of(path)) == []


def test_resuming_a_finished_job_sends_nothing(tmp_path: Path) -> None:
    """Twice is once."""
    path = job(tmp_path, 5)
    with simulated() as provider:
        for _ in range(2):
            ran = scheduler("run", path, "--base-url", provider.url, "--resume", "--json")
            assert ran.returncode == 0
        assert provider.report()["arrived"] == 5
    assert json.loads(ran.stdout)["skipped"] == 5


def test_nobody_reads_the_summary(tmp_path: Path) -> None:
    """A closed pipe is no failure of the job, and makes no noise."""
    path = job(tmp_path, 3)
    with simulated() as provider:
        reading, writing = os.pipe()
        os.close(reading)
        with started("run", path, "--base-url", provider.url, stdout=writing) as process:
            os.close(writing)
            _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")
    assert len(ids(output_of(path))) == 3


def test_a_full_disk_stops_the_job_and_tears_nothing(tmp_path: Path) -> None:
    """When results cannot be written any more the job stops, says why, and what it holds can be resumed."""
    path = job(tmp_path, 200)

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    with simulated() as provider:
        options = ("--base-url", provider.url, "--rpm", 60_000)
        with started("run", path, *options, preexec_fn=small_files) as process:
            stdout, stderr = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "Traceback" not in stderr
        assert f"stopped: {output_of(path)} cannot be written: File too large" in stdout
        kept = ids(output_of(path))
        assert 10 < len(kept) < 200
        assert scheduler("run", path, *options, "--resume").returncode == 0
    assert sorted(ids(output_of(path))) == sorted(f"r{each}" for each in range(200))


def on_a_terminal(arguments: list[str]) -> tuple[int, str, str]:
    """Run with standard error on a pseudo-terminal; return the code, standard output and what the terminal got."""
    ours, theirs = pty.openpty()
    environment_ = {**environment(), "TERM": "xterm-256color", "LINES": "30"}
    process = subprocess.Popen(  # noqa: S603 -- our own program
        arguments, stdout=subprocess.PIPE, stderr=theirs, env=environment_, text=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    stdout, _ = process.communicate()
    return process.returncode, stdout, shown.decode()


def test_on_a_terminal_the_view_shows_and_its_last_state_stays(tmp_path: Path) -> None:
    """A user at a terminal sees the run go on, warnings above it, and its end when it is over."""
    path = job(tmp_path, 40, b"{}")
    with simulated() as provider:
        options = ("--base-url", provider.url, "--concurrency", 2, "--rpm", 60_000)
        code, stdout, shown = on_a_terminal(command("run", path, *options))
    assert code == 1
    assert "40 of 41 succeeded" in stdout
    assert "\x1b" not in stdout
    assert "line 41, custom_id: is missing" in " ".join(shown.split())
    assert "in\u00a0flight" in shown
    assert "all models" in shown
    last = shown.rsplit("of 40", 1)
    assert last[0].endswith("40 ")
    assert "100%" in last[1]
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0  # the cursor is back


def test_ctrl_c_on_a_terminal_leaves_it_usable(tmp_path: Path) -> None:
    """The cursor comes back after an interruption too."""
    path = job(tmp_path, 200)
    with simulated() as provider:
        ours, theirs = pty.openpty()
        options = ("--base-url", provider.url, "--concurrency", 2, "--rpm", 60_000)
        with started("run", path, *options, stderr=theirs) as process:
            os.close(theirs)
            provider.wait_for(lambda report: report["completed"] >= 5)
            interrupt(process)
            shown = b""
            while True:
                try:
                    shown += os.read(ours, 65_536)
                except OSError:
                    break
            process.communicate(timeout=10)
        os.close(ours)
    assert process.returncode == 130
    assert b"Traceback" not in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") > 0


def test_without_progress_the_terminal_stays_empty(tmp_path: Path) -> None:
    """--no-progress shows nothing but warnings."""
    path = job(tmp_path, 3)
    with simulated() as provider:
        code, _, shown = on_a_terminal(command("run", path, "--base-url", provider.url, "--no-progress"))
    assert (code, shown) == (0, "")


def test_colours_forced_by_the_environment_force_no_view_into_a_pipe(tmp_path: Path) -> None:
    """FORCE_COLOR is about colours."""
    path = job(tmp_path, 3)
    with simulated() as provider:
        forced = {**environment(), "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
        with started("run", path, "--base-url", provider.url, env=forced) as process:
            _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")
