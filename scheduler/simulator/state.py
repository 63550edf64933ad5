"""One life of a simulator, from its start to its reset."""

from collections import Counter
from collections.abc import Callable

import anyio

from scheduler.simulator.meters import SECOND
from scheduler.simulator.scopes import Enforcer
from scheduler.simulator.tally import Tally
from scheduler.simulator.world import World


class State:
    """Limits, counts and the clock.

    Attributes:
        enforcer: All limits.
        tally: All counts.
        tries: Times that each request came, by digest.
        start: Instant of the start on the clock, in nanoseconds, or None before it.
    """

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self.world, self._clock = world, clock
        self.enforcer = Enforcer(world)
        self.tally = Tally()
        self.tries: Counter[bytes] = Counter()
        self.start: int | None = None
        self._last = 0
        self._door_free = 0

    def door(self) -> float:
        """Return the seconds until a request is let in that has come to the door now."""
        now = self.now()
        self._door_free = max(now, self._door_free) + round(self.world.door * SECOND)
        return (self._door_free - now) / SECOND

    def now(self) -> int:
        """Return nanoseconds since the start, which is now if there was none; it never goes back."""
        instant = round(self._clock() * SECOND)
        if self.start is None:
            self.start = instant
        self._last = max(self._last, instant - self.start)
        return self._last

    def last(self) -> int:
        """Return the present instant, or where no event loop can tell it, the last one that was seen."""
        try:
            return self.now()
        except anyio.NoEventLoopError:
            return self._last

    def report(self) -> dict[str, object]:
        """Return all counts."""
        now, start = self.last(), self.start or 0
        self.enforcer.catch_up(now)
        clock = {"started": None if self.start is None else start / SECOND, "now": (start + now) / SECOND}
        return {**clock, **self.tally.report(start), "scopes": [scope.report(now) for scope in self.enforcer.scopes]}
