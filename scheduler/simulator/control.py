"""The control endpoints: what a test asks of a simulator in another process. They answer to loopback only."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

import msgspec

from scheduler.simulator import errors
from scheduler.simulator.errors import Answer
from scheduler.simulator.parts import DIMENSIONS
from scheduler.simulator.wire import BodyTooLarge, Wire

PREFIX = "/control/"
_LARGEST = 64 * 1024


class Controlled(Protocol):
    """What the control endpoints need of a simulator."""

    def report(self) -> dict[str, object]:
        """Return all counts."""
        ...

    def change_limits(self, model: str, *, project: str | None = None, **limits: int | None) -> None:
        """Change limits."""
        ...

    def use(self, model: str, tokens: int = 0, requests: int = 0, images: int = 0, project: str | None = None) -> None:
        """Use limits, unseen."""
        ...

    def reset(self) -> None:
        """Begin again."""
        ...


async def handle(simulator: Controlled, wire: Wire) -> Answer:
    """Return the answer of a control endpoint."""
    if not _trusted(wire):
        return errors.error(403, "The control endpoints answer to loopback only.", "invalid_request_error")
    action = _ACTIONS.get((wire.method, wire.path.removeprefix(PREFIX)))
    if action is None:
        return errors.not_found(wire.method, wire.path)
    try:
        raw = await wire.body(_LARGEST)
        body = msgspec.json.decode(raw or b"{}", type=dict[str, Any])
        action(simulator, body)
    except BodyTooLarge:
        return errors.error(413, "The body of your request is too large.", "invalid_request_error")
    except (ValueError, TypeError, RecursionError) as error:
        return errors.error(400, str(error), "invalid_request_error")
    return Answer(200, simulator.report())


def _trusted(wire: Wire) -> bool:
    """Say whether the client is on this machine and no page in a browser."""
    try:
        loopback = wire.client is None or ip_address(wire.client[0]).is_loopback
    except ValueError:
        loopback = False
    return loopback and b"origin" not in wire.headers


def _report(simulator: Controlled, body: dict[str, Any]) -> None:
    del simulator, body


def _limits(simulator: Controlled, body: dict[str, Any]) -> None:
    model, project = _text(body, "model"), _text(body, "project", optional=True)
    unknown = body.keys() - {"model", "project", *DIMENSIONS}
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    simulator.change_limits(model or "", project=project, **{name: body[name] for name in DIMENSIONS if name in body})


def _use(simulator: Controlled, body: dict[str, Any]) -> None:
    amounts = {name: body.get(name, 0) for name in ("tokens", "requests", "images")}
    simulator.use(_text(body, "model") or "", project=_text(body, "project", optional=True), **amounts)


def _reset(simulator: Controlled, body: dict[str, Any]) -> None:
    del body
    simulator.reset()


def _text(body: dict[str, Any], name: str, *, optional: bool = False) -> str | None:
    value = body.get(name)
    if (value is None and optional) or (isinstance(value, str) and value):
        return value
    raise ValueError(f"{name} must be a text")


_ACTIONS: dict[tuple[str, str], Callable[[Controlled, dict[str, Any]], None]] = {
    ("GET", "report"): _report,
    ("POST", "limits"): _limits,
    ("POST", "use"): _use,
    ("POST", "reset"): _reset,
}
