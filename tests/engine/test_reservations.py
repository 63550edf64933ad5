"""A reservation ends exactly once, whatever happens to who holds it."""

import gc
from collections.abc import Generator
from typing import Any

import anyio
import pytest
from engine_support import Run, at_once, is_quiet

from scheduler import Answered, InvalidRequest, ReservationClosed, Scheduler, Usage
from scheduler.engine.waiter import Waiter
from scheduler.providers.base import Outcome


class Yield:
    """What a coroutine is suspended at, on no loop in particular."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def _level(scheduler: object) -> int | None:
    bucket = scheduler.statistics().scopes[0].buckets[0]  # type: ignore[attr-defined]  # any scheduler
    level: int | None = bucket.level
    return level


@pytest.mark.parametrize(("first", "word"), [("settle", "settle"), ("cancel", "cancel")])
def test_it_ends_once(first: str, word: str) -> None:
    """Ending it again, or telling it an answer afterwards, is an error that says how it ended."""
    reservation = at_once({"rpm": 60}).reserve_nowait("m")
    getattr(reservation, first)()
    for again in (reservation.settle, reservation.cancel, lambda: reservation.observe({})):
        with pytest.raises(ReservationClosed) as caught:
            again()
        assert caught.value.ended_by == word
    with pytest.raises(ReservationClosed):
        reservation.learn(reservation._admission.provider.read(200, {}, None))
    reservation.leave(None)


def test_nothing_is_reserved_before_it_is_entered() -> None:
    """Ending it, or telling it an answer, is an error that says what to do; and it can still be entered."""
    waiter = at_once({"rpm": 60}).reserve("m")
    for early in (waiter.settle, waiter.cancel, lambda: waiter.observe({})):
        with pytest.raises(RuntimeError, match="enter it first"):
            early()
    with waiter as reservation:
        assert reservation is waiter
        with pytest.raises(RuntimeError, match="one attempt"), waiter:
            pass
        waiter.settle()


def test_what_was_given_at_once_is_entered_once() -> None:
    """In a thread or in a task, without another charge, and not again."""
    scheduler = at_once({"rpm": 60})
    given = scheduler.reserve_nowait("m")
    with given as same:
        assert same is given
    with pytest.raises(RuntimeError, match="one attempt"), given:
        pass

    async def main() -> None:
        waiter = scheduler.reserve("m")
        assert scheduler.admission.try_now(waiter) is waiter
        async with waiter as reservation:
            assert reservation is waiter
        with pytest.raises(RuntimeError, match="one attempt"):
            async with waiter:
                pass

    anyio.run(main)
    assert scheduler.statistics().sent == 2
    assert is_quiet(scheduler)


def test_a_reservation_cannot_be_awaited_away() -> None:
    """Awaiting it is an error, closing it as a generator does nothing: it stays what it is."""
    scheduler = at_once({"rpm": 60})
    waiter = scheduler.reserve("m")
    with waiter as reservation:
        with pytest.raises(RuntimeError, match="not awaited"):
            next(waiter)
        waiter.close()
        assert reservation.ended_by is None
        reservation.settle()
    assert scheduler.statistics().scopes[0].outcomes == {"success": 1}


@pytest.mark.parametrize("wrong", [{"tokens": 1e3}, {"tokens": float("nan")}, {"images": -1}, {"tenant": ["x"]}])
def test_what_is_no_charge_and_no_name_is_refused(wrong: dict[str, Any]) -> None:
    """Nothing has been counted then, and others go on."""
    scheduler = at_once({"rpm": 60, "tpm": 60_000})
    with pytest.raises(InvalidRequest) as caught:
        scheduler.reserve("m", **wrong)
    assert caught.value.field in wrong
    scheduler.reserve_nowait("m", tokens=10).settle()


class _Ticking:
    """A clock on which a millisecond passes at every look."""

    instant = 0

    def now(self) -> int:
        self.instant += 1_000_000
        return self.instant

    wall = now


def test_what_ends_keep_and_give_back() -> None:
    """Settling, leaving and an error keep the charge; cancelling returns it, unless an answer had come."""
    scheduler = at_once({"rpd": 8_640_000}, clock=_Ticking())
    scheduler.events.clear()
    scheduler.reserve_nowait("m", requests=100).settle(tokens=5)
    with scheduler.reserve("m", requests=100):
        pass
    with pytest.raises(ValueError, match="theirs"), scheduler.reserve_nowait("m", requests=100) as third:
        raise ValueError("theirs")
    assert (third.outcome.value if third.outcome else "") == "unknown"
    assert (_level(scheduler) or 0) // 100 == 86_397
    scheduler.reserve_nowait("m", requests=100).cancel()
    assert (_level(scheduler) or 0) // 100 == 86_397
    answered = scheduler.reserve_nowait("m", requests=100)
    answered.observe({})
    answered.cancel()
    assert (_level(scheduler) or 0) // 100 == 86_396
    seen = scheduler.statistics()
    assert seen.scopes[0].outcomes == {"success": 3, "unknown": 1}
    assert (seen.sent, seen.cancelled, seen.usage) == (4, 1, Usage(input_tokens=5))
    told = [event.outcome for event in scheduler.events if isinstance(event, Answered)]
    assert told == ["success", "success", "unknown", "success"]
    assert is_quiet(scheduler)


def test_an_answer_and_a_lost_body_count_once() -> None:
    """An attempt whose headers were a success and whose outcome became unknown is counted once, as unknown."""
    scheduler = at_once({"rpm": 60})
    reservation = scheduler.reserve_nowait("m")
    reservation.observe({})
    reservation.outcome = Outcome.UNKNOWN
    reservation.settle()
    assert scheduler.statistics().scopes[0].outcomes == {"unknown": 1}


def test_a_forgotten_reservation_expires(on_virtual_time: Run) -> None:
    """One that nobody holds any more ends by expiry: concurrency comes back and the next waiter wakes."""

    async def main() -> None:
        scheduler = at_once({"rpm": 60, "concurrency": 1})
        held = [scheduler.reserve_nowait("m")]
        order: list[str] = []

        async def next_one() -> None:
            async with scheduler.reserve("m", timeout=3600):
                order.append("next")

        async with anyio.create_task_group() as group:
            group.start_soon(next_one)
            await anyio.wait_all_tasks_blocked()
            assert not order
            held.clear()
            gc.collect()
        assert order == ["next"]
        assert scheduler.statistics().scopes[0].outcomes == {"unknown": 1, "success": 1}
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_one_that_had_another_priority_expires_too(on_virtual_time: Run) -> None:
    """The place that it left in the queue holds it no longer."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "concurrency": 1})
        first = scheduler.reserve_nowait("m")
        held: list[object] = []

        async def wait_for(waiter: Waiter) -> None:
            held.append(await waiter.__aenter__())

        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(_at_rest, scheduler)
            moved = scheduler.reserve("m", priority="batch")
            group.start_soon(wait_for, moved)
            await anyio.wait_all_tasks_blocked()
            assert moved.reprioritise("interactive")
            first.settle()
            await anyio.sleep(1)
            assert held
            del moved
            held.clear()
            gc.collect()
        assert scheduler.statistics().scopes[0].outcomes == {"unknown": 1, "success": 3}
        assert is_quiet(scheduler)

    on_virtual_time(main)


async def _at_rest(scheduler: Scheduler) -> None:
    async with scheduler.reserve("m", priority="batch"):
        pass


def test_a_reservation_that_waited_with_a_timeout_expires_too(on_virtual_time: Run) -> None:
    """Nothing inside keeps a reservation alive that its holder has forgotten."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        first = scheduler.reserve_nowait("m")

        async def forget() -> None:
            await scheduler.reserve("m", timeout=86_400).__aenter__()

        async with anyio.create_task_group() as group:
            group.start_soon(forget)
            await anyio.wait_all_tasks_blocked()
            first.settle()
        gc.collect()
        await anyio.lowlevel.checkpoint()
        async with scheduler.reserve("m", timeout=1):
            pass
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_finalizers_under_the_lock(on_virtual_time: Run) -> None:
    """Reservations and blocks that are collected while the lock is held end when it is free, without a deadlock."""

    async def main() -> None:
        scheduler = at_once(concurrency=3)
        held: list[object] = [scheduler.reserve_nowait("m")]

        async def block() -> None:
            async with scheduler.reserve("m") as reservation:
                try:
                    await Yield()
                finally:
                    reservation.settle()

        coroutine = block()
        coroutine.send(None)
        thrown: list[object] = [coroutine]
        del coroutine
        woken: list[str] = []

        async def waiter() -> None:
            holders = [scheduler.reserve_nowait("m")]
            async with scheduler.reserve("m"):
                woken.append("waiter")
            holders[0].settle()

        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            await anyio.wait_all_tasks_blocked()

            def collect(_: int) -> None:
                held.clear()
                thrown.clear()
                gc.collect()

            scheduler.admission.look(collect)
        assert woken == ["waiter"]
        assert is_quiet(scheduler)

    on_virtual_time(main)


def test_freed_by_a_finalizer_just_before_it_sleeps(on_virtual_time: Run) -> None:
    """A waiter that is granted between queueing and sleeping does not miss its wake-up."""

    async def main() -> None:
        scheduler = at_once(concurrency=1)
        held = [scheduler.reserve_nowait("m")]
        admission = scheduler.admission
        begin = admission._enqueue

        def then_collect(*args: object, **kwargs: object) -> object:
            waiter = begin(*args, **kwargs)  # type: ignore[arg-type]  # passed through
            held.clear()
            gc.collect()
            return waiter

        admission._enqueue = then_collect  # type: ignore[method-assign,assignment]  # garbage at the worst moment
        with anyio.fail_after(1):
            async with scheduler.reserve("m"):
                pass
        assert is_quiet(scheduler)

    on_virtual_time(main)
