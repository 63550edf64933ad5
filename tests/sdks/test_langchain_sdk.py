"""``langchain-openai``'s ChatOpenAI with clients of ours, against the simulator."""

import time
from typing import Any

import pytest
from sdk_servers import Answer, Scripted, served, simulated
from sdk_support import (
    CALLS,
    KEY,
    MODEL,
    OUTPUT,
    RUSH,
    async_client,
    billed,
    check_private,
    check_rush,
    error_body,
    needs,
    prompt,
    run,
    sync_client,
)

from scheduler import Scheduler
from scheduler.simulator import World

needs("langchain_openai")

import openai
from langchain_openai import ChatOpenAI

pytestmark = pytest.mark.network


def model(url: str, scheduler: Scheduler) -> tuple[ChatOpenAI, Any, Any]:
    """Return the model as the docs show it, and the two clients that it does not close."""
    in_tasks, in_threads = async_client(scheduler), sync_client(scheduler)
    chat = ChatOpenAI(
        model=MODEL, api_key=KEY, base_url=f"{url}/v1", http_async_client=in_tasks, http_client=in_threads
    )
    return chat, in_tasks, in_threads


def test_a_batch_in_tasks() -> None:
    """``abatch`` of more than the limit lets through is answered whole, in order."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            chat, client, other = model(url, scheduler)
            async with client:
                with other, scheduler.context(priority="batch", tenant="acme"):
                    answers = await chat.abatch([prompt(number) for number in range(CALLS)])
            told = [(answer.usage_metadata or {}).get("input_tokens") for answer in answers]
            assert told == [billed(number) for number in range(CALLS)]

        run(main)
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_a_batch_in_threads() -> None:
    """``batch``, which uses threads, as well."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()
        chat, other, client = model(url, scheduler)
        with client:
            answers = chat.batch([prompt(number) for number in range(CALLS)], {"max_concurrency": 32})
        run(other.aclose)
        assert {len(str(answer.content)) for answer in answers} == {4 * OUTPUT}
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_a_stream_comes_piece_by_piece() -> None:
    """``astream`` yields as the pieces come."""
    with simulated(World(output=40, latency_per_token=0.01)) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> list[tuple[float, str]]:
            chat, client, other = model(url, scheduler)
            async with client:
                with other:
                    return [(time.monotonic(), str(chunk.content)) async for chunk in chat.astream("hello")]

        pieces = [(came, text) for came, text in run(main) if text]
        assert len("".join(text for _, text in pieces)) == 160
        assert pieces[-1][0] - pieces[0][0] > 0.1
        check_private(simulator.seen)


def test_attempts_are_not_multiplied() -> None:
    """With LangChain's default retries a server that always fails sees the scheduler's attempts and no more."""
    server = Scripted(lambda _: Answer(500, error_body("In its own words.", "server_error", None)))
    with served(server) as url:
        scheduler = Scheduler(limits={MODEL: {"rpm": 6000}}, max_attempts=2)
        chat, other, client = model(url, scheduler)
        with client, pytest.raises(openai.InternalServerError, match="In its own words"):
            chat.invoke("hello")
        run(other.aclose)
    assert len(server.seen) == 2
