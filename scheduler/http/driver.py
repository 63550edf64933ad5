"""Sends whole requests of our own: for ``request``, ``map`` and ``scheduler run``.

It sends by the transport itself and not through a client: what a client does for each request (cookies, redirects,
authentication, hooks) costs more than the sending, and nothing of it is wanted here. For the same reason what it sends
are letters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from scheduler.errors import RequestFailed, SchedulerError
from scheduler.http.courier import carry
from scheduler.http.hints import Hints
from scheduler.http.letters import Head, Letter, LetterWire, Received
from scheduler.http.passage import Passage, Seam
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
        received: The last answer, or None where none came.
        error: Why it failed, or None.
        attempts: Times that it was sent.
        usage: What the provider billed, where the answer says it.
        latency: Nanoseconds from the last sending to the end of the body.
    """

    received: Received | None
    error: SchedulerError | None
    attempts: int
    usage: Usage | None = None
    latency: int = 0

    @property
    def response(self) -> httpx.Response | None:
        """The last response, its body read, or None where none came."""
        return None if self.received is None else self.received.response


class Driver:
    """Carries out jobs."""

    def __init__(self, seam: Seam, client: httpx.AsyncClient, inner: httpx.AsyncBaseTransport) -> None:
        """Send what *seam* lets through by *inner*, with the headers and to the origin of *client*."""
        self._seam = seam
        self._client = client
        self._wire = LetterWire(inner)
        self._heads: dict[tuple[str, str, str | None], Head] = {}

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
        letter = Letter(self._head(job.call.method, job.call.url, job.project), job.content)
        ended = await carry(passage, self._wire, letter)
        sent = passage.attempts.sent
        if ended.response is None:
            return Answer(None, ended.error, sent, ended.usage, ended.latency)
        try:
            received = await self._wire.received(ended.response, letter, ended.latency)
        except (httpx.DecodingError, httpx.TransportError, httpx.StreamError) as error:
            failed = ended.error or RequestFailed("no answer", sent, None, str(error), unknown=True)
            return Answer(None, failed, sent)
        return Answer(received, ended.error, sent, ended.usage, ended.latency)

    def _head(self, method: str, url: str, project: str | None) -> Head:
        kind = method, url, project
        head = self._heads.get(kind)
        if head is None:
            if len(self._heads) == _HEADS:
                self._heads.clear()
            head = self._heads[kind] = self._new_head(*kind)
        return head

    def _new_head(self, method: str, url: str, project: str | None) -> Head:
        headers = {"Content-Type": "application/json"}
        if project is not None and self._seam.provider.project_header is not None:
            headers[self._seam.provider.project_header] = project
        request = self._client.build_request(method, url, headers=headers)
        request.headers.pop("Content-Length", None)
        return Head(request)
