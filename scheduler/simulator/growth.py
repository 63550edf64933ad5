"""A limit on the growth of traffic, as the provider enforces it: how much the last minute holds, and how much it may.

The documented rule: above a million input tokens a minute at most 50 % more in 15 minutes. What it is measured against
is not documented. Here it is the minute that ended a span ago, which is the plain reading of "growth over 15 minutes":

    in the last minute, this request included  <=  max(floor, factor x what the minute a span ago held)

Every admitted request is kept in a log with its instant until nothing asks for it any more, and two sums follow the
instants at which requests enter and leave the two minutes. So it is exact to the nanosecond, at a cost of O(1) for each
request. What was refused is not traffic. Instants are nanoseconds since the start and never go back.
"""

from collections import deque

from scheduler.simulator.meters import SECOND
from scheduler.simulator.parts import Growth

_PARTS = 15  # of a span: what traffic is measured over


class GrowthMeter:
    """The traffic of one pool of the organization.

    Attributes:
        refused: Requests that would have made it grow too fast.
    """

    def __init__(self, growth: Growth) -> None:
        self.growth = growth
        self.span = round(growth.span * SECOND)
        self.minute = self.span // _PARTS
        self.floor = growth.floor * self.minute / (60 * SECOND)
        self.refused = 0
        # Requests by the minute that they have entered last: this one, none any more, the one a span ago.
        self._fresh: deque[tuple[int, int]] = deque()
        self._between: deque[tuple[int, int]] = deque()
        self._old: deque[tuple[int, int]] = deque()
        self._present = 0
        self._past = 0

    def admits(self, now: int, tokens: int) -> bool:
        """Say whether a request of so many input tokens lets the traffic grow no faster than it may."""
        self._follow(now)
        fine = self._present + tokens <= max(self.floor, self.growth.factor * self._past)
        self.refused += not fine
        return fine

    def take(self, now: int, tokens: int) -> None:
        """Count an admitted request."""
        self._follow(now)
        self._fresh.append((now, tokens))
        self._present += tokens

    def _follow(self, now: int) -> None:
        while self._fresh and self._fresh[0][0] <= now - self.minute:
            entry = self._fresh.popleft()
            self._present -= entry[1]
            self._between.append(entry)
        while self._between and self._between[0][0] <= now - self.span:
            entry = self._between.popleft()
            self._past += entry[1]
            self._old.append(entry)
        while self._old and self._old[0][0] <= now - self.span - self.minute:
            self._past -= self._old.popleft()[1]
