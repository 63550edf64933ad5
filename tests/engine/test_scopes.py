"""Scopes that are configured and learned, and what answers teach their buckets."""

import logging

import anyio
import pytest
from engine_support import Run, at_once, headers, is_quiet, refusal

from scheduler import Answered, DeadlineUnattainable, LimitChanged, Paused, Reservation, Scheduler, Usage
from scheduler.core.quota import HOUR, Charge
from scheduler.engine import scopes
from scheduler.providers.base import Settlement
from scheduler.providers.openai import OpenAI
from scheduler.testing import Recorder
from scheduler.tokens.text import TiktokenCounter


def learning(**settings: object) -> Recorder:
    """Return a scheduler on virtual time that knows nothing and learns."""
    scheduler = Recorder(seed=1, **settings)
    scheduler.admission.book.learn = True
    return scheduler


def _buckets(scheduler: Scheduler, scope: str = "m") -> dict[str, int | None]:
    found = next(each for each in scheduler.statistics().scopes if each.name == scope)
    return {bucket.quota: bucket.limit for bucket in found.buckets}


def test_nothing_known_one_probe_then_learned(on_virtual_time: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A scheduler that knows nothing lets one request go, and takes its limits from the answer, announced once."""
    caplog.set_level(logging.INFO, "scheduler")

    async def main() -> None:
        scheduler = learning()
        probe = scheduler.reserve_nowait("m", tokens=100)
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m", tokens=100)
        assert caught.value.expected_wait is None
        probe.observe(headers("requests", 60, 59, "1s") | headers("tokens", 6000, 5900, "1s"))
        probe.settle()
        assert _buckets(scheduler) == {"rpm": 60, "tpm": 6000}
        scheduler.reserve_nowait("m", tokens=100).settle()
        changes = [event for event in scheduler.events if isinstance(event, LimitChanged)]
        assert [(each.quota, each.before, each.after) for each in changes] == [("rpm", None, 60), ("tpm", None, 6000)]
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert caplog.text.count("m: the tpm limit is 6000, as the provider says") == 1


def test_nothing_known_and_nothing_told(on_virtual_time: Run) -> None:
    """Where nobody tells what was answered, ends widen what may fly: it does not stay one at a time for ever."""

    async def main() -> None:
        scheduler = learning()

        async def one() -> None:
            async with scheduler.reserve("m"):
                await anyio.sleep(1)

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)
        assert anyio.current_time() < 10

    on_virtual_time(main)


def test_learned_scopes_are_bounded_and_expire(on_virtual_time: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unseen names make a bounded number of scopes; the longest idle makes room, and counters never fall."""
    monkeypatch.setattr(scopes, "LEARNED_MOST", 5)

    async def main() -> None:
        scheduler = learning()
        for index in range(50):
            scheduler.reserve_nowait(f"name-{index}", project=f"p{index}").settle()
            await anyio.sleep(1)
            seen = scheduler.statistics().scopes
            assert len(seen) <= 6
            assert sum(scope.outcomes.get("success", 0) for scope in seen) == index + 1
        assert len(scheduler.admission.lanes) <= 6
        await anyio.sleep(HOUR / 1e9 + 1)
        scheduler.reserve_nowait("late").settle()
        names = {scope.name for scope in scheduler.statistics().scopes}
        assert names == {"late", scopes.OTHER}
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_busy_scopes_are_kept_and_the_rest_share_one(on_virtual_time: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no learned scope is idle, further names share a common scope; nobody's reservation is disturbed."""
    monkeypatch.setattr(scopes, "LEARNED_MOST", 3)

    async def main() -> None:
        scheduler = learning(concurrency=20, project_limits={"p": {"*": {"concurrency": 20}}})
        held = [scheduler.reserve_nowait(f"name-{index}", project="p") for index in range(4)]
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("name-9")  # the common scope has its one probe in flight
        assert caught.value.scope == scopes.OTHER
        for each in held:
            each.settle()
        scheduler.reserve_nowait("name-10", project="p").settle()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_forgotten_model_comes_back(on_virtual_time: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose scope was dropped gets a new one, and no lane of the old is used again."""
    monkeypatch.setattr(scopes, "LEARNED_MOST", 2)

    async def main() -> None:
        scheduler = learning(concurrency=2)
        for _ in range(3):
            for name in "abc":
                with scheduler.reserve_nowait(name) as reservation:
                    assert reservation.lane in scheduler.admission.lanes
                await anyio.sleep(1)
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_daily_header_opens_a_second_account(on_virtual_time: Run) -> None:
    """A requests header that speaks of the day, beside a limit per minute, is an account of its own."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60})
        first = scheduler.reserve_nowait("m")
        async with scheduler.reserve("m") as reservation:
            reservation.observe(headers("requests", 10_000, 9_990, "1m26.4s"))
        first.settle()
        assert _buckets(scheduler) == {"rpm": 60, "rpd": 10_000, "tpm": None}
        async with scheduler.reserve("m"):
            pass
        seen = {bucket.quota: bucket.charged for bucket in scheduler.statistics().scopes[0].buckets}
        assert seen["rpd"] == 1
        assert seen["rpm"] == 3

    on_virtual_time(main)


def test_one_bucket_does_not_teach_another(on_virtual_time: Run) -> None:
    """What is said of tokens moves no bucket of requests, and what is said of a project none of the organization."""

    async def main() -> None:
        scheduler = Recorder(
            limits={"m": {"rpm": 600, "tpm": 60_000}}, project_limits={"p": {"m": {"rpm": 300, "tpm": 30_000}}}
        )
        with scheduler.reserve_nowait("m", tokens=10, project="p") as reservation:
            reservation.observe(
                headers("tokens", 60_000, 100, "59.9s")
                | headers("project-requests", 300, 7, "58.6s")
                | {"x-ratelimit-limit-images": "5"}
            )
        levels = {
            (scope.name, bucket.quota): bucket.level
            for scope in scheduler.statistics().scopes
            for bucket in scope.buckets
        }
        assert levels["m", "rpm"] == 599
        assert levels["p/m", "tpm"] == 29_990
        assert levels["m", "tpm"] == 101  # as it was rounded down
        assert levels["p/m", "rpm"] == 8

    on_virtual_time(main)


def test_images_are_learned(on_virtual_time: Run) -> None:
    """A limit of images that nobody configured is learned, and binds requests with images alone."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60})
        with scheduler.reserve_nowait("m", images=1) as reservation:
            reservation.observe(headers("input-images", 10, 0, "1m"))
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m", images=1)
        assert caught.value.quota == "ipm"
        async with scheduler.reserve("m"):
            assert anyio.current_time() < 1

    on_virtual_time(main)


def test_a_refusal_with_numbers_corrects_one_bucket(on_virtual_time: Run) -> None:
    """A 429 that states its level sets that bucket, pauses nothing, and gives the others their charge back."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000})
        reservation = scheduler.reserve_nowait("m", tokens=1000)
        reading = reservation.observe({}, 429, refusal(60_000, 60_000, 1000))
        reservation.observe({}, 429, refusal(60_000, 60_000, 1000))  # told twice, given back once
        reservation.settle()
        assert reading.refused is not None
        scope = scheduler.statistics().scopes[0]
        level = {bucket.quota: bucket.level for bucket in scope.buckets}
        assert level["tpm"] is not None
        assert level["tpm"] <= 1
        assert level["rpm"] == 599  # the provider counts refused requests
        assert not scope.paused
        assert scope.outcomes == {"throttled": 1}
        assert scheduler.statistics().refusals >= 1

    on_virtual_time(main)


def test_a_refusal_without_numbers_pauses_and_one_probe_reopens(on_virtual_time: Run) -> None:
    """After a 429 that says nothing the lanes of the scope wait; then one goes alone; then the rest, no re-race."""
    flying: list[int] = []

    async def main() -> None:
        scheduler = at_once({"rpm": 6000, "tpm": 6_000_000})
        first = scheduler.reserve_nowait("m", tokens=10)
        first.observe({"retry-after": "2"}, 429, b"")
        first.settle()
        assert scheduler.statistics().scopes[0].paused

        async def one() -> None:
            async with scheduler.reserve("m", tokens=10) as reservation:
                assert anyio.current_time() >= 2
                flying.append(scheduler.statistics().in_flight)
                await anyio.sleep(0.5)
                reservation.observe({})
                reservation.settle()

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert not scheduler.statistics().scopes[0].paused
        pauses = [event for event in scheduler.events if isinstance(event, Paused)]
        assert len(pauses) == 1
        assert pauses[0].seconds >= 2
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert flying[0] == 1
    assert flying[1] <= 2


def test_a_refusal_by_an_unknown_day(on_virtual_time: Run) -> None:
    """A 429 that tells of a limit per day that nobody knew opens its account, and pauses nothing."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000})
        with scheduler.reserve_nowait("m", tokens=1000) as reservation:
            reading = reservation._admission.provider.read(
                429, {}, refusal(100_000, 99_500, 1000, "tokens per day (TPD)")
            )
            reservation.learn(reading)
        scope = scheduler.statistics().scopes[0]
        assert {bucket.quota: bucket.limit for bucket in scope.buckets}["tpd"] == 100_000
        assert not scope.paused
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m", tokens=1000)
        assert caught.value.quota == "tpd"

    on_virtual_time(main)


def test_one_scope_for_all_kinds_of_requests(on_virtual_time: Run) -> None:
    """Requests of one unseen model share one learned scope, whatever they are charged."""

    async def main() -> None:
        scheduler = learning()
        scheduler.reserve_nowait("m").settle()
        scheduler.reserve_nowait("m", tokens=5).settle()
        assert [(scope.name, scope.sent) for scope in scheduler.statistics().scopes] == [("m", 2)]

    on_virtual_time(main)


def test_overload_pauses_too(on_virtual_time: Run) -> None:
    """An overloaded provider closes the scope; all that were in flight then are one event."""

    async def main() -> None:
        scheduler = at_once({"rpm": 6000})
        held = []
        for _ in range(5):
            async with scheduler.reserve("m") as reservation:
                pass
            held.append(await _open(scheduler))
        await anyio.sleep(0.1)
        for reservation in held:
            reservation.observe({}, 503, b"")
            reservation.settle()
        assert sum(isinstance(event, Paused) for event in scheduler.events) == 1
        answered = [event for event in scheduler.events if isinstance(event, Answered) and event.cause]
        assert {(event.outcome, event.cause) for event in answered} == {("overloaded", "overload")}

    on_virtual_time(main)


async def _open(scheduler: Scheduler) -> Reservation:
    return await scheduler.reserve("m").__aenter__()


@pytest.mark.parametrize(
    "body",
    [
        refusal(20, 20, 1, "requests per sec (RPS)"),
        refusal(100, 100, 50).replace(b"in organization org-x", b"in project proj_x"),
        refusal(5, 5, 1, "images per min (IPM)"),
    ],
)
def test_refused_by_what_we_do_not_draw_on(on_virtual_time: Run, body: bytes) -> None:
    """A 429 whose numbers are of no bucket that the request draws on pauses, teaches no other, and is no storm."""

    async def main() -> None:
        scheduler = at_once({"rpm": 6000, "tpm": 600_000})
        before = [(b.quota, b.limit, b.level) for b in _scope(scheduler, "m").buckets if b.quota == "tpm"]
        with scheduler.reserve_nowait("m", tokens=50) as reservation:
            reservation.observe({}, 429, body)
        scope = _scope(scheduler, "m")
        assert scope.paused
        assert [(b.quota, b.limit, b.level) for b in scope.buckets if b.quota == "tpm"] == before

    on_virtual_time(main)


def _scope(scheduler: Scheduler, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- a scope's statistics
    scheduler.admission.book.scopes_for(name, None, 0)
    return next(scope for scope in scheduler.statistics().scopes if scope.name == name)


def test_refused_where_nothing_is_tracked(on_virtual_time: Run) -> None:
    """A scheduler without any scope bears refusals and overload."""

    async def main() -> None:
        scheduler = Recorder()
        for status in (429, 503, 500, 200):
            with scheduler.reserve_nowait("m") as reservation:
                reservation.observe({}, status, b"")
        assert is_quiet(scheduler)
        assert scheduler.statistics().refusals == 1

    on_virtual_time(main)


def test_refused_while_nothing_is_known(on_virtual_time: Run) -> None:
    """A first answer that is a refusal, with numbers or without, leaves a scope that goes on."""

    async def main() -> None:
        for body in (b"", refusal(6000, 6000, 100)):
            scheduler = learning()
            with scheduler.reserve_nowait("m", tokens=100) as reservation:
                reservation.observe({}, 429, body)
            async with scheduler.reserve("m", tokens=100) as reservation:
                reservation.observe(headers("tokens", 6000, 3000, "30s"))
            async with scheduler.reserve("m", tokens=100):
                pass
            assert _buckets(scheduler)["tpm"] == 6000
            assert is_quiet(scheduler)

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("answers", "asked", "limit"),
    [
        (0, {}, None),  # whose spasm that was nobody knows
        (7, {}, None),
        (8, {}, 8),  # a full bucket has been spent, and next to no time has passed
        (2, {"retry-after": "20"}, 3),  # one in twenty seconds
        (2, {"retry-after-ms": "2"}, 30_000),
        (40, {"retry-after-ms": "200"}, 300),  # a bucket of 40 that refills quickly
        (40, {"retry-after-ms": "2"}, 800),  # but nobody's word is taken for everything
        (40, {"retry-after": "1"}, 40),  # which is what servers say that know no better
    ],
)
def test_what_the_first_refusal_tells_of_a_limit(
    on_virtual_time: Run, answers: int, asked: dict[str, str], limit: int | None
) -> None:
    """What has been spent, if that is more than a handful, or what the server asks to wait, or nothing."""

    async def main() -> None:
        scheduler = learning()
        for _ in range(answers):
            with scheduler.reserve_nowait("m", tokens=10) as reservation:
                reservation.observe({})
        with scheduler.reserve_nowait("m", tokens=10) as reservation:
            reservation.observe(asked, 429, b"")
        assert _buckets(scheduler)["rpm"] == limit

    on_virtual_time(main)


def test_late_in_a_window_what_has_passed_tells_more_than_a_wait(on_virtual_time: Run) -> None:
    """After half a minute the requests that have passed are a measurement."""

    async def main() -> None:
        scheduler = learning()
        for _ in range(40):
            with scheduler.reserve_nowait("m", tokens=10) as reservation:
                reservation.observe({})
        await anyio.sleep(30)
        with scheduler.reserve_nowait("m", tokens=10) as reservation:
            reservation.observe({"retry-after-ms": "200"}, 429, b"")
        assert _buckets(scheduler)["rpm"] == 40 * 60 // 90

    on_virtual_time(main)


def test_headers_of_a_refusal_name_the_culprit(on_virtual_time: Run) -> None:
    """A 429 whose headers show one bucket empty blames that one, and pauses nothing."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000})
        with scheduler.reserve_nowait("m", tokens=1000) as reservation:
            reservation.observe(headers("tokens", 60_000, 10, "59.9s") | headers("requests", 600, 599, "100ms"), 429)
        refused = {bucket.quota: bucket.refusals for bucket in scheduler.statistics().scopes[0].buckets}
        assert refused == {"rpm": 0, "tpm": 1}
        assert not scheduler.statistics().scopes[0].paused

    on_virtual_time(main)


def test_usage_corrects_where_the_provider_does(on_virtual_time: Run) -> None:
    """Where the adapter says that charges are corrected by the usage, the level follows it; else it stays."""

    async def main() -> None:
        for settlement, level in ((Settlement.KEPT, 59_000), (Settlement.CORRECTED, 59_900)):
            provider = OpenAI(TiktokenCounter())
            provider.settlement = settlement
            scheduler = at_once({"rpm": 600, "tpm": 60_000}, provider=provider)
            scheduler.reserve_nowait("m", tokens=1000).settle(usage=Usage(input_tokens=60, output_tokens=40))
            assert scheduler.statistics().scopes[0].buckets[1].level == level
            assert scheduler.statistics().usage.tokens == 100

    on_virtual_time(main)


@pytest.mark.parametrize(("told", "unused"), [(True, 900), (False, 0)])
def test_what_is_left_unused_is_watched_where_answers_are_told(unused: int, *, told: bool) -> None:
    """Headers show whether what was not used comes back; where nobody tells of them there is nothing to compare."""
    reservation = at_once({"rpm": 600, "tpm": 60_000}).reserve_nowait("m", tokens=1000)
    if told:
        reservation.observe(headers("tokens", 60_000, 59_000, "1s"))
    reservation.settle(tokens=100)
    assert sum(account.settlement.unused for account, _ in reservation.lane.draws) == unused


def test_a_rule_for_a_pattern_and_a_name() -> None:
    """A name goes before a pattern, a longer pattern before a shorter, and what nothing names is learned."""
    scheduler = Scheduler(limits={"gpt-*": {"rpm": 1}, "gpt-5*": {"rpm": 2}, "gpt-5-mini": {"rpm": 3}})
    for model, scope in (("gpt-4", "gpt-*"), ("gpt-5-nano", "gpt-5*"), ("gpt-5-mini", "gpt-5-mini"), ("o3", "o3")):
        assert scheduler.admission.book.scopes_for(model, None, 0)[0][0].name == scope
    assert Charge().requests == 1
