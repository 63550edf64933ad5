"""One scheduler, several threads and loops, on real time: nobody hangs, nothing is granted twice."""

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
import traceback
import warnings
import weakref
from typing import Any

import anyio
import httpx
import pytest
import trio
from engine_support import is_quiet, spend, threads

from scheduler import DeadlineUnattainable, ReservationClosed, Scheduler
from scheduler.clock import SystemClock
from scheduler.engine.parking import HostGone, Hosts, ThreadHost, TrioHost, current_host


def _busy(scheduler: Scheduler, most: int) -> "_Meter":
    return _Meter(scheduler, most)


class _Meter:
    """Counts who is inside, and how many were at most."""

    def __init__(self, scheduler: Scheduler, most: int) -> None:
        self.scheduler, self.most = scheduler, most
        self.inside = self.peak = self.done = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.peak = max(self.peak, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1
            self.done += 1

    async def task(self, pause: float = 0.001) -> None:
        async with self.scheduler.reserve("m", tokens=1):
            self.enter()
            await anyio.sleep(pause)
            self.leave()

    async def tasks(self, number: int) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(self.task)

    def check(self, done: int) -> None:
        assert self.done == done
        assert self.peak <= self.most
        assert is_quiet(self.scheduler)
        seen = self.scheduler.statistics()
        assert seen.sent == sum(seen.waits.values()) == done


def test_four_threads() -> None:
    """Threads share one concurrency limit and rate, and each gets all its turns."""
    meter = _busy(Scheduler(limits={"m": {"rpm": 60_000}}, concurrency=2), 2)

    def work(_: int) -> None:
        for _ in range(100):
            with meter.scheduler.reserve("m", tokens=1):
                meter.enter()
                if meter.done % 10 == 0:
                    time.sleep(0.0005)
                meter.leave()

    threads(4, work)
    meter.check(400)


def test_a_thread_waits_for_its_instant() -> None:
    """A thread that waits for a bucket keeps the timer itself, and wakes when it should."""
    scheduler = Scheduler(limits={"m": {"tpm": 6_000}})  # 100 a second
    scheduler.reserve_nowait("m", tokens=2_900).settle()
    with pytest.raises(DeadlineUnattainable) as caught:
        scheduler.reserve_nowait("m", tokens=100)
    assert caught.value.expected_wait is not None
    began = time.monotonic()
    with scheduler.reserve("m", tokens=100):
        waited = time.monotonic() - began
    assert caught.value.expected_wait - 0.02 <= waited <= caught.value.expected_wait + 0.2
    assert is_quiet(scheduler)


def test_a_thread_times_out() -> None:
    """A thread's timeout ends its wait, and the thread after it is served."""
    scheduler = Scheduler(concurrency=1)
    holder = scheduler.reserve_nowait("m")
    outcomes: list[str] = []

    def work(index: int) -> None:
        try:
            with scheduler.reserve("m", timeout=0.05 if index else None):
                outcomes.append("served")
        except DeadlineUnattainable:
            outcomes.append("late")
            holder.settle()

    threads(2, work)
    assert outcomes == ["late", "served"]
    assert is_quiet(scheduler)


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio"), ("trio", "trio")])
def test_two_loops_in_two_threads(backends: tuple[str, str]) -> None:
    """Two loops draw on one budget; the timer of one wakes the waiters of the other."""
    meter = _busy(Scheduler(limits={"m": {"rpm": 60_000}}, concurrency=2), 2)
    threads(2, lambda index: anyio.run(meter.tasks, 60, backend=backends[index]))
    meter.check(120)


def test_tasks_and_threads_together() -> None:
    """Tasks of a loop and a plain thread take turns."""
    meter = _busy(Scheduler(concurrency=1), 1)

    def work(index: int) -> None:
        if index == 0:
            anyio.run(meter.tasks, 50)
            return
        for _ in range(50):
            with meter.scheduler.reserve("m", tokens=1):
                meter.enter()
                time.sleep(0.0005)
                meter.leave()

    threads(2, work)
    meter.check(100)


def test_one_run_after_another_leaves_no_loop_behind() -> None:
    """Successive ``asyncio.run`` use one scheduler, which keeps none of their loops alive."""
    meter = _busy(Scheduler(concurrency=1), 1)
    loops: list[weakref.ref[Any]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await meter.tasks(5)

    for _ in range(3):
        asyncio.run(main())
    trio.run(meter.tasks, 5)
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3
    meter.check(20)


def _wait_on(loop: asyncio.AbstractEventLoop, scheduler: Scheduler, **options: Any) -> asyncio.Task[None]:
    """Leave a waiter in the queue, on a loop that then stops."""

    async def wait() -> None:
        async with scheduler.reserve("m", **options):
            raise AssertionError

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # we do destroy it
        return task

    return loop.run_until_complete(begin())


def test_a_closed_loop_passes_leadership_on() -> None:
    """A loop that led the timer and is closed with its waiters in the queue does not stop the others' clock."""
    scheduler = Scheduler(limits={"m": {"rpm": 600}})
    with pytest.raises(DeadlineUnattainable):
        spend(scheduler, 100)
    loop = asyncio.new_event_loop()
    task = _wait_on(loop, scheduler)
    served = threading.Event()

    def work(_: int) -> None:
        if served.wait(0.01):
            return
        with scheduler.reserve("m"):
            served.set()

    closer = threading.Thread(target=work, args=(0,), daemon=True)
    closer.start()
    time.sleep(0.03)
    loop.close()  # the leader
    closer.join(5)
    assert served.is_set()
    del task
    gc.collect()
    assert is_quiet(scheduler)


def test_a_grant_to_a_closed_loop_goes_to_the_next() -> None:
    """What is granted to a waiter whose loop is closed comes back, and the next one gets it; many do not recurse."""
    scheduler = Scheduler(concurrency=1)
    holder = scheduler.reserve_nowait("m")
    loop = asyncio.new_event_loop()
    tasks = [_wait_on(loop, scheduler) for _ in range(1500)]
    late = _wait_on(loop, scheduler, timeout=0.01)
    loop.close()
    time.sleep(0.02)
    threads(1, lambda _: _settle_and_wait(scheduler, holder))
    assert is_quiet(scheduler)
    assert scheduler.statistics().sent == 2
    del tasks, late
    gc.collect()
    assert is_quiet(scheduler)


def _settle_and_wait(scheduler: Scheduler, holder: Any) -> None:
    timer = threading.Timer(0.05, holder.settle)
    timer.start()
    with scheduler.reserve("m"):
        timer.join()


def test_a_forgotten_loop_gives_back_what_its_tasks_held() -> None:
    """Tasks destroyed with their loop, waiting or inside their block, end their reservations without a deadlock."""
    scheduler = Scheduler(concurrency=1)
    loop = asyncio.new_event_loop()

    async def hold() -> None:
        async with scheduler.reserve("m"):
            await asyncio.Event().wait()

    async def begin() -> None:
        for _ in range(3):
            task = asyncio.create_task(hold())
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # we do destroy it
            await asyncio.sleep(0)

    loop.run_until_complete(begin())
    loop.close()
    del loop

    def collect(now: int) -> int:
        gc.collect()  # finalizers run under the lock
        return now

    scheduler.admission.look(collect)
    with scheduler.reserve("m", timeout=5):
        pass
    gc.collect()
    assert is_quiet(scheduler)


def test_a_cancelled_leader_passes_leadership_on() -> None:
    """When the first waiter is cancelled, another loop's waiter keeps the timer."""
    scheduler = Scheduler(limits={"m": {"rpm": 120}})
    with pytest.raises(DeadlineUnattainable):
        spend(scheduler, 100)
    waiting = threading.Event()

    async def leader() -> None:
        with anyio.move_on_after(0.03):
            async with scheduler.reserve("m", priority="batch"):
                raise AssertionError
        waiting.set()

    def work(index: int) -> None:
        if index == 0:
            anyio.run(leader, backend="trio")
        else:
            time.sleep(0.01)
            with scheduler.reserve("m", timeout=5):
                pass

    threads(2, work)
    assert waiting.is_set()
    assert is_quiet(scheduler)


def test_a_trio_run_that_ends_loses_the_timer_and_says_so() -> None:
    """A timer kept by a trio run is passed on when the run ends around it."""
    scheduler = Scheduler(limits={"m": {"rpm": 600}})
    lost = threading.Event()

    async def main() -> None:
        cancel = TrioHost().call_after(10**12, lambda: None, lost.set)
        await trio.lowlevel.checkpoint()
        assert not lost.is_set()
        kept.append(cancel)

    kept: list[Any] = []
    trio.run(main)
    gc.collect()
    assert lost.is_set()
    kept[0]()
    assert is_quiet(scheduler)


def test_two_threads_end_one_reservation() -> None:
    """Of two threads that end one reservation, one succeeds and the other is told."""
    scheduler = Scheduler(concurrency=1)
    for _ in range(50):
        reservation = scheduler.reserve_nowait("m")
        refused: list[str] = []

        def end(_: int, held: Any = reservation, into: list[str] = refused) -> None:
            try:
                held.settle()
            except ReservationClosed as error:
                into.append(error.ended_by)

        threads(2, end)
        assert refused == ["settle"]
    assert is_quiet(scheduler)


def test_settling_while_another_thread_decides() -> None:
    """An end that comes while the lock is taken waits for nobody, and counts at once for whoever decides next."""
    scheduler = Scheduler(concurrency=1)
    reservation = scheduler.reserve_nowait("m")

    def look(_: int) -> None:
        reservation.settle()

    scheduler.admission.look(look)
    scheduler.reserve_nowait("m").settle()
    assert is_quiet(scheduler)


def test_a_listener_may_look_and_a_log_handler_too(caplog: pytest.LogCaptureFixture) -> None:
    """Listeners are told outside the lock: they may ask for statistics; what they raise is logged and no more."""
    scheduler = Scheduler(concurrency=1)
    seen: list[int] = []

    def look(_: object) -> None:
        seen.append(scheduler.statistics().in_flight)
        raise ValueError("theirs")

    stop = scheduler.on_event(look)
    scheduler.reserve_nowait("m").settle()
    stop()
    stop()
    scheduler.reserve_nowait("m").settle()
    assert seen == [1, 0]
    assert caplog.text.count("a listener failed") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_warns_and_begins_anew() -> None:
    """A child warns at its first reservation, finds nothing of its parent's in flight, and the parent goes on."""
    scheduler = Scheduler(limits={"m": {"rpm": 600}}, concurrency=1)
    held = scheduler.reserve_nowait("m")
    stop = threading.Event()
    waiter = threading.Thread(target=lambda: _settle_after(scheduler, stop), daemon=True)
    waiter.start()
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        os._exit(_child(scheduler, held))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    held.settle()
    assert stop.wait(5)
    waiter.join(5)
    assert is_quiet(scheduler)


def _settle_after(scheduler: Scheduler, stop: threading.Event) -> None:
    with scheduler.reserve("m"):
        stop.set()


def _child(scheduler: Scheduler, held: Any) -> int:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with scheduler.reserve("m", timeout=1):
                seen = scheduler.statistics()
                assert (seen.in_flight, seen.queued, seen.sent) == (1, 0, 1)
            held.settle()  # the parent's: ends nothing of ours
        assert scheduler.statistics().in_flight == 0
        assert [each.category for each in caught] == [RuntimeWarning]
        assert "forked" in str(caught[0].message)
    except BaseException:  # noqa: BLE001 -- the exit code tells
        traceback.print_exc()
        return 1
    return 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_the_lock_was_held() -> None:
    """A lock that a thread of the parent held at the fork does not stop the child."""
    scheduler = Scheduler(concurrency=1)

    def fork(_: int) -> int:
        child = os.fork()
        if child == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.reserve_nowait("m").settle()
                os._exit(0)
        return child

    child = scheduler.admission.look(fork)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_every_way_in_warns_in_a_child() -> None:
    """``reserve``, ``reserve_nowait`` and ``async with`` warn once in a forked child."""
    scheduler = Scheduler(transport=httpx.MockTransport(lambda _: httpx.Response(200)))

    async def enter() -> None:
        async with scheduler:
            pass

    def block() -> None:
        with scheduler.reserve("m"):
            pass

    for way in (block, lambda: scheduler.reserve_nowait("n").settle(), lambda: anyio.run(enter)):
        scheduler.forked()
        with pytest.warns(RuntimeWarning, match="forked"):
            way()
        way()


def test_a_thread_that_is_interrupted_leaves_the_queue() -> None:
    """An exception out of a signal handler ends a thread's wait, and nothing is left of it."""
    scheduler = Scheduler(concurrency=1)
    held = scheduler.reserve_nowait("m")

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt), scheduler.reserve("m"):
            raise AssertionError
    finally:
        signal.signal(signal.SIGALRM, before)
    held.settle()
    assert is_quiet(scheduler)


def test_leadership_skips_a_closed_loop() -> None:
    """When the leader leaves, the timer goes past a closed loop to one who can keep it."""
    scheduler = Scheduler(limits={"m": {"rpm": 120}})
    with pytest.raises(DeadlineUnattainable):
        spend(scheduler, 100)
    ready = threading.Event()

    def work(index: int) -> None:
        if index == 0:
            ready.set()
            with pytest.raises(DeadlineUnattainable), scheduler.reserve("m", timeout=0.05, priority="batch"):
                raise AssertionError
            return
        ready.wait()
        time.sleep(0.01)
        loop = asyncio.new_event_loop()
        task = _wait_on(loop, scheduler, priority="batch")
        loop.close()
        with scheduler.reserve("m", timeout=5):
            pass
        del task
        gc.collect()

    threads(2, work)
    assert is_quiet(scheduler)


def test_waiters_of_a_closed_loop_are_buried() -> None:
    """Where nobody is left who could keep the timer, the waiters of closed loops do not stay in the queue."""
    scheduler = Scheduler(limits={"m": {"rpm": 120}})
    with pytest.raises(DeadlineUnattainable):
        spend(scheduler, 100)
    ready = threading.Event()

    def work(index: int) -> None:
        if index == 0:
            ready.set()
            with pytest.raises(DeadlineUnattainable), scheduler.reserve("m", timeout=0.04):
                raise AssertionError
            return
        ready.wait()
        time.sleep(0.01)
        loop = asyncio.new_event_loop()
        tasks.append(_wait_on(loop, scheduler))
        loop.close()

    tasks: list[object] = []
    threads(2, work)
    assert is_quiet(scheduler)


def test_idling_on_a_closed_loop() -> None:
    """A task that waited for quiet on a loop that is closed now disturbs nobody."""
    scheduler = Scheduler(concurrency=1)
    held = scheduler.reserve_nowait("m")
    loop = asyncio.new_event_loop()

    async def begin() -> object:
        task = asyncio.create_task(scheduler.drain())
        await asyncio.sleep(0.001)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # we do destroy it
        return task

    task = loop.run_until_complete(begin())
    loop.close()
    held.settle()
    assert is_quiet(scheduler)
    del task


class _Standing(SystemClock):
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.instant = SystemClock.now()
        self.now = lambda: self.instant


def test_who_is_found_too_late_while_somebody_waits_for_quiet_is_told_so() -> None:
    """The loop was busy past their deadlines: nothing is left then, and those who failed wake."""

    async def main() -> None:
        clock = _Standing()
        scheduler = Scheduler(limits={"m": {"rpm": 60}}, clock=clock)
        with contextlib.suppress(DeadlineUnattainable):
            while True:
                scheduler.reserve_nowait("m").settle()

        async def one() -> None:
            with pytest.raises(DeadlineUnattainable):
                async with scheduler.reserve("m", timeout=1.5):
                    pass

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(one())
            await asyncio.sleep(0.01)
            clock.instant += 3_000_000_000
            assert await scheduler.drain()

    asyncio.run(main())


class _Sleeper:
    slot: Any = None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_host_from_another_thread(backend: str) -> None:
    """A loop's host wakes, rings and stops ringing from any thread, and says when its loop is gone."""
    rung: list[str] = []
    hosts: list[Any] = []

    async def main() -> None:
        host = current_host(Hosts())
        hosts.append(host)
        early = _Sleeper()
        host.prepare(early)
        host.wake(early)
        await host.sleep(early)  # woken before it slept
        sleeper = _Sleeper()
        host.prepare(sleeper)

        def elsewhere() -> None:
            host.call_after(1000, lambda: rung.append("rings"), lambda: rung.append("lost"))
            host.call_after(80_000_000, lambda: rung.append("no"), lambda: rung.append("no"))()
            host.call_after(100_000_000, lambda: host.wake(sleeper), lambda: rung.append("lost"))

        threading.Thread(target=elsewhere).start()
        await host.sleep(sleeper)
        late = _Sleeper()
        host.prepare(late)
        hosts.append(late)

    anyio.run(main, backend=backend)
    assert rung == ["rings"]
    host, late = hosts
    assert not (backend == "trio" and host.here)
    with pytest.raises(HostGone):
        host.wake(late)
    with pytest.raises(HostGone):
        host.call_after(0, rung.clear, rung.clear)
    assert rung == ["rings"]


def test_a_thread_whose_instant_has_come_already() -> None:
    """A thread that leads rings at once where the instant has come before it sleeps."""
    host, sleeper = ThreadHost(SystemClock()), _Sleeper()
    host.prepare(sleeper)
    cancel = host.call_after(0, lambda: host.wake(sleeper), lambda: None)
    time.sleep(0.001)
    host.sleep(sleeper)
    cancel()
    assert sleeper.slot is True
