"""The other kinds of refill: windows that open at fixed instants, a log of the last window, and places."""

from collections import deque
from fractions import Fraction


class FixedWindow:
    """A limit that is full again at fixed instants. A receipt is the number of the window it was taken in."""

    def __init__(self, now: int, amount: int, window: int, burst: int, start: float = 1.0) -> None:
        self.amount, self.window, self.burst = amount, window, burst
        self.spent = burst - round(start * burst)
        self.number = now // window

    def _turn(self, now: int) -> None:
        if now // self.window != self.number:
            self.number, self.spent = now // self.window, 0

    def level(self, now: int) -> Fraction:
        """Return the units left of this window."""
        return Fraction(self.whole(now))

    def whole(self, now: int) -> int:
        """Return the units left of this window."""
        self._turn(now)
        return self.burst - self.spent

    def wait(self, now: int, units: int) -> int | None:
        """Return nanoseconds until the window in which *units* fit."""
        self._turn(now)
        return 0 if self.spent + units <= self.burst else self.window - now % self.window

    def take(self, now: int, units: int) -> int:
        """Take *units* from this window."""
        self._turn(now)
        self.spent += units
        return self.number

    def give_back(self, now: int, units: int, receipt: int) -> int:
        """Give back *units*, unless their window has closed."""
        self._turn(now)
        counted = min(units, self.spent) if receipt == self.number else 0
        self.spent -= counted
        return counted

    def full_in(self, now: int) -> int:
        """Return nanoseconds until the next window, or 0 where nothing was taken from this one."""
        self._turn(now)
        return self.window - now % self.window if self.spent else 0

    def change(self, now: int, amount: int, burst: int) -> None:
        """Change the limit; what is left of this window stays, cut to the new burst."""
        self._turn(now)
        self.spent = burst - min(self.burst - self.spent, burst)
        self.amount, self.burst = amount, burst


class SlidingWindow:
    """A limit over the last window, kept as a log of ``[instant, units]``. A receipt is an entry's number."""

    def __init__(self, now: int, amount: int, window: int, burst: int, start: float = 1.0) -> None:
        self.amount, self.window, self.burst = amount, window, burst
        self.log: deque[list[int]] = deque()
        self.first = 0  # number of the oldest entry
        self.spent = 0
        missing = burst - round(start * burst)
        if missing:
            self.take(now, missing)

    def _forget(self, now: int) -> None:
        while self.log and self.log[0][0] <= now - self.window:
            self.spent -= self.log.popleft()[1]
            self.first += 1

    def level(self, now: int) -> Fraction:
        """Return the limit less what was taken in the last window."""
        return Fraction(self.whole(now))

    def whole(self, now: int) -> int:
        """Return the limit less what was taken in the last window."""
        self._forget(now)
        return self.burst - self.spent

    def wait(self, now: int, units: int) -> int | None:
        """Return nanoseconds until enough of the log is forgotten."""
        self._forget(now)
        over = self.spent + units - self.burst
        if over <= 0:
            return 0
        for instant, entry in self.log:
            over -= entry
            if over <= 0:
                return instant + self.window - now
        return None

    def take(self, now: int, units: int) -> int:
        """Log *units*."""
        self._forget(now)
        self.log.append([now, units])
        self.spent += units
        return self.first + len(self.log) - 1

    def give_back(self, now: int, units: int, receipt: int) -> int:
        """Take *units* out of their entry, unless it is forgotten."""
        self._forget(now)
        if receipt < self.first:
            return 0
        entry = self.log[receipt - self.first]
        counted = min(units, entry[1])
        entry[1] -= counted
        self.spent -= counted
        return counted

    def full_in(self, now: int) -> int:
        """Return nanoseconds until the newest entry is forgotten."""
        self._forget(now)
        return self.log[-1][0] + self.window - now if self.log else 0

    def change(self, now: int, amount: int, burst: int) -> None:
        """Change the limit; the log stands, and may be debt under a lower one."""
        del now
        self.amount, self.burst = amount, burst


class Occupancy:
    """Requests that are inside at once; only a release makes room."""

    def __init__(self, amount: int) -> None:
        self.amount = self.burst = amount
        self.inside = 0

    def level(self, now: int) -> Fraction:
        """Return the free places."""
        return Fraction(self.whole(now))

    def whole(self, now: int) -> int:
        """Return the free places."""
        del now
        return self.amount - self.inside

    def wait(self, now: int, units: int) -> int | None:
        """Return 0 where there is a place, else None."""
        del now
        return 0 if self.inside + units <= self.amount else None

    def take(self, now: int, units: int) -> int:
        """Enter."""
        del now
        self.inside += units
        return 0

    def give_back(self, now: int, units: int, receipt: int) -> int:
        """Leave."""
        del now, receipt
        self.inside -= units
        return units

    def full_in(self, now: int) -> int:
        """Return 0: nobody knows."""
        del now
        return 0

    def change(self, now: int, amount: int, burst: int) -> None:
        """Change the number of places; nobody is thrown out."""
        del now, burst
        self.amount = self.burst = amount
