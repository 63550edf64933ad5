"""Fixed windows: everything comes back at once, at instants that a schedule names.

**The naive version** sets the level to full when the window's number has changed. Four things break. A request that
leaves just before the instant arrives just after it and counts in the new window, of which we believe to have all:
that many are refused at its end. The provider's clock is not ours: what leaves at our midnight arrives in its
yesterday. The wall clock is set back over a midnight, and the day is given twice. And a charge of yesterday is given
back today.

**Slack** is how far the provider's instant may lie from ours, either way. A window is given when it must have begun:
``slack`` after our instant. What was charged from ``slack`` before our instant on is *carried*: it may have arrived in
either window and is charged to both. Both cost next to nothing: where the budget is the bottleneck nothing is left to
be charged just before the instant, and everything that the window brings is still spent in it.

**Given once.** A wall clock can be set. Forward over a midnight: the new day is given, since the wall clock is all that
we know of the provider's. Back again: nothing is given, and when that midnight comes once more the day is not given
again. So the last windows that really brought something are remembered, by number; a window in which the bucket was
full already brought nothing, and may still come. A clock that was years ahead costs one window when it is set right,
not years.

**The invariant**: what has been added to the level is at most ``amount`` for each window, whatever the clock did; and
under a schedule that stands still a wait ends exactly where a window is given.
"""

from collections import deque
from typing import Self

from scheduler.core.continuous import NEVER, Bucket
from scheduler.core.quota import Quota
from scheduler.core.schedule import Every, Schedule

_MEMORY = 8
"""Windows that are remembered: as having been given, and when they were."""


class Given:
    """The windows that have been given, by number: the last ones, and everything before."""

    __slots__ = ("_floor", "_given")

    def __init__(self, number: int) -> None:
        """Begin in a window that has been given."""
        self._floor = -NEVER
        self._given = [number]

    def left(self, after: int, until: int) -> int:
        """Return how many windows after one, up to and with another, have not been given."""
        floor = max(after, self._floor)
        return max(0, until - floor - sum(floor < number <= until for number in self._given))

    def nth(self, after: int, position: int) -> int:
        """Return the number of the first (second, ...) window after one that has not been given."""
        number = max(after, self._floor) + position
        for given in self._given:
            if after < given <= number:
                number += 1
        return number

    def note(self, until: int, number: int) -> None:
        """Note that the last *number* windows up to and with one have now been given."""
        if number >= _MEMORY:
            self._floor = max(self._floor, until)
        while number > 0:
            if until > self._floor and until not in self._given:
                self._given.append(until)
            elif until <= self._floor:
                break
            else:
                number += 1
            number -= 1
            until -= 1
        self._given = sorted(each for each in self._given if each > self._floor)
        while len(self._given) > _MEMORY:
            self._floor = self._given.pop(0)


class FixedBucket(Bucket):
    """A bucket that gets its amount at once, at fixed instants. Nothing fractional arrives, so its scale is 1."""

    __slots__ = ("_carried", "_given", "_openings", "_turns", "schedule", "window")

    def __init__(self, quota: Quota, now: int, level: int | None = None, schedule: Schedule | None = None) -> None:
        """Begin at *now* with *level* whole units, full by default.

        Args:
            quota: Its quota.
            now: The instant.
            level: Whole units in it.
            schedule: When windows begin; by the quota's anchor unless given.
        """
        self.schedule: Schedule = schedule or Every(quota.anchor or 0, quota.window)
        super().__init__(quota, now, level)
        self.window = self.schedule.number(now - quota.slack)
        """Number of the window that has been given last."""
        self._given = Given(self.window)
        self._carried = 0  # units charged so late that they may count in the next window
        self._turns = 0  # windows given since the beginning
        self._openings: deque[tuple[int, int]] = deque([(-NEVER, 0)], _MEMORY)  # (instant, turns from then on)

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst

    def anew(self, quota: Quota, now: int, level: int) -> Self:
        return type(self)(quota, now, level, self.schedule if quota.zone else None)

    def advance(self, now: int) -> None:
        if now > self.at:
            before, self.at = self.at, now
            window = self.schedule.number(now - self.quota.slack)
            if window != self.window:
                self._turn(window, before)

    def _turn(self, window: int, before: int) -> None:
        """Go over to another window; give all on the way that have not been given."""
        turns = self._given.left(self.window, window)
        if turns:
            level, amount = self.level, self.quota.amount
            self.level = min(self.capacity, self._after_turn() + (turns - 1) * amount)
            self._given.note(window, -(-(self.level - level) // amount))
            self._carried = 0
            self._turns += turns
            opened = self.schedule.begins(window) + self.quota.slack
            self._openings.append((max(before + 1, min(self.at, opened)), self._turns))
        self.window = window

    def _after_turn(self) -> int:
        """Return the level that the next window begins with, if nothing happens until then."""
        return min(self.capacity - self._carried, self.level + self.quota.amount)

    def _opens(self, position: int) -> int:
        """Return the instant at which the first (second, ...) window from now is given."""
        return min(NEVER, self.schedule.begins(self._given.nth(self.window, position)) + self.quota.slack)

    def opening(self, position: int) -> tuple[int, int, int]:
        """Return level, begin and end of a coming window, if nothing happens until then; the present one's for 0.

        The bucket must be advanced.
        """
        if not position:
            return self.level, self.schedule.begins(self.window) + self.quota.slack, self._opens(1)
        level = min(self.capacity, self._after_turn() + (position - 1) * self.quota.amount)
        return level, self._opens(position), self._opens(position + 1)

    def turns_until(self, need: int) -> int:
        """Return how many windows from now the level reaches *need*; the bucket must be advanced."""
        if self.level >= need:
            return 0
        return 1 + max(0, -(-(need - self._after_turn()) // self.quota.amount))

    @property
    def late(self) -> bool:
        """Whether what is charged now may count in the next window; the bucket must be advanced."""
        slack = self.quota.slack
        return bool(slack) and self.at >= self._opens(1) - 2 * slack

    def refill(self, since: int, until: int) -> int:
        return max(0, self._turns_at(until) - self._turns_at(since)) * self.quota.amount

    def _turns_at(self, instant: int) -> int:
        """Return the windows given by an instant: as they were, whatever the wall clock says now, or will be."""
        window = self.schedule.number(instant - self.quota.slack)
        if instant > self.at:
            return self._turns + self._given.left(self.window, window)
        for opened, turns in reversed(self._openings):
            if opened <= instant:
                return turns
        opened, turns = self._openings[0]  # longer ago than is remembered
        return turns - max(0, self.schedule.number(opened - self.quota.slack) - window)

    def level_at(self, instant: int) -> int:
        turns = self._turns_at(instant) - self._turns
        return min(self.capacity, self._after_turn() + (turns - 1) * self.quota.amount) if turns > 0 else self.level

    def ready_at(self, need: int, now: int) -> int:
        self.advance(now)
        if self.level >= need:
            return now
        return NEVER if need > self.capacity else self._opens(self.turns_until(need))

    def drained_at(self, units: int, now: int) -> int:
        self.advance(now)
        rest = units - max(0, self.level)
        if units <= self.level:
            return now
        amount = self.quota.amount
        carried = self._carried + (max(0, self.level) if self.late else 0)
        level = min(self.capacity - carried, min(0, self.level) + amount)
        turns = 1
        if level <= 0:  # a debt, or all of the next window is spent already
            more = (amount - level) // amount
            level, turns = min(self.capacity, level + more * amount), turns + more
        return self._opens(turns + max(0, -(-(rest - level) // min(self.capacity, amount))))

    def take(self, scaled: int) -> None:
        self.level -= scaled
        if self.late:
            self._carried += scaled

    def give(self, scaled: int, since: int) -> None:
        if since >= self.schedule.begins(self.window) - self.quota.slack:  # otherwise its window has closed
            self.level = min(self.capacity, self.level + scaled)
            if self._carried and since >= self._opens(1) - 2 * self.quota.slack:
                self._carried = max(0, self._carried - scaled)

    def retune(self, quota: Quota, now: int) -> None:
        super().retune(quota, now)
        if not quota.zone:
            self.schedule = Every(quota.anchor or 0, quota.window)
        window = self.schedule.number(now - quota.slack)
        if window != self.window:  # other windows: the present one has been given
            self.window, self._given = window, Given(window)
