"""What may never happen: a key that goes astray, a terminal that obeys, a line that takes others down."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from run_support import (
    KEY,
    command,
    environment,
    errors_of,
    ids,
    job,
    line,
    objects,
    output_of,
    raw_server,
    scheduler,
    simulated,
    started,
)

pytestmark = pytest.mark.network


def answered(status: str, body: bytes, *headers: bytes) -> bytes:
    fields = b"".join(each + b"\r\n" for each in headers)
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%bConnection: close\r\n\r\n%b" % (
        status.encode(),
        len(body),
        fields,
        body,
    )


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
def test_no_redirect_is_followed(tmp_path: Path, status: str) -> None:
    """A server that points elsewhere gets no second request, and elsewhere gets none at all."""
    path = job(tmp_path, 1)
    with raw_server(answered("200 OK", b"{}")) as (elsewhere, strayed):
        answer = answered(status, b"", b"Location: " + elsewhere.encode() + b"/v1/chat/completions")
        with raw_server(answer) as (url, seen):
            ran = scheduler("run", path, "--base-url", url, "--json", "--max-attempts", 1)
    assert ran.returncode == 1
    assert (len(seen), strayed) == (1, [])
    assert f"Authorization: Bearer {KEY}".lower().encode() in seen[0].lower()
    assert objects(errors_of(path))[0]["response"]["status_code"] == int(status[:3])


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """The key does not travel in the clear unless a flag says so; with the flag the run gets as far as the network."""
    path = job(tmp_path, 1)
    ran = scheduler("run", path, "--base-url", "http://no.such.host.invalid")
    assert ran.returncode == 2
    assert "--allow-plain-http" in ran.stderr or "allow plain http" in ran.stderr
    assert not output_of(path).exists()
    ran = scheduler("run", path, "--base-url", "http://no.such.host.invalid", "--allow-plain-http", "--max-attempts", 1)
    assert ran.returncode == 1
    assert objects(errors_of(path))[0]["error"]["code"] == "request_failed"


def test_loopback_needs_no_key(tmp_path: Path) -> None:
    """A simulator or a local server is used without a key, and none is sent."""
    path = job(tmp_path, 1)
    with raw_server(answered("200 OK", b"{}")) as (url, seen):
        assert scheduler("run", path, "--base-url", url, key=None).returncode == 0
    assert b"authorization" not in seen[0].lower()


def test_escapes_and_markup_are_shown_not_obeyed(tmp_path: Path) -> None:
    """Ids, models and a server's words that hold terminal escapes or markup reach no terminal as they are."""
    evil = "\x1b[2J\x1b]0;owned\x07[red]x[/red]"
    bad = [line("x", url=f"/v1/{evil}"), line("y", tenant=evil)]
    path = job(tmp_path, 0, line(evil), line(evil), line("\x9b31m"), *bad)
    said = json.dumps({"error": {"message": f"bad {evil}", "code": evil}}).encode()
    with raw_server(answered("400 Bad Request", said)) as (url, _):
        ran = scheduler("run", path, "--base-url", url)
    assert ran.returncode == 1
    for text in (ran.stdout, ran.stderr):
        assert not set(text) & {"\x1b", "\x07", "\x9b"}
    assert "\\x1b[2J" in ran.stderr
    assert "line 2, custom_id" in ran.stderr
    assert set(ids(errors_of(path))) == {evil, "\x9b31m", "x", "y"}


def test_a_request_larger_than_the_limit_fails_alone(tmp_path: Path) -> None:
    """What no limit admits fails with the largest size that would go, and the rest runs on."""
    path = job(tmp_path, 5, line("large", text="word " * 50_000))
    with simulated({"tpm": 20_000}) as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--tpm", 20_000, "--json")
        assert provider.report()["arrived"] == 5
    assert ran.returncode == 1
    (failed,) = objects(errors_of(path))
    assert failed["custom_id"] == "large"
    assert "20000" in failed["error"]["message"]
    assert len(ids(output_of(path))) == 5


def test_bad_lines_do_not_keep_the_rest(tmp_path: Path) -> None:
    """Every kind of bad line is reported by its number, and good lines between them are answered."""
    bad = [
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"custom_id":"deep","method":"POST","url":"/v1/responses","body":' + b'{"a":' * 100_000,
        line("abs", url="https://evil.example/v1/chat/completions"),
        line("r0"),
        line("nobody", url="/v1/unknown"),
        {"method": "POST"},
    ]
    fields = line("fields") | {f"f{each}": each for each in range(10_000)}
    path = job(tmp_path, 3, *bad, fields, b"", line("last"))
    with simulated() as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--json")
    assert ran.returncode == 1
    summary = json.loads(ran.stdout)
    assert (summary["requests"], summary["succeeded"], summary["failed"]) == (13, 5, 8)
    assert [each["error"]["line"] for each in objects(errors_of(path))] == list(range(4, 12))
    assert all(f"{path}: line {number}" in ran.stderr for number in range(4, 12))


def test_a_body_of_50_mb_goes_through(tmp_path: Path) -> None:
    """Size alone is no error: the server judges."""
    path = job(tmp_path, 2, line("large", text="x" * 50_000_000))
    with simulated(max_body=64 << 20) as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--json")
    assert json.loads(ran.stdout)["succeeded"] == 3


def test_no_credit_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    """Out of credit, a run stops after what is in flight, and says so."""
    path = job(tmp_path, 300)
    with simulated(faults={"insufficient_quota": 1.0}) as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--rpm", 60_000, "--concurrency", 5)
        assert provider.report()["arrived"] < 100
    assert ran.returncode == 1
    assert "stopped: the account has no credit" in ran.stdout


def test_the_reason_to_stop_is_shown_not_obeyed(tmp_path: Path) -> None:
    """A server's words in the summary's reason are written out."""
    path = job(tmp_path, 1)
    said = json.dumps({"error": {"message": "no \x1b[31mcredit", "code": "insufficient_quota"}}).encode()
    with raw_server(answered("429 Too Many Requests", said)) as (url, _):
        ran = scheduler("run", path, "--base-url", url)
    assert "stopped: " in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr


def test_scheduler_simulate_serves_and_stops(tmp_path: Path) -> None:
    """The simulator says where it is, enforces its limits, and ends quietly on Ctrl-C."""
    path = job(tmp_path, 5)
    with started("simulate", "--port", 0, "--rpm", 600, "--latency", 0.01) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("simulating at http://127.0.0.1:")
        url = said.split()[-1]
        assert scheduler("run", path, "--base-url", url).returncode == 0
        assert httpx.get(f"{url}/control/report", trust_env=False).json()["completed"] == 5
        process.send_signal(2)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode in {0, 130}
    assert stderr == ""


def test_scheduler_simulate_can_be_exposed() -> None:
    """With --expose it listens where others can reach it."""
    with started("simulate", "--host", "0.0.0.0", "--expose", "--port", 0) as process:  # noqa: S104 -- that is the point
        assert process.stdout is not None
        assert "http://0.0.0.0:" in process.stdout.readline()


def test_python_m_scheduler_works() -> None:
    """The command needs no script on the path."""
    ran = subprocess.run(command("--help"), capture_output=True, text=True, env=environment(), check=True)  # noqa: S603 -- our own program
    assert "scheduler" in ran.stdout
