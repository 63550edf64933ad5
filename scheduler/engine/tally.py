"""Counters of the engine, kept by the engine itself and read when somebody asks."""

from bisect import bisect_left
from collections.abc import Callable

from scheduler.core.quota import SECOND
from scheduler.engine.reservation import Reservation
from scheduler.providers.base import Outcome, Reading, Usage

WAIT_BOUNDS = (0.0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Upper bounds of the wait histogram, in seconds."""

_BOUNDS = tuple(int(bound * SECOND) for bound in WAIT_BOUNDS)


class Tally:
    """What has been let through, for how long it waited, and how it ended."""

    __slots__ = (
        "_cached",
        "_images",
        "_input",
        "_output",
        "_price",
        "cancelled",
        "cost",
        "in_flight",
        "refusals",
        "resumed",
        "retries",
        "sent",
        "wait_sum",
        "waits",
    )

    def __init__(self, price: Callable[[str, Usage], float]) -> None:
        """Begin at zero; *price* gives what a model's usage costs in US dollars."""
        self._price = price
        self.sent = 0
        self.cancelled = 0  # let through, and never sent
        self.in_flight = 0
        self.refusals = 0  # 429s
        self.retries = 0
        self.resumed = 0  # tries of an SDK after we had given up
        self._input = self._cached = self._output = self._images = 0  # billed
        self.cost = 0.0  # US dollars
        self.waits = [0] * (len(_BOUNDS) + 1)  # by wait, one more for those above the last bound
        self.wait_sum = 0  # nanoseconds

    def admitted(self, waited: int) -> None:
        """Count a request that was let through after *waited* nanoseconds."""
        self.sent += 1
        self.in_flight += 1
        if waited:
            self.wait_sum += waited
            self.waits[bisect_left(_BOUNDS, waited)] += 1
        else:
            self.waits[0] += 1

    def answered(self, reading: Reading) -> None:
        """Count an answer."""
        if reading.outcome is Outcome.THROTTLED:
            self.refusals += 1

    def ended(self, reservation: Reservation, usage: Usage | None) -> None:
        """Count an end: a request that was never sent was not let through after all; what was billed adds up."""
        self.in_flight -= 1
        if reservation.ended_by == "cancel":
            self.sent -= 1
            self.cancelled += 1
        if usage is None:
            return
        self.cost += self._price(reservation.model, usage)
        self._input += usage.input_tokens
        self._cached += usage.cached_tokens
        self._output += usage.output_tokens
        self._images += usage.images

    @property
    def usage(self) -> Usage:
        """What the provider billed."""
        return Usage(self._input, self._cached, self._output, self._images)
