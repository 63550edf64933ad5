"""Faults strike as often, when and how the world says."""

from typing import Any

import anyio
import httpx
import pytest
from simulator_support import HandClock, asked, chat, client_of, on_virtual_time, problem, rates

from scheduler.simulator import ConnectionDropped, FaultWindow, Simulator, World

LIMITS = {"*": {"rpm": 100}}


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        ("server_error", 500, "server_error", None),
        ("overloaded", 503, "service_unavailable_error", "server_is_overloaded"),
        ("slow_down", 429, "rate_limit_error", "slow_down"),
        ("insufficient_quota", 429, "insufficient_quota", "insufficient_quota"),
    ],
)
def test_faults_have_the_provider_s_words(fault: str, status: int, kind: str, code: str | None) -> None:
    """Status, type and code tell them apart; only what strikes inside is charged."""
    simulator = Simulator(World(limits=LIMITS, faults={fault: 1.0}), clock=HandClock())
    (answer,) = asked(simulator, chat())
    assert answer.status_code == status
    assert (problem(answer)["type"], problem(answer)["code"]) == (kind, code)
    report = simulator.report()
    assert report["faults"] == {fault: 1}
    assert report["granted"] == (fault == "server_error")
    assert (report["completed"], report["in_flight"], report["refused"]) == (0, 0, 0)


@pytest.mark.parametrize("fault", ["overloaded", "slow_down"])
@pytest.mark.parametrize(("seconds", "said"), [(None, None), (30.0, "30")])
def test_overload_may_name_a_delay(fault: str, seconds: float | None, said: str | None) -> None:
    """By switch."""
    (answer,) = asked(World(faults={fault: 1.0}, overload_retry_after=seconds), chat())
    assert answer.headers.get("retry-after") == said


def test_faults_come_at_their_rates() -> None:
    """Of 600 requests, each kind takes about its share."""
    simulator = Simulator(World(faults={"server_error": 0.1, "overloaded": 0.2}), clock=HandClock())
    asked(simulator, *[chat(f"question {number}") for number in range(600)])
    faults: Any = simulator.report()["faults"]
    assert 35 < faults["server_error"] < 90
    assert 85 < faults["overloaded"] < 155


def test_an_outage_answers_503_from_its_begin_to_its_end() -> None:
    """Everything before and after is served; a window may strike a share only."""
    clock = HandClock()
    window = FaultWindow(kind="insufficient_quota", begin=40.0, end=50.0)
    simulator = Simulator(World(outages=((10.0, 20.0),), fault_windows=(window,)), clock=clock)
    said = []
    for instant in (0.0, 9.999, 10.0, 19.999, 20.0, 39.0, 40.0, 50.0):
        clock.instant = instant
        said.append(asked(simulator, chat())[0].status_code)
    assert said == [200, 200, 503, 503, 200, 200, 429, 200]


def test_a_dropped_connection_has_no_answer() -> None:
    """In process it raises what an HTTP client would have raised; the request was charged."""
    simulator = Simulator(World(limits=LIMITS, faults={"drop": 1.0}), clock=HandClock())
    with pytest.raises(ConnectionDropped) as caught:
        asked(simulator, chat())
    assert isinstance(caught.value, httpx.TransportError)
    report = simulator.report()
    assert (report["granted"], report["completed"], report["abandoned"], report["in_flight"]) == (1, 0, 0, 0)


def test_a_stalled_request_is_answered_late() -> None:
    """It waits as long as the world says, in addition to its latency."""
    simulator = Simulator(World(faults={"stall": 1.0}, stall=100.0, latency=1.0))

    async def main() -> None:
        async with client_of(simulator) as client:
            begin = anyio.current_time()
            assert (await client.post("/v1/chat/completions", json=chat())).status_code == 200
            assert anyio.current_time() - begin == pytest.approx(101.0)

    on_virtual_time(main)


def test_a_broken_stream_ends_in_an_error_event() -> None:
    """The stream began well, with its headers, and says what happened."""
    world = World(limits=LIMITS, faults={"broken_stream": 1.0}, broken_stream="event")
    for path, body in (
        ("/v1/chat/completions", chat(stream=True)),
        ("/v1/responses", {"model": "m", "input": "x", "stream": True}),
    ):
        (answer,) = asked(world, body, path=path)
        assert answer.status_code == 200
        assert rates(answer)["remaining-requests"] == "99"
        assert "[DONE]" not in answer.text
        assert "server_error" in answer.text.strip().splitlines()[-1]


def test_a_broken_stream_can_be_cut() -> None:
    """In process nothing but the cut is seen; answers in one piece are not struck."""
    simulator = Simulator(World(faults={"broken_stream": 1.0}), clock=HandClock())
    with pytest.raises(ConnectionDropped):
        asked(simulator, chat(stream=True))
    assert asked(simulator, chat())[0].status_code == 200
    assert simulator.report()["faults"] == {"broken_stream": 1}
