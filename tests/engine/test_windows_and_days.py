"""Windows and days, by the whole engine against a provider that enforces them by its own code."""

import math
import random
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import pytest
from engine_support import Run, milli

from scheduler.clock import LoopClock
from scheduler.core.quota import HOUR, SECOND
from scheduler.engine.leases import SoleOwner
from scheduler.errors import DeadlineUnattainable
from scheduler.facade import Scheduler
from scheduler.simulator import Simulator, World
from scheduler.testing import run

RPM, TPM = 60, 30_000
PACIFIC = "midnight America/Los_Angeles"
MIDNIGHT = round(datetime(2026, 11, 22, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()) * SECOND


class WallClock(LoopClock):
    """Virtual time whose wall clock can be set."""

    def __init__(self, epoch: int = MIDNIGHT) -> None:
        super().__init__(epoch)
        self.set_by = 0

    def wall(self) -> int:
        return super().wall() + self.set_by


def scheduler_with(limits: dict[str, Any], clock: LoopClock, transport: Any = None) -> Scheduler:
    scheduler = Scheduler(
        limits={"*": limits}, clock=clock, transport=transport, api_key="none", max_attempts=50, seed=1
    )
    scheduler.admission.book._source = SoleOwner(clock)
    return scheduler


@dataclass
class Job:
    """What came of a job: the provider's report, and the seconds it took."""

    report: dict[str, Any]
    seconds: float

    @property
    def refused(self) -> int:
        return int(self.report["refused"])


async def job(told: dict[str, Any], number: int, clock: LoopClock, lead: float = 0.0, **world: Any) -> Job:
    """Send a number of requests, *lead* seconds after the provider's first window began."""
    settings = {"limits": {"*": {"rpm": RPM, "tpm": TPM}}, "refill": "fixed", "latency": 2.0, **world}
    simulator = Simulator(World(seed=1, latency_sigma=0.4, network=0.04, network_sigma=0.6, **settings))
    transport = httpx.ASGITransport(app=simulator)
    chance = random.Random(3)
    simulator.begin()
    await anyio.sleep(lead)
    began = anyio.current_time()
    scheduler = scheduler_with(told, clock, transport)
    failed: list[Any] = []

    async def one(index: int) -> None:
        most = int(min(max(20, chance.lognormvariate(math.log(400), 0.8)), 0.2 * TPM))
        body = {"model": "m", "messages": [{"role": "user", "content": f"request {index}"}], "max_tokens": most}
        answer = await scheduler.driver.perform(scheduler.job("POST", "/v1/chat/completions", body))
        if answer.error is not None:
            failed.append(answer.error)

    async with scheduler, anyio.create_task_group() as group:
        for index in range(number):
            group.start_soon(one, index)
    assert not failed
    return Job(simulator.report(), anyio.current_time() - began)


def play(*args: Any, **world: Any) -> Job:
    """Do a job on virtual time."""
    return run(partial(job, **world), *args)


def windows(done: Job) -> int:
    """Return the windows after the first that the job's tokens needed."""
    (scope,) = done.report["scopes"]
    return int(scope["limits"]["tpm"]["charged"] // TPM)


def both(**how: Any) -> dict[str, Any]:
    """Limits of requests and tokens that come back alike."""
    return {"rpm": {"amount": RPM, **how}, "tpm": {"amount": TPM, **how}}


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("off", [-1.8, 0.0, 1.8])
def test_fixed_minutes_are_used_fully_and_never_refused(*, headers: bool, off: float) -> None:
    """Our full minute and the provider's may be two seconds apart; requests under way cross the instant."""
    done = play(both(resets="on the minute"), 600, WallClock(MIDNIGHT + round(off * SECOND)), 20.0, headers=headers)
    assert done.refused == 0
    assert done.report["last_admission"] < windows(done) * 60 + 6


@pytest.mark.parametrize("lead", [0.0, 20.0, 45.0])
@pytest.mark.parametrize("latency", [2.0, 20.0])
def test_fixed_minutes_that_nobody_can_place_are_never_refused(lead: float, latency: float) -> None:
    """Wherever the provider's windows begin: they are kept as sliding ones, at a cost of a 200th."""
    done = play(both(refill="fixed"), 600, WallClock(), lead, latency=latency)
    assert done.refused == 0
    assert done.report["last_admission"] - lead < windows(done) * 60 * 1.005 + 2 * latency


@pytest.mark.parametrize("headers", [True, False])
def test_sliding_minutes_are_used_fully_and_never_refused(*, headers: bool) -> None:
    """Each request comes back a minute after it must have arrived."""
    done = play(both(refill="sliding"), 600, WallClock(), refill="sliding", headers=headers)
    assert done.refused == 0
    assert done.report["last_admission"] < windows(done) * 60 * 1.005 + 4


def test_a_wrong_limit_of_fixed_minutes_is_found_out() -> None:
    """Told twice the amount, a refusal's body or the headers put it right."""
    told = {"rpm": {"amount": 2 * RPM, "refill": "fixed"}, "tpm": {"amount": 2 * TPM, "refill": "fixed"}}
    done = play(told, 600, WallClock())
    assert done.refused <= 30


def test_refusals_that_say_nothing_lower_what_is_used_of_each_window() -> None:
    """With a true limit of half of what is told, no headers and no bodies, refusals become fewer."""
    bare = {"headers": False, "bodies": False, "retry_after": False, "refusal_headers": False}
    told = {"rpm": {"amount": 2 * RPM, "resets": "on the minute"}}
    done = play(told, 600, WallClock(), 20.0, limits={"*": {"rpm": RPM}}, **bare)
    assert done.refused <= 200
    assert done.seconds < 20 * 60


def test_a_virtual_day_with_requests_and_tokens_of_the_day() -> None:
    """From eight in the evening on: what the day leaves, then the next day's, at midnight in California."""
    limits = {"rpd": {"amount": 500, "resets": PACIFIC}, "tpd": {"amount": 300_000, "resets": PACIFIC}, "rpm": 100}
    true = {"*": {"rpd": 500, "tpd": 300_000, "rpm": 100}}
    done = play(limits, 900, WallClock(), 20 * 3600.0, limits=true, refill={"rpd": "fixed", "tpd": "fixed"})
    assert done.refused == 0
    (scope,) = done.report["scopes"]
    assert scope["limits"]["rpd"]["charged"] == 900
    assert 4 * 3600 + 10 < done.seconds < 4 * 3600 + 400


def test_the_wait_of_a_long_day_is_named_when_it_is_asked_for(on_virtual_time: Run) -> None:
    """On the day of 25 hours a request at noon waits thirteen."""

    async def scenario() -> None:
        noon = datetime(2026, 11, 1, 0, tzinfo=ZoneInfo("America/Los_Angeles"))
        scheduler = scheduler_with(
            {"rpd": {"amount": 2, "resets": PACIFIC}}, WallClock(round(noon.timestamp()) * SECOND)
        )
        await anyio.sleep(12 * 3600)
        for _ in range(2):
            scheduler.reserve_nowait("m").settle()
        with pytest.raises(DeadlineUnattainable) as raised:
            scheduler.reserve_nowait("m")
        assert raised.value.expected_wait == 13 * 3600 + 10
        began = anyio.current_time()
        async with scheduler.reserve("m"):
            assert milli(anyio.current_time() - began) == (13 * 3600 + 10) * 1000

    on_virtual_time(scenario)


def test_a_wall_clock_that_is_set_moves_the_day_and_gives_none_twice(on_virtual_time: Run) -> None:
    """Forward over midnight: the new day is there at once. Back: it does not come again; its successor does."""

    async def scenario() -> None:
        clock = WallClock()
        scheduler = scheduler_with({"rpd": {"amount": 2, "resets": PACIFIC}}, clock)

        def go(number: int) -> int:
            went = 0
            for _ in range(number):
                try:
                    scheduler.reserve_nowait("m").settle()
                except DeadlineUnattainable:
                    break
                went += 1
            return went

        await anyio.sleep(23 * 3600)
        assert go(3) == 2
        clock.set_by = 2 * HOUR
        await anyio.sleep(1)
        assert go(3) == 2
        clock.set_by = 0
        await anyio.sleep(2 * 3600)
        assert go(1) == 0
        async with scheduler.reserve("m"):
            assert milli(anyio.current_time()) == (48 * 3600 + 10) * 1000

    on_virtual_time(scenario)


def test_who_waits_for_a_midnight_that_moves_away_waits_on(on_virtual_time: Run) -> None:
    """The timer rings at the midnight that was; it is not one any more, and another wait is named."""

    async def scenario() -> None:
        clock = WallClock()
        scheduler = scheduler_with({"rpd": {"amount": 1, "resets": PACIFIC}}, clock)
        await anyio.sleep(23 * 3600)
        scheduler.reserve_nowait("m").settle()

        async def set_back() -> None:
            await anyio.sleep(1800)
            clock.set_by = -HOUR

        async with anyio.create_task_group() as group:
            group.start_soon(set_back)
            async with scheduler.reserve("m"):
                assert milli(anyio.current_time()) == (25 * 3600 + 10) * 1000

    on_virtual_time(scenario)
