"""Sends what was admitted: the asynchronous driver of the attempt loop.

One request's way: described, queued, admitted, sent; its headers are observed at the instant that they come, before the
body is read; the reservation is settled with the usage; and the outcome is an answer, another attempt, or an error.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import anyio
import httpx

from scheduler.core.backoff import RetryBudget
from scheduler.core.quota import SECOND
from scheduler.engine.admission import Admission
from scheduler.engine.attempts import Attempts, Failed, RetryPolicy, Step
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.errors import SchedulerError
from scheduler.providers.base import Call, Outcome, Provider, Usage

_ERROR_BODY = 1 << 20  # bytes of a refusal's body that are read at most

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Job:
    """A request to be carried out, with all its attempts.

    Attributes:
        call: As its provider sees it.
        content: The body to be sent.
        priority: The lowest goes first.
        tenant: On whose behalf it is sent, or None.
        project: In which project it is sent, or None.
        timeout: Nanoseconds within which the last attempt begins, or None.
        on_flight: Is told True when an attempt goes out, and False when it has to be made again.
    """

    call: Call
    content: bytes = field(repr=False)
    priority: int
    tenant: str | None = None
    project: str | None = None
    timeout: int | None = None
    on_flight: Callable[[bool], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended.

    Attributes:
        response: The last response, its body read, or None where none came.
        error: Why it failed, or None.
        attempts: Times that it was sent.
        usage: What the provider billed, where the answer says it.
        latency: Nanoseconds from the last sending to the end of the body.
    """

    response: httpx.Response | None
    error: SchedulerError | None
    attempts: int
    usage: Usage | None = None
    latency: int = 0


class Driver:
    """Carries out jobs through an admission and a client."""

    def __init__(
        self,
        admission: Admission,
        provider: Provider,
        client: httpx.AsyncClient,
        policy: RetryPolicy,
        budget: RetryBudget,
        chance: Callable[[], float],
    ) -> None:
        """Send by *client* what *admission* lets through; try again as *policy* and *budget* allow."""
        self._admission = admission
        self._provider = provider
        self._client = client
        self._policy = policy
        self._budget = budget
        self._chance = chance

    async def perform(self, job: Job) -> Answer:
        """Carry out a job and return how it ended. Raises nothing but cancellation."""
        with self._admission.under_way():
            return await self._perform(job)

    async def _perform(self, job: Job) -> Answer:
        clock = self._admission.clock
        began = clock.now()
        deadline = None if job.timeout is None else began + job.timeout
        attempts = Attempts(self._policy, self._budget, self._chance, began, deadline)
        arrival = self._admission.arrive()
        response: httpx.Response | None = None
        while True:
            left = None if deadline is None else max(0, deadline - clock.now())
            waiter = Waiter(
                self._admission,
                job.call.model,
                job.project,
                job.call.charge,
                job.priority,
                tenant=job.tenant or "",
                timeout=left,
                arrival=arrival,
                endpoint=job.call.url,
                candidates=job.call.candidates,
            )
            try:
                async with waiter as reservation:
                    ended, response = await self._attempt(job, reservation, attempts, response)
            except SchedulerError as error:  # it never got its turn
                return Answer(response, error, attempts.sent)
            if isinstance(ended, Answer):
                return ended
            if isinstance(ended, Failed):
                return Answer(response, ended.error, attempts.sent)
            self._admission.tally.retries += 1
            if job.on_flight is not None:
                job.on_flight(False)
            if ended.delay:
                await anyio.sleep(ended.delay / SECOND)

    async def _attempt(
        self, job: Job, reservation: Reservation, attempts: Attempts, response: httpx.Response | None
    ) -> tuple[Answer | Step, httpx.Response | None]:
        clock = self._admission.clock
        request = self._request(job)
        try:
            reservation.mark_sent()
            if job.on_flight is not None:
                job.on_flight(True)
            response = await self._client.send(request, stream=True)
        except _NEVER_SENT as error:
            reservation.cancel()
            return attempts.after_silence(_words(error), clock.now(), sent=False), response
        except (httpx.TransportError, httpx.StreamError) as error:
            return _unknown(reservation, attempts, error, clock.now()), response
        try:
            return await self._read(job, reservation, attempts, response), response
        except (httpx.TransportError, httpx.StreamError, httpx.DecodingError) as error:
            return _unknown(reservation, attempts, error, clock.now()), None
        finally:
            await response.aclose()

    def _request(self, job: Job) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        if job.project is not None:
            headers["OpenAI-Project"] = job.project
        return self._client.build_request(job.call.method, job.call.url, content=job.content, headers=headers)

    async def _read(
        self, job: Job, reservation: Reservation, attempts: Attempts, response: httpx.Response
    ) -> Answer | Step:
        clock = self._admission.clock
        came = clock.now()
        status = response.status_code
        if response.is_success:
            reservation.observe(response.headers, status, at=came)
            body = await response.aread()
            usage = self._provider.usage(job.call.url, body)
            reservation.settle(usage=usage)
            attempts.sent += 1
            return Answer(response, None, attempts.sent, usage, clock.now() - reservation.sent)
        try:
            await _read_at_most(response, _ERROR_BODY)
        except (httpx.TransportError, httpx.StreamError, httpx.DecodingError):
            response._content = b""  # noqa: SLF001 -- the status and the headers are an answer all the same
        reading = reservation.observe(response.headers, status, response.content, at=came)
        reservation.settle()
        return attempts.after(reading, status, clock.now())


def _unknown(reservation: Reservation, attempts: Attempts, error: Exception, now: int) -> Step:
    reservation.outcome = Outcome.UNKNOWN
    reservation.settle()
    return attempts.after_silence(_words(error), now, sent=True)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _read_at_most(response: httpx.Response, most: int) -> None:
    """Read an error's body, but not without bound: what is beyond says nothing to us."""
    pieces = []
    size = 0
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_bytes())) as body:
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size >= most:
                break
    response._content = b"".join(pieces)[:most]  # noqa: SLF001 -- httpx has no way to read a part and keep it
