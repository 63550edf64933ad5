"""The gate: how many may be in flight while it is not known how much is allowed.

Two situations have no level to go by: a scope of which nothing is known yet, and a scope whose provider has just
refused without saying why (a 429 without numbers, an overload). Waiting for a guess is slow and going on is a storm:
everyone who waits re-races when the pause ends.

The gate lets a *window* of requests fly at a time. It begins with one, the probe; each answer adds one, which doubles
the window every round; it opens for good when a limit has been learned, or when the window has outgrown what was in
flight when it closed. Closed, it also names an instant before which not even the probe goes. A second refusal closes
it again. Refusals of requests that were sent before it closed are part of the same event.

**The invariant**: while the gate is not open, at most ``window`` requests that it admitted are in flight.
"""

from scheduler.core.bucket import NEVER


class Gate:
    """Lets a growing number of requests fly while nothing better is known."""

    __slots__ = ("closed_at", "closings", "flying", "scope", "target", "until", "window")

    def __init__(self, scope: str = "", *, probing: bool = False) -> None:
        """Begin open, or *probing*: until ``open`` is called, however far the window has grown."""
        self.scope = scope
        self.flying = 0
        self.window = 1 if probing else 0  # 0: open
        self.target = NEVER if probing else 0  # the window that opens it
        self.until = 0
        self.closed_at = -1
        self.closings = 0  # in a row, without having opened

    @property
    def is_open(self) -> bool:
        """Whether it holds nothing back."""
        return not self.window

    def ready_at(self, now: int) -> int:
        """Return the first instant from *now* on at which another request may pass, or ``NEVER``."""
        if not self.window:
            return now
        if self.flying >= self.window:
            return NEVER
        return max(now, self.until)

    def close(self, sent: int, now: int, until: int) -> bool:
        """Close until an instant, because of a request *sent* then; return whether this was a new event."""
        self.until = max(self.until, until)
        if sent < self.closed_at:
            return False
        if self.target < NEVER or not self.window:
            self.target = max(2, self.flying)
        self.window = 1
        self.closed_at = now
        self.closings += 1
        return True

    def answered(self, sent: int) -> None:
        """Widen the window by one: a request that was *sent* since it closed has succeeded."""
        if self.window and sent >= self.closed_at:
            self.window += 1
            if self.window > self.target:
                self.open()

    def learned(self) -> None:
        """A limit is known now: nothing is left to probe for, unless a refusal has closed the gate since."""
        if not self.closings:
            self.open()
        elif self.target >= NEVER:
            self.target = max(2, self.flying)

    def open(self) -> None:
        """Hold nothing back any more."""
        self.window = 0
        self.until = 0
        self.closings = 0
