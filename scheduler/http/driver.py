"""Sends whole requests of our own: for ``request``, ``map`` and ``scheduler run``.

It sends by the transport itself and not through a client: what a client does for each request (cookies, redirects,
authentication, hooks) costs more than the sending, and nothing of it is wanted here. For the same reason a url is
parsed and headers are put together once, for all requests that differ only in their bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from scheduler.core.quota import SECOND
from scheduler.errors import RequestFailed, SchedulerError
from scheduler.http.courier import Ended, carry
from scheduler.http.hints import Hints
from scheduler.http.passage import Passage, Seam
from scheduler.http.wires import AsyncWire
from scheduler.providers.base import Call, Usage

_HEADS = 256  # kinds of requests that are kept: a url may hold a model's name


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
    """Carries out jobs."""

    def __init__(self, seam: Seam, client: httpx.AsyncClient, inner: httpx.AsyncBaseTransport) -> None:
        """Send what *seam* lets through by *inner*, with the headers and to the origin of *client*."""
        self._seam = seam
        self._client = client
        self._wire = AsyncWire(httpx, inner)
        self._heads: dict[tuple[str, str, str | None], httpx.Request] = {}  # requests without bodies

    async def perform(self, job: Job) -> Answer:
        """Carry out a job and return how it ended. Raises nothing but cancellation."""
        deadline = None if job.timeout is None else self._seam.admission.clock.now() + job.timeout
        passage = Passage(
            self._seam,
            job.call,
            Hints(job.priority, job.tenant, deadline),
            project=job.project,
            whole=True,
            on_flight=job.on_flight,
        )
        request = self._request(job)
        ended = await carry(passage, self._wire, request)
        try:
            response = await _whole(ended, request)
        except httpx.DecodingError as error:
            failed = RequestFailed("no answer", passage.attempts.sent, None, str(error), unknown=True)
            return Answer(None, failed, passage.attempts.sent)
        return Answer(response, ended.error, passage.attempts.sent, ended.usage, ended.latency)

    def _request(self, job: Job) -> httpx.Request:
        kind = job.call.method, job.call.url, job.project
        head = self._heads.get(kind)
        if head is None:
            if len(self._heads) == _HEADS:
                self._heads.clear()
            head = self._heads[kind] = self._head(*kind)
        request = httpx.Request(
            head.method,
            head.url,
            headers=[*head.headers.raw, (b"Content-Length", b"%d" % len(job.content))],
            stream=httpx.ByteStream(job.content),
            extensions=dict(head.extensions),
        )
        request.read()
        return request

    def _head(self, method: str, url: str, project: str | None) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        if project is not None and self._seam.provider.project_header is not None:
            headers[self._seam.provider.project_header] = project
        head = self._client.build_request(method, url, headers=headers)
        head.headers.pop("Content-Length", None)
        return head


async def _whole(ended: Ended, request: httpx.Request) -> httpx.Response | None:
    """Return an answer as a client would, its body read."""
    response: Any = ended.response
    if response is None:
        return None
    response.request = request
    response.elapsed = timedelta(seconds=ended.latency / SECOND)
    if isinstance(response.stream, httpx.ByteStream):  # it is at hand, and reading it awaits nothing
        response.read()
    else:
        await response.aread()
    await response.aclose()
    answer: httpx.Response = response
    return answer
