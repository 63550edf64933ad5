"""One request, from its arrival to the last byte of its answer.

The way: key and body; over the network; faults and growth at the door; all limits pay or none; the time that it takes;
faults inside; headers; the answer; back over the network. An admitted request ends exactly once, whatever happens.
"""

import hmac
from dataclasses import dataclass

import anyio

from scheduler.simulator import errors
from scheduler.simulator.answers import ANSWERS, EPOCH, Work
from scheduler.simulator.calls import BadCall, Call, canonical, read
from scheduler.simulator.charging import charge, input_tokens
from scheduler.simulator.errors import Answer
from scheduler.simulator.growth import GrowthMeter
from scheduler.simulator.headers import Headers, rate_headers
from scheduler.simulator.luck import Luck, digest
from scheduler.simulator.meters import SECOND
from scheduler.simulator.scopes import Grant, Refusal, Scope
from scheduler.simulator.state import State
from scheduler.simulator.streams import STREAMS, failure
from scheduler.simulator.wire import BodyTooLarge, Wire

_DOOR = frozenset({"overloaded", "slow_down", "insufficient_quota"})


@dataclass(frozen=True)
class Request:
    """A request that could be read, with its luck."""

    call: Call
    digest: bytes
    luck: Luck
    fault: str | None
    scopes: tuple[Scope, ...]


async def handle(state: State, wire: Wire) -> None:
    """Answer one request to an endpoint that takes a model."""
    rejected, shown = None, []
    try:
        call, name = await _read(state, wire)
    except BodyTooLarge:
        rejected = errors.error(413, "The body of your request is too large.", "invalid_request_error")
    except _Unauthorized:
        rejected = unauthorized(state, wire)
    except BadCall as error:
        rejected = errors.error(400, str(error), "invalid_request_error", error.code, param=error.param)
        shown = _levels(state, wire, error.model)
    if rejected is not None:
        state.tally.rejected[rejected.status] += 1
        await wire.answer(rejected, shown + common_headers(state, "0" * 32, 0.0))
        return
    luck = Luck(state.world, name, state.tries[name])
    state.tries[name] += 1
    await _sleep(luck.there)
    if state.world.door:
        await _sleep(state.door())
    now = state.now()
    state.tally.arrival(now)
    scopes = state.enforcer.scopes_of(call.model, wire.header(b"openai-project"))
    fault = luck.fault(state.world, now / SECOND)
    if fault == "broken_stream" and not streamed(call):
        fault = None
    await _Exchange(state, wire, Request(call, name, luck, fault, scopes)).run()


def streamed(call: Call) -> bool:
    """Say whether the answer to *call* comes in pieces."""
    return call.stream and call.path in STREAMS


class _Unauthorized(Exception):
    """A request without the key that the world requires."""


async def _read(state: State, wire: Wire) -> tuple[Call, bytes]:
    raw = await wire.body(state.world.max_body)
    if unauthorized(state, wire) is not None:
        raise _Unauthorized
    call = read(wire.path, raw)
    return call, digest(call.path, wire.header(b"openai-project"), canonical(call))


def _levels(state: State, wire: Wire, model: str | None) -> Headers:
    """Return the rate headers of a request that is rejected and takes nothing: some clients ask for limits so."""
    if model is None:
        return []
    scopes = state.enforcer.scopes_of(model, wire.header(b"openai-project"))
    return rate_headers(state.world, scopes, state.now(), Luck(state.world, b"", 0).headers)


def unauthorized(state: State, wire: Wire) -> Answer | None:
    """Return the 401 of a request without the key that the world requires, or None where it is all right."""
    wanted, given = state.world.key, wire.headers.get(b"authorization", b"")
    if wanted is None or hmac.compare_digest(given, b"Bearer " + wanted.encode()):
        return None
    return errors.unauthorized(given=bool(given))


def common_headers(state: State, name: str, latency: float) -> Headers:
    """Return the headers of every answer."""
    return [
        (b"openai-organization", state.world.organization.encode()),
        (b"openai-processing-ms", str(round(latency * 1000)).encode()),
        (b"openai-version", b"2020-10-01"),
        (b"x-request-id", b"req_" + name.encode()),
    ]


class _Exchange:
    """One request that has arrived."""

    def __init__(self, state: State, wire: Wire, request: Request) -> None:
        self.state, self.world, self.wire, self.request = state, state.world, wire, request
        self.call, self.luck = request.call, request.luck
        self.tokens = input_tokens(self.call)
        self.work = self._work()
        self.latency = self.luck.latency + self.world.latency_per_token * self.work.output_tokens / self.call.choices
        self.ended = False

    def _work(self) -> Work:
        most = self.call.max_tokens
        tokens = self.luck.output if most is None else min(self.luck.output, most)
        created = EPOCH + self.state.now() // SECOND
        cut = tokens < self.luck.output
        return Work(self.call, self.luck.name, tokens, cut, created, self.world.embedding_dimensions)

    async def run(self) -> None:
        fault = self.request.fault
        if fault is not None:
            self.state.tally.faults[fault] += 1
        if fault in _DOOR:
            await self._send(errors.door_fault(self.world, fault), [], latency=0.0)
            return
        now = self.state.now()
        if not all(growth.admits(now, self.tokens) for growth in self._growths()):
            await self._send(errors.door_fault(self.world, "slow_down"), [], latency=0.0)
            return
        verdict = self.state.enforcer.admit(now, self.request.scopes, charge(self.world, self.call, self.luck.noise))
        headers = self._rate_headers(now)
        if isinstance(verdict, Refusal):
            self.state.tally.refused[verdict.limit.name] += 1
            answer = errors.refusal(self.world, verdict, self.call.model, now)
            await self._send(answer, headers if self.world.refusal_headers else [], latency=0.0)
            return
        self._count(now)
        try:
            whole = await self._serve(verdict, headers)
        except anyio.get_cancelled_exc_class():
            self.state.tally.abandoned += 1
            raise
        finally:
            if not self.ended:
                self._end(verdict, self.work.used)
        if whole and self.wire.gone:
            self.state.tally.abandoned += 1
        elif whole:
            self.state.tally.completion(self.state.now(), now, self.request.digest)

    def _growths(self) -> list[GrowthMeter]:
        return [scope.growth for scope in self.request.scopes if scope.growth is not None]

    def _count(self, now: int) -> None:
        self.state.tally.admission(now)
        for growth in self._growths():
            growth.take(now, self.tokens)

    def _rate_headers(self, now: int) -> Headers:
        return rate_headers(self.world, self.request.scopes, now, self.luck.headers)

    async def _serve(self, grant: Grant, headers: Headers) -> bool:
        """Do the work of an admitted request and answer it; return whether that was a success to the end."""
        if self.request.fault == "stall":
            await _sleep(self.world.stall)
        if streamed(self.call) and self.request.fault not in {"drop", "server_error"}:
            return await self._stream(grant, headers)
        return await self._answer(grant, headers)

    async def _answer(self, grant: Grant, headers: Headers) -> bool:
        """Answer at once, and return whether it was a success."""
        await _sleep(self.latency)
        fault = self.request.fault
        self._end(grant, 0 if fault == "server_error" else self.work.used)
        if self.world.headers_at == "completion":
            headers = self._rate_headers(self.state.now())
        if fault == "drop":
            await self.wire.drop()
            return False
        failed = fault == "server_error"
        answer = errors.server_error() if failed else Answer(200, ANSWERS[self.call.path](self.work))
        await self._send(answer, headers)
        return not failed

    async def _stream(self, grant: Grant, headers: Headers) -> bool:
        """Answer in pieces, and return whether the stream came to its end."""
        await _sleep(self.luck.latency)
        if self.world.headers_at == "completion":
            headers = self._rate_headers(self.state.now())
        await _sleep(self.luck.back)
        await self.wire.begin_stream(headers + common_headers(self.state, self.luck.name, self.luck.latency))
        events = [*STREAMS[self.call.path](self.work, self.world.stream_chunks)]
        broken = self.request.fault == "broken_stream"
        if broken:
            events = events[: max(1, len(events) // 2)]
        pause = (self.latency - self.luck.latency) / len(events)
        for event in events:
            await _sleep(pause)
            await self.wire.chunk(event)
        self._end(grant, self.work.used)
        if broken and self.world.broken_stream == "cut":
            await self.wire.drop()
            return False
        if broken:
            await self.wire.chunk(failure(self.call.path))
        await self.wire.end_stream()
        return not broken

    def _end(self, grant: Grant, used: int) -> None:
        """End the admitted request at the limits."""
        self.ended = True
        self.state.tally.inside -= 1
        self.state.enforcer.finish(self.state.now(), grant, used)

    async def _send(self, answer: Answer, headers: Headers, latency: float | None = None) -> None:
        await _sleep(self.luck.back)
        taken = self.latency if latency is None else latency
        await self.wire.answer(answer, headers + common_headers(self.state, self.luck.name, taken))


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)
