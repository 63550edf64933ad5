"""Prometheus metrics: what is scraped is what the engine counted, under bounded labels."""

import dataclasses
from pathlib import Path

import anyio
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from scrapes import at, scraped

from scheduler import ConfigurationError, DeadlineUnattainable, Scheduler, Statistics, Usage
from scheduler.engine import scopes
from scheduler.testing import Recorder, run


def test_a_ramp_is_scraped_while_it_holds_back() -> None:
    """Tokens a minute for the scope that grew too fast, and nothing for others."""
    registry = CollectorRegistry()

    async def main() -> None:
        scheduler = Recorder(limits={"a": {"tpm": 6_000}, "b": {"tpm": 6_000}}, registry=registry)
        with scheduler.reserve_nowait("a", tokens=600) as reservation:
            scheduler.reserve_nowait("b", tokens=600).settle()
            reservation.observe({}, 429, b'{"error": {"message": "You grew too fast.", "code": "slow_down"}}')
        ramps = {scope.name: scope.ramp for scope in scheduler.statistics().scopes}
        samples = scraped(registry)
        assert ramps["a"] is not None
        assert at(samples, "ramp_tokens_per_minute", scope="a", project="") == ramps["a"] > 0
        assert ramps["b"] is None
        assert ("scheduler_ramp_tokens_per_minute", (("project", ""), ("scope", "b"))) not in samples

    run(main)


def test_a_scrape_equals_the_statistics() -> None:
    """Every counter and gauge is the engine's own number."""
    registry = CollectorRegistry()

    async def main() -> None:
        scheduler = Recorder(
            limits={"gpt-4o": {"rpm": 600, "tpm": 60_000, "concurrency": 2}},
            project_limits={"p": {"*": {"tpm": 6000}}},
            registry=registry,
        )

        async def one(index: int) -> None:
            async with scheduler.reserve("gpt-4o", tokens=100, project="p") as reservation:
                await anyio.sleep(0.3)
                reservation.observe({"x-ratelimit-limit-tokens": "x"}, 200 if index % 3 else 500)
                if index % 5 == 0:
                    return
                reservation.settle(usage=Usage(input_tokens=10, output_tokens=5))

        async with anyio.create_task_group() as group:
            for index in range(20):
                group.start_soon(one, index)
            await anyio.sleep(1)
            seen, samples = scheduler.statistics(), scraped(registry)
            assert at(samples, "queued") == seen.queued > 0
            assert at(samples, "in_flight") == seen.in_flight > 0
            assert at(samples, "scope_queued", scope="gpt-4o", project="") == seen.scopes[0].queued
        scheduler.reserve_nowait("gpt-4o").cancel()
        seen, samples = scheduler.statistics(), scraped(registry)
        assert at(samples, "attempts_total") == seen.sent + seen.cancelled == 21
        assert at(samples, "cancelled_total") == 1
        assert at(samples, "tokens_total", direction="input") == seen.usage.input_tokens == 160
        assert at(samples, "cost_usd_total") == seen.cost > 0
        assert at(samples, "wait_seconds_count") == sum(seen.waits.values()) == 21
        assert at(samples, "wait_seconds_sum") == pytest.approx(seen.wait_sum)
        assert at(samples, "wait_seconds_bucket", le="+Inf") == 21
        for scope in seen.scopes:
            place = {"scope": scope.name, "project": scope.project or ""}
            assert at(samples, "ignored_headers_total", **place) == scope.ignored_headers == 20
            for outcome, number in scope.outcomes.items():
                assert at(samples, "requests_total", outcome=outcome, **place) == number
            for bucket in scope.buckets:
                where = {**place, "quota": bucket.quota}
                assert at(samples, "charged_units_total", **where) == bucket.charged
                assert at(samples, "unseen_spending_units_total", **where) == bucket.unseen_spending
                assert at(samples, "unseen_returns_units_total", **where) == bucket.unseen_returns
                assert at(samples, "bucket_hidden_refusals_total", **where) == bucket.hidden_refusals
                assert at(samples, "bucket_share", **where) == bucket.share
                assert at(samples, "bucket_corrected", **where) == bucket.corrected
                assert at(samples, "bucket_lag_seconds", **where) == bucket.lag
                assert at(samples, "bucket_acquitted", **where) == bucket.acquitted
                assert at(samples, "bucket_charge_ratio", **where) == bucket.charge_ratio
                if bucket.configured is not None:
                    assert at(samples, "bucket_limit_configured", **where) == bucket.configured
                if bucket.level is not None:
                    assert at(samples, "bucket_level", quota=bucket.quota, **place) == bucket.level
                    assert at(samples, "bucket_limit", quota=bucket.quota, **place) == bucket.limit

    run(main)


def test_learned_scopes_are_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names from requests make no labels, and counters never fall when their scopes are dropped."""
    monkeypatch.setattr(scopes, "LEARNED_MOST", 5)
    registry = CollectorRegistry()
    scheduler = Scheduler(registry=registry)
    sizes = set()
    for index in range(50):
        scheduler.reserve_nowait(f'evil"name\n{index}').settle()
        samples = scraped(registry)
        assert at(samples, "requests_total", scope="other", project="", outcome="success") == index + 1
        assert "evil" not in generate_latest(registry).decode()
        sizes.add(len(samples))
    assert len(sizes) == 1


def test_invented_endpoints_are_other() -> None:
    """Paths make no labels either; those that the provider knows do, and what they were charged adds up."""
    registry = CollectorRegistry()
    scheduler = Recorder(limits={"m": {"tpm": 60_000}}, registry=registry)
    words = "Rate limit reached for m in organization org-x on tokens per min (TPM): "
    body = f'{{"error": {{"message": "{words}Limit 60000, Used 60000, Requested 300", "type": "tokens"}}}}'.encode()

    async def main() -> None:
        for endpoint in ("/v1/evil1", "/v1/evil2", "", "/v1/chat/completions"):
            async with scheduler.reserve("m", tokens=200, endpoint=endpoint) as reservation:
                reservation.observe({}, 429, body)

    run(main)
    samples = scraped(registry)
    place = {"provider": "openai", "dimension": "tokens"}
    told = {"other": 900, "/v1/chat/completions": 300}
    for endpoint, units in told.items():
        assert at(samples, "told_charge_units_total", endpoint=endpoint, **place) == units
        assert at(samples, "told_estimate_units_total", endpoint=endpoint, **place) == units * 2 // 3
    assert "evil" not in generate_latest(registry).decode()


def test_every_metric_is_documented() -> None:
    """The operator's page names each."""
    page = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    registry = CollectorRegistry()
    Scheduler(registry=registry)
    families = list(registry.collect())
    names = [family.name + ("_total" if family.type == "counter" else "") for family in families]
    assert len(names) > 30
    assert [name for name in names if f"`{name}`" not in page] == []


def test_nothing_is_read_before_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registering asks the engine nothing; a scrape asks it once."""
    asked = []
    statistics = Scheduler.statistics

    def counted(self: Scheduler) -> Statistics:
        asked.append(1)
        return statistics(self)

    monkeypatch.setattr(Scheduler, "statistics", counted)
    registry = CollectorRegistry()
    Scheduler(registry=registry, concurrency=1).reserve_nowait("m").settle()
    assert not asked
    scraped(registry)
    assert len(asked) == 1


def test_one_registry_for_one_scheduler() -> None:
    """Two schedulers in one registry would make every sample twice: the second is refused, and says what to do."""
    registry = CollectorRegistry()
    Scheduler(registry=registry)
    with pytest.raises(ConfigurationError, match="registry of its own"):
        Scheduler(registry=registry)
    assert scraped(registry)


def test_statistics_are_frozen_and_of_one_instant() -> None:
    """Statistics cannot be changed, and what is in them adds up."""
    scheduler = Scheduler(limits={"m": {"concurrency": 1}})
    held = scheduler.reserve_nowait("m")
    seen = scheduler.statistics()
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.sent = 5  # type: ignore[misc]  # that is the point
    held.settle()
    assert seen.in_flight == seen.scopes[0].in_flight == 1
    assert scheduler.statistics().in_flight == 0


def test_lanes_say_why_they_wait() -> None:
    """A lane with waiters shows its blocker, how long until its head may go, and how long that has waited."""

    async def main() -> None:
        scheduler = Recorder(limits={"m": {"rpm": 60}, "n": {"concurrency": 1}, "o": {"rpm": 600}}, concurrency=50)
        held = [scheduler.reserve_nowait("m"), scheduler.reserve_nowait("n"), scheduler.reserve_nowait("o")]
        held[2].observe({"retry-after": "5"}, 503)
        with pytest.raises(DeadlineUnattainable):
            scheduler.reserve_nowait("m")

        async def wait(model: str) -> None:
            async with scheduler.reserve(model):
                pass

        async with anyio.create_task_group() as group:
            for model in "mno":
                group.start_soon(wait, model)
            await anyio.sleep(0.1)
            lanes = {lane.scope: lane for lane in scheduler.statistics().lanes}
            assert {name: lane.blocked_by for name, lane in lanes.items()} == {
                "m": "rpm",
                "n": "concurrency",
                "o": "gate",
            }
            assert lanes["m"].ready_in == pytest.approx(0.15, abs=1e-3)
            assert lanes["n"].ready_in is None
            assert lanes["n"].oldest == pytest.approx(0.1, abs=1e-3)
            for each in held:
                each.settle()

    run(main)
