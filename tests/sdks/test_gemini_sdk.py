"""The ``google-genai`` package, its calls as its own docs show them, against a server that speaks as Gemini does."""

import time
from typing import Any

import pytest
from sdk_gemini import TEXT, Gemini
from sdk_servers import Answer, Scripted, served
from sdk_support import KEY, NEWEST, at_once, check_private, failures, in_threads, needs, run

from scheduler import Scheduler

needs("google.genai")

from google import genai
from google.genai import errors, types

pytestmark = [
    pytest.mark.network,
    # It looks for aiohttp's sessions in its own destructor.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

MODEL = "gemini-2.5-flash"
RATE, BURST = 20, 15
LIMITS: dict[str, Any] = {MODEL: {"rpm": {"amount": 60 * RATE, "burst": BURST}}}
CALLS = 60
ATTEMPTS = 2


def client(url: str, scheduler: Scheduler) -> genai.Client:
    """Return a client as the docs show it with a transport of one's own."""
    asynchronous = scheduler.transport2() if NEWEST == "httpx2" else scheduler.transport()
    synchronous = scheduler.sync_transport2() if NEWEST == "httpx2" else scheduler.sync_transport()
    options = types.HttpOptions(
        base_url=url, client_args={"transport": synchronous}, async_client_args={"transport": asynchronous}
    )
    return genai.Client(api_key=KEY, http_options=options)


def test_without_a_scheduler_much_of_a_rush_is_refused() -> None:
    """The limit is real: the SDK by itself has many of the calls refused."""
    gemini = Gemini(rate=1, burst=BURST)
    with served(Scripted(gemini)) as url:

        async def main() -> int:
            alone = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))
            async with alone.aio as models:
                count = await failures(
                    lambda number: models.models.generate_content(model=MODEL, contents=f"number {number}"),
                    errors.ClientError,
                    range(CALLS),
                )
            alone.close()
            return count

        assert run(main) == gemini.refused > CALLS / 4


def test_calls_in_tasks() -> None:
    """A rush goes through whole by what is told alone, every answer its own, all usage read."""
    server = Scripted(gemini := Gemini(RATE, BURST))
    with served(server) as url:
        scheduler = Scheduler("gemini", limits=LIMITS)

        async def main() -> None:
            sdk = client(url, scheduler)
            async with sdk.aio as models:
                answers = await at_once(
                    lambda number: models.models.generate_content(model=MODEL, contents=f"number {number}"),
                    range(CALLS),
                )
            sdk.close()
            assert [answer.text for answer in answers] == [f"{TEXT}number {number}" for number in range(CALLS)]

        run(main)
    check(scheduler, server, gemini)


def test_calls_in_threads() -> None:
    """The same with the synchronous client in as many threads."""
    server = Scripted(gemini := Gemini(RATE, BURST))
    with served(server) as url:
        scheduler = Scheduler("gemini", limits=LIMITS)
        with client(url, scheduler) as sdk:
            answers = in_threads(
                lambda number: sdk.models.generate_content(model=MODEL, contents=f"number {number}"), range(CALLS)
            )
        assert [answer.text for answer in answers] == [f"{TEXT}number {number}" for number in range(CALLS)]
    check(scheduler, server, gemini)


def check(scheduler: Scheduler, server: Scripted, gemini: Gemini) -> None:
    seen = scheduler.statistics()
    assert (gemini.refused, len(server.seen)) == (0, CALLS)
    assert (seen.sent, seen.refusals, seen.in_flight, seen.queued) == (CALLS, 0, 0, 0)
    prompts = sum(len(f"number {number}") for number in range(CALLS))
    assert (seen.usage.input_tokens, seen.usage.output_tokens) == (prompts, 5 * CALLS)


def test_a_stream_comes_piece_by_piece() -> None:
    """The pieces of a stream are in the caller's hands as they come, and the usage in the last is read."""
    with served(Scripted(Gemini(RATE, BURST))) as url:
        scheduler = Scheduler("gemini", limits=LIMITS)

        async def main() -> list[tuple[float, str]]:
            sdk = client(url, scheduler)
            async with sdk.aio as models:
                stream = await models.models.generate_content_stream(model=MODEL, contents="one two three")
                pieces = [(time.monotonic(), chunk.text or "") async for chunk in stream]
            sdk.close()
            return pieces

        pieces = run(main)
    assert "".join(piece for _, piece in pieces) == TEXT + "one two three"
    assert pieces[-1][0] - pieces[0][0] > 0.1
    usage = scheduler.statistics().usage
    assert (usage.input_tokens, usage.output_tokens) == (len("one two three"), 5)


@pytest.mark.parametrize(
    ("status", "words", "expected", "attempts"),
    [
        (429, "RESOURCE_EXHAUSTED", errors.ClientError, ATTEMPTS),
        (503, "UNAVAILABLE", errors.ServerError, ATTEMPTS),
        (400, "INVALID_ARGUMENT", errors.ClientError, 1),
        (403, "PERMISSION_DENIED", errors.ClientError, 1),
    ],
)
def test_failures_are_the_sdk_s_own_errors(status: int, words: str, expected: type[Any], attempts: int) -> None:
    """Each error keeps its class, code and status, after as many attempts as are ours."""
    body = {"error": {"code": status, "message": "In its own words.", "status": words}}
    server = Scripted(lambda _: Answer(status, body))
    with served(server) as url:
        scheduler = Scheduler("gemini", limits={MODEL: {"rpm": 6000}}, max_attempts=ATTEMPTS)
        with client(url, scheduler) as sdk, scheduler.context(tenant="acme"), pytest.raises(expected) as caught:
            sdk.models.generate_content(
                model=MODEL,
                contents="hello",
                config=types.GenerateContentConfig(
                    http_options=types.HttpOptions(headers={"x-scheduler-priority": "batch"})
                ),
            )
    assert (caught.value.code, caught.value.status) == (status, words)
    assert len(server.seen) == attempts
    check_private(server.seen)


def test_a_deadline_is_the_sdk_s_own_error() -> None:
    """A call whose turn cannot come in time fails at once, with the scheduler's words, and never leaves."""
    server = Scripted(Gemini(RATE, BURST))
    with served(server) as url:
        scheduler = Scheduler("gemini", limits={MODEL: {"rpm": 1}})
        with client(url, scheduler) as sdk:
            sdk.models.generate_content(model=MODEL, contents="hello")
            with scheduler.context(deadline=0.2), pytest.raises(errors.ClientError, match="deadline") as caught:
                sdk.models.generate_content(model=MODEL, contents="hello again")
    assert caught.value.code == 429
    assert len(server.seen) == 1
