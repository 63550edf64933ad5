"""Error answers, word for word as the provider writes them."""

from dataclasses import dataclass, field
from typing import Any

from scheduler.simulator.headers import Headers, duration
from scheduler.simulator.meters import SECOND, Cells
from scheduler.simulator.scopes import Refusal
from scheduler.simulator.world import World

_LEARN = "Visit https://platform.openai.com/account/rate-limits to learn more."
_NAMES = {
    "rpm": "requests per min (RPM)",
    "rpd": "requests per day (RPD)",
    "tpm": "tokens per min (TPM)",
    "tpd": "tokens per day (TPD)",
    "ipm": "images per min (IPM)",
    "concurrency": "concurrent requests",
}
_TYPES = {"tpm": "tokens", "tpd": "tokens", "ipm": "images"}


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        status: HTTP status.
        body: What is sent as JSON.
        headers: Headers besides those of every answer.
    """

    status: int
    body: Any
    headers: Headers = field(default_factory=list)


def error(
    status: int,
    message: str,
    kind: str,
    code: str | None = None,
    *,
    param: str | None = None,
    headers: Headers | None = None,
) -> Answer:
    """Return an error in the provider's shape."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Answer(status, body, headers or [])


def refusal(world: World, refused: Refusal, model: str, now: int) -> Answer:
    """Return the 429 of a limit, with the numbers unless the world keeps them to itself."""
    wait = _wait(refused, now)
    headers = [] if wait is None else _retry_headers(world, max(wait, refused.wait or 0))
    if not world.bodies:
        return error(429, "Too many requests", "requests", headers=headers)
    kind = _TYPES.get(refused.limit.name, "requests")
    return error(429, _message(world, refused, model, now), kind, "rate_limit_exceeded", headers=headers)


def _message(world: World, refused: Refusal, model: str, now: int) -> str:
    limit, project = refused.limit, refused.scope.project
    owner = f"organization {world.organization}" if project is None else f"project {project}"
    place = f"for {model} in {owner} on {_NAMES[limit.name]}"
    if refused.too_large:
        largest = min(limit.amount, limit.meter.burst)
        return (
            f"Request too large {place}: Limit {largest}, Requested {refused.units}. The input or output tokens must "
            f"be reduced in order to run successfully. {_LEARN}"
        )
    wait = _wait(refused, now)
    when = "" if wait is None else f" Please try again in {duration(wait)}."
    used = limit.amount - limit.meter.whole(now)
    numbers = f"Limit {limit.amount}, Used {max(0, used)}, Requested {refused.units}"
    return f"Rate limit reached {place}: {numbers}.{when} {_LEARN}"


def _wait(refused: Refusal, now: int) -> int | None:
    """Return nanoseconds until it fits as the body says it, or None where nobody can tell.

    ``(Used + Requested - Limit) / Limit x window`` for a continuous limit, where *Used* is rounded up: never less than
    the true wait. Other kinds of refill, and slices, have true waits that the shown numbers do not tell.
    """
    limit = refused.limit
    if refused.wait is None or not isinstance(limit.meter, Cells):
        return refused.wait
    shown = (refused.units - limit.meter.whole(now)) * limit.window // limit.amount
    return shown if limit.slice is None else max(shown, refused.wait)


def _retry_headers(world: World, wait: int) -> Headers:
    headers = []
    if world.retry_after:
        headers.append((b"retry-after", str(-(-wait // SECOND)).encode()))
    if world.retry_after_ms:
        headers.append((b"retry-after-ms", str(-(-wait // (SECOND // 1000))).encode()))
    return headers


def door_fault(world: World, kind: str) -> Answer:
    """Return the answer of a fault that strikes before admission."""
    if kind == "insufficient_quota":
        message = (
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        )
        return error(429, message, "insufficient_quota", "insufficient_quota")
    seconds = world.overload_retry_after
    headers = [] if seconds is None else [(b"retry-after", f"{seconds:g}".encode())]
    if kind == "slow_down":
        message = (
            "Your request rate grew too fast. Please reduce it to its previous level, keep it there for at least 15 "
            "minutes, and then increase it gradually."
        )
        return error(429, message, "rate_limit_error", "slow_down", headers=headers)
    message = "The server is currently overloaded. Please try again later."
    return error(503, message, "service_unavailable_error", "server_is_overloaded", headers=headers)


def server_error() -> Answer:
    """Return a 500."""
    return error(500, "The server had an error while processing your request. Sorry about that!", "server_error")


def not_found(method: str, path: str) -> Answer:
    """Return the 404 of an unknown path."""
    return error(404, f"Invalid URL ({method} {path[:200]})", "invalid_request_error")


def unauthorized(*, given: bool) -> Answer:
    """Return the 401 of a wrong or missing key."""
    if given:
        message = (
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
        )
        return error(401, message, "invalid_request_error", "invalid_api_key")
    message = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY)."
    )
    return error(401, message, "invalid_request_error")
