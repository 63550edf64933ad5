"""Who goes next, through the public face: tenants, kept shares, deadlines, and changes while requests wait."""

import contextlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine_support import Log, Run, at_once, emptied, is_quiet, refusal, spend

from scheduler import (
    ConfigurationError,
    DeadlineUnattainable,
    Priority,
    RequestTooLarge,
    RequestWithdrawn,
    Scheduler,
)
from scheduler.clock import LoopClock


async def _take(scheduler: Scheduler, log: Log, name: str, **settings: Any) -> None:
    async with scheduler.reserve("m", **settings):
        log(name)


def test_tenants_share_by_their_weights(on_virtual_time: Run) -> None:
    """Tenants of one priority have what their weights say of the tokens, whatever the sizes of their requests."""
    log = Log()

    async def _tenant(scheduler: Scheduler, tenant: str, tokens: int) -> None:
        async with scheduler.reserve("m", tokens=tokens, tenant=tenant):
            log(tenant)

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000}, weights={"double": 2.0})
        sizes = {"single": 100, "double": 300, "third": 50}
        async with anyio.create_task_group() as group:
            for tenant, tokens in sizes.items():
                for _ in range(30_000 // tokens):
                    group.start_soon(_tenant, scheduler, tenant, tokens)
            await anyio.sleep(40)
            group.cancel_scope.cancel()
        had = Counter(name for name, _ in log.grants)
        shared = {tenant: had[tenant] * size for tenant, size in sizes.items()}
        assert shared["double"] / sum(shared.values()) == pytest.approx(0.5, abs=0.03)
        assert shared["single"] / sum(shared.values()) == pytest.approx(0.25, abs=0.03)
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_share_of_the_level_is_kept(on_virtual_time: Run) -> None:
    """A batch that saturates a limit leaves the kept share, and an interactive request takes of it at once."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000}, reserved={"interactive": 0.1})
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(lambda: _batch(scheduler))
            await anyio.sleep(20)
            assert scheduler.statistics().queued > 50
            (bucket,) = (b for b in scheduler.statistics().scopes[0].buckets if b.quota == "tpm")
            assert bucket.level is not None
            assert 6_000 <= bucket.level <= 7_500
            began = anyio.current_time()
            async with scheduler.reserve("m", tokens=4_000, priority="interactive"):
                assert anyio.current_time() - began < 1e-3
            scheduler.reserve_nowait("m", tokens=1_000, priority="interactive").settle()
            with pytest.raises(DeadlineUnattainable):
                scheduler.reserve_nowait("m", tokens=1_000)
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    async def _batch(scheduler: Scheduler) -> None:
        async with scheduler.reserve("m", tokens=500, priority="batch"):
            log("batch")

    on_virtual_time(main)


def test_a_kept_share_yields_to_a_head_that_fits(on_virtual_time: Run) -> None:
    """A request of the whole limit gets its turn, however much is kept for others."""

    async def main() -> None:
        scheduler = at_once({"tpm": 1_000}, reserved={"interactive": 0.9})
        scheduler.reserve_nowait("m", tokens=10).settle()
        async with scheduler.reserve("m", tokens=1_000, priority="batch"):
            assert anyio.current_time() < 61

    on_virtual_time(main)


def test_the_earliest_deadline_of_a_tenant_goes_first(on_virtual_time: Run) -> None:
    """Of one tenant's requests the one that must go first goes first; those without a deadline follow."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60})
        async with anyio.create_task_group() as group:
            for name, timeout in (("none", None), ("late", 60.0), ("soon", 30.0)):
                group.start_soon(partial(_take, scheduler, log, name, timeout=timeout))
                await anyio.wait_all_tasks_blocked()

    on_virtual_time(main)
    assert log.names == ["soon", "late", "none"]


def test_a_deadline_that_cannot_be_met_is_refused_at_once(on_virtual_time: Run) -> None:
    """With ninety before it at one a second, a request that may wait a minute need not even begin to wait."""

    async def main() -> None:
        scheduler = emptied({"rpm": 60})
        async with anyio.create_task_group() as group:
            for _ in range(90):
                group.start_soon(partial(_take, scheduler, Log(), "before", priority=10))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(DeadlineUnattainable) as caught:
                async with scheduler.reserve("m", timeout=60, tenant=""):
                    raise AssertionError
            assert anyio.current_time() < 0.01
            assert caught.value.waited == 0
            assert caught.value.expected_wait == pytest.approx(90, abs=3)
            assert caught.value.quota == "rpm"
            async with scheduler.reserve("m", timeout=60, priority="interactive"):
                pass
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_deadline_that_becomes_unattainable_fails_then(on_virtual_time: Run) -> None:
    """When a refusal says that the limit is a tenth, who cannot be served in time is told at that moment."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        held = scheduler.reserve_nowait("m", tokens=100)
        late: list[float] = []

        async def waiter() -> None:
            try:
                async with scheduler.reserve("m", tokens=1_000, timeout=100):
                    pass
            except DeadlineUnattainable as error:
                late.append(error.waited)

        async with anyio.create_task_group() as group:
            for _ in range(80):
                group.start_soon(waiter)
            await anyio.sleep(2)
            queued = scheduler.statistics().queued
            assert queued > 15
            held.observe({}, 429, refusal(6_000, 6_000, 100))
            held.settle()
            await anyio.wait_all_tasks_blocked()
            assert len(late) >= queued - 11
            assert late == pytest.approx([2.0] * len(late), abs=0.01)
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_lower_limit_that_leaves_time_enough(on_virtual_time: Run) -> None:
    """Who can still be served in time goes on waiting when limits change."""

    async def main() -> None:
        scheduler = emptied({"rpm": 600})
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(partial(_take, scheduler, Log(), "m", timeout=60))
            await anyio.wait_all_tasks_blocked()
            scheduler.configure(limits={"m": {"rpm": 60}})
            assert scheduler.statistics().queued >= 4
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_head_that_cannot_be_served_in_time_makes_room(on_virtual_time: Run) -> None:
    """A large head whose deadline another's spending has made unattainable fails at once, and the next goes."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000})
        errors: list[DeadlineUnattainable] = []

        async def large() -> None:
            try:
                async with scheduler.reserve("m", tokens=40_000, timeout=45):
                    raise AssertionError
            except DeadlineUnattainable as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(large)
            await anyio.sleep(0.1)
            group.start_soon(lambda: _take(scheduler, log, "small", tokens=100))
            await anyio.sleep(1)
            assert log.names == []
            async with scheduler.reserve("m", tokens=9_000, priority="interactive"):
                pass
            await anyio.sleep(1)
        assert errors[0].waited < 10
        assert errors[0].expected_wait is not None
        assert log.names == ["small"]
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_who_waits_can_be_told_why(on_virtual_time: Run) -> None:
    """A waiting request knows its position, what holds it back and when its turn is; nobody else does."""

    async def main() -> None:
        scheduler = emptied({"rpm": 60})
        waiters = [scheduler.reserve("m", tenant="acme") for _ in range(10)]
        assert waiters[0].outlook() is None
        async with anyio.create_task_group() as group:
            for waiter in waiters:
                group.start_soon(_enter, waiter)
                await anyio.wait_all_tasks_blocked()
            first, last = waiters[0].outlook(), waiters[9].outlook()
            assert first is not None
            assert last is not None
            assert (first.position, last.position) == (0, 9)
            assert (last.scope, last.quota, last.tenant, last.priority) == ("m", "rpm", "acme", 50)
            assert last.expected_wait == pytest.approx(9, abs=1.5)
            assert scheduler.waiting()[0] == first
            assert len(scheduler.waiting(5)) == 5
            await anyio.sleep(15)
        assert waiters[9].outlook() is None

    on_virtual_time(main)


async def _enter(waiter: Any) -> None:
    async with waiter:
        pass


def test_why_behind_a_gate_and_behind_others(on_virtual_time: Run) -> None:
    """Where the provider has to be probed first the gate is named; where only an end can free one, no time."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60_000})
        scheduler.reserve_nowait("m").observe({"retry-after": "7"}, 503)
        waiter = scheduler.reserve("m")
        one = at_once(concurrency=1)
        held = one.reserve_nowait("m")
        other = one.reserve("m")
        async with anyio.create_task_group() as group:
            group.start_soon(_enter, waiter)
            group.start_soon(_enter, other)
            await anyio.wait_all_tasks_blocked()
            seen, behind = waiter.outlook(), other.outlook()
            assert seen is not None
            assert (seen.scope, seen.quota) == ("m", "gate")
            assert seen.expected_wait is not None
            assert seen.expected_wait >= 7
            assert behind is not None
            assert (behind.quota, behind.expected_wait) == ("concurrency", None)
            held.settle()

    on_virtual_time(main)


def test_another_priority_while_it_waits(on_virtual_time: Run) -> None:
    """A waiting request may be moved up or down; one that does not wait cannot."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60})
        waiters = [scheduler.reserve("m") for _ in range(3)]

        async def enter(index: int) -> None:
            async with waiters[index]:
                log(str(index))

        async with anyio.create_task_group() as group:
            for index in range(3):
                group.start_soon(enter, index)
                await anyio.wait_all_tasks_blocked()
            assert waiters[2].reprioritise("interactive")
            assert waiters[0].reprioritise(Priority.BATCH)
            assert waiters[1].reprioritise(Priority.NORMAL)
        assert not waiters[0].reprioritise(1)
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names == ["2", "1", "0"]


def test_another_priority_counts_in_other_lanes(on_virtual_time: Run) -> None:
    """Of two that wait for one limit in different lanes, who is moved up goes first."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60, "ipm": 1_000})
        second = scheduler.reserve("m", images=1)

        async def enter() -> None:
            async with second:
                log("second")

        async with anyio.create_task_group() as group:
            group.start_soon(_take, scheduler, log, "first")
            await anyio.wait_all_tasks_blocked()
            group.start_soon(enter)
            await anyio.wait_all_tasks_blocked()
            assert second.reprioritise("interactive")
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names == ["second", "first"]


def test_who_is_moved_down_frees_the_way_at_once(on_virtual_time: Run) -> None:
    """A small request behind a large one in another lane goes at once when the large one is moved behind it."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000, "ipm": 1_000})
        await anyio.sleep(2)
        large = scheduler.reserve("m", tokens=50_000)
        async with anyio.create_task_group() as group:
            group.start_soon(_enter, large)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(partial(_take, scheduler, log, "small", tokens=100, images=1))
            await anyio.wait_all_tasks_blocked()
            assert log.names == []
            assert large.reprioritise("batch")
            await anyio.wait_all_tasks_blocked()
            assert log.names == ["small"]
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


@pytest.mark.parametrize("how", ["owner", "provider"])
def test_who_cannot_go_any_more_is_told_so(on_virtual_time: Run, how: str) -> None:
    """When a limit falls below what a waiting request needs, it fails with what would fit, and the next goes."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        held = scheduler.reserve_nowait("m", tokens=30_000)
        errors: list[RequestTooLarge] = []

        async def large() -> None:
            try:
                async with scheduler.reserve("m", tokens=40_000):
                    raise AssertionError
            except RequestTooLarge as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(large)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(partial(_take, scheduler, log, "next", tokens=1_000))
            await anyio.sleep(0.1)
            if how == "owner":
                scheduler.configure(limits={"m": {"tpm": 6_000}})
            else:
                held.observe({}, 429, refusal(6_000, 6_000, 100))
            held.settle()
            await anyio.wait_all_tasks_blocked()
            assert [(error.requested, error.largest) for error in errors] == [(40_000, 6_000)]
        assert log.names == ["next"]
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_deadline_is_not_given_up_because_another_tenant_comes(on_virtual_time: Run) -> None:
    """The first in line, who waits for another's end, goes on waiting when others ask who may not go before him."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60}, concurrency=1)
        await anyio.sleep(2)
        held = scheduler.reserve_nowait("m")
        async with anyio.create_task_group() as group:
            group.start_soon(partial(_take, scheduler, log, "first", tenant="x", timeout=0.9))
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                group.start_soon(partial(_take, scheduler, log, "other", tenant="y"))
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(DeadlineUnattainable):
                scheduler.reserve_nowait("m", tenant="z")
            await anyio.sleep(0.8)
            held.settle()
            await anyio.wait_all_tasks_blocked()
            assert log.names[0] == "first"
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_small_request_of_another_tenant_may_have_a_deadline(on_virtual_time: Run) -> None:
    """Tenants share by charge: many large requests of one do not make a deadline unattainable for a small one."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000})
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(partial(_take, scheduler, Log(), "bulk", tenant="x", tokens=10_000))
            await anyio.wait_all_tasks_blocked()
            for index in range(10):
                group.start_soon(partial(_take, scheduler, log, f"{index}", tenant="y", tokens=10, timeout=30))
                await anyio.wait_all_tasks_blocked()
            await anyio.sleep(30)
            assert len(log.names) == 10
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_what_goes_later_makes_no_deadline_unattainable(on_virtual_time: Run) -> None:
    """A large request of the same tenant that goes after a small one does not count against its deadline."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000})
        async with anyio.create_task_group() as group:
            for name, tokens, timeout in (("last", 50_000, None), ("first", 10, 5), ("second", 10, 20)):
                group.start_soon(partial(_take, scheduler, log, name, tokens=tokens, timeout=timeout))
                await anyio.wait_all_tasks_blocked()
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names == ["first", "second", "last"]


def test_a_waiting_request_may_be_withdrawn(on_virtual_time: Run) -> None:
    """Whoever waits for it gets an error that says so, and the next is not held up."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60})
        waiter = scheduler.reserve("m", timeout=50)

        async def withdrawn() -> None:
            with pytest.raises(RequestWithdrawn, match=r"withdrawn after waiting 0\.5"):
                async with waiter:
                    raise AssertionError

        async with anyio.create_task_group() as group:
            group.start_soon(withdrawn)
            await anyio.sleep(0.1)
            group.start_soon(_take, scheduler, log, "next")
            await anyio.sleep(0.4)
            assert waiter.withdraw()
            assert not waiter.withdraw()
        assert anyio.current_time() < 2.5
        assert log.names == ["next"]
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_nowait_goes_before_the_less_important(on_virtual_time: Run) -> None:
    """A request that may go before those who wait need not wait because they do; one that may not leaves no trace."""

    async def main() -> None:
        scheduler = emptied({"tpm": 60_000})
        await anyio.sleep(2)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: _take(scheduler, Log(), "large", tokens=50_000, priority="batch"))
            await anyio.wait_all_tasks_blocked()
            scheduler.reserve_nowait("m", tokens=100, priority="interactive").settle()
            with pytest.raises(DeadlineUnattainable) as caught:
                scheduler.reserve_nowait("m", tokens=100, priority="batch")
            assert caught.value.expected_wait is not None
            assert scheduler.statistics().queued == 1
            group.cancel_scope.cancel()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_limits_weights_and_shares_change_while_it_runs(on_virtual_time: Run) -> None:
    """A raised limit lets those go who wait; nobody is dropped; what had been spent stays spent."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60, "tpm": 60_000})
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(_take, scheduler, log, "m")
            await anyio.sleep(2)
            before = len(log.grants)
            assert before <= 3
            scheduler.configure(
                limits={"m": {"rpm": 6_000, "rpd": 100_000}}, weights={"a": 3.0}, reserved={"interactive": 0.1}
            )
            await anyio.sleep(1)
            assert len(log.grants) == 20
        (scope,) = (scope for scope in scheduler.statistics().scopes if scope.name == "m")
        limits = {bucket.quota: bucket.limit for bucket in scope.buckets}
        assert limits == {"rpm": 6_000, "rpd": 100_000, "tpm": 60_000} or limits["tpm"] in {None, 60_000}
        assert scheduler.admission.lanes.reserves.kept_from(100) == 100
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_scope_that_is_named_no_more_serves_those_who_wait_in_it(on_virtual_time: Run) -> None:
    """They go by the limits that they waited for; newcomers go by the new rules; then it is forgotten."""
    log = Log()

    async def main() -> None:
        scheduler = emptied({"rpm": 60}, project_limits={"p": {"m": {"rpm": 100}, "x": {"rpm": 10}}})
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(_take, scheduler, log, "old")
            await anyio.wait_all_tasks_blocked()
            scheduler.reserve_nowait("x", project="p").settle()
            scheduler.configure(project_limits={"p": {"m": {"rpm": 200}, "x": {"tpm": 100}}})
            scheduler.configure(limits={"other": {"rpm": 5}, "*": {"rpm": 6_000}}, project_limits={})
            for _ in range(5):
                group.start_soon(_take, scheduler, log, "new")
            await anyio.sleep(0.5)
            assert log.names.count("new") == 5
            assert log.names.count("old") <= 1
            assert {"m", "*"} <= {scope.name for scope in scheduler.statistics().scopes}
        assert log.names.count("old") == 5
        scheduler.configure(limits={"*": {"rpm": 6_000}})
        assert "m" not in {scope.name for scope in scheduler.statistics().scopes}

    on_virtual_time(main)


def test_a_file_is_read_again_on_request(on_virtual_time: Run, tmp_path: Path) -> None:
    """``reload`` follows the file; a broken file changes nothing and is named."""
    file = tmp_path / "scheduler.toml"
    file.write_text("[limits.m]\nrpm = 60\n")

    async def main() -> None:
        scheduler = Scheduler.from_file(file, clock=LoopClock())
        spend(scheduler, 1)
        file.write_text('[limits.m]\nrpm = 120\n[weights]\nacme = 2.0\n[reserved]\ninteractive = 0.05\n"10" = 0.1\n')
        scheduler.reload()
        (bucket,) = (b for b in scheduler.statistics().scopes[0].buckets if b.quota == "rpm")
        assert bucket.limit == 120
        assert scheduler.admission.lanes.reserves.kept_from(50) == 150
        file.write_text("[limits.m]\nrpm = -1\n")
        with pytest.raises(ConfigurationError) as caught:
            scheduler.reload()
        assert str(file) in str(caught.value)
        (bucket,) = (b for b in scheduler.statistics().scopes[0].buckets if b.quota == "rpm")
        assert bucket.limit == 120
        with pytest.raises(RuntimeError, match="not made from a file"):
            at_once().reload()

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"weights": {"a": 0}}, "weights.a"),
        ({"weights": [1]}, "weights"),
        ({"reserved": {"interactive": 2}}, "reserved.interactive"),
        ({"reserved": {"interactive": 0.5, "normal": 0.6}}, "reserved"),
        ({"reserved": {"urgent": 0.1}}, "priority"),
        ({"reserved": 0.5}, "reserved"),
    ],
)
def test_unusable_shares_and_weights(settings: dict[str, Any], key: str) -> None:
    """A share or weight that cannot be is an error that names it."""
    with pytest.raises(ConfigurationError) as caught:
        Scheduler(**settings)
    assert caught.value.key == key


def test_a_day_is_spread(on_virtual_time: Run) -> None:
    """Batch work with three times the day's budget leaves what people ask for all day, and wastes nothing of it."""
    waits: list[float] = []
    batch = Log()
    midnight = 1_700_006_400  # of some day in UTC

    async def main() -> None:
        limits = {"rpd": {"amount": 1_000, "resets": "midnight UTC", "spread": 0.5}}
        scheduler = Scheduler(limits={"m": limits}, clock=LoopClock((midnight + 3_600) * 10**9))

        async def one() -> None:
            async with scheduler.reserve("m", priority="batch"):
                batch("batch")

        async with anyio.create_task_group() as group:
            for _ in range(3_000):
                group.start_soon(one)
            for _ in range(300):
                await anyio.sleep(240)
                began = anyio.current_time()
                async with scheduler.reserve("m", priority="interactive"):
                    waits.append(anyio.current_time() - began)
            await anyio.sleep(86_400 - 3_600 - 60 - anyio.current_time())
            group.cancel_scope.cancel()

    on_virtual_time(main)
    assert max(waits) < 1
    assert len(batch.grants) + len(waits) >= 990
    assert sum(time < 43_200 for time in batch.times) < 700


def test_what_cannot_go_today_is_told_so_when_it_is_submitted(on_virtual_time: Run) -> None:
    """A request with 30 of a day's 10 before it is refused if it must go tomorrow, and waits if it may take a week."""

    async def main() -> None:
        limits = {"rpd": {"amount": 10, "resets": "midnight UTC"}}
        scheduler = Scheduler(limits={"m": limits}, clock=LoopClock(1_700_006_400 * 10**9))
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(partial(_take, scheduler, Log(), "before", priority=10))
            await anyio.sleep(1)
            with pytest.raises(DeadlineUnattainable) as caught:
                async with scheduler.reserve("m", timeout=2 * 86_400):
                    raise AssertionError
            assert caught.value.waited == 0
            assert caught.value.expected_wait is not None
            assert 3.9 < caught.value.expected_wait / 86_400 < 4.1
            waiter = scheduler.reserve("m", timeout=7 * 86_400)
            group.start_soon(_enter, waiter)
            await anyio.wait_all_tasks_blocked()
            assert waiter.outlook() is not None

    on_virtual_time(main)


def test_the_floor_of_the_lowest_class_across_lanes(on_virtual_time: Run) -> None:
    """Work of the lowest class in another lane of the same limits has its 2 %, however busy those above keep them."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"rpm": 6_000, "ipm": 100_000})

        async def busy() -> None:
            with contextlib.suppress(DeadlineUnattainable):
                await _take(scheduler, log, "normal")

        async with anyio.create_task_group() as group:
            for _ in range(20_000):
                group.start_soon(busy)
            for _ in range(1_000):
                group.start_soon(lambda: _take(scheduler, log, "batch", priority="batch", images=1))
            await anyio.sleep(60)
            group.cancel_scope.cancel()
        late = log.names[len(log.names) // 2 :]
        assert late.count("batch") / len(late) == pytest.approx(0.02, abs=0.005)
        assert is_quiet(scheduler)

    on_virtual_time(main)
