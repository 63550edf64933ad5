"""The shortest time in which anybody could have done a job, by the provider's own account of what it charged.

For each limit: what lay in it at the start and what it refilled, less what tenants really took, had to cover what was
charged. The ideal is the longest of these times, no less than the last arrival, and the shortest answer. It is a bound
from below; nobody can be faster, and with many limits nobody may be able to be as fast.

Where a part of a charge comes back at the end of an answer, the charges of what is in flight lie in the bucket at the
same time: so all charges, each for the time of an answer, take as long as the limit has room for them.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

Report = Mapping[str, Any]


def ideal(report: Report, world: Mapping[str, Any], last_due: float) -> float:
    """Return seconds from the beginning to the last answer.

    Args:
        report: What the simulator says at the end.
        world: Its settings.
        last_due: When the last request was due.
    """
    longest, held = last_due, 0.0
    answer = report["shortest_latency"] or 0.0
    for limit in _limits(report):
        work = limit["charged"] - limit["returned"]
        longest = max(longest, reached(partial(_supply, limit, world, report), work))
        if limit["returned"]:
            held = max(held, limit["charged"] * answer / limit["limit"])
    return max(longest + answer, held)


def used(report: Report, world: Mapping[str, Any], seconds: float) -> float:
    """Return the share of the scarcest limit that was used, of what it allowed until *seconds* after the beginning."""
    return max(
        ((limit["charged"] - limit["returned"]) / _supply(limit, world, report, seconds) for limit in _limits(report)),
        default=0.0,
    )


def reached(supply: Callable[[float], float], work: float) -> float:
    """Return the seconds after which what has been supplied by then covers the *work*."""
    low, high = 0.0, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if supply(middle) < work else (low, middle)
    return high


def _limits(report: Report) -> Iterator[Report]:
    for scope in report["scopes"]:
        for name, limit in scope["limits"].items():
            if limit["window"]:
                yield {**limit, "name": name, "pool": scope["pool"]}


def _supply(limit: Report, world: Mapping[str, Any], report: Report, until: float) -> float:
    """Return the units that could have been taken of a limit by an instant."""
    changes = {
        change.at: change.limits[limit["name"]] for change in world.get("changes", ()) if limit["name"] in change.limits
    }
    first = _first(limit, world)
    points = sorted({0.0, until, *(at for at in changes if at < until)})
    total, amount = float(limit["start_level"]), first
    for begin, end in itertools.pairwise(points):
        amount = changes.get(begin, amount)
        total += (end - begin) * amount / limit["window"]
    if limit["unseen"]:
        total -= limit["unseen"] * min(1.0, until / (report["now"] - report["started"]))
    length = world.get("slices")
    return min(total, (until + length) * first / limit["window"]) if length else total


def _first(limit: Report, world: Mapping[str, Any]) -> float:
    """Return the limit at the start: what is reported is that at the end."""
    if not world.get("changes"):
        return float(limit["limit"])
    return float(world["limits"][limit["pool"]][limit["name"]])
