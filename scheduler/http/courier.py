"""Carries a request through all its attempts: waits for its turn, sends, and hands its answer over.

Written once: what waits and what sends is a *wire*, of a task or of a thread, of httpx or of httpx2. A thread's wire
never suspends, so that ``blocking`` can run the same coroutines to their end without an event loop.
"""

import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from scheduler.core.quota import SECOND
from scheduler.engine.attempts import Again, Step
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.errors import SchedulerError
from scheduler.http.bodies import LOOKED_INTO, understood
from scheduler.http.events import Listener
from scheduler.http.hearing import Hearing
from scheduler.http.passage import Passage
from scheduler.providers.base import Outcome, Reading, Usage

ERROR_BODY = 1 << 20
"""Bytes of an error's body that are looked at."""
SUCCESS = range(200, 300)
"""Statuses of successes."""
_UPGRADED = 101  # the connection speaks another protocol from here on, and its stream must stay open
_OK = 200
_REFUSING = re.compile(rb'\s*\{\s*"error"\s*:\s*\{')  # a success by its status alone, as OpenRouter has them
_JSON = re.compile(r"^\s*[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;|$)", re.IGNORECASE)

Value = TypeVar("Value")


class Wire(Protocol):
    """How requests wait and are sent. Requests and responses are those of its HTTP library."""

    unsendable: tuple[type[Exception], ...]
    """What is raised where a request can be sent nowhere; of those that are never sent."""
    never_sent: tuple[type[Exception], ...]
    """What is raised where no connection was made."""
    wrong: tuple[type[Exception], ...]
    """What is raised where the request itself breaks the protocol, be it midway; of those that are broken."""
    broken: tuple[type[Exception], ...]
    """What is raised where a connection broke, at whatever point."""

    async def enter(self, waiter: Waiter) -> Reservation:
        """Wait for a turn."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait out a delay."""
        ...

    def stamped(self, request: Any, name: str, value: str) -> Any:
        """Return a request with a header, or as it is if it has one of that name."""
        ...

    async def send(self, request: Any) -> Any:
        """Send a request and return the response, its body unread."""
        ...

    def at_hand(self, response: Any) -> bool:
        """Whether a body lies there in one piece: then nobody may ever ask its stream for it."""
        ...

    async def read(self, response: Any, most: int, *, mend: bool = False) -> tuple[bytes, bool]:
        """Read a body, and return it with whether that is all; the response has it still. *mend*: take what came."""
        ...

    async def close(self, response: Any) -> None:
        """Let go of a response."""
        ...

    def hand_over(self, response: Any, hearing: Hearing) -> None:
        """Have *hearing* hear the response's body as somebody reads it."""
        ...

    def fields(self, response: Any) -> Mapping[str, str]:
        """Return the headers, their names in small letters."""
        ...

    def decoded(self, body: bytes, encoding: str) -> bytes | None:
        """Return a body without its compression, or None."""
        ...


@dataclass(slots=True)
class Ended:
    """How a request ended.

    Attributes:
        response: The last answer, if one came.
        error: Why it failed, or None.
        raised: What the transport raised, where no answer came.
        ours: Whether the error is the scheduler's, and no answer's or silence's.
        usage: What the provider billed, where that is known by now.
        latency: Nanoseconds from the last sending to the end of the body, or 0 while it is being handed over.
    """

    response: Any = None
    error: SchedulerError | None = None
    raised: Exception | None = None
    ours: bool = False
    usage: Usage | None = None
    latency: int = 0


async def carry(passage: Passage, wire: Wire, request: Any) -> Ended:
    """Carry a request to its end. Raises nothing but cancellation, and what is foreign to the wire."""
    name = passage.seam.provider.idempotency_header
    if name is not None and request.method == "POST":
        request = wire.stamped(request, name, str(uuid4()))
    admission = passage.seam.admission
    admission.begins(passage)
    response = None
    try:
        while True:
            try:
                reservation = await wire.enter(passage.turn())
            except SchedulerError as error:  # it never got its turn
                return Ended(response, error, ours=True)
            try:
                ended, response = await _attempt(passage, wire, request, reservation)
            except BaseException as error:
                reservation.leave(error)
                raise
            if isinstance(ended, Ended):
                try:
                    return ended
                finally:
                    del ended  # which may hold an error whose traceback holds this frame
            if response is not None:
                await wire.close(response)
            passage.returns()
            if ended.delay:
                await wire.sleep(ended.delay / SECOND)
    finally:
        admission.ends(passage)


def blocking(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Value = stop.value
        return result
    raise RuntimeError("a thread's wire has suspended")


async def _attempt(passage: Passage, wire: Wire, request: Any, reservation: Reservation) -> tuple[Ended | Again, Any]:
    try:
        passage.goes(reservation)
        response = await wire.send(request)
    except wire.never_sent as error:
        hopeless = isinstance(error, wire.unsendable)
        return _silence(passage.never_sent(reservation, _words(error), hopeless=hopeless), error)
    except wire.broken as error:
        hopeless = isinstance(error, wire.wrong)
        return _silence(passage.unanswered(reservation, _words(error), hopeless=hopeless), error)
    try:
        return await _answered(passage, wire, reservation, response), response
    except wire.broken as error:
        return _silence(passage.unanswered(reservation, _words(error)), error)


def _silence(step: Step, error: Exception) -> tuple[Ended | Again, Any]:
    return (step if isinstance(step, Again) else Ended(error=step.error, raised=error)), None


async def _answered(passage: Passage, wire: Wire, reservation: Reservation, response: Any) -> Ended | Again:
    clock = passage.seam.admission.clock
    came, status, fields = clock.now(), response.status_code, wire.fields(response)
    encoding = fields.get("content-encoding", "")
    if status == _UPGRADED:
        reservation.observe(fields, _OK, at=came)
        wire.hand_over(response, Hearing(reservation, None))
        return Ended(response)
    if status not in SUCCESS:
        body, _ = await wire.read(response, ERROR_BODY, mend=True)
        step = passage.refused(reservation, status, fields, wire.decoded(body, encoding) or b"", came)
        return step if isinstance(step, Again) else Ended(response, step.error)
    reservation.observe(fields, status, at=came)
    at_hand = wire.at_hand(response)
    if at_hand or not _comes_bit_by_bit(passage, fields):
        body, whole = await wire.read(response, sys.maxsize if at_hand else LOOKED_INTO)
        if whole:
            usage = _end(passage, reservation, fields, wire.decoded(body, encoding))
            return Ended(response, usage=usage, latency=clock.now() - reservation.sent)
    wire.hand_over(response, Hearing(reservation, _listener(passage, fields)))
    return Ended(response)


def _comes_bit_by_bit(passage: Passage, fields: Mapping[str, str]) -> bool:
    """Whether an answer is handed over as it comes: a stream, or what is not JSON and so says nothing."""
    if passage.whole:
        return False
    one_value = _JSON.search(fields.get("content-type", "")) is not None  # and no lines of them
    return passage.call.stream or not one_value or int(_digits(fields.get("content-length"))) > LOOKED_INTO


def _end(passage: Passage, reservation: Reservation, fields: Mapping[str, str], body: bytes | None) -> Usage | None:
    """Settle a whole answer, and return what it says was billed."""
    if body and _has_events(fields):
        listener = Listener(_reader(passage))
        hearing = Hearing(reservation, listener)
        hearing.heard(body)
        hearing.ended()
        return listener.usage
    usage = passage.seam.provider.usage(passage.call.url, body) if body else None
    if body and _REFUSING.match(body):
        reading = passage.seam.provider.read_event(body, url=passage.call.url)
        if reading is not None and reading.outcome is not Outcome.SUCCESS:
            reservation.learn(reading)
    reservation.settle(usage=usage)
    return usage


def _has_events(fields: Mapping[str, str]) -> bool:
    return "event-stream" in fields.get("content-type", "").lower()


def _listener(passage: Passage, fields: Mapping[str, str]) -> Listener | None:
    encoding = fields.get("content-encoding", "")
    if not _has_events(fields) or not understood(encoding):
        return None
    return Listener(_reader(passage), encoding.strip().lower())


def _reader(passage: Passage) -> Callable[[bytes], Reading | None]:
    provider, url = passage.seam.provider, passage.call.url
    return lambda data: provider.read_event(data, url=url)


def _digits(text: str | None) -> str:
    return text if text and text.isdecimal() and len(text) < len(str(1 << 63)) else "0"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
