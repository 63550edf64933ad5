"""The report is true, and limits change while the simulator runs."""

from typing import Any

import httpx
import pytest
from simulator_support import HandClock, asked, chat, client_of, on_virtual_time, problem, rates

from scheduler.simulator import Simulator, World


def controlled(simulator: Simulator, method: str, action: str, body: Any = None, **options: Any) -> httpx.Response:
    answers: list[httpx.Response] = []
    headers = options.pop("headers", None)

    async def main() -> None:
        async with client_of(simulator, **options) as client:
            answers.append(await client.request(method, f"/control/{action}", json=body, headers=headers))

    on_virtual_time(main)
    return answers[0]


def test_the_report_counts_what_happened() -> None:
    """Grants, refusals by limit, charges and levels, by scope."""
    clock = HandClock(50.0)
    simulator = Simulator(World(limits={"*": {"rpm": 3, "tpm": 100}}, start={"tpm": 0.5}), clock=clock)
    asked(simulator, chat(max_tokens=40), chat(max_tokens=40), chat(max_tokens=400), {"model": "m"})
    clock.instant = 56.0
    report: Any = simulator.report()
    assert (report["arrived"], report["granted"], report["refused"], report["completed"]) == (3, 1, 2, 1)
    assert (report["refused_by"], report["rejected"]) == ({"tpm": 2}, {"400": 1})
    assert (report["first_arrival"], report["last_completion"], report["now"]) == (50.0, 50.0, 56.0)
    (scope,) = report["scopes"]
    assert (scope["scope"], scope["pool"], scope["granted"], scope["refused"]) == ("organization", "*", 1, 2)
    assert scope["limits"]["tpm"] == {
        "limit": 100,
        "window": 60.0,
        "level": 20.0,
        "start_level": 50,
        "charged": 40,
        "returned": 0,
        "unseen": 0,
        "refused": 2,
    }


def test_completing_the_same_request_twice_is_seen() -> None:
    """The same body is the same whatever the order of its keys; another project's is another."""
    simulator = Simulator(World(), clock=HandClock())
    body = chat("once", max_tokens=5)
    asked(simulator, body, chat("another"))
    asked(simulator, body, headers={"OpenAI-Project": "p"})
    assert simulator.report()["completed_twice"] == 0
    asked(simulator, dict(reversed(body.items())), body)
    assert simulator.report()["completed_twice"] == 1


def test_limits_change_while_it_runs() -> None:
    """From Python and over HTTP; a limit that is lifted has no headers."""
    simulator = Simulator(World(limits={"*": {"tpm": 1000, "rpm": 9}}), clock=HandClock())
    simulator.change_limits("m", tpm=500)
    assert rates(asked(simulator, chat(max_tokens=100))[0])["remaining-tokens"] == "400"
    answer = controlled(simulator, "POST", "limits", {"model": "m", "tpm": 300, "rpm": None})
    assert answer.json()["scopes"][0]["limits"].keys() == {"tpm"}
    assert rates(asked(simulator, chat(max_tokens=100))[0])["remaining-tokens"] == "200"


def test_somebody_unseen_can_use_a_limit() -> None:
    """From Python and over HTTP, and never more than is there."""
    simulator = Simulator(World(limits={"*": {"tpm": 1000, "rpm": 9}}), clock=HandClock())
    simulator.use("m", tokens=300, requests=2)
    answer = controlled(simulator, "POST", "use", {"model": "m", "tokens": 900})
    limits = answer.json()["scopes"][0]["limits"]
    assert (limits["tpm"]["level"], limits["tpm"]["unseen"], limits["tpm"]["charged"]) == (0, 1000, 0)
    assert limits["rpm"]["level"] == 7


def test_a_reset_forgets_everything() -> None:
    """Counts, levels and changes."""
    simulator = Simulator(World(limits={"*": {"rpm": 1}}), clock=HandClock())
    simulator.change_limits("m", rpm=2)
    asked(simulator, chat(), chat(), chat())
    assert controlled(simulator, "POST", "reset").json()["arrived"] == 0
    assert [answer.status_code for answer in asked(simulator, chat(), chat())] == [200, 429]


@pytest.mark.parametrize("client", ["10.0.0.1", "::2", "testclient"])
def test_control_answers_to_loopback_only(client: str) -> None:
    """Others, and pages in a browser, are forbidden to look or to touch."""
    simulator = Simulator(World())
    assert controlled(simulator, "GET", "report", client=(client, 1)).status_code == 403
    assert controlled(simulator, "POST", "reset", {}, headers={"Origin": "http://page"}).status_code == 403
    assert controlled(simulator, "GET", "report", client=("::1", 1)).status_code == 200


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("limits", {"tpm": 5}, 400),
        ("limits", {"model": "m", "tpm": -5}, 400),
        ("limits", {"model": "m", "tpm": "5"}, 400),
        ("limits", {"model": "m", "tokens": 5}, 400),
        ("use", {"model": "m", "tokens": 1.5}, 400),
        ("use", {"model": "", "tokens": 5}, 400),
        ("use", [], 400),
        ("use", {"model": "m", "a": "x" * 70_000}, 413),
        ("stop", {}, 404),
    ],
)
def test_unusable_commands_are_rejected(action: str, body: Any, status: int) -> None:
    """With a word about what is wrong, and without effect."""
    simulator = Simulator(World(limits={"*": {"tpm": 9}}), clock=HandClock())
    answer = controlled(simulator, "POST", action, body)
    assert answer.status_code == status
    assert problem(answer)["message"]
    assert rates(asked(simulator, chat("four"))[0])["remaining-tokens"] == "8"


def test_a_report_needs_no_event_loop() -> None:
    """Outside of a loop it tells the levels as of the last request."""
    simulator = Simulator(World(limits={"*": {"rpm": 5}}))
    assert simulator.report()["started"] is None
    assert controlled(simulator, "GET", "report").status_code == 200
    simulator.change_limits("m", rpm=3)
    scopes: Any = simulator.report()["scopes"]
    assert scopes[0]["limits"]["rpm"]["level"] == 3
