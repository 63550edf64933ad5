"""The ``groq`` package, which takes httpx only, its calls as its own docs show them, against llmock."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sdk_llmock import KEY, Llmock, check_llmock, llmock
from sdk_servers import Answer, Scripted, served
from sdk_support import async_client, at_once, check_private, failures, in_threads, needs, run, sync_client

from scheduler import Scheduler

needs("groq", "llmock")

import groq
from groq import AsyncGroq, Groq
from llmock.simulation import MockResponseSettings, build_mock_text

pytestmark = pytest.mark.network

MODEL = "llama-3.1-8b-instant"
CALLS = 40
ATTEMPTS = 2


@pytest.fixture(scope="module")
def running() -> Iterator[Llmock]:
    with llmock(tpm=60_000, stream_chunk_delay_ms=30) as server:
        yield server


@pytest.fixture
def server(running: Llmock) -> Llmock:
    """Return llmock with room for a dozen calls, and for seven more each second."""
    running.forget()
    running.spend("groq", 58_000)
    return running


def question(number: int) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": f"Question {number}?"}]}


def text(number: int) -> Any:
    """Return what llmock answers to it."""
    return build_mock_text(settings=MockResponseSettings(), model=MODEL, prompt=f"Question {number}?")


def check(server: Llmock, scheduler: Scheduler, tokens: int) -> None:
    check_llmock(server, scheduler, CALLS)
    usage = scheduler.statistics().usage
    assert usage.input_tokens + usage.output_tokens == tokens


def test_without_a_scheduler_much_of_a_rush_is_refused(server: Llmock) -> None:
    """The limit is real: the SDK by itself has many of the calls refused."""

    async def main() -> int:
        async with AsyncGroq(api_key=KEY, base_url=f"{server.url}/groq", max_retries=0) as client:
            await client.models.list()
            server.spend("groq", 1000)
            return await failures(
                lambda number: client.chat.completions.create(**question(number)), groq.RateLimitError, range(CALLS)
            )

    assert run(main) == server.statuses()[429] > CALLS / 4


def test_chats_in_tasks(server: Llmock) -> None:
    """A rush of chats goes through whole, and every answer is its own."""
    scheduler = Scheduler("groq")

    async def main() -> int:
        http_client = async_client(scheduler, "httpx")
        async with AsyncGroq(api_key=KEY, base_url=f"{server.url}/groq", http_client=http_client) as client:
            answers = await at_once(lambda number: client.chat.completions.create(**question(number)), range(CALLS))
        assert [answer.choices[0].message.content for answer in answers] == [text(number) for number in range(CALLS)]
        return sum(answer.usage.total_tokens for answer in answers)

    check(server, scheduler, run(main))


def test_chats_in_threads(server: Llmock) -> None:
    """The same with the synchronous client in as many threads."""
    scheduler = Scheduler("groq")
    http_client = sync_client(scheduler, "httpx")
    with Groq(api_key=KEY, base_url=f"{server.url}/groq", http_client=http_client) as client:
        answers = in_threads(lambda number: client.chat.completions.create(**question(number)), range(CALLS))
    assert [answer.choices[0].message.content for answer in answers] == [text(number) for number in range(CALLS)]
    check(server, scheduler, sum(answer.usage.total_tokens for answer in answers))


def test_a_stream_comes_piece_by_piece(server: Llmock) -> None:
    """The pieces of a stream are in the caller's hands as they come."""
    scheduler = Scheduler("groq")

    async def main() -> list[tuple[float, str]]:
        http_client = async_client(scheduler, "httpx")
        async with AsyncGroq(api_key=KEY, base_url=f"{server.url}/groq", http_client=http_client) as client:
            stream = await client.chat.completions.create(**question(3), stream=True)
            return [(time.monotonic(), chunk.choices[0].delta.content or "") async for chunk in stream]

    pieces = run(main)
    assert "".join(piece for _, piece in pieces) == text(3)
    assert pieces[-1][0] - pieces[0][0] > 0.02 * (len(pieces) - 1)
    assert scheduler.statistics().in_flight == 0


@pytest.mark.parametrize(
    ("status", "code", "expected", "attempts"),
    [
        (429, "rate_limit_exceeded", groq.RateLimitError, ATTEMPTS),
        (503, "service_unavailable", groq.InternalServerError, ATTEMPTS),
        (400, "bad_request", groq.BadRequestError, 1),
        (401, "invalid_api_key", groq.AuthenticationError, 1),
        (413, "request_too_large", groq.APIStatusError, 1),
    ],
)
def test_failures_are_the_sdk_s_own_errors(status: int, code: str, expected: type[Any], attempts: int) -> None:
    """Each error keeps its class, and with the SDK's default retries no attempt is added to ours."""
    body = {"error": {"message": "In its own words.", "type": "x", "code": code}}
    server = Scripted(lambda _: Answer(status, body, {"retry-after": "0"}))
    with served(server) as url:
        scheduler = Scheduler("groq", limits={MODEL: {"rpm": 6000}}, max_attempts=ATTEMPTS)
        http_client = sync_client(scheduler, "httpx")
        with Groq(api_key=KEY, base_url=url, http_client=http_client) as client, pytest.raises(expected) as caught:
            client.chat.completions.create(**question(1), extra_headers={"x-scheduler-tenant": "acme"})
    assert caught.value.body["error"]["code"] == code
    assert len(server.seen) == attempts
    check_private(server.seen)
