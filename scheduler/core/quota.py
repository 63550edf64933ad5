"""Dimensions, quotas and charges: what is counted, how much of it there is, and what one request takes.

A quota is a limit on one dimension. Its *amount* is what one *window* brings; its *burst* is the most that can
lie in the bucket, and is usually the amount but need not be. How the bucket refills is the provider's choice:

- ``Refill.CONTINUOUS``: evenly, ``amount`` a window. OpenAI and Anthropic do this.
- ``Refill.FIXED``: by the amount, at once, at fixed instants: every window from an anchor on, or by the wall clock: at
  each midnight of a zone (Gemini's requests of a day, at midnight in California), at each full minute or hour.
- ``Refill.SLIDING``: each charge comes back one window after it was made.
- ``Refill.RELEASE``: only when its holder gives it back. Concurrency does this.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

SECOND = 1_000_000_000
"""Nanoseconds in a second; the windows below are in nanoseconds too."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Dimension(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    IMAGES = "images"
    CONCURRENCY = "concurrency"

    @property
    def position(self) -> int:
        """Position of this dimension in a ``Charge``."""
        return _POSITIONS[self]


_POSITIONS = {dimension: position for position, dimension in enumerate(Dimension)}


class Charge(NamedTuple):
    """What the provider's limiter takes for one request, in whole units of each dimension.

    The fields stand in the order of ``Dimension``, so that ``charge[dimension.position]`` is that dimension's part.
    """

    requests: int = 1
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    concurrency: int = 1


class Refill(Enum):
    """How a bucket gets back what was taken."""

    CONTINUOUS = "continuous"
    FIXED = "fixed"
    SLIDING = "sliding"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit on one dimension. Immutable; a changed limit is another quota.

    Attributes:
        dimension: What is counted.
        amount: Units that one window brings; at least 1.
        window: Length of the window in nanoseconds; 0 for ``Refill.RELEASE`` only.
        burst: Most units that can lie in the bucket; the amount unless given.
        refill: How units come back.
        anchor: An instant at which a fixed window began, in nanoseconds; None where nobody knows one, and then the
            quota is kept as a sliding one, which holds wherever the provider's windows begin.
        zone: Where the wall clock says when fixed windows begin: the zone whose midnights they are, for a window of a
            day; for shorter ones their multiples since the epoch. "" where the anchor does.
        slack: How far the provider's instants may lie from ours, either way, in nanoseconds. It covers clocks that
            differ, and requests that are on their way.
        spread: Thousandths of a fixed window's amount that less important work may have only as the window passes.

    Raises:
        ValueError: If a number is out of range. A quota that exists is a usable one.
    """

    dimension: Dimension
    amount: int
    window: int
    burst: int = 0
    refill: Refill = Refill.CONTINUOUS
    anchor: int | None = 0
    zone: str = ""
    slack: int = 0
    spread: int = 0

    def __post_init__(self) -> None:
        if self.amount < 1:
            raise ValueError(f"a quota's amount is at least 1, not {self.amount}; leave the limit out to lift it")
        if self.burst < 0:
            raise ValueError(f"a quota's burst is at least 1, not {self.burst}")
        if self.window < 0 or (self.window == 0) != (self.refill is Refill.RELEASE):
            raise ValueError(f"a {self.refill.value} quota cannot have a window of {self.window} ns")
        if not self.burst:
            object.__setattr__(self, "burst", self.amount)
        if self.refill in {Refill.SLIDING, Refill.RELEASE} and self.burst != self.amount:
            raise ValueError(f"a {self.refill.value} quota's burst is its amount")
        self._check_windows()

    def _check_windows(self) -> None:
        fixed = self.refill is Refill.FIXED
        if self.zone and not (fixed and self.window <= DAY and DAY % self.window == 0):
            raise ValueError(f"a {self.refill.value} quota of {self.window} ns cannot follow the wall clock")
        if self.slack < 0 or 4 * self.slack > self.window or (self.slack and self.refill not in _WINDOWED):
            raise ValueError(f"a {self.refill.value} quota's slack is at most a quarter of its window")
        if self.floating and self.burst != self.amount:
            raise ValueError("the burst of a fixed quota without an anchor is its amount")
        if self.spread and not (fixed and self.dated and 0 < self.spread <= WHOLE and self.burst == self.amount):
            raise ValueError("a quota's spread is up to 1000, for fixed windows of known instants without a burst")

    @property
    def dated(self) -> bool:
        """Whether it is known when its fixed windows begin."""
        return bool(self.zone) or self.anchor is not None

    @property
    def floating(self) -> bool:
        """Whether it has fixed windows and nobody knows when they begin."""
        return self.refill is Refill.FIXED and not self.dated

    @property
    def name(self) -> str:
        """Short name of the dimension and window, as people write it: ``tpm``, ``rpd``, ``concurrency``."""
        if self.refill is Refill.RELEASE:
            return self.dimension.value
        letter = _LETTERS.get(self.window)
        if letter is None:
            return f"{self.dimension.value}/{self.window / SECOND:g}s"
        return f"{_INITIALS[self.dimension]}p{letter}"


WHOLE = 1000
"""Shares are counted in thousandths."""

_WINDOWED = {Refill.FIXED, Refill.SLIDING}
_LETTERS = {SECOND: "s", MINUTE: "m", HOUR: "h", DAY: "d"}
_INITIALS = {
    Dimension.REQUESTS: "r",
    Dimension.TOKENS: "t",
    Dimension.INPUT_TOKENS: "it",
    Dimension.OUTPUT_TOKENS: "ot",
    Dimension.IMAGES: "i",
    Dimension.CONCURRENCY: "c",
}
