"""Who is let through when: order, waits, cancellation, deadlines, bounds."""

from functools import partial
from typing import Any

import anyio
import pytest
from engine_support import Log, Run, at_once, headers, is_quiet, milli, spend

from scheduler import (
    Admitted,
    DeadlineUnattainable,
    InvalidRequest,
    Priority,
    QueueFull,
    RequestTooLarge,
    Scheduler,
)
from scheduler.core.quota import MINUTE, Charge, Dimension, Quota
from scheduler.engine.waiter import Waiter
from scheduler.testing import Recorder


async def _hold(scheduler: Scheduler, log: Log, name: str, seconds: float = 0, **options: Any) -> None:
    async with scheduler.reserve("m", **options):
        log(name)
        await anyio.sleep(seconds)


def test_priority_then_arrival(on_virtual_time: Run) -> None:
    """The lowest priority goes first, and within one the earliest arrival."""
    log = Log()

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        async with anyio.create_task_group() as group:
            for name, priority in (("first", 50), ("b1", "batch"), ("n1", 50), ("i1", 0), ("b2", 100), ("i2", 0)):
                group.start_soon(partial(_hold, scheduler, log, name, 1, priority=priority))
                await anyio.sleep(0.001)
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names == ["first", "i1", "i2", "n1", "b1", "b2"]
    assert [milli(t) for t in log.times] == [0, 1000, 2000, 3000, 4000, 5000]


def test_waits_are_exact(on_virtual_time: Run) -> None:
    """A request waits as long as its bucket needs, to a few microseconds."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"rpm": 60})
        await anyio.sleep(1)
        for _ in range(200):
            expected = _expected(scheduler)
            if expected is not None:
                began = anyio.current_time()
                async with scheduler.reserve("m"):
                    waited = anyio.current_time() - began
                assert -1e-9 <= waited - expected <= 3e-6
                log("waited")
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert len(log.grants) > 50


def _expected(scheduler: Scheduler) -> float | None:
    """Return how long one has to wait; one that has not is let through."""
    try:
        scheduler.reserve_nowait("m").settle()
    except DeadlineUnattainable as error:
        return error.expected_wait
    return None


def test_nowait_is_granted_exactly_when_it_said(on_virtual_time: Run) -> None:
    """One nanosecond before the instant that the error names it is refused, at that instant it is granted."""

    class Hand:
        instant = 0

        def now(self) -> int:
            return self.instant

        def wall(self) -> int:
            return self.instant

    clock = Hand()
    scheduler = Recorder(limits={"m": {"rpm": 7, "tpm": 1001}}, clock=clock)
    with pytest.raises(DeadlineUnattainable) as caught:
        spend(scheduler, 20, tokens=123)
    assert caught.value.expected_wait is not None
    assert caught.value.scope == "m"
    assert caught.value.quota in {"rpm", "tpm"}
    lane = next(iter(scheduler.admission.lanes))
    waiter = Waiter(scheduler.admission, "m", None, Charge(1, 123), 50)
    instant, _ = scheduler.admission._dispatcher.outlook(lane, waiter, 0)
    assert caught.value.expected_wait == instant / 1e9
    clock.instant = instant - 1
    with pytest.raises(DeadlineUnattainable):
        scheduler.reserve_nowait("m", tokens=123)
    clock.instant = instant
    scheduler.reserve_nowait("m", tokens=123).settle()


def test_a_cancelled_waiter_leaves_the_queue(on_virtual_time: Run) -> None:
    """A waiter that is cancelled takes nothing, and the next goes at its own time."""
    log = Log()

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        async with anyio.create_task_group() as group:
            group.start_soon(_hold, scheduler, log, "holder", 2)
            await anyio.sleep(0.1)
            with anyio.move_on_after(1):
                await _hold(scheduler, log, "cancelled")
            assert scheduler.statistics().queued == 0
            await _hold(scheduler, log, "next")
        assert is_quiet(scheduler)
        assert scheduler.statistics().sent == 2

    on_virtual_time(main)
    assert log.names == ["holder", "next"]


def test_cancelled_in_the_moment_of_its_grant(on_virtual_time: Run) -> None:
    """A waiter cancelled just when it is granted gives the charge back and passes the turn on."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"rpm": 1000, "concurrency": 1})
        scope = anyio.CancelScope()
        holder = scheduler.reserve_nowait("m")

        async def cancelled() -> None:
            with scope:
                await _hold(scheduler, log, "cancelled")

        async with anyio.create_task_group() as group:
            group.start_soon(cancelled)
            await anyio.sleep(1)
            group.start_soon(_hold, scheduler, log, "next")
            await anyio.sleep(1)
            holder.settle()  # the first waiter is granted here, and cancelled before it runs
            scope.cancel()
        assert is_quiet(scheduler)
        seen = scheduler.statistics()
        assert seen.scopes[0].buckets[0].level is not None
        assert seen.sent == 1 + len(log.grants)
        assert seen.sent + seen.cancelled == len(scheduler.admitted)

    on_virtual_time(main)
    assert log.names[-1] == "next"


def test_cancelled_task_granted_meanwhile(on_virtual_time: Run) -> None:
    """Many waiters, cancelled at the very instants of grants: none leaks and those who stay are all served."""
    log = Log()

    async def main() -> None:
        scheduler = at_once({"rpm": 60, "tpm": 6000})
        scopes = [anyio.CancelScope() for _ in range(40)]

        async def one(index: int) -> None:
            with scopes[index]:
                await _hold(scheduler, log, str(index), tokens=50)

        async with anyio.create_task_group() as group:
            for index in range(40):
                group.start_soon(one, index)
            await anyio.wait_all_tasks_blocked()
            granted = len(log.grants)
            lane = next(iter(scheduler.admission.lanes))
            for index in range(granted, 40, 2):  # step to just when the next is due, let it be granted, cancel it
                wait = (lane.ready_at - scheduler.admission.clock.now()) / 1e9
                await anyio.sleep(max(0.0, wait))
                scopes[index].cancel()
        assert is_quiet(scheduler)
        seen = scheduler.statistics()
        assert seen.sent == len(log.grants)
        assert seen.cancelled + len(log.grants) == len(scheduler.admitted)
        assert sum(seen.waits.values()) == len(scheduler.admitted)

    on_virtual_time(main)
    assert 20 <= len(log.grants) < 40


@pytest.mark.parametrize("timeout", [0, 0.5])
def test_a_timeout_says_what_held_it_back(on_virtual_time: Run, timeout: float) -> None:
    """A turn that does not come in time is an error with the wait, the scope, the limit and when it could go."""

    async def main() -> None:
        scheduler = at_once({"concurrency": 1})
        with scheduler.reserve_nowait("m"):
            with pytest.raises(DeadlineUnattainable) as caught:
                async with scheduler.reserve("m", timeout=timeout):
                    raise AssertionError
            assert caught.value.waited == pytest.approx(timeout, abs=1e-5)
            assert caught.value.expected_wait is None
            assert (caught.value.scope, caught.value.quota) == ("m", "concurrency")
            assert "when another ends" in str(caught.value)
        assert is_quiet(scheduler)

    on_virtual_time(main)


@pytest.mark.parametrize(("after", "outcome"), [(1, "granted"), (2, "late")])
def test_a_turn_that_comes_with_the_deadline(on_virtual_time: Run, after: int, outcome: str) -> None:
    """A turn at the instant of a deadline is in time, later it is not, however late the timer; nothing counts twice."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        holder = scheduler.reserve_nowait("m")
        outcomes = []

        async def waiter() -> None:
            try:
                async with scheduler.reserve("m", timeout=1):
                    outcomes.append("granted")
            except DeadlineUnattainable:
                outcomes.append("late")

        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await anyio.wait_all_tasks_blocked()
            scheduler.admission.clock = _Later(scheduler.admission.clock, after)  # type: ignore[assignment]  # a stand-in
            holder.settle()
        assert outcomes == [outcome]
        assert is_quiet(scheduler)
        assert scheduler.statistics().sent == 1 + (outcome == "granted")

    on_virtual_time(main)


class _Later:
    def __init__(self, clock: Any, seconds: int) -> None:
        self._clock, self._ahead = clock, seconds * 10**9

    def now(self) -> int:
        return int(self._clock.now()) + self._ahead


def test_two_tries_with_one_deadline_and_one_arrival(on_virtual_time: Run) -> None:
    """A request that comes back with its old arrival and its old deadline finds its place again."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        admission = scheduler.admission
        arrival = admission.arrive()
        holder = scheduler.reserve_nowait("m")
        deadline = 100 * 10**9
        async with anyio.create_task_group() as group:
            for _ in range(3):

                async def release(held: Any = holder) -> None:
                    await anyio.sleep(1)
                    held.settle()

                group.start_soon(release)
                left = deadline - admission.clock.now()
                holder = await Waiter(admission, "m", None, Charge(), 50, timeout=left, arrival=arrival).__aenter__()
            await anyio.sleep(0.1)
        holder.settle()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_it_may_be_given_up_before_it_slept(on_virtual_time: Run) -> None:
    """A request that is queued and thrown away before its task ever slept leaves the queue."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        holder = scheduler.reserve_nowait("m")
        entering = scheduler.reserve("m").__aenter__().__await__()
        assert scheduler.statistics().queued == 1
        entering.close()
        assert scheduler.statistics().queued == 0
        holder.settle()
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_retries_come_back_to_their_place(on_virtual_time: Run) -> None:
    """A request that enters again with its first arrival goes before those who came after it."""
    log = Log()

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        arrival = scheduler.admission.arrive()
        holder = scheduler.reserve_nowait("m")

        async def again() -> None:
            async with Waiter(scheduler.admission, "m", None, Charge(), 50, arrival=arrival):
                log("retry")
                await anyio.sleep(1)

        async with anyio.create_task_group() as group:
            group.start_soon(_hold, scheduler, log, "later", 1)
            await anyio.sleep(0.1)
            group.start_soon(again)
            await anyio.sleep(0.1)
            holder.settle()

    on_virtual_time(main)
    assert log.names == ["retry", "later"]


def test_the_queue_is_bounded(on_virtual_time: Run) -> None:
    """One more than may wait is refused with the number that wait and the wait to expect."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60}, max_queued=30)
        async with anyio.create_task_group() as group:
            for index in range(60):
                group.start_soon(_hold, scheduler, Log(), str(index))
                await anyio.wait_all_tasks_blocked()
                if scheduler.statistics().queued == 30:
                    break
            with pytest.raises(QueueFull) as caught:
                async with scheduler.reserve("m"):
                    raise AssertionError
            assert (caught.value.queued, caught.value.limit) == (30, 30)
            assert caught.value.expected_wait is not None
            assert 0 < caught.value.expected_wait <= 31
            assert scheduler.statistics().queued == 30
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_a_queue_that_only_ends_can_free() -> None:
    """Where no limit tells when the queue will be through, no wait is named."""
    with pytest.raises(QueueFull) as caught:
        _fill(at_once({"concurrency": 1}, max_queued=1))
    assert caught.value.expected_wait is None


def _fill(scheduler: Scheduler) -> None:
    held = scheduler.reserve_nowait("m")
    for _ in range(2):
        scheduler.admission.enter(Waiter(scheduler.admission, "m", None, held.charge, 50), blocking=True)


def test_the_lanes_of_one_gate_keep_their_order(on_virtual_time: Run) -> None:
    """Requests of several kinds behind a closed gate go in the order of arrival when it opens; newcomers wait too."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60_000, "tpm": 600_000})
        first = scheduler.reserve_nowait("m")
        first.observe({"retry-after": "1"}, 503)
        first.settle()
        async with anyio.create_task_group() as group:
            for index in range(6):
                charge = {"tokens": 10 * (index % 2), "output_tokens": index + 1}
                group.start_soon(partial(_hold, scheduler, Log(), "", 0.1, **charge))
                await anyio.sleep(0.01)
            with pytest.raises(DeadlineUnattainable):
                scheduler.reserve_nowait("m", images=1)
        assert is_quiet(scheduler)
        assert [event.charge.output_tokens for event in scheduler.admitted] == [0, 1, 2, 3, 4, 5, 6]

    on_virtual_time(main)


def test_ends_left_by_others_count_for_the_next(on_virtual_time: Run) -> None:
    """What comes while the lock is held is done before the next decision, and its waiters wake."""

    async def main() -> None:
        scheduler = at_once({"concurrency": 2})
        held = [scheduler.reserve_nowait("m"), scheduler.reserve_nowait("m")]
        admission = scheduler.admission
        admission._lock.acquire()
        held[0].settle()  # another thread's, in the moment that a third holds the lock
        admission._lock.release()
        scheduler.reserve_nowait("m").settle()
        lane = next(iter(admission.lanes))
        grant = admission._grant_now

        def settled_meanwhile(*args: Any) -> Any:
            held.pop().settle()
            return grant(*args)

        held.pop(0)
        admission._grant_now = settled_meanwhile  # type: ignore[method-assign,assignment]  # a finalizer, say
        scheduler.reserve_nowait("m").settle()
        assert lane.scopes[0].flying == 0
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_the_memory_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names come, the ways from names to lanes are bounded."""
    monkeypatch.setattr("scheduler.engine.lanes.NAMES_KNOWN", 10)
    scheduler = Recorder(limits={"*": {"concurrency": 1}})
    for index in range(35):
        scheduler.reserve_nowait(f"name-{index}").settle()
        assert len(scheduler.admission.lanes._known) <= 10
    assert len(scheduler.admission.lanes) == 1


def test_too_large_is_refused_at_once() -> None:
    """A request that a confirmed limit can never admit is refused with the largest size that it would."""
    scheduler = at_once({"tpm": 1000})
    for ask in (scheduler.reserve_nowait, lambda *a, **k: scheduler.reserve(*a, **k).__enter__()):
        with pytest.raises(RequestTooLarge) as caught:
            ask("m", tokens=1001)
        error = caught.value
        assert (error.scope, error.quota, error.requested, error.largest) == ("m", "tpm", 1001, 1000)
    scheduler.reserve_nowait("m", tokens=1000).settle()


@pytest.mark.parametrize("field", ["tokens", "requests", "images", "input_tokens", "output_tokens"])
def test_a_charge_below_zero_is_refused(field: str) -> None:
    """A charge below zero would fill the bucket that it should empty."""
    scheduler = at_once({"tpm": 1000})
    for ask in (scheduler.reserve, scheduler.reserve_nowait):
        with pytest.raises(InvalidRequest) as caught:
            ask("m", **{field: -1})  # type: ignore[arg-type]  # one field of several
        assert caught.value.field == field


def test_all_dimensions_together(on_virtual_time: Run) -> None:
    """Of requests, tokens and images, by the minute and the day, the slowest binds; none is overdrawn."""

    async def main() -> None:
        limits = {"rpm": 600, "tpm": 60_000, "rpd": 5_000, "tpd": 2_000_000, "ipm": 30}
        scheduler = at_once(limits)
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(lambda: _hold(scheduler, Log(), "x", tokens=100, images=1))
        seen = {bucket.quota: bucket for bucket in scheduler.statistics().scopes[0].buckets}
        assert seen.keys() == limits.keys()
        assert all(bucket.level is not None and bucket.level >= 0 for bucket in seen.values())
        assert seen["ipm"].charged == 60
        assert seen["tpd"].charged == 6000
        assert 58 <= anyio.current_time() <= 66  # 60 images at 30 a minute, of which the burst is free
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_organization_and_project_bind_together(on_virtual_time: Run) -> None:
    """A request in a project draws on both limits; one without draws on the organization's alone."""

    async def main() -> None:
        scheduler = Recorder(
            limits={"m": {"concurrency": 3}}, project_limits={"p": {"*": {"concurrency": 1}}}, concurrency=10
        )
        inside = scheduler.reserve_nowait("m", project="p")
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m", project="p")
        assert caught.value.scope == "p/*"
        others = [scheduler.reserve_nowait("m"), scheduler.reserve_nowait("m", project="q")]
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m")
        assert caught.value.scope == "m"
        for each in (inside, *others):
            each.settle()
        seen = {scope.name: scope.sent for scope in scheduler.statistics().scopes}
        assert seen == {"m": 3, "p/*": 1, "local": 3}
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_models_share_a_scope() -> None:
    """Models that one pattern matches draw on one budget, and a dated snapshot on its model's."""
    scheduler = Recorder(limits={"a-*": {"concurrency": 1}, "b": {"concurrency": 1}})
    held = scheduler.reserve_nowait("a-1")
    with pytest.raises(DeadlineUnattainable):
        scheduler.reserve_nowait("a-2")
    other = scheduler.reserve_nowait("b-2025-08-07")
    with pytest.raises(DeadlineUnattainable):
        scheduler.reserve_nowait("b")
    held.settle()
    other.settle()
    scheduler.reserve_nowait("a-2").settle()


def test_a_blocked_lane_holds_back_no_other(on_virtual_time: Run) -> None:
    """A lane that waits for its own bucket does not hold back another lane."""
    log = Log()

    async def main() -> None:
        scheduler = Recorder(limits={"m": {"concurrency": 1}, "n": {"concurrency": 1}}, concurrency=10)
        with scheduler.reserve_nowait("m"):
            with anyio.move_on_after(1):
                await _hold(scheduler, log, "m")
            scheduler.reserve_nowait("n").settle()
            async with scheduler.reserve("n"):
                log("n")

    on_virtual_time(main)
    assert log.names == ["n"]


def test_a_large_request_is_not_starved(on_virtual_time: Run) -> None:
    """Small requests that come later do not pass a large one at the head for ever."""
    log = Log()

    async def main() -> None:
        scheduler = Recorder(limits={"m": {"tpm": 6000}, "*": {"tpm": 600_000}})
        spend(scheduler, 1, tokens=2000)

        async def stream() -> None:
            for index in range(100):
                await _hold(scheduler, log, f"small{index}", tokens=100)

        async with anyio.create_task_group() as group:
            group.start_soon(stream)
            await anyio.sleep(0.5)
            group.start_soon(lambda: _hold(scheduler, log, "large", tokens=5000))
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names.index("large") < 50


def test_retune_lets_through_who_may_go(on_virtual_time: Run) -> None:
    """A limit raised through ``retune`` frees those who wait for it at that instant, and one lowered holds back."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60})
        account = scheduler.admission.book.scopes_for("m", None, 0)[0][0].accounts[0]
        with pytest.raises(DeadlineUnattainable):
            spend(scheduler, 100)
        log = Log()
        async with anyio.create_task_group() as group:
            for index in range(20):
                group.start_soon(_hold, scheduler, log, str(index))
            await anyio.wait_all_tasks_blocked()
            now = anyio.current_time()
            quota = Quota(Dimension.REQUESTS, 6000, MINUTE)
            scheduler.admission.retune(lambda instant: account.retune(quota, instant))
        assert len(log.grants) == 20
        assert anyio.current_time() - now < 2  # 20 at 60 a minute would take 20 s
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_two_streams_on_two_accounts_do_not_starve_who_needs_both(on_virtual_time: Run) -> None:
    """A request that needs two accounts, each kept busy by others, gets its turn."""
    log = Log()

    async def main() -> None:
        scheduler = Recorder(
            limits={"m": {"concurrency": 2}, "n": {"concurrency": 1}}, project_limits={"p": {"*": {"concurrency": 2}}}
        )

        async def busy(model: str, project: str | None, offset: float) -> None:
            await anyio.sleep(offset)
            for _ in range(20):
                async with scheduler.reserve(model, project=project):
                    log("busy")
                    await anyio.sleep(1)

        async def both() -> None:
            await anyio.sleep(2.6)
            await _hold(scheduler, log, "both", project="p", priority=Priority.INTERACTIVE)

        async with anyio.create_task_group() as group:
            for offset in (0, 0.5, 0.7):
                group.start_soon(busy, "m", None, offset)
                group.start_soon(busy, "n", "p", offset + 0.2)
            group.start_soon(both)
        assert is_quiet(scheduler)

    on_virtual_time(main)
    assert log.names.index("both") < 30


def test_many_of_all_kinds_are_all_served(on_virtual_time: Run) -> None:
    """Hundreds of requests over shared and separate scopes, sizes, priorities and timeouts: each is served or late."""
    import random  # noqa: PLC0415 -- only here

    chance = random.Random(7)
    done: list[str] = []

    async def main() -> None:
        scheduler = Recorder(
            limits={"a": {"rpm": 120, "tpm": 20_000}, "b*": {"tpm": 9_000, "concurrency": 3}},
            project_limits={"p": {"*": {"rpm": 100, "tpm": 15_000}}},
            concurrency=8,
        )

        async def one(index: int) -> None:
            await anyio.sleep(chance.random() * 30)
            options: dict[str, Any] = {
                "tokens": chance.choice([0, 50, 100, 2000]),
                "priority": chance.choice([0, 50, 100]),
                "project": chance.choice([None, "p"]),
                "timeout": chance.choice([None, None, 5, 30]),
            }
            with anyio.move_on_after(chance.choice([1000, 1000, 3])) as scope:
                try:
                    async with scheduler.reserve(chance.choice(["a", "b1", "b2"]), **options) as reservation:
                        await anyio.sleep(chance.random())
                        if chance.random() < 0.1:
                            reservation.cancel()
                    done.append("served")
                except DeadlineUnattainable:
                    done.append("late")
            if scope.cancelled_caught:
                done.append("cancelled")

        async with anyio.create_task_group() as group:
            for index in range(400):
                group.start_soon(one, index)
        assert is_quiet(scheduler)
        seen = scheduler.statistics()
        assert sum(seen.waits.values()) == seen.sent + seen.cancelled == len(scheduler.admitted)

    on_virtual_time(main)
    assert len(done) == 400
    assert done.count("served") > 150


def test_one_entry_is_for_one_attempt(on_virtual_time: Run) -> None:
    """Using what ``reserve`` returned twice is refused: it would mix up two reservations."""

    async def main() -> None:
        scheduler = at_once()
        entry = scheduler.reserve("m")
        async with entry:
            with pytest.raises(RuntimeError, match="one attempt"):
                async with entry:
                    raise AssertionError
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_events_of_admission(on_virtual_time: Run) -> None:
    """Each request that is let through is told once, with its charge and its wait."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        async with anyio.create_task_group() as group:
            group.start_soon(_hold, scheduler, Log(), "a", 2)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(lambda: _hold(scheduler, Log(), "b", tokens=7))
        first, second = scheduler.admitted
        assert isinstance(first, Admitted)
        assert first.waited == 0
        assert second.waited == pytest.approx(2, abs=1e-5)
        assert (second.model, second.charge.tokens, second.scope) == ("m", 7, "local")

    on_virtual_time(main)


def test_no_timer_where_nothing_waits_and_no_polling(on_virtual_time: Run) -> None:
    """Nothing is armed while nobody waits; a thousand waits cost about as many ticks, not more."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600})
        admission = scheduler.admission
        ticks = 0
        tick = admission._timer._callback

        def counted() -> None:
            nonlocal ticks
            ticks += 1
            tick()

        admission._timer._callback = counted
        async with anyio.create_task_group() as group:
            for index in range(500):
                group.start_soon(_hold, scheduler, Log(), str(index))
        assert admission._timer._cancel is None
        assert admission._timer.instant is None
        await anyio.sleep(3600)
        assert ticks <= 520

    on_virtual_time(main)


def test_a_deadline_heap_does_not_keep_who_has_gone(on_virtual_time: Run) -> None:
    """Thousands of waits that end long before their timeout leave nothing behind."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)

        async def one() -> None:
            async with scheduler.reserve("m", timeout=86_400):
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(one)
        assert len(scheduler.admission._deadlines) <= 64

        async def important() -> None:
            async with scheduler.reserve("m", timeout=90_000, priority="interactive"):
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(one)
                group.start_soon(important)
            await anyio.sleep(0.15)
            assert len(scheduler.admission._deadlines) >= 250
        assert len(scheduler.admission._deadlines) <= 64
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_observation_wakes_who_it_concerns(on_virtual_time: Run) -> None:
    """Headers that show a far higher limit let those go at once who waited for the old one."""

    async def main() -> None:
        scheduler = at_once({"rpm": 10})
        first = scheduler.reserve_nowait("m")
        log = Log()
        async with anyio.create_task_group() as group:
            for index in range(30):
                group.start_soon(_hold, scheduler, log, str(index))
            await anyio.wait_all_tasks_blocked()
            before = len(log.grants)
            body = b'{"error": {"message": "Rate limit reached for m in organization o on requests per min (RPM): '
            body += b'Limit 6000, Used 6000, Requested 1. Please try again in 10ms."}}'
            first.observe({}, 429, body)
            first.settle()
        assert before < 10
        assert anyio.current_time() < 8  # sixteen rounds of the pace, and not the minutes that 30 of 10 a minute take
        assert scheduler.statistics().scopes[0].buckets[0].limit == 6000

    on_virtual_time(main)


def test_headers_helper_is_read() -> None:
    """The tests' own headers are such as the adapter believes."""
    reservation = at_once({"rpm": 60}).reserve_nowait("m")
    reading = reservation.observe(headers("requests", 60, 59, "1s"))
    assert [(said.limit, said.remaining) for said in reading.observations] == [(60, 59)]
    reservation.settle()
