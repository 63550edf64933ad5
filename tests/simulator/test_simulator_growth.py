"""A limit on the growth of traffic: what it refuses, and what it measures by."""

from typing import Any

import pytest
from hypothesis import given, strategies as st
from simulator_support import HandClock, asked, chat, problem

from scheduler.simulator import Growth, Simulator, World
from scheduler.simulator.growth import GrowthMeter
from scheduler.simulator.meters import SECOND

LIMITS = {"*": {"tpm": 100_000}}


def said(simulator: Simulator, tokens: int) -> int:
    """Return the status of the answer to a request of so many input tokens."""
    return asked(simulator, chat("x" * 4 * tokens))[0].status_code


def test_traffic_up_to_the_floor_grows_as_it_likes_and_above_it_is_told_to_slow_down() -> None:
    """The words are those of the provider; nothing is charged; when a minute has passed there is room again."""
    clock = HandClock()
    simulator = Simulator(World(limits=LIMITS, growth=Growth(floor=1_000)), clock=clock)
    assert said(simulator, 600) == 200
    clock.instant = 30.0
    (answer,) = asked(simulator, chat("x" * 1_604))
    assert answer.status_code == 429
    assert (problem(answer)["type"], problem(answer)["code"]) == ("rate_limit_error", "slow_down")
    assert said(simulator, 400) == 200
    clock.instant = 59.999
    assert said(simulator, 1) == 429
    clock.instant = 60.0
    assert said(simulator, 600) == 200
    report: Any = simulator.report()
    (scope,) = report["scopes"]
    assert (scope["too_fast"], scope["granted"], scope["limits"]["tpm"]["charged"]) == (2, 3, 1_600)


def test_it_grows_by_its_factor_against_the_minute_a_span_ago() -> None:
    """A thousand a minute for a quarter of an hour: then fifteen hundred, and no more."""
    clock = HandClock()
    simulator = Simulator(World(limits=LIMITS, growth=Growth(floor=1_000)), clock=clock)
    for minute in range(15):
        clock.instant = 60.0 * minute
        assert said(simulator, 1_000) == 200
    clock.instant = 899.0
    assert said(simulator, 1) == 429
    clock.instant = 900.0
    assert said(simulator, 1_500) == 200
    assert said(simulator, 1) == 429


def test_a_project_shares_its_organization_s_growth() -> None:
    """It is the organization's traffic that grows."""
    world = World(limits=LIMITS, project_limits={"p": {"*": {"rpm": 10}}}, growth=Growth(floor=1_000))
    simulator = Simulator(world, clock=HandClock())
    assert said(simulator, 1_000) == 200
    (answer,) = asked(simulator, chat("hello"), headers={"openai-project": "p"})
    assert problem(answer)["code"] == "slow_down"


@pytest.mark.parametrize("wrong", [{"floor": 0}, {"floor": 1.5}, {"floor": 1, "factor": 0.9}, {"floor": 1, "span": 0}])
def test_a_growth_that_is_none(wrong: dict[str, Any]) -> None:
    """It is refused when the world is made."""
    with pytest.raises(ValueError, match=r"floor|factor|span"):
        Growth(**wrong)


@given(moves=st.lists(st.tuples(st.integers(0, 40 * SECOND), st.integers(1, 500)), max_size=60))
def test_it_admits_what_a_naive_count_admits(moves: list[tuple[int, int]]) -> None:
    """Two sums that follow the clock say what adding up all requests says."""
    meter = GrowthMeter(Growth(floor=1_000, factor=2.0, span=150.0))
    sent: list[tuple[int, int]] = []
    now = 0
    for pause, tokens in moves:
        now += pause

        def carried(end: int) -> int:
            return sum(units for at, units in sent if end - 10 * SECOND < at <= end)

        fine = carried(now) + tokens <= max(1_000 / 6, 2 * carried(now - 150 * SECOND))
        assert meter.admits(now, tokens) is fine
        if fine:
            meter.take(now, tokens)
            sent.append((now, tokens))
