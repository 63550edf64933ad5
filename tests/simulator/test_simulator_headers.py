"""Rate headers tell the truth, and lie only where the world says so."""

import re

import pytest
from hypothesis import given, strategies as st
from simulator_support import HandClock, asked, chat, rates

from scheduler.simulator import Simulator, World
from scheduler.simulator.headers import duration

UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (6, "6ms"),
        (120, "120ms"),
        (8640, "8.64s"),
        (20_000, "20s"),
        (86_400, "1m26.4s"),
        (432_000, "7m12s"),
        (360_000, "6m0s"),
        (977_764, "16m17.764s"),
        (5_011_000, "1h23m31s"),
        (3_600_000, "1h0m0s"),
        (86_400_000, "24h0m0s"),
    ],
)
def test_durations_are_written_as_recorded(milliseconds: int, text: str) -> None:
    """Go's grammar, truncated to the millisecond."""
    assert duration(milliseconds * 1_000_000) == text
    assert duration(milliseconds * 1_000_000 + 999_999) == text


@given(st.integers(0, 10**18))
def test_durations_can_be_read_back(nanoseconds: int) -> None:
    """What is written is the duration to the millisecond below."""
    text = duration(nanoseconds)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    assert "".join(number + unit for number, unit in parts) == text
    assert round(sum(float(number) * UNITS[unit] for number, unit in parts)) == nanoseconds // 1_000_000


def test_recorded_headers_of_tier_1_are_met() -> None:
    """One request for 57 tokens of 200,000, and 1 of 10,000 a day, says what was recorded in December 2024."""
    world = World(limits={"*": {"rpd": 10_000, "tpm": 200_000}}, charge="sum")
    (answer,) = asked(world, chat("x" * 28, max_tokens=50))
    assert rates(answer) == {
        "limit-requests": "10000",
        "remaining-requests": "9999",
        "reset-requests": "8.64s",
        "limit-tokens": "200000",
        "remaining-tokens": "199943",
        "reset-tokens": "17ms",
    }


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 900)), min_size=1, max_size=8), st.integers(901, 5000))
def test_remaining_is_the_level_rounded_down_and_reset_the_time_until_full(
    steps: list[tuple[float, int]], limit: int
) -> None:
    """After each answer, the report's level lies in [remaining, remaining + 1), and reset refills what is missing."""
    clock = HandClock(1e6)
    simulator = Simulator(World(limits={"*": {"tpm": limit}}), clock=clock)
    for pause, tokens in steps:
        clock.instant += pause
        (answer,) = asked(simulator, chat(max_tokens=tokens))
        said = rates(answer)
        level = simulator.report()["scopes"][0]["limits"]["tpm"]["level"]  # type: ignore[index]  # JSON
        assert int(said["remaining-tokens"]) <= level + 1e-6 < int(said["remaining-tokens"]) + 1 + 1e-5
        parts = re.findall(r"([\d.]+)(ms|m|s)", said["reset-tokens"])
        reset = sum(float(number) * UNITS[unit] for number, unit in parts) / 1000
        assert reset == pytest.approx((limit - level) * 60 / limit, abs=0.0011)


def requests_limit(world: World, times: int) -> list[str]:
    return [rates(answer)["limit-requests"] for answer in asked(world, *[chat()] * times)]


@pytest.mark.parametrize(
    ("switch", "limits", "shown"),
    [
        ("auto", {"rpm": 4}, "4"),
        ("auto", {"rpd": 8}, "8"),
        ("auto", {"rpm": 4, "rpd": 8}, "4"),
        ("auto", {"rpm": 8, "rpd": 4}, "4"),
        ("minute", {"rpm": 8, "rpd": 4}, "8"),
        ("day", {"rpm": 4, "rpd": 8}, "8"),
    ],
)
def test_the_requests_header_speaks_of_one_window(switch: str, limits: dict[str, int], shown: str) -> None:
    """Of the minute, of the day, or of the one with less left."""
    assert requests_limit(World(limits={"*": limits}, requests_header=switch), 2) == [shown] * 2


def test_limits_of_days_and_images_have_no_headers() -> None:
    """Tokens a day and images a minute are not shown."""
    (answer,) = asked(World(limits={"*": {"tpd": 1000, "ipm": 5}}), chat())
    assert rates(answer) == {}


def test_a_project_s_token_limit_has_headers_of_its_own() -> None:
    """The project's requests are not shown, its tokens are."""
    world = World(limits={"*": {"tpm": 1000}}, project_limits={"p": {"*": {"tpm": 100, "rpm": 9}}})
    (answer,) = asked(world, chat(max_tokens=40), headers={"OpenAI-Project": "p"})
    assert rates(answer) == {
        "limit-tokens": "1000",
        "remaining-tokens": "960",
        "reset-tokens": "2.4s",
        "limit-project-tokens": "100",
        "remaining-project-tokens": "60",
        "reset-project-tokens": "24s",
    }


def test_a_rejected_request_shows_the_limits_of_its_model_and_takes_nothing() -> None:
    """Some clients ask for the limits with a request that has no messages; one without a model is told nothing."""
    world = World(limits={"*": {"tpm": 1000, "rpm": 60}})
    rejected, admitted, unnamed = asked(world, {"model": "m"}, chat(max_tokens=40), {"messages": []})
    assert (rejected.status_code, admitted.status_code, unnamed.status_code) == (400, 200, 400)
    assert (rates(rejected)["limit-tokens"], rates(rejected)["remaining-requests"]) == ("1000", "60")
    assert rates(admitted)["remaining-requests"] == "59"
    assert rates(unnamed) == {}


def test_headers_can_be_missing_or_nonsense() -> None:
    """About the share that the world says is without headers, or with headers that are nonsense."""
    bodies = [chat(f"question {number}") for number in range(400)]
    without = [rates(answer) for answer in asked(World(limits={"*": {"tpm": 10**6}}, headers_missing=0.25), *bodies)]
    assert 60 < sum(not said for said in without) < 140
    absurd = [rates(answer) for answer in asked(World(limits={"*": {"tpm": 10**6}}, headers_malformed=0.25), *bodies)]
    odd = {said["remaining-tokens"] for said in absurd if said["limit-tokens"] != "1000000"}
    odd |= {said["remaining-tokens"] for said in absurd if not said["remaining-tokens"].isdigit()}
    assert {"-1", "0", "1e", "Infinity"} <= odd
    assert (
        asked(World(limits={"*": {"tpm": 10**6}}, headers=False), chat())[0].headers.get("x-ratelimit-limit-tokens")
        is None
    )


def test_a_share_of_headers_can_describe_the_day() -> None:
    """Tokens and requests of the day stand where those of the minute are expected."""
    limits = {"rpm": 4, "rpd": 8, "tpm": 100, "tpd": 900}
    (answer,) = asked(World(limits={"*": limits}, headers_daily=1.0), chat())
    assert (rates(answer)["limit-requests"], rates(answer)["limit-tokens"]) == ("8", "900")


@pytest.mark.parametrize("refill", ["continuous", "fixed", "sliding"])
def test_stale_headers_describe_the_past(refill: str) -> None:
    """With headers ten seconds old, what was taken shows ten seconds later."""
    clock = HandClock()
    world = World(limits={"*": {"tpm": 600}}, refill=refill, headers_stale=10.0)
    simulator = Simulator(world, clock=clock)
    said = []
    for instant in (0.0, 1.0, 9.999, 10.0, 21.0):
        clock.instant = instant
        (answer,) = asked(simulator, chat("four", max_tokens=100))
        said.append(int(rates(answer)["remaining-tokens"]))
    after = {
        "continuous": [600, 600, 600, 500, 310],
        "fixed": [600, 600, 600, 500, 200],
        "sliding": [600, 600, 600, 500, 200],
    }
    assert said == after[refill]
