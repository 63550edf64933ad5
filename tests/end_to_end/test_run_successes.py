"""``scheduler run`` as a user runs it: processes, sockets, files."""

import json
import stat
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from run_support import (
    KEY,
    PROMPT,
    errors_of,
    ids,
    job,
    line,
    objects,
    output_of,
    scheduler,
    simulated,
    started,
)

pytestmark = pytest.mark.network


def test_a_run_and_what_it_says_of_itself(tmp_path: Path) -> None:
    """All lines are answered once; the summary agrees with what the provider counted; files are the owner's alone."""
    path = job(tmp_path, 90)
    with simulated({"rpm": 3_000, "tpm": 60_000}) as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--rpm", 3_000, "--tpm", 60_000, "--json")
        report = provider.report()
    assert (ran.returncode, ran.stderr) == (0, "")
    summary = json.loads(ran.stdout)
    assert ran.stdout.count("\n") == 1
    assert (summary["requests"], summary["succeeded"], summary["failed"], summary["skipped"]) == (90, 90, 0, 0)
    assert summary["sent"] == report["arrived"] == 90
    assert summary["http_429"] == report["refused"] == 0
    assert summary["retries"] == 0
    assert (report["completed"], report["completed_twice"]) == (90, 0)
    took = report["last_completion"] - report["first_arrival"]
    assert took <= summary["makespan_s"] <= took + 1.0
    assert 0.05 <= summary["ideal_s"] <= summary["makespan_s"]
    results = objects(output_of(path))
    assert sorted(each["custom_id"] for each in results) == sorted(f"r{each}" for each in range(90))
    usages = [each["response"]["body"]["usage"] for each in results]
    assert summary["tokens"] == sum(each["total_tokens"] for each in usages)
    cost = sum(each["prompt_tokens"] * 2.5 + each["completion_tokens"] * 10 for each in usages) / 1e6
    assert summary["cost_usd"] == pytest.approx(cost, abs=1e-6)
    (scope,) = report["scopes"]
    for dimension, name in (("requests", "rpm"), ("tokens", "tpm")):
        limit = scope["limits"][name]
        used = limit["charged"] / (limit["limit"] * (1 + summary["makespan_s"] / 60))
        assert summary["utilisation"][dimension] == pytest.approx(used, rel=0.02)
    assert objects(errors_of(path)) == []
    assert [stat.S_IMODE(each.stat().st_mode) for each in (output_of(path), errors_of(path))] == [0o600] * 2


def test_told_nothing_it_learns(tmp_path: Path) -> None:
    """Without any limit option a run comes to its end, nearly unrefused, and people read a summary."""
    path = job(tmp_path, 60)
    with simulated({"rpm": 3_000}) as provider:
        ran = scheduler("run", path, "--base-url", provider.url)
        report = provider.report()
    assert ran.returncode == 0
    assert "60 of 60 succeeded, 0 failed" in ran.stdout
    assert f"results: {output_of(path)}" in ran.stdout
    assert report["refused"] <= 1
    assert report["completed_twice"] == 0


def test_a_limit_holds_a_run_back(tmp_path: Path) -> None:
    """A run takes as long as its limit takes, and is hardly refused on the way."""
    path = job(tmp_path, 80)
    with simulated({"rpm": 60 * 20}, burst={"rpm": 20 / 1200}) as provider:
        limits = tmp_path / "limits.toml"
        limits.write_text('["gpt-4o"]\nrps = 20\n')
        ran = scheduler("run", path, "--base-url", provider.url, "--limits", limits, "--json")
        report = provider.report()
    summary = json.loads(ran.stdout)
    assert summary["succeeded"] == 80
    assert report["refused"] == summary["http_429"] <= 8  # a busy machine is late by more than a 20th of a second
    assert summary["ideal_s"] == pytest.approx(3.05, abs=0.1)
    assert summary["makespan_s"] < 6


def test_limits_of_projects_from_a_file(tmp_path: Path) -> None:
    """A project's limits bind its lines in addition to the organization's."""
    lines = [line(f"{name}{each}", project=name) for each in range(20) for name in ("small", "large")]
    path = job(tmp_path, 0, *lines)
    projects = tmp_path / "projects.toml"
    projects.write_text('[small."*"]\nrps = 10\n')
    with simulated() as provider:
        options = ["--rpm", 60_000, "--project-limits", projects]
        ran = scheduler("run", path, "--base-url", provider.url, *options, "--json")
    summary = json.loads(ran.stdout)
    assert summary["succeeded"] == 40
    assert 0.9 < summary["makespan_s"] < 6
    assert all(name.startswith("small") for name in ids(output_of(path))[-5:])


def test_metrics_are_served_while_it_runs(tmp_path: Path) -> None:
    """A scrape during a run parses, tells the same story as the provider, and binds loopback only."""
    path = job(tmp_path, 40)
    options = ("--rpm", 6_000, "--metrics-port", 0)
    with (
        simulated(latency=1.5) as provider,
        started("run", path, "--base-url", provider.url, *options) as process,
    ):
        assert process.stderr is not None
        place = process.stderr.readline().removeprefix("metrics: ").strip()
        provider.wait_for(lambda report: report["in_flight"] == 40)
        text = httpx.get(place, trust_env=False).text
        assert process.wait(20) == 0
    families = text_string_to_metric_families(text)
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    assert samples["scheduler_in_flight"] == samples["scheduler_attempts_total"] == 40
    assert KEY not in text
    assert PROMPT not in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(place, trust_env=False)


def test_neither_key_nor_prompts_nor_answers_go_anywhere_else(tmp_path: Path) -> None:
    """Standard output, standard error and the error file hold no key, prompt or answer, whatever failed."""
    others = [
        line("large", text="x" * 200_000 + PROMPT),
        line("rejected", body={"model": "gpt-4o", "messages": [], "prompt": PROMPT}),
        json.dumps(line("torn")).encode()[:-9],
        line("url", url=f"https://evil.example/{PROMPT}"),
        line("again"),
        line("again"),
    ]
    path = job(tmp_path, 5, *others)
    with simulated({"tpm": 50_000}, faults={"server_error": 0.3}) as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--tpm", 50_000, "--json", timeout=40)
    assert ran.returncode == 1
    assert len(ids(output_of(path))) == 6
    answers = [each["response"]["body"]["choices"][0]["message"]["content"] for each in objects(output_of(path))]
    for text in (ran.stdout, ran.stderr, errors_of(path).read_text()):
        for secret in (KEY, PROMPT, *answers):
            assert secret not in text
    assert KEY not in output_of(path).read_text()


def test_a_key_that_the_server_repeats_stays_out(tmp_path: Path) -> None:
    """A refusal that quotes the key does not put it into a file or onto the screen."""
    path = job(tmp_path, 2)
    with simulated(key="another-key") as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--json")
    assert ran.returncode == 1
    assert {each["response"]["status_code"] for each in objects(errors_of(path))} == {401}
    assert KEY not in ran.stdout + ran.stderr + errors_of(path).read_text()


def test_priorities_go_first(tmp_path: Path) -> None:
    """While a limit holds lines back, interactive ones go before the rest."""
    lines = [line(f"b{each}") for each in range(30)] + [line(f"i{each}", priority="interactive") for each in range(10)]
    path = job(tmp_path, 0, *lines)
    with simulated() as provider:
        ran = scheduler("run", path, "--base-url", provider.url, "--concurrency", 2, "--rpm", 60_000)
    assert ran.returncode == 0
    assert all(name.startswith("i") for name in ids(output_of(path))[:8])


def test_it_starts_within_a_second_or_two(tmp_path: Path) -> None:
    """A run of one line is mostly its answer."""
    path = job(tmp_path, 1)
    with simulated() as provider:
        began = time.monotonic()
        assert scheduler("run", path, "--base-url", provider.url).returncode == 0
        assert time.monotonic() - began < 6
