"""What a complaint that traffic grew too fast does to a scope: its requests go down together, and up again."""

from typing import Any

import anyio
import pytest
from engine_support import Run

from scheduler import DeadlineUnattainable, QueueFull
from scheduler.core.growth import Growth
from scheduler.core.quota import Charge
from scheduler.core.ramp import Ramp
from scheduler.engine.events import Admitted, Event
from scheduler.engine.reservation import Reservation
from scheduler.providers.openai import OpenAI
from scheduler.testing import Recorder
from scheduler.tokens.text import TiktokenCounter

TOO_FAST = b'{"error": {"message": "Your request rate grew too fast.", "code": "slow_down"}}'
REFUSED = b'{"error": {"message": "Rate limit reached: Limit 6000000, Used 6000000, Requested 10.", "type": "tokens"}}'
LIMITS = {"m": {"rpm": 6_000, "tpm": 6_000_000}}


class Timed(Recorder):
    """A scheduler that knows when it let what through."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"limits": LIMITS, "seed": 1, **settings})
        self.times: list[float] = []
        self.on_event(self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, Admitted):
            self.times.append(anyio.current_time())

    def rate(self, begin: float, end: float) -> float:
        """Return the requests a second that went from one second to another."""
        return sum(begin <= at < end for at in self.times) / (end - begin)

    def ramp(self) -> Ramp | None:
        """Return the ramp of the one scope."""
        return self.admission.book.scopes_for("m", None, 0)[0][0].ramp

    def now(self) -> int:
        """Return the instant."""
        return self.admission.clock.now()

    @property
    def steps(self) -> float:
        """The ramp's rate."""
        ramp = self.ramp()
        assert ramp is not None
        return ramp.rate


def complain(reservation: Reservation) -> None:
    reservation.observe({}, 429, TOO_FAST)


async def spend(scheduler: Recorder, until: float, every: float = 0.1, tokens: int = 0) -> None:
    """Send requests that are answered at once, so many seconds apart at least."""
    while anyio.current_time() < until:
        async with scheduler.reserve("m", tokens=tokens) as reservation:
            reservation.observe({})
        await anyio.sleep(every)


async def slowed(scheduler: Recorder, until: float = 80, every: float = 0.1, tokens: int = 0) -> None:
    """Send evenly for a while; then the provider complains."""
    await spend(scheduler, until, every, tokens)
    async with scheduler.reserve("m", tokens=tokens) as reservation:
        complain(reservation)


async def reopened(scheduler: Recorder, seconds: float = 10) -> None:
    """Let the gate's pause pass, and probe until it is open."""
    await anyio.sleep(seconds)
    while scheduler.statistics().scopes[0].paused:
        async with scheduler.reserve("m", tokens=1_000) as reservation:
            reservation.observe({})


def test_requests_of_unlike_sizes_go_down_together(on_virtual_time: Run) -> None:
    """Large, small and those that tell no tokens: each kind goes four fifths as often as before."""

    async def main() -> None:
        scheduler = Timed()
        sizes = [5_000, 50, 0]
        async with anyio.create_task_group() as group:
            for size in sizes:
                group.start_soon(spend, scheduler, 80, 0.2, size)
        async with scheduler.reserve("m", tokens=50) as reservation:
            complain(reservation)
        async with anyio.create_task_group() as group:
            for size in sizes:
                group.start_soon(spend, scheduler, 200, 0.0, size)
        assert scheduler.rate(60, 80) == pytest.approx(15, rel=0.02)
        assert scheduler.rate(100, 200) == pytest.approx(12, rel=0.05)

    on_virtual_time(main)


def test_answers_of_one_event_reduce_once(on_virtual_time: Run) -> None:
    """All that were in flight are told the same."""

    async def main() -> None:
        scheduler = Timed()
        await spend(scheduler, 80, tokens=1_000)
        flying = [scheduler.reserve_nowait("m", tokens=1_000) for _ in range(20)]
        complain(flying[0])
        before = scheduler.steps
        for reservation in flying[1:]:
            await anyio.sleep(0.1)
            complain(reservation)
        assert scheduler.steps == before

    on_virtual_time(main)


def test_a_probe_that_is_told_so_again_holds_and_reduces_nothing(on_virtual_time: Run) -> None:
    """A quarter of an hour begins anew with it."""

    async def main() -> None:
        scheduler = Timed()
        await slowed(scheduler, tokens=1_000)
        before = scheduler.steps
        await anyio.sleep(5)
        async with scheduler.reserve("m", tokens=1_000) as probe:
            complain(probe)
        again = anyio.current_time()
        assert scheduler.steps == before
        await spend(scheduler, again + 899, tokens=1_000, every=5)
        assert scheduler.steps == before
        await spend(scheduler, again + 930, tokens=1_000, every=5)
        assert scheduler.steps > before

    on_virtual_time(main)


def test_another_complaint_after_a_pause_takes_a_fifth_off_and_later_what_was_measured(
    on_virtual_time: Run,
) -> None:
    """While a gate was closed a moment ago nothing can be measured."""

    async def main() -> None:
        scheduler = Timed()
        await slowed(scheduler, tokens=1_000)
        before = scheduler.steps
        await reopened(scheduler)
        async with scheduler.reserve("m", tokens=1_000) as reservation:
            complain(reservation)
        assert scheduler.steps == pytest.approx(0.8 * before)
        await reopened(scheduler)
        await spend(scheduler, 300, tokens=1_000, every=1)
        async with scheduler.reserve("m", tokens=1_000) as reservation:
            complain(reservation)
        assert scheduler.steps == pytest.approx(0.8 * 1e9, rel=0.1)

    on_virtual_time(main)


def test_a_complaint_behind_an_overload_is_measured_by_the_minute_before(
    on_virtual_time: Run,
) -> None:
    """What went in the last ten seconds, which were a pause, says nothing."""

    async def main() -> None:
        scheduler = Timed()
        await spend(scheduler, 80, tokens=1_000)
        with scheduler.reserve_nowait("m", tokens=1_000) as reservation:
            reservation.observe({}, 503, b"")
        await anyio.sleep(9)
        async with scheduler.reserve("m", tokens=1_000) as probe:
            complain(probe)
        assert scheduler.steps == pytest.approx(8e9, rel=0.05)

    on_virtual_time(main)


def test_a_ramp_ends_where_the_limits_bind(on_virtual_time: Run) -> None:
    """Grown to what they let through anyway, it is gone, and nothing is looked at any more."""

    async def main() -> None:
        scheduler = Timed(limits={"m": {"rpm": 60, "rpd": 10_000, "tpm": 60_000}})
        await slowed(scheduler, 300, 1.0, tokens=1_000)
        await spend(scheduler, 300 + 15 * 60, 1.0, tokens=1_000)
        assert scheduler.ramp() is not None
        await spend(scheduler, 300 + 20 * 60, 1.0, tokens=1_000)
        assert scheduler.ramp() is None
        assert not any(lane.ramps for lane in scheduler.admission.lanes)

    on_virtual_time(main)


def test_where_no_limit_is_known_it_ends_at_four_times_what_was_too_fast(on_virtual_time: Run) -> None:
    """Nothing else says where."""

    async def main() -> None:
        scheduler = Timed(limits=None)
        scheduler.admission.book.learn = True
        await slowed(scheduler, tokens=1_000)
        ramp = scheduler.ramp()
        assert ramp is not None
        await spend(scheduler, 80 + 15 * 60 + 20, 1.0, tokens=1_000)
        ramp.rate = ramp.far * 9 // 10
        await spend(scheduler, anyio.current_time() + 1, tokens=1)
        assert scheduler.ramp() is ramp
        ramp.rate = ramp.far
        await spend(scheduler, anyio.current_time() + 1, tokens=1)
        assert scheduler.ramp() is None

    on_virtual_time(main)


def test_what_was_not_sent_comes_back_to_the_ramp(on_virtual_time: Run) -> None:
    """A cancelled request leaves its turn to the next; one from before the ramp gives it nothing."""

    async def main() -> None:
        scheduler = Timed()
        await spend(scheduler, 80, tokens=1_000)
        early = scheduler.reserve_nowait("m", tokens=1_000)
        await slowed(scheduler, 80, tokens=1_000)
        ramp = scheduler.ramp()
        assert ramp is not None
        ready = ramp.ready_at(Charge(tokens=8_000), scheduler.now())
        early.cancel()
        assert ramp.ready_at(Charge(tokens=8_000), scheduler.now()) == ready
        await reopened(scheduler)
        await anyio.sleep(2)
        for _ in range(20):
            scheduler.reserve_nowait("m", tokens=8_000).cancel()
        scheduler.reserve_nowait("m", tokens=8_000).settle()
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("m", tokens=1_000)
        assert caught.value.expected_wait == pytest.approx(9_000e6 / scheduler.steps - 1, rel=0.01)
        assert caught.value.quota == "ramp"

    on_virtual_time(main)


def test_those_who_wait_for_a_ramp_stand_in_one_line(on_virtual_time: Run) -> None:
    """Whatever they draw on: by priority, then arrival; each is told what holds it back, and for how long."""

    async def main() -> None:
        scheduler = Timed(max_queued=3)
        await slowed(scheduler, tokens=1_000)
        await reopened(scheduler)
        await anyio.sleep(2)
        scheduler.reserve_nowait("m", tokens=80_000).settle()
        went: list[str] = []

        async def one(name: str, **request: Any) -> None:
            async with scheduler.reserve("m", **request):
                went.append(name)

        def start(name: str, **request: Any) -> None:
            async def begin() -> None:
                await one(name, **request)

            group.start_soon(begin)

        async with anyio.create_task_group() as group:
            start("batch", tokens=8_000, priority="batch")
            await anyio.sleep(0.1)
            start("small", tokens=10)
            start("image", tokens=100, images=1, priority="interactive")
            await anyio.sleep(0.1)
            lanes = scheduler.statistics().lanes
            assert {lane.blocked_by for lane in lanes} == {"ramp"}
            (allowed,) = [scope.ramp for scope in scheduler.statistics().scopes if scope.name == "m"]
            assert allowed == pytest.approx(60e-6 * scheduler.steps, rel=0.01)
            outlooks = {outlook.priority: outlook for outlook in scheduler.waiting()}
            assert {outlook.quota for outlook in outlooks.values()} == {"ramp"}
            debt = 80_000e6 / scheduler.steps - 1.2
            assert outlooks[100].expected_wait == pytest.approx(debt + 8_010e6 / scheduler.steps, rel=0.01)
            with pytest.raises(QueueFull) as full:
                await one("more")
            assert full.value.expected_wait == pytest.approx(debt, rel=0.01)
        assert went == ["image", "small", "batch"]

    on_virtual_time(main)


def test_a_deadline_that_a_ramp_rules_out_is_refused_at_once(on_virtual_time: Run) -> None:
    """Nothing that may come lets it go sooner; one after the hold may be met, as the ramp may grow."""

    async def main() -> None:
        scheduler = Timed()
        await slowed(scheduler, tokens=1_000)
        await reopened(scheduler)
        await anyio.sleep(2)
        scheduler.reserve_nowait("m", tokens=400_000).settle()
        began = anyio.current_time()
        with pytest.raises(DeadlineUnattainable) as caught:
            async with scheduler.reserve("m", tokens=1_000, timeout=30):
                pass
        assert anyio.current_time() == began
        assert caught.value.expected_wait == pytest.approx(400_000e6 / scheduler.steps, rel=0.03)
        async with scheduler.reserve("m", tokens=1_000, timeout=70):
            assert anyio.current_time() - began == pytest.approx(400_000e6 / scheduler.steps, rel=0.03)

    on_virtual_time(main)


def test_a_growth_can_be_kept_from_the_start(on_virtual_time: Run) -> None:
    """No minute carries more than the floor, whatever the limits; a refused request is nothing to grow from."""

    async def main() -> None:
        provider = OpenAI(TiktokenCounter())
        provider.growth = Growth(floor=60_000)
        scheduler = Timed(provider=provider, growth="documented")
        await spend(scheduler, 180, 0.0, tokens=500)
        assert scheduler.rate(0, 180) == pytest.approx(2 * 58 / 60, rel=0.02)
        async with scheduler.reserve("m", tokens=500) as reservation:
            reservation.observe({}, 429, REFUSED)
        ramp = scheduler.ramp()
        assert ramp is not None
        assert ramp.kept

    on_virtual_time(main)


def test_a_complaint_about_what_nobody_counts_closes_the_gate_only(on_virtual_time: Run) -> None:
    """Without an account of tokens or requests there is no rate to go back to; without a provider's scope no gate."""

    async def main() -> None:
        images = Timed(limits=None, project_limits={"p": {"m": {"ipm": 6_000}}})
        with images.reserve_nowait("m", images=1, project="p") as reservation:
            complain(reservation)
        assert images.statistics().scopes[0].paused
        assert not any(lane.ramps for lane in images.admission.lanes)
        local = Timed(limits=None, concurrency=2)
        with local.reserve_nowait("m") as reservation:
            complain(reservation)
        assert not local.statistics().scopes[0].paused

    on_virtual_time(main)


def test_a_ramp_that_has_room_is_not_what_holds_back(on_virtual_time: Run) -> None:
    """Who waits for another's end is told so, ramp or not."""

    async def main() -> None:
        scheduler = Timed(concurrency=1, max_queued=1)
        await slowed(scheduler, tokens=1_000)
        await reopened(scheduler)
        await anyio.sleep(2)
        async with anyio.create_task_group() as group:
            with scheduler.reserve_nowait("m", tokens=10):
                group.start_soon(spend, scheduler, anyio.current_time() + 0.1, 1.0, 10)
                await anyio.sleep(0.001)
                (outlook,) = scheduler.waiting()
                assert (outlook.quota, outlook.expected_wait) == ("concurrency", None)
                with pytest.raises(QueueFull) as full:
                    scheduler.reserve("m", tokens=10).__enter__()
                assert full.value.expected_wait is None

    on_virtual_time(main)
