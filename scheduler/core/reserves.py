"""Levels that are kept for more important work.

A batch that saturates a bucket leaves nothing in it: an interactive call goes first, and still waits until its charge
has been refilled, behind the large request that was let through a moment ago. So a share of a bucket's *level* can be
kept for a priority: whoever is less important leaves it untouched. It costs its size once, not a share of the rate.
"""

from collections.abc import Mapping

BATCH = 100
"""Requests of this priority, or of a higher number, leave what the rest of a day is to keep (see ``spread``)."""


class Reserves:
    """Shares of every bucket's level, by the priority that they are kept for."""

    __slots__ = ("kept",)

    def __init__(self, shares: Mapping[int, float] | None = None) -> None:
        """Begin with *shares* of the capacity, by priority, that are at most 0.9 together."""
        self.kept: tuple[tuple[int, int], ...] = ()
        self.change(shares or {})

    def change(self, shares: Mapping[int, float]) -> None:
        """Keep other shares from now on."""
        self.kept = tuple((priority, round(1000 * share)) for priority, share in sorted(shares.items()) if share)

    def kept_from(self, priority: int) -> int:
        """Return the thousandths of the capacity that a request of *priority* must leave to others."""
        return sum(share for other, share in self.kept if other < priority)
