"""Rate headers, in the provider's words, and durations in the grammar of Go."""

from random import Random

from scheduler.simulator.limits import Limit
from scheduler.simulator.meters import SECOND
from scheduler.simulator.scopes import Scope
from scheduler.simulator.world import World

Headers = list[tuple[bytes, bytes]]
"""Headers as ASGI wants them: names in small letters."""

_MILLISECOND = SECOND // 1000
_NONSENSE = (
    ("-1", "-1", "-1s"),
    ("0", "0", "0s"),
    ("{limit}", "{many}", "1ms"),
    ("x", "1e", "soon"),
    ("", "12", ""),
    ("NaN", "Infinity", "NaN"),
    ("{limit}", "-1", "-5ms"),
    ("{limit}", "", "1h-3m"),
    ("9" * 400, "9" * 400, "9" * 400 + "s"),
)


def duration(nanoseconds: int) -> str:
    """Return a duration as the provider writes it, truncated to the millisecond: ``0s``, ``6ms``, ``1m26.4s``."""
    seconds, rest = divmod(max(0, nanoseconds) // _MILLISECOND, 1000)
    if not seconds:
        return f"{rest}ms" if rest else "0s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest:03}".rstrip("0").rstrip(".")
    text = f"{seconds}{fraction}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def rate_headers(world: World, scopes: tuple[Scope, ...], now: int, chance: Random) -> Headers:
    """Return what the headers of an answer say at *now*; nothing where there are no limits or chance left them out."""
    if not world.headers or chance.random() < world.headers_missing:
        return []
    nonsense = chance.choice(_NONSENSE) if chance.random() < world.headers_malformed else None
    daily = chance.random() < world.headers_daily
    limits = scopes[0].limits
    shown = [("requests", _requests(world, limits, now, daily=daily)), ("tokens", _tokens(limits, daily=daily))]
    if len(scopes) > 1:
        shown.append(("project-tokens", scopes[1].limits.get("tpm")))
    return [header for name, limit in shown if limit for header in _describe(name, limit, now, nonsense)]


def _requests(world: World, limits: dict[str, Limit], now: int, *, daily: bool) -> Limit | None:
    minute, day = limits.get("rpm"), limits.get("rpd")
    if minute is None or day is None:
        return minute or day
    if daily or world.requests_header == "day":
        return day
    if world.requests_header == "minute":
        return minute
    return min(minute, day, key=lambda limit: _share(limit, now))


def _share(limit: Limit, now: int) -> float:
    meter, at = limit.described(now)
    return meter.whole(at) / max(1, meter.burst)


def _tokens(limits: dict[str, Limit], *, daily: bool) -> Limit | None:
    return limits.get("tpd", limits.get("tpm")) if daily else limits.get("tpm")


def _describe(name: str, limit: Limit, now: int, nonsense: tuple[str, str, str] | None) -> Headers:
    meter, at = limit.described(now)
    values = (str(meter.amount), str(max(0, meter.whole(at))), duration(meter.full_in(at)))
    if nonsense is not None:
        limits = {"limit": meter.amount, "many": 7 * meter.amount}
        values = (nonsense[0].format(**limits), nonsense[1].format(**limits), nonsense[2])
    kinds = ("limit", "remaining", "reset")
    return [(f"x-ratelimit-{kind}-{name}".encode(), value.encode()) for kind, value in zip(kinds, values, strict=True)]
