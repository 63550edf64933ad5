"""What requests were charged over what was estimated, by endpoint: as far as answers tell.

Two kinds of answers do. A refusal's body may state what its request would have taken. And where a request was the only
one between two successive anchors, the levels that they tell differ by what it took (see ``core.anchor``); that is
seldom where traffic is dense, and most of the time where it is sparse. Endpoints are those that the provider knows, and
``other`` for the rest: anybody can invent a path.
"""

from collections.abc import Collection
from dataclasses import dataclass

from scheduler.core.quota import Dimension
from scheduler.engine.scopes import OTHER


@dataclass(frozen=True, slots=True)
class ChargeStatistics:
    """What answers told of the charges of one endpoint, in one dimension.

    Attributes:
        provider: Name of the provider.
        endpoint: Path of a known endpoint, or ``other``.
        dimension: What is counted.
        told: Answers that told a charge.
        charged: Units that they told, together.
        estimated: Units that had been estimated for the same requests, with what had been learned by then.
    """

    provider: str
    endpoint: str
    dimension: str
    told: int
    charged: int
    estimated: int

    @property
    def ratio(self) -> float:
        """Charge over estimate; 1.0 where nothing was estimated."""
        return self.charged / self.estimated if self.estimated else 1.0


class Charges:
    """Sums of told charges and their estimates."""

    __slots__ = ("_endpoints", "_provider", "_sums")

    def __init__(self, provider: str, endpoints: Collection[str]) -> None:
        """Begin with nothing told of the *provider*, whose known *endpoints* have sums of their own."""
        self._provider = provider
        self._endpoints = frozenset(endpoints)
        self._sums: dict[tuple[str, Dimension], list[int]] = {}

    def note(self, endpoint: str, dimension: Dimension, charged: int, estimated: int) -> None:
        """Note what an answer told: *charged* units for a request that had been *estimated* at so many."""
        key = (endpoint if endpoint in self._endpoints else OTHER, dimension)
        sums = self._sums.setdefault(key, [0, 0, 0])
        sums[0] += 1
        sums[1] += charged
        sums[2] += estimated

    def look(self) -> tuple[ChargeStatistics, ...]:
        """Return all sums, by endpoint and dimension."""
        return tuple(
            ChargeStatistics(self._provider, endpoint, dimension.value, *sums)
            for (endpoint, dimension), sums in sorted(self._sums.items())
        )
