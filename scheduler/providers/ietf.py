"""The IETF's ``RateLimit`` fields, in the three forms that are met.

- draft-ietf-httpapi-ratelimit-headers-08 and later::

      RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000;w=86400
      RateLimit: "burst";r=50;t=30

- draft 07: ``RateLimit: limit=100, remaining=50, reset=5``, and policies as ``100;w=60``;
- drafts up to 06: ``RateLimit-Limit: 100, 100;w=60``, ``RateLimit-Remaining: 50``, ``RateLimit-Reset: 5``.

They are structured fields (RFC 9651): a field that is malformed anywhere is ignored as a whole, as the draft demands.
``t`` and ``reset`` are seconds until there is more, and no promise that all will be back; so no level is made of them,
nor is a window inferred as from the time until full. They bound it from below, and only that is used: a reset beyond a
minute is that of an hour, beyond an hour that of a day, and within a minute it says nothing.

Left out: what has no limit (its policy is missing, or the server sends only what remains); quota units that are not
ours (``content-bytes``, ``concurrent-requests``: concurrency is known exactly without being told); windows longer than
a day, which are budgets, and nobody says how they come back.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from http_sf import parse

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.durations import MOST
from scheduler.providers.headers import Seen

_LENGTH = 2_000  # characters of a field that are looked at; a longer one is ignored
_SERIES = 20  # policies and limits of one answer that are looked at
_UNITS = {
    "requests": Dimension.REQUESTS,
    # Registered are requests, content-bytes and concurrent-requests; these are vendors', and say what they mean.
    "tokens": Dimension.TOKENS,
    "input-tokens": Dimension.INPUT_TOKENS,
    "output-tokens": Dimension.OUTPUT_TOKENS,
    "images": Dimension.IMAGES,
}


class _Policy(NamedTuple):
    limit: int
    window: int | None
    dimension: Dimension | None = Dimension.REQUESTS


def ietf(headers: Mapping[str, str]) -> Seen:
    """Read the ``RateLimit`` fields of an answer, the names of its headers in small letters."""
    named = [headers[name] for name in ("ratelimit", "ratelimit-limit") if name in headers]
    if not named:
        return (), 0
    seen: dict[tuple[Dimension, int | None], Observation] = {}
    ignored = 0
    try:
        found = list(_read(headers))
    except (ValueError, TypeError, KeyError, IndexError):
        return (), 1
    for policy, remaining in found:
        if policy.dimension is None or (policy.window or 0) > DAY:
            continue
        if not 0 < policy.limit <= MOST or not 0 <= remaining <= policy.limit:
            ignored += 1
            continue
        key = (policy.dimension, policy.window)
        if key not in seen or remaining < seen[key].remaining:  # partitions of one policy: the emptiest binds
            seen[key] = Observation(policy.dimension, policy.limit, remaining, policy.window)
    return tuple(seen.values()), ignored


def _read(headers: Mapping[str, str]) -> Iterator[tuple[_Policy, int]]:
    """Yield policies and what remains of each, from whichever form is there."""
    policies = _policies(headers.get("ratelimit-policy", ""))
    if "ratelimit" not in headers:
        yield from _three_fields(headers, policies)
        return
    text = headers["ratelimit"]
    if text.lstrip().startswith('"'):
        for name, parameters in _items(text):
            policy = policies.get(name)
            if policy is not None and "r" in parameters:
                yield policy, _whole(parameters["r"])
        return
    members = _parsed(text, "dictionary")
    if "limit" in members:
        limit, remaining = _whole(members["limit"][0]), _whole(members["remaining"][0])
        yield _of(limit, members["reset"][0] if "reset" in members else None, policies), remaining
        return
    for name, (_, parameters) in list(members.items())[:_SERIES]:  # draft 08 wrote names without quotes, too
        if name in policies and "r" in parameters:
            yield policies[name], _whole(parameters["r"])


def _three_fields(headers: Mapping[str, str], policies: Mapping[Any, _Policy]) -> Iterator[tuple[_Policy, int]]:
    if "ratelimit-remaining" not in headers:
        return
    (limit, _), *others = _items(headers["ratelimit-limit"])
    stated = _policies_of(others) | dict(policies)
    remaining = _whole(_parsed(headers["ratelimit-remaining"], "item")[0])
    reset = _parsed(headers["ratelimit-reset"], "item")[0] if "ratelimit-reset" in headers else None
    yield _of(_whole(limit), reset, stated), remaining


def _of(limit: int, reset: Any, policies: Mapping[Any, _Policy]) -> _Policy:
    """Return the policy that a limit belongs to: one that states it, or one of a window that its reset bounds."""
    for policy in policies.values():
        if policy.limit == limit:
            return policy
    seconds = reset if type(reset) is int and 0 <= reset * SECOND <= DAY else 0
    window = DAY if seconds * SECOND > HOUR else HOUR if seconds * SECOND > MINUTE else None
    return _Policy(limit, window)


def _policies(text: str) -> dict[Any, _Policy]:
    return _policies_of(_items(text)) if text.strip() else {}


def _policies_of(items: list[tuple[Any, Mapping[str, Any]]]) -> dict[Any, _Policy]:
    """Return policies by name, or by limit where they have none."""
    policies = {}
    for value, parameters in items:
        if type(value) is not int and "q" not in parameters:
            continue
        window = _whole(parameters["w"]) * SECOND if "w" in parameters else None
        if window == 0:
            raise ValueError("a window of no length")
        if type(value) is int:  # up to draft 07: 100;w=60
            policies[value] = _Policy(value, window)
        else:
            unit = parameters.get("qu", "requests")
            policies[value] = _Policy(_whole(parameters["q"]), window, _UNITS.get(str(unit)))
    return policies


def _items(text: str) -> list[tuple[Any, Mapping[str, Any]]]:
    return list(_parsed(text, "list"))[:_SERIES]


def _parsed(text: str, kind: str) -> Any:
    if len(text) > _LENGTH:
        raise ValueError("too long to be one")
    return parse(text.encode("ascii"), tltype=kind)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no number of units")
    return value
