"""When fixed windows begin, in the one domain of instants: nanoseconds of the monotonic clock."""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Numbers fixed windows, one after another, and says when each begins.

    For any instant ``begins(number(instant)) <= instant < begins(number(instant) + 1)``. Where windows follow the wall
    clock both answers are by its present reading, and may differ from those before it was set.
    """

    def number(self, instant: int) -> int:
        """Return the number of the window in which an instant lies."""
        ...

    def begins(self, number: int) -> int:
        """Return the instant at which a window begins."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Windows of one length, one of which began at an anchor."""

    anchor: int
    window: int

    def number(self, instant: int) -> int:
        """Return the number of the window in which an instant lies."""
        return (instant - self.anchor) // self.window

    def begins(self, number: int) -> int:
        """Return the instant at which a window begins."""
        return self.anchor + number * self.window
