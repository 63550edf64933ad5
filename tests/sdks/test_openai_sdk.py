"""The ``openai`` package, its calls as its own docs show them, against the simulator."""

import asyncio
import itertools
import time
from typing import Any

import pytest
from sdk_servers import simulated
from sdk_support import (
    CALLS,
    KEY,
    LIBRARIES,
    LIMITS,
    MODEL,
    NEWEST,
    OUTPUT,
    RUSH,
    async_client,
    at_once,
    billed,
    check_private,
    check_rush,
    failures,
    in_threads,
    messages,
    needs,
    prompt,
    run,
    sync_client,
)

from scheduler import Scheduler
from scheduler.simulator import World

needs("openai")

import openai
from openai import AsyncOpenAI, OpenAI

pytestmark = pytest.mark.network

TEXT = ("This is an answer of a simulated provider, which says nothing at the length that was asked for. ")[
    : 4 * OUTPUT
]
QUIET = World(limits=LIMITS, output=OUTPUT)


def asynchronous(url: str, scheduler: Scheduler, library: str = NEWEST) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=async_client(scheduler, library))


def synchronous(url: str, scheduler: Scheduler) -> OpenAI:
    return OpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=sync_client(scheduler))


def test_without_a_scheduler_much_of_a_rush_is_refused() -> None:
    """The limit is real: the SDK by itself has many of the calls refused."""
    with simulated(World(limits={MODEL: {"rpm": CALLS}}, start=0.2)) as (url, simulator):

        async def main() -> int:
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
                return await failures(
                    lambda number: client.chat.completions.create(model=MODEL, messages=messages(number)),
                    openai.RateLimitError,
                )

        assert run(main) == simulator.refused > CALLS / 4


@pytest.mark.parametrize(
    ("library", "limits"), [*((name, None) for name in LIBRARIES), (NEWEST, LIMITS)], ids=[*LIBRARIES, "told"]
)
def test_chats_in_tasks(library: str, limits: dict[str, Any] | None) -> None:
    """A rush of chats goes through whole: no refusal, every answer its own, all usage read."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler(limits=limits)

        async def main() -> None:
            async with asynchronous(url, scheduler, library) as client:
                answers = await at_once(
                    lambda number: client.chat.completions.create(model=MODEL, messages=messages(number))
                )
            assert [answer.usage.prompt_tokens for answer in answers] == [billed(number) for number in range(CALLS)]
            assert {answer.choices[0].message.content for answer in answers} == {TEXT}

        run(main)
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_chats_in_threads() -> None:
    """The same with the synchronous client in forty threads."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()
        with synchronous(url, scheduler) as client:
            answers = in_threads(lambda number: client.chat.completions.create(model=MODEL, messages=messages(number)))
        assert [answer.usage.prompt_tokens for answer in answers] == [billed(number) for number in range(CALLS)]
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_streams_in_tasks() -> None:
    """A rush of streams goes through whole, and the usage in their last events is read."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:

                async def listen(number: int) -> str:
                    stream = await client.chat.completions.create(
                        model=MODEL, messages=messages(number), stream=True, stream_options={"include_usage": True}
                    )
                    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

                assert set(await at_once(listen)) == {TEXT}

        run(main)
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_pieces_of_a_stream_arrive_one_by_one() -> None:
    """The first piece is in the caller's hands while the last ones are still to come, in tasks and in threads."""
    with simulated(World(output=40, latency_per_token=0.02, stream_chunks=8)) as (url, _):
        scheduler = Scheduler()

        async def main() -> list[float]:
            async with asynchronous(url, scheduler) as client:
                stream = await client.chat.completions.create(model=MODEL, messages=messages(1), stream=True)
                return [time.monotonic() async for chunk in stream if chunk.choices[0].delta.content]

        with synchronous(url, scheduler) as client:
            stream = client.chat.completions.create(model=MODEL, messages=messages(1), stream=True)
            instants = [time.monotonic() for chunk in stream if chunk.choices[0].delta.content]
        for came in (run(main), instants):
            assert len(came) == 8
            gaps = [after - before for before, after in itertools.pairwise(came)]
            assert sum(gap > 0.03 for gap in gaps) >= 5  # 0.1 s of work lie between two pieces


def test_the_helper_for_streams() -> None:
    """``stream`` as a context, with its events and its final completion, works as without a scheduler."""
    with simulated(QUIET) as (url, _):
        scheduler = Scheduler()

        async def main() -> None:
            async with (
                asynchronous(url, scheduler) as client,
                client.chat.completions.stream(model=MODEL, messages=messages(3)) as stream,
            ):
                kinds = {event.type async for event in stream}
                assert "content.delta" in kinds
                completion = await stream.get_final_completion()
                assert completion.choices[0].message.content == TEXT

        run(main)
        assert scheduler.statistics().in_flight == 0


def test_a_stream_that_is_left_gives_its_place_back() -> None:
    """Whoever stops reading leaves no request in flight behind."""
    with simulated(World(output=400, latency_per_token=0.01)) as (url, _):
        scheduler = Scheduler(concurrency=1)

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:
                async with await client.chat.completions.create(
                    model=MODEL, messages=messages(1), stream=True
                ) as stream:
                    async for _ in stream:
                        break
                answer = await asyncio.wait_for(
                    client.chat.completions.create(model=MODEL, messages=messages(1), max_completion_tokens=1), 5
                )
                assert answer.choices[0].finish_reason == "length"

        run(main)
        assert scheduler.statistics().in_flight == 0


def test_raw_responses() -> None:
    """``with_raw_response`` and ``with_streaming_response`` show the provider's own headers and bytes."""
    with simulated(QUIET) as (url, _):
        scheduler = Scheduler()

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:
                raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=messages(1))
                assert raw.headers["x-ratelimit-limit-requests"] == "1200"
                assert "x-should-retry" not in raw.headers
                assert raw.parse().choices[0].message.content == TEXT
                async with client.chat.completions.with_streaming_response.create(
                    model=MODEL, messages=messages(1)
                ) as response:
                    assert response.headers["x-ratelimit-limit-tokens"] == "3000000"
                    assert TEXT in "".join([line async for line in response.iter_lines()])

        run(main)
        assert scheduler.statistics().usage.output_tokens == 2 * OUTPUT


def test_responses() -> None:
    """The Responses API, whole and as a stream, is let through by its own limits and its usage is read."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:

                async def answer(number: int) -> Any:
                    if number % 2:
                        response = await client.responses.create(model=MODEL, input=prompt(number))
                        return response.output_text
                    async with client.responses.stream(model=MODEL, input=prompt(number)) as stream:
                        async for _ in stream:
                            pass
                        return (await stream.get_final_response()).output_text

                assert set(await at_once(answer)) == {TEXT}

        run(main)
        check_rush(scheduler, simulator, sum(2 * number + 1 for number in range(CALLS)))


def test_embeddings() -> None:
    """Vectors come through the SDK's own encoding as they were sent, each to the text that it is of."""
    model, limits = "text-embedding-3-small", {"text-embedding-3-small": {"rpm": 1200, "tpm": 10_000_000}}
    with simulated(World(limits=limits, start={"rpm": 0.0125})) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:

                async def embed(number: int) -> Any:
                    answer = await client.embeddings.create(model=model, input=[prompt(number), prompt(number % 7)])
                    assert answer.usage.prompt_tokens > 0
                    return answer.data[1].embedding

                vectors = await at_once(embed)
            assert vectors[: CALLS - 7] == vectors[7:]
            assert len({tuple(vector) for vector in vectors}) == 7

        run(main)
        assert (simulator.refused, simulator.completed) == (0, CALLS)


def test_images() -> None:
    """Images per minute are a limit of their own: what one call asks for is charged, and nothing is refused."""
    limits = {"gpt-image-1": {"ipm": 600, "rpm": 6000}}
    told: dict[str, Any] = {"gpt-image-1": {"ipm": {"amount": 600, "burst": 12}, "rpm": 6000}}
    with simulated(World(limits=limits, burst={"ipm": 0.02})) as (url, simulator):
        scheduler = Scheduler(limits=told)

        async def main() -> None:
            async with asynchronous(url, scheduler) as client:
                answers = await at_once(
                    lambda number: client.images.generate(model="gpt-image-1", prompt=prompt(number), n=1 + number % 2),
                    range(20),
                )
            assert [len(answer.data or []) for answer in answers] == [1, 2] * 10

        run(main)
        assert (simulator.refused, simulator.completed) == (0, 20)


def test_other_requests_pass() -> None:
    """What draws on no model's limits passes as it is, and hints beside it never leave."""
    with simulated(QUIET) as (url, simulator):
        scheduler = Scheduler()
        with synchronous(url, scheduler) as client:
            assert [model.id for model in client.models.list()] == [MODEL]
            client.chat.completions.create(
                model=MODEL, messages=messages(1), extra_headers={"X-Scheduler-Priority": "batch", "X-Other": "kept"}
            )
        check_private(simulator.seen)
        assert simulator.seen[-1].headers["x-other"] == "kept"
        assert simulator.seen[-1].headers["authorization"] == f"Bearer {KEY}"
