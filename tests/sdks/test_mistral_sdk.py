"""The ``mistralai`` package, its calls as its own docs show them, against a server that speaks as Mistral does."""

import time
from typing import Any

import pytest
from sdk_mistral import TEXT, Mistral
from sdk_servers import Answer, Scripted, served
from sdk_support import KEY, async_client, at_once, check_private, failures, in_threads, needs, run, sync_client

from scheduler import Scheduler

needs("mistralai")

from mistralai.client import Mistral as Client
from mistralai.client.errors import MistralError

pytestmark = pytest.mark.network

MODEL = "mistral-small-latest"
LIMIT, USED = 1200, 1185
CALLS = 60
ATTEMPTS = 2


def question(number: int) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "x" * (number + 1)}], "max_tokens": 5}


def test_without_a_scheduler_much_of_a_rush_is_refused() -> None:
    """The limit is real: the SDK by itself has many of the calls refused."""
    mistral = Mistral(60, 48)
    with served(Scripted(mistral)) as url:

        async def main() -> int:
            async with Client(api_key=KEY, server_url=url) as client:
                return await failures(
                    lambda number: client.chat.complete_async(**question(number)), MistralError, range(CALLS)
                )

        assert run(main) == mistral.refused > CALLS / 4


def test_chats_in_tasks() -> None:
    """A rush of chats goes through whole, every answer its own, all usage read."""
    server = Scripted(mistral := Mistral(LIMIT, USED))
    with served(server) as url:
        scheduler = Scheduler("mistral")

        async def main() -> None:
            async with (
                async_client(scheduler) as http,
                Client(KEY, server_url=url, async_client=http) as client,
            ):
                answers = await at_once(lambda number: client.chat.complete_async(**question(number)), range(CALLS))
            texts = [answer.choices[0].message.content for answer in answers]
            assert texts == [TEXT + "x" * (number + 1) for number in range(CALLS)]

        run(main)
    check(scheduler, server, mistral)


def test_chats_in_threads() -> None:
    """The same with the synchronous client in as many threads."""
    server = Scripted(mistral := Mistral(LIMIT, USED))
    with served(server) as url:
        scheduler = Scheduler("mistral")
        with sync_client(scheduler) as http, Client(KEY, server_url=url, client=http) as client:
            answers = in_threads(lambda number: client.chat.complete(**question(number)), range(CALLS))
        assert [answer.usage.prompt_tokens for answer in answers] == [number + 1 for number in range(CALLS)]
    check(scheduler, server, mistral)


def check(scheduler: Scheduler, server: Scripted, mistral: Mistral) -> None:
    seen = scheduler.statistics()
    assert (mistral.refused, len(server.seen)) == (0, CALLS)
    assert (seen.sent, seen.refusals, seen.in_flight, seen.queued) == (CALLS, 0, 0, 0)
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (CALLS * (CALLS + 1) // 2, 5 * CALLS)


def test_a_stream_comes_piece_by_piece() -> None:
    """The pieces of a stream are in the caller's hands as they come, and the usage in the last is read."""
    with served(Scripted(Mistral(LIMIT, 0))) as url:
        scheduler = Scheduler("mistral")

        async def main() -> list[tuple[float, str]]:
            async with (
                async_client(scheduler) as http,
                Client(KEY, server_url=url, async_client=http) as client,
            ):
                stream = await client.chat.stream_async(**question(0))
                return [(time.monotonic(), str(event.data.choices[0].delta.content or "")) async for event in stream]

        pieces = run(main)
    assert "".join(piece for _, piece in pieces) == TEXT + "x"
    assert pieces[-1][0] - pieces[0][0] > 0.1
    assert scheduler.statistics().usage.output_tokens == 5


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [(429, "rate_limited", ATTEMPTS), (503, "unavailable", ATTEMPTS), (400, "invalid", 1), (401, "unauthorized", 1)],
)
def test_failures_are_the_sdk_s_own_errors(status: int, kind: str, attempts: int) -> None:
    """Each error keeps its class, status and body, after as many attempts as are ours."""
    body = {"object": "error", "message": "In its own words.", "type": kind, "param": None, "code": None}
    server = Scripted(lambda _: Answer(status, body, {"retry-after": "0"}))
    with served(server) as url:
        scheduler = Scheduler("mistral", limits={MODEL: {"rpm": 6000}}, max_attempts=ATTEMPTS)
        with (
            sync_client(scheduler) as http,
            Client(KEY, server_url=url, client=http) as client,
            scheduler.context(priority="batch"),
            pytest.raises(MistralError, match="In its own words") as caught,
        ):
            client.chat.complete(**question(1), http_headers={"x-scheduler-tenant": "acme"})
    assert caught.value.status_code == status
    assert len(server.seen) == attempts
    check_private(server.seen)


def test_a_deadline_is_the_sdk_s_own_error() -> None:
    """A call whose turn cannot come in time fails at once, with the scheduler's words, and never leaves."""
    server = Scripted(Mistral(LIMIT, 0))
    with served(server) as url:
        scheduler = Scheduler("mistral", limits={MODEL: {"rpm": 1}})
        with sync_client(scheduler) as http, Client(KEY, server_url=url, client=http) as client:
            client.chat.complete(**question(1))
            with scheduler.context(deadline=0.2), pytest.raises(MistralError, match="deadline_unattainable") as caught:
                client.chat.complete(**question(2))
    assert caught.value.status_code == 429
    assert len(server.seen) == 1
