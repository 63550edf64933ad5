"""Many requests at once, and their results as they come."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.abc
import httpx

from scheduler.errors import SchedulerError
from scheduler.http.driver import Driver, Job
from scheduler.providers.base import Usage

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Result:
    """One result of ``map``.

    Attributes:
        index: Position of the body that it belongs to.
        response: The response, its body read, or None where none came.
        error: Why it failed, or None.
        usage: What the provider billed, where the answer says it.
    """

    index: int
    response: httpx.Response | None
    error: SchedulerError | None
    usage: Usage | None


async def perform_many(
    driver: Driver,
    group: anyio.abc.TaskGroup,
    bodies: Iterable[Body],
    describe: Callable[[Body], Job],
    most: int,
) -> AsyncGenerator[Result, None]:
    """Carry out a job for each of *bodies* and yield the results as they come.

    Args:
        driver: What carries them out.
        group: Where the workers live: not in this generator, which may be left at any yield.
        bodies: Read as they are needed.
        describe: Turns a body into a job; what it raises of ours is that body's result.
        most: How many may be waiting or in flight.

    Raises:
        RuntimeError: If the group is cancelled before all results have come.
    """
    send, receive = anyio.create_memory_object_stream[Result](most)
    slots = anyio.Semaphore(most)
    inside = anyio.CancelScope()
    ended: list[Exception | None] = []  # how, once it has

    async def one(index: int, body: Body) -> None:
        try:
            answer = await driver.perform(describe(body))
            result = Result(index, answer.response, answer.error, answer.usage)
        except SchedulerError as error:
            result = Result(index, None, error, None)
        send.send_nowait(result)

    async def feed() -> None:
        with inside, send:
            broken: Exception | None = None
            async with anyio.create_task_group() as workers:
                try:
                    for index, body in enumerate(bodies):
                        await slots.acquire()
                        workers.start_soon(one, index, body)
                except Exception as error:  # noqa: BLE001 -- the bodies' own, for whoever iterates
                    broken = error
            ended.append(broken)

    group.start_soon(feed)
    try:
        with receive:
            async for result in receive:
                slots.release()
                yield result
    finally:
        inside.cancel()
        send.close()
    if not ended:
        raise RuntimeError("the scheduler was left before all results had come")
    if ended[0] is not None:
        raise ended[0]
