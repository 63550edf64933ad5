"""What the ``openai`` package makes of failures under a scheduler: its own errors, and no attempts on top of ours."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from sdk_servers import Answer, Scripted, Seen, cutting, served, simulated
from sdk_support import KEY, MODEL, async_client, check_private, error_body, messages, needs, run, sync_client

from scheduler import DeadlineUnattainable, QueueFull, RequestTooLarge, Scheduler
from scheduler.simulator import World

needs("openai")

import openai
from openai import AsyncOpenAI, OpenAI

pytestmark = pytest.mark.network

ATTEMPTS = 2
OVERLOAD = error_body("The engine is currently overloaded, please try again later.", "server_error", None)
TOO_FAST = error_body(
    f"Rate limit reached for {MODEL} in organization org-a on requests per min (RPM): Limit 30000, Used 30000, "
    "Requested 1. Please try again in 2ms.",
    "requests",
    "rate_limit_exceeded",
)
BILLING = error_body("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")
WRONG_KEY = error_body("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
BAD = error_body("Invalid 'messages'.", "invalid_request_error", None)
NO_MODEL = error_body(f"The model `{MODEL}` does not exist.", "invalid_request_error", "model_not_found")


def always(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Scripted:
    return Scripted(lambda _: Answer(status, body, headers or {}))


async def chat(client: AsyncOpenAI, number: int = 1, **settings: Any) -> Any:
    return await client.chat.completions.create(model=MODEL, messages=messages(number), **settings)


async def in_a_task(url: str, scheduler: Scheduler, expected: type[Any], **settings: Any) -> Any:
    """Return the error of the asynchronous client."""
    http_client = async_client(scheduler)
    async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client, **settings) as client:
        with pytest.raises(expected) as caught:
            await chat(client)
    return caught.value


def in_a_thread(url: str, scheduler: Scheduler, expected: type[Any], **settings: Any) -> Any:
    """Return the error of the synchronous client."""
    http_client = sync_client(scheduler)
    with (
        OpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client, **settings) as client,
        pytest.raises(expected) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=messages(1))
    return caught.value


def failure(url: str, expected: type[Any], **settings: Any) -> Any:
    """Call a server that fails, in a task and in a thread, each through a scheduler of its own; return the error."""
    schedulers = [Scheduler(limits={MODEL: {"rpm": 3000}}, max_attempts=ATTEMPTS) for _ in range(2)]
    error = run(lambda: in_a_task(url, schedulers[0], expected, **settings))
    assert str(in_a_thread(url, schedulers[1], expected, **settings)) == str(error)
    assert [scheduler.statistics().in_flight for scheduler in schedulers] == [0, 0]
    return error


@pytest.mark.parametrize(
    ("status", "body", "headers", "settings", "expected"),
    [
        (429, TOO_FAST, {"retry-after-ms": "2"}, {}, openai.RateLimitError),
        (429, TOO_FAST, {"retry-after-ms": "2"}, {"max_retries": 0}, openai.RateLimitError),
        (500, OVERLOAD, {}, {}, openai.InternalServerError),
        (503, OVERLOAD, {"retry-after-ms": "2", "x-should-retry": "true"}, {}, openai.InternalServerError),
    ],
    ids=["429", "429-no-retries", "500", "503-that-says-retry"],
)
def test_attempts_are_not_multiplied(
    status: int, body: Any, headers: dict[str, str], settings: dict[str, Any], expected: type[Any]
) -> None:
    """A server that always fails sees as many attempts as the scheduler makes, whatever the SDK would like."""
    server = always(status, body, headers)
    with served(server) as url:
        error = failure(url, expected, **settings)
    assert len(server.seen) == 2 * ATTEMPTS
    assert (error.status_code, error.body["message"]) == (status, body["error"]["message"])
    assert error.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, BILLING, openai.RateLimitError),
        (400, BAD, openai.BadRequestError),
        (401, WRONG_KEY, openai.AuthenticationError),
        (403, error_body("Country not supported.", "request_forbidden", None), openai.PermissionDeniedError),
        (404, NO_MODEL, openai.NotFoundError),
        (422, BAD, openai.UnprocessableEntityError),
    ],
    ids=["billing", "400", "401", "403", "404", "422"],
)
def test_what_cannot_succeed_is_asked_once(status: int, body: Any, expected: type[Any]) -> None:
    """Errors that no second attempt mends reach the caller as the SDK's own, code and all, after one attempt."""
    server = always(status, body)
    with served(server) as url:
        error = failure(url, expected)
    assert len(server.seen) == 2
    assert (error.status_code, error.code) == (status, body["error"]["code"])
    assert "x-scheduler-error" not in error.response.headers or status == 429


@pytest.mark.parametrize("retries", [2, 0])
def test_cut_connections_are_not_multiplied(retries: int) -> None:
    """Where no answer comes, the SDK's own tries are recognised: each is sent once."""
    with cutting() as (url, came):
        failure(url, openai.APIConnectionError, max_retries=retries)
    assert len(came) == 2 * (ATTEMPTS + retries)


def test_nobody_listens() -> None:
    """Where no connection can be made, the SDK says so as ever."""
    with cutting() as (url, came):
        pass
    failure(url, openai.APIConnectionError, max_retries=0)
    assert came == []


def test_a_slow_answer_times_out() -> None:
    """The SDK's timeout bounds each attempt and comes out as its own error."""

    def answer(seen: Seen) -> Answer:
        time.sleep(0.6)
        return Answer(body={})

    slow = Scripted(answer)
    with served(slow) as url:
        error = failure(url, openai.APITimeoutError, max_retries=0, timeout=0.2)
    assert len(slow.seen) >= 1
    assert error.message == "Request timed out."


def test_refusals_in_between_are_not_seen() -> None:
    """What the scheduler mends itself never reaches the caller: two failures, then an answer."""
    answers = [
        Answer(429, TOO_FAST, {"retry-after-ms": "20"}),
        Answer(503, OVERLOAD),
        Answer(body={"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": []}),
    ]
    server = Scripted(lambda _: answers[min(len(server.seen), 3) - 1])
    with served(server) as url:
        scheduler = Scheduler(limits={MODEL: {"rpm": 3000}}, max_attempts=3)

        async def main() -> Any:
            async with AsyncOpenAI(
                api_key=KEY, base_url=f"{url}/v1", http_client=async_client(scheduler), max_retries=0
            ) as client:
                return await chat(client)

        assert run(main).id == "1"
        assert (len(server.seen), scheduler.statistics().retries) == (3, 2)
        bodies = {seen.body for seen in server.seen}
        assert len(bodies) == 1  # the same request each time


LocalCase = tuple[dict[str, Any], dict[str, Any], dict[str, Any], int, str, type[Exception]]
LOCAL: dict[str, LocalCase] = {
    "deadline": ({}, {"deadline": 0.5}, {}, 429, "deadline_unattainable", DeadlineUnattainable),
    "too-large": ({}, {}, {"max_completion_tokens": 500_000}, 413, "request_too_large", RequestTooLarge),
    "queue-full": ({"max_queued": 1}, {}, {}, 429, "queue_full", QueueFull),
}


@pytest.mark.parametrize("case", LOCAL)
def test_what_the_scheduler_turns_away_is_the_sdk_s_own_error(case: str) -> None:
    """A local refusal reads like a provider's, says what it is, is not tried again, and never leaves the machine."""
    settings, hints, extra, status, code, kind = LOCAL[case]
    limits = {MODEL: {"rpm": 1, "tpm": 100_000}}
    with simulated(World(limits=limits)) as (url, simulator):
        scheduler = Scheduler(limits=limits, **settings)
        expected = openai.RateLimitError if status == 429 else openai.APIStatusError

        async def main() -> None:
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=async_client(scheduler)) as client:
                if case != "too-large":
                    await chat(client)
                if case == "queue-full":
                    waiting = asyncio.create_task(chat(client))
                    await asyncio.sleep(0.1)
                before = len(simulator.seen)
                begin = time.monotonic()
                with scheduler.context(**hints), pytest.raises(expected) as caught:
                    await chat(client, **extra)
                assert time.monotonic() - begin < 1.5
                assert len(simulator.seen) == before
                error = caught.value
                assert (error.status_code, error.code, error.type) == (status, code, "scheduler_error")
                assert error.response.headers["x-scheduler-error"] == kind.__name__
                assert isinstance(error.response.extensions["scheduler_error"], kind)
                if case == "queue-full":
                    waiting.cancel()

        run(main)


def order(hinted: Callable[[Scheduler, AsyncOpenAI, int], Any], calls: int) -> list[int]:
    """Make calls in this order while others wait; return the order in which they ended."""
    with simulated(World(latency=0.05)) as (url, simulator):
        scheduler = Scheduler(concurrency=1)

        async def main() -> list[int]:
            ended: list[int] = []
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=async_client(scheduler)) as client:

                async def one(number: int) -> None:
                    await hinted(scheduler, client, number)
                    ended.append(number)

                tasks = []
                for number in range(calls):
                    tasks.append(asyncio.create_task(one(number)))
                    await asyncio.sleep(0.005)
                waiting = scheduler.waiting()
                assert {waiter.model for waiter in waiting} == {MODEL}
                await asyncio.gather(*tasks)
            return ended

        ended = run(main)
        check_private(simulator.seen)
        return ended


def test_the_context_says_who_goes_first() -> None:
    """An interactive call that comes last overtakes the batch calls that wait."""

    async def hinted(scheduler: Scheduler, client: AsyncOpenAI, number: int) -> None:
        with scheduler.context(priority="interactive" if number == 11 else "batch"):
            await chat(client, number)

    assert order(hinted, 12).index(11) <= 4


def test_headers_say_who_goes_first() -> None:
    """The same by the headers of one call, for code that cannot put a context around it."""

    async def hinted(scheduler: Scheduler, client: AsyncOpenAI, number: int) -> None:
        priority = "interactive" if number == 11 else "batch"
        await chat(client, number, extra_headers={"x-scheduler-priority": priority})

    assert order(hinted, 12).index(11) <= 4


def test_tenants_share() -> None:
    """A tenant with two calls does not wait behind another's ten that came before."""

    async def hinted(scheduler: Scheduler, client: AsyncOpenAI, number: int) -> None:
        with scheduler.context(tenant="small" if number >= 10 else "large"):
            await chat(client, number)

    ended = order(hinted, 12)
    assert max(ended.index(10), ended.index(11)) <= 7


def test_a_wrong_hint_is_said_at_once() -> None:
    """A hint that is none is a bad request of the caller, not a silent default."""
    with simulated(World()) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=async_client(scheduler)) as client:
                with pytest.raises(openai.BadRequestError, match="deadline"):
                    await chat(client, extra_headers={"x-scheduler-deadline": "soon"})

        run(main)
        assert simulator.seen == []
