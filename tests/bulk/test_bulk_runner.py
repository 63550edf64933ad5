"""Running a job against a simulator, on virtual time: what is sent, in which order, and what a stop leaves."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from bulk_support import Ran, body, ids, line, objects

from scheduler.engine.events import Admitted
from scheduler.simulator import FaultWindow, Simulator, World


def simulator(limits: dict[str, Any] | None = None, **world: Any) -> Simulator:
    return Simulator(World(limits=limits or {}, **{"latency": 0.5, **world}))


def lines(number: int, **fields: Any) -> list[dict[str, Any]]:
    return [line(f"r{each}", **{"body": body(f"question {each}"), **fields}) for each in range(number)]


def test_everything_succeeds_at_the_speed_of_the_limit(tmp_path: Path) -> None:
    """A job of 120 requests at 60 a minute takes the minute that the limit needs, is refused nothing, loses nothing."""
    provider = simulator({"*": {"rpm": 60}})
    ran = Ran(tmp_path, provider, lines(120), limits={"*": {"rpm": 60}})
    report = provider.report()
    assert (report["completed"], report["refused"], report["completed_twice"]) == (120, 0, 0)
    assert sorted(ids(ran.output)) == sorted(f"r{each}" for each in range(120))
    assert (ran.progress.succeeded, ran.progress.failed, ran.progress.done, ran.progress.submitted) == (
        120,
        0,
        120,
        120,
    )
    assert 60 <= report["last_completion"] <= 63  # type: ignore[operator]  # it is a number where something completed
    assert ran.left == 0


def test_answers_belong_to_their_lines(tmp_path: Path) -> None:
    """Each result carries the answer to its own line, whatever order they come in."""
    questions = {f"r{each}": body("x" * each, max_tokens=each) for each in range(1, 20)}
    ran = Ran(tmp_path, simulator(latency_sigma=1.0), [line(name, body=each) for name, each in questions.items()])
    for each in objects(ran.output):
        usage = each["response"]["body"]["usage"]
        assert usage["completion_tokens"] <= questions[each["custom_id"]]["max_tokens"]
        assert each["response"]["request_id"].startswith("req_")


def test_lowest_priority_goes_first(tmp_path: Path) -> None:
    """Lines are sent in order of priority, then of the file, while a limit holds them back."""
    order = [100, 0, 50, 0, 100, 50]
    jobs = [line(str(number), priority=priority, body=body(f"{number}")) for number, priority in enumerate(order)]
    ran = Ran(tmp_path, simulator({"*": {"rpm": 1}}), jobs, limits={"*": {"rpm": 1}})
    assert ids(ran.output) == ["1", "3", "2", "5", "0", "4"]


def test_a_model_at_its_limit_does_not_hold_back_another(tmp_path: Path) -> None:
    """2,100 lines of a slow model stand before 60 of a quick one; the quick ones do not wait for them."""
    limits = {"slow": {"rpm": 600}, "quick": {"rpm": 600}}
    provider = simulator(limits)
    slow = [line(f"s{each}", body=body(f"{each}", model="slow")) for each in range(2_700)]
    quick = [line(f"q{each}", body=body(f"{each}", model="quick")) for each in range(60)]
    ran = Ran(tmp_path, provider, [*slow, *quick], limits=limits)
    assert ran.progress.succeeded == 2_760
    place = max(number for number, name in enumerate(ids(ran.output)) if name.startswith("q"))
    assert place < 1_500


def test_failures_are_written_and_the_rest_runs_on(tmp_path: Path) -> None:
    """What the provider rejects, and what no limit will ever admit, fails alone and says why."""
    jobs = [
        line("good"),
        line("rejected", body=body(messages=[])),
        line("large", body=body("x" * 100_000)),
        line("also good", body=body("again")),
    ]
    provider = simulator({"*": {"tpm": 10_000}})
    ran = Ran(tmp_path, provider, jobs, limits={"*": {"tpm": 10_000}})
    assert sorted(ids(ran.output)) == ["also good", "good"]
    failed = {each["custom_id"]: each for each in objects(ran.errors)}
    assert failed["rejected"]["response"]["status_code"] == 400
    assert failed["large"]["response"] is None
    assert failed["large"]["error"]["code"] == "request_too_large"
    assert "10000" in failed["large"]["error"]["message"]
    assert (ran.progress.succeeded, ran.progress.failed) == (2, 2)


def test_faults_are_retried(tmp_path: Path) -> None:
    """Server errors and dropped connections cost attempts, not results; time left never counts them twice."""
    provider = simulator(faults={"server_error": 0.2, "drop": 0.1}, seed=3)
    ran = Ran(tmp_path, provider, lines(60), limits={"*": {"rpm": 600}})
    assert ran.progress.succeeded == 60
    assert ran.seen.retries > 0
    assert ran.work_left == 0


def test_no_credit_stops_the_job_and_keeps_what_was_done(tmp_path: Path) -> None:
    """Once the account has no credit nothing more is sent; what was answered stays, and the reason is said."""
    provider = simulator(
        {"*": {"rpm": 60}}, fault_windows=(FaultWindow(kind="insufficient_quota", begin=10.0, end=10_000.0),)
    )
    ran = Ran(tmp_path, provider, lines(300), limits={"*": {"rpm": 60}})
    report = provider.report()
    assert "no credit" in ran.progress.stopped
    assert not ran.progress.interrupted
    assert len(ids(ran.output)) == report["completed"] == ran.progress.succeeded
    assert 60 <= ran.progress.succeeded < 80
    assert {each["error"]["code"] for each in objects(ran.errors)} == {"quota_exhausted"}
    assert report["arrived"] < 90  # type: ignore[operator]  # it is a number


def test_a_stop_sends_nothing_more_and_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    """Answers that were in flight come in, so that a resumption sends nothing twice; what waited is left out."""
    provider = simulator({"*": {"rpm": 60}}, latency=4.0)

    async def stop_after_a_while(ran: Ran) -> None:
        await anyio.sleep(10.0)
        ran.runner.stop("enough")

    ran = Ran(tmp_path, provider, lines(200), meanwhile=stop_after_a_while, limits={"*": {"rpm": 60}})
    report = provider.report()
    assert report["arrived"] == report["completed"] == ran.progress.succeeded
    assert report["abandoned"] == 0
    assert 40 < ran.progress.succeeded < 100
    assert ran.progress.stopped == "enough"
    again = Ran(tmp_path, provider, lines(200), resume=True, limits={"*": {"rpm": 60}})
    assert again.progress.total == 200 - ran.progress.succeeded
    assert sorted(ids(again.output)) == sorted(f"r{each}" for each in range(200))
    assert provider.report()["completed_twice"] == 0


def test_grace_bounds_the_wait_for_what_is_in_flight(tmp_path: Path) -> None:
    """An answer that does not come in time is given up."""
    provider = simulator(latency=500.0)
    ended: list[float] = []

    async def stop_soon(ran: Ran) -> None:
        await anyio.sleep(1.0)
        ran.runner.stop("interrupted", 3.0)
        try:
            await anyio.sleep(60.0)
        finally:
            ended.append(anyio.current_time())

    ran = Ran(tmp_path, provider, lines(5), meanwhile=stop_soon)
    assert ended == [pytest.approx(4.0, abs=0.1)]
    assert (ran.progress.done, ids(ran.output)) == (0, [])


def test_a_stop_ends_waits_between_attempts(tmp_path: Path) -> None:
    """A line that waits to be tried again is not tried again."""
    provider = simulator(faults={"server_error": 1.0}, latency=0.1)

    async def stop_soon(ran: Ran) -> None:
        await anyio.sleep(3.0)
        ran.runner.stop("enough")

    ran = Ran(tmp_path, provider, lines(10), meanwhile=stop_soon, max_attempts=1_000)
    assert (ran.progress.done, ids(ran.output), ids(ran.errors)) == (0, [], [])


def test_a_line_that_changed_fails_alone(tmp_path: Path) -> None:
    """Somebody writes to the input while the job runs: what can be read is sent, the rest says so."""
    changed = tmp_path / "input.jsonl"

    async def change(ran: Ran) -> None:
        await anyio.sleep(0.05)
        content = changed.read_bytes()
        changed.write_bytes(content[: len(content) // 2] + b"x" * (len(content) - len(content) // 2))

    ran = Ran(tmp_path, simulator(), lines(2_000), meanwhile=change, limits={"*": {"rpm": 60_000}})
    assert ran.progress.done == 2_000
    assert ran.progress.succeeded >= 900
    assert ran.progress.failed >= 900
    assert all("was changed" in each["error"]["message"] for each in objects(ran.errors))


def test_limits_of_projects_bind_their_lines(tmp_path: Path) -> None:
    """Lines of a project with limits of its own wait for those; the others do not."""
    limits = {"*": {"rpm": 6_000}}
    project_limits = {"small": {"*": {"rpm": 10}}}
    provider = simulator(limits, project_limits=project_limits)
    jobs = [
        line(f"{name}{each}", project=name, body=body(f"{name}{each}"))
        for each in range(15)
        for name in ("small", "free")
    ]
    ran = Ran(tmp_path, provider, jobs, limits=limits, project_limits=project_limits)
    assert ran.progress.succeeded == 30
    assert provider.report()["refused"] == 0
    assert all(name.startswith("small") for name in ids(ran.output)[-5:])


def test_limits_that_nobody_told_are_learned(tmp_path: Path) -> None:
    """Told nothing, a job learns its limits from the answers and still comes to its end, nearly unrefused."""
    provider = simulator({"*": {"rpm": 120}})
    ran = Ran(tmp_path, provider, lines(300))
    assert ran.progress.succeeded == 300
    assert provider.report()["completed_twice"] == 0
    assert ran.seen.refusals <= 5


def test_the_first_submissions_are_paced(tmp_path: Path) -> None:
    """A thousand lines do not open a thousand connections in one tick."""
    seen: list[float] = []

    async def watch(ran: Ran) -> None:
        ran.scheduler.on_event(lambda event: seen.append(anyio.current_time()) if isinstance(event, Admitted) else None)
        await anyio.sleep_forever()

    Ran(tmp_path, simulator(), lines(500), meanwhile=watch, limits={"*": {"rpm": 60_000}})
    first = min(seen)
    assert len([each for each in seen if each <= first + 0.1]) <= 101
    assert max(seen) <= first + 1.1


def test_the_key_and_project_reach_the_provider(tmp_path: Path) -> None:
    """Requests carry the key, the project and the body as it stands in the file."""
    seen: list[tuple[dict[bytes, bytes], Any]] = []
    provider = simulator()

    async def spy(scope: Any, receive: Any, send: Any) -> None:
        pieces = []

        async def note() -> Any:
            message = await receive()
            pieces.append(message.get("body", b""))
            return message

        await provider(scope, note, send)
        seen.append((dict(scope["headers"]), json.loads(b"".join(pieces))))

    ran = Ran(tmp_path, spy, [line("a", project="proj_7")])
    ((headers, sent),) = seen
    assert (headers[b"authorization"], headers[b"openai-project"]) == (b"Bearer sk-of-the-tests", b"proj_7")
    assert sent == body()
    assert ran.progress.succeeded == 1
