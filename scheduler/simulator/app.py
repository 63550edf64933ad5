"""The simulator: an ASGI application, and what a test or a command asks of it."""

from collections.abc import Callable

import anyio

from scheduler.simulator import answers, calls, control, errors, exchange
from scheduler.simulator.errors import Answer
from scheduler.simulator.parts import check_limits
from scheduler.simulator.scopes import Charge
from scheduler.simulator.state import State
from scheduler.simulator.wire import Connections, Receive, Scope, Send, Wire
from scheduler.simulator.world import World


class Simulator:
    """A provider that enforces its limits.

    It is an ASGI application: give it to ``httpx.ASGITransport``, or serve it with ``serving`` or ``run``. It belongs
    to one event loop at a time and is not safe to use from several threads.

    Args:
        world: All settings.
        clock: What tells the instant, in seconds; the running event loop's clock unless given. Instants in ``world``
            count from the start: ``begin``, or else the first request.
    """

    def __init__(self, world: World, *, clock: Callable[[], float] | None = None) -> None:
        self.world = world
        self.connections: Connections = {}
        self._clock = clock or anyio.current_time
        self._state = State(world, self._clock)

    def begin(self) -> None:
        """Start now, rather than with the first request."""
        self._state.now()

    def reset(self) -> None:
        """Forget everything and start again with the next request. What is under way ends in the old life."""
        self._state = State(self.world, self._clock)

    def report(self) -> dict[str, object]:
        """Return all counts since the start; instants are seconds of the clock.

        Returns:
            ``started``, ``now``; ``arrived``, ``granted``, ``refused``, ``refused_by`` (limit -> count), ``faults``
            (kind -> count), ``rejected`` (status -> count, errors of the caller); ``completed``, ``completed_twice``
            (requests of the same body and project completed more than once), ``abandoned``; ``in_flight``,
            ``peak_in_flight``; ``first_arrival``, ``last_admission``, ``last_completion``, ``shortest_latency``
            (from admission to the answer's end); and ``scopes``, a list of what each scope granted, refused and had
            in flight, with its ``limits``: name -> ``limit``, ``window``, ``level``, ``start_level``, ``charged``,
            ``returned``, ``unseen``, ``refused``.
        """
        return self._state.report()

    def change_limits(self, model: str, *, project: str | None = None, **limits: int | None) -> None:
        """Change limits of the pool that *model* belongs to, now; None lifts one.

        Raises:
            ValueError: If a name or a value is unusable.
        """
        check_limits("limits", {name: 0 if amount is None else amount for name, amount in limits.items()})
        self._state.enforcer.change(self._state.last(), model, limits, project)

    def use(self, model: str, tokens: int = 0, requests: int = 0, images: int = 0, project: str | None = None) -> None:
        """Let somebody unseen use limits of *model*, now, as far as there is something left.

        Raises:
            ValueError: If an amount is not a whole number from 0.
        """
        check_limits("use", {"tpm": tokens, "rpm": requests, "ipm": images})
        scopes = self._state.enforcer.scopes_of(model, project)
        self._state.enforcer.use(self._state.last(), scopes, Charge(requests, tokens, images))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(Wire(scope, receive, send, self.connections))
        else:
            raise ValueError(f"the simulator speaks HTTP, not {scope['type']}")

    async def _answer(self, wire: Wire) -> None:
        state = self._state
        if wire.path in calls.READERS and wire.method == "POST":
            await exchange.handle(state, wire)
        elif wire.path.startswith(control.PREFIX):
            await wire.answer(await control.handle(self, wire), [])
        else:
            await wire.answer(self._other(state, wire), exchange.common_headers(state, "0" * 32, 0.0))

    def _other(self, state: State, wire: Wire) -> Answer:
        if (wire.method, wire.path) == ("GET", calls.MODELS):
            return exchange.unauthorized(state, wire) or Answer(200, answers.models(self._models()))
        answer = errors.not_found(wire.method, wire.path)
        state.tally.rejected[answer.status] += 1
        return answer

    def _models(self) -> tuple[str, ...]:
        shared = {model for models in self.world.shared.values() for model in models}
        exact = {name for name in self.world.limits if not any(sign in name for sign in "*?[")}
        return tuple(sorted((exact | shared) - self.world.shared.keys()))


async def _lifespan(receive: Receive, send: Send) -> None:
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})
