"""The ``anthropic`` package, its calls as its own docs show them, against llmock and against scripted failures."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sdk_llmock import KEY, Llmock, check_llmock, llmock
from sdk_servers import Answer, Scripted, cutting, served
from sdk_support import async_client, at_once, check_private, failures, in_threads, needs, run, sync_client

from scheduler import Scheduler

needs("anthropic", "llmock")

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from llmock.simulation import MockResponseSettings, build_mock_text

pytestmark = pytest.mark.network

MODEL = "claude-haiku-4-5"
TPM = 60_000
SPENT = 58_000
CALLS = 40
ATTEMPTS = 2


@pytest.fixture(scope="module")
def running() -> Iterator[Llmock]:
    with llmock(tpm=TPM, stream_chunk_delay_ms=30) as server:
        yield server


@pytest.fixture
def server(running: Llmock) -> Llmock:
    """Return llmock with room for a dozen calls, and for seven more each second."""
    running.forget()
    running.spend("anthropic", SPENT)
    return running


def question(number: int) -> dict[str, Any]:
    """Return the arguments of a call; about 140 tokens to llmock."""
    return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": f"Question {number}?"}]}


def text(number: int) -> Any:
    """Return what llmock answers to it."""
    return build_mock_text(settings=MockResponseSettings(), model=MODEL, prompt=f"Question {number}?")


def asynchronous(url: str, scheduler: Scheduler, **settings: Any) -> AsyncAnthropic:
    return AsyncAnthropic(api_key=KEY, base_url=url, http_client=async_client(scheduler), **settings)


def synchronous(url: str, scheduler: Scheduler, **settings: Any) -> Anthropic:
    return Anthropic(api_key=KEY, base_url=url, http_client=sync_client(scheduler), **settings)


def test_without_a_scheduler_much_of_a_rush_is_refused(server: Llmock) -> None:
    """The limit is real: the SDK by itself has many of the calls refused."""

    async def main() -> int:
        async with AsyncAnthropic(api_key=KEY, base_url=f"{server.url}/anthropic", max_retries=0) as client:
            return await failures(
                lambda number: client.messages.create(**question(number)), anthropic.RateLimitError, range(CALLS)
            )

    assert run(main) == server.statuses()[429] > CALLS / 4


def test_messages_in_tasks(server: Llmock) -> None:
    """A rush of messages goes through whole, and every answer is its own."""
    scheduler = Scheduler("anthropic")

    async def main() -> None:
        async with asynchronous(f"{server.url}/anthropic", scheduler) as client:
            answers = await at_once(lambda number: client.messages.create(**question(number)), range(CALLS))
        assert [answer.content[0].text for answer in answers] == [text(number) for number in range(CALLS)]
        usage = scheduler.statistics().usage
        assert usage.input_tokens == sum(answer.usage.input_tokens for answer in answers)
        assert usage.output_tokens == sum(answer.usage.output_tokens for answer in answers)

    run(main)
    check_llmock(server, scheduler, CALLS)


def test_messages_in_threads(server: Llmock) -> None:
    """The same with the synchronous client in as many threads."""
    scheduler = Scheduler("anthropic")
    with synchronous(f"{server.url}/anthropic", scheduler) as client:
        answers = in_threads(lambda number: client.messages.create(**question(number)), range(CALLS))
    assert [answer.content[0].text for answer in answers] == [text(number) for number in range(CALLS)]
    check_llmock(server, scheduler, CALLS)


def test_streams(server: Llmock) -> None:
    """Streams pass piece by piece, and their usage is read from their events."""
    scheduler = Scheduler("anthropic")

    async def main() -> None:
        async with asynchronous(f"{server.url}/anthropic", scheduler) as client:
            for number in range(3):
                async with client.messages.stream(**question(number)) as stream:
                    pieces = [(time.monotonic(), piece) async for piece in stream.text_stream]
                assert "".join(piece for _, piece in pieces) == text(number)
            assert pieces[-1][0] - pieces[0][0] > 0.1

    run(main)
    check_llmock(server, scheduler, 3)


def test_raw_responses(server: Llmock) -> None:
    """The provider's own headers are there, and nothing of ours."""
    scheduler = Scheduler("anthropic")
    with synchronous(f"{server.url}/anthropic", scheduler) as client:
        raw = client.messages.with_raw_response.create(**question(1))
    assert raw.headers["anthropic-ratelimit-tokens-limit"] == str(TPM)
    assert [name for name in raw.headers if name.startswith("x-")] == []
    assert raw.parse().content[0].text == text(1)


def error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "kind", "headers", "expected", "attempts"),
    [
        (429, "rate_limit_error", {"retry-after": "0"}, anthropic.RateLimitError, ATTEMPTS),
        (500, "api_error", {"x-should-retry": "true"}, anthropic.InternalServerError, ATTEMPTS),
        (529, "overloaded_error", {}, anthropic.APIStatusError, ATTEMPTS),
        (400, "invalid_request_error", {}, anthropic.BadRequestError, 1),
        (401, "authentication_error", {}, anthropic.AuthenticationError, 1),
        (403, "permission_error", {}, anthropic.PermissionDeniedError, 1),
        (404, "not_found_error", {}, anthropic.NotFoundError, 1),
        (413, "request_too_large", {}, anthropic.APIStatusError, 1),
    ],
)
def test_failures_are_the_sdk_s_own_errors(
    status: int, kind: str, headers: dict[str, str], expected: type[Any], attempts: int
) -> None:
    """Each error keeps its class, status and words, and with the SDK's default retries no attempt is added to ours."""
    server = Scripted(lambda _: Answer(status, error(kind, "In its own words."), headers))
    with served(server) as url:
        scheduler = Scheduler("anthropic", limits={MODEL: {"rpm": 6000}}, max_attempts=ATTEMPTS)

        async def main() -> Any:
            async with asynchronous(url, scheduler) as client:
                with scheduler.context(tenant="acme"), pytest.raises(expected) as caught:
                    await client.messages.create(**question(1), extra_headers={"x-scheduler-priority": "batch"})
                return caught.value

        raised = run(main)
    assert (raised.status_code, raised.body["error"]["type"]) == (status, kind)
    assert "In its own words." in str(raised)
    assert len(server.seen) == attempts
    check_private(server.seen)


def test_cut_connections_are_not_multiplied() -> None:
    """Where no answer comes, the SDK's own tries are recognised: each is sent once."""
    with cutting() as (url, came):
        scheduler = Scheduler("anthropic", limits={MODEL: {"rpm": 6000}}, max_attempts=ATTEMPTS)
        with synchronous(url, scheduler, max_retries=1) as client, pytest.raises(anthropic.APIConnectionError):
            client.messages.create(**question(1))
    assert len(came) == ATTEMPTS + 1


def test_a_deadline_is_the_sdk_s_own_error(server: Llmock) -> None:
    """A call whose turn cannot come in time fails at once, as a rate limit that says what it is."""
    scheduler = Scheduler("anthropic", limits={MODEL: {"rpm": 1}})

    async def main() -> None:
        async with asynchronous(f"{server.url}/anthropic", scheduler) as client:
            await client.messages.create(**question(1))
            before = len(server.records())
            with scheduler.context(deadline=0.2, tenant="acme"), pytest.raises(anthropic.RateLimitError) as caught:
                await asyncio.wait_for(client.messages.create(**question(2)), 2)
            assert caught.value.response.headers["x-scheduler-error"] == "DeadlineUnattainable"
            assert len(server.records()) == before

    run(main)


def test_priority_and_tenant_reach_the_scheduler(server: Llmock) -> None:
    """What the context says is what waits."""
    server.script(type="delay", seconds=0.5)
    scheduler = Scheduler("anthropic", concurrency=1)

    async def main() -> set[tuple[str, int, str]]:
        async with asynchronous(f"{server.url}/anthropic", scheduler) as client:
            with scheduler.context(priority=7, tenant="acme"):
                calls = [asyncio.create_task(client.messages.create(**question(number))) for number in range(4)]
            await asyncio.sleep(0.25)
            said = {(waiter.tenant, waiter.priority, waiter.model) for waiter in scheduler.waiting()}
            await asyncio.gather(*calls)
        return said

    assert run(main) == {("acme", 7, MODEL)}
