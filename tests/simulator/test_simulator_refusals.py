"""Refusals, word for word."""

import pytest
from simulator_support import HandClock, asked, chat, problem, rates

from scheduler.simulator import Simulator, World

LEARN = "Visit https://platform.openai.com/account/rate-limits to learn more."


@pytest.mark.parametrize(
    ("limit", "used", "requested", "wait", "seconds"),
    [
        (30_000, 29_937, 385, "644ms", "1"),
        (10_000, 8554, 3082, "9.816s", "10"),
        (30_000, 14_567, 24_754, "18.642s", "19"),
        (30_000, 18_928, 11_159, "174ms", "1"),
        (30_000, 28_039, 3906, "3.89s", "4"),
        (1_000_000, 976_163, 70_716, "2.812s", "3"),
    ],
)
def test_recorded_bodies_are_met(limit: int, used: int, requested: int, wait: str, seconds: str) -> None:
    """For the recorded numbers the body says the recorded wait, and the header whole seconds that are enough."""
    world = World(limits={"*": {"tpm": limit}}, organization="org-x")
    _, answer = asked(world, chat(max_tokens=used), chat(max_tokens=requested))
    assert answer.status_code == 429
    assert problem(answer) == {
        "message": f"Rate limit reached for gpt-5-mini in organization org-x on tokens per min (TPM): Limit {limit}, "
        f"Used {used}, Requested {requested}. Please try again in {wait}. {LEARN}",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert answer.headers["retry-after"] == seconds
    assert rates(answer)["remaining-tokens"] == str(limit - used)


@pytest.mark.parametrize(
    ("name", "limit", "kind", "words", "wait"),
    [
        ("rpm", 3, "requests", "requests per min (RPM)", "20s"),
        ("rpd", 200, "requests", "requests per day (RPD)", "7m12s"),
        ("tpd", 200, "tokens", "tokens per day (TPD)", "7m12s"),
        ("ipm", 5, "images", "images per min (IPM)", "12s"),
    ],
)
def test_every_limit_has_its_words(name: str, limit: int, kind: str, words: str, wait: str) -> None:
    """Requests, tokens and images, by minute and by day."""
    world = World(limits={"*": {name: limit}})
    body = {"model": "m", "prompt": "four"}
    answer = asked(world, *[body] * (limit + 1), path="/v1/images/generations")[-1]
    assert answer.status_code == 429
    numbers = f"{words}: Limit {limit}, Used {limit}, Requested 1. Please try again in {wait}. {LEARN}"
    assert problem(answer)["message"].endswith(f"on {numbers}")
    assert problem(answer)["type"] == kind


def test_a_request_that_never_fits_is_told_so() -> None:
    """Too large names no wait, and takes nothing."""
    (answer,) = asked(World(limits={"*": {"tpm": 30_000}}), chat(max_tokens=31_538))
    assert problem(answer)["message"] == (
        "Request too large for gpt-5-mini in organization org-simulator on tokens per min (TPM): Limit 30000, "
        f"Requested 31538. The input or output tokens must be reduced in order to run successfully. {LEARN}"
    )
    assert "retry-after" not in answer.headers
    assert rates(answer)["remaining-tokens"] == "30000"


def test_a_project_s_limit_names_the_project() -> None:
    """Who must ask for more is said."""
    world = World(limits={"*": {"tpm": 100}}, project_limits={"proj_a": {"*": {"tpm": 50}}})
    answers = asked(world, chat(max_tokens=40), chat(max_tokens=20), headers={"OpenAI-Project": "proj_a"})
    assert (
        "for gpt-5-mini in project proj_a on tokens per min (TPM): Limit 50, Used 40" in problem(answers[1])["message"]
    )


def test_used_never_claims_more_room_than_there_is() -> None:
    """Between whole tokens, used is rounded up."""
    clock = HandClock()
    simulator = Simulator(World(limits={"*": {"tpm": 60}}), clock=clock)
    asked(simulator, chat(max_tokens=60))
    clock.instant = 10.999
    (answer,) = asked(simulator, chat(max_tokens=20))
    assert "Limit 60, Used 50, Requested 20. Please try again in 10s." in problem(answer)["message"]


def test_a_slice_refuses_with_the_minute_s_numbers_and_its_own_wait() -> None:
    """The body shows a minute with room, and a wait that the minute does not explain."""
    world = World(limits={"*": {"rpm": 60}}, slices={"rpm": 2.0})
    answers = asked(world, chat(), chat(), chat())
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "Limit 60, Used 2, Requested 1. Please try again in 1s." in problem(answers[2])["message"]


@pytest.mark.parametrize("refill", ["fixed", "sliding"])
def test_other_refills_name_their_true_wait(refill: str) -> None:
    """A window that opens at once is waited for to its opening."""
    clock = HandClock()
    simulator = Simulator(World(limits={"*": {"rpm": 2}}, refill=refill), clock=clock)
    asked(simulator, chat(), chat())
    clock.instant = 45.5
    (answer,) = asked(simulator, chat())
    assert "Limit 2, Used 2, Requested 1. Please try again in 14.5s." in problem(answer)["message"]
    assert answer.headers["retry-after"] == "15"


def test_refusals_can_keep_the_numbers_to_themselves() -> None:
    """Without bodies, headers and hints, a refusal says that it is one."""
    world = World(limits={"*": {"rpm": 1}}, bodies=False, refusal_headers=False, retry_after=False)
    answer = asked(world, chat(), chat())[1]
    assert answer.status_code == 429
    assert problem(answer)["message"] == "Too many requests"
    assert rates(answer) == {}
    assert "retry-after" not in answer.headers


def test_milliseconds_can_be_said_as_well() -> None:
    """The wait in milliseconds is rounded up and enough."""
    clock = HandClock()
    simulator = Simulator(World(limits={"*": {"tpm": 7000}}, retry_after_ms=True), clock=clock)
    _, answer = asked(simulator, chat(max_tokens=7000), chat("four"))
    assert answer.headers["retry-after-ms"] == "9"
    clock.instant = 0.009
    assert asked(simulator, chat("four"))[0].status_code == 200


def test_a_limit_of_zero_admits_nobody_ever() -> None:
    """A refusal by a limit of zero names no wait."""
    (answer,) = asked(World(limits={"*": {"rpm": 0}}), chat())
    assert "Request too large for gpt-5-mini" in problem(answer)["message"]
    assert "Limit 0, Requested 1" in problem(answer)["message"]
    assert "retry-after" not in answer.headers
