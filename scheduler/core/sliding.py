"""Sliding windows: each charge comes back one window after it was made.

Nothing of a window is ever lost or gained at an instant, so that no window of that length, wherever it begins, holds
more than the amount. That makes it the safe way to keep a fixed window too whose instants nobody knows.

A charge counts from when it arrives, not from when it was made: it comes back one window and the quota's *slack* after
it was made, and by then the provider has let go of it, unless it was under way for longer than that.
"""

from collections import deque
from itertools import chain, takewhile

from scheduler.core.continuous import NEVER, Bucket
from scheduler.core.quota import Quota

_SLOTS = 1024
"""Slots a window that charges are summed in; a slot comes back when its youngest charge does."""


class SlidingBucket(Bucket):
    """A bucket that gets each charge back one window after it was taken. Its scale is 1."""

    __slots__ = ("_log", "_past", "_span")

    piecemeal = True

    def __init__(self, quota: Quota, now: int, level: int | None = None) -> None:
        super().__init__(quota, now, None)
        self._log: deque[tuple[int, int]] = deque()  # (instant of the charge, units), oldest first
        self._past: deque[tuple[int, int]] = deque(maxlen=_SLOTS)  # what has come back
        if level is not None and level < quota.burst:
            self.take(quota.burst - level)

    def _tune(self, quota: Quota) -> None:
        self.quota, self.scale, self.rate, self.capacity = quota, 1, 0, quota.burst
        self._span = quota.window + quota.slack

    def advance(self, now: int) -> None:
        if now > self.at:
            log, gone = self._log, now - self._span
            while log and log[0][0] <= gone:
                self.level += log[0][1]
                self._past.append(log.popleft())
            self.at = now

    def refill(self, since: int, until: int) -> int:
        after, last = since - self._span, until - self._span
        past = takewhile(lambda entry: entry[0] > after, reversed(self._past))  # the newest: few lie between
        coming = takewhile(lambda entry: entry[0] <= last, self._log)
        return sum(units for instant, units in chain(past, coming) if after < instant <= last)

    def ready_at(self, need: int, now: int) -> int:
        self.advance(now)
        missing = need - self.level
        if missing <= 0:
            return now
        for instant, units in self._log:
            missing -= units
            if missing <= 0:
                return max(now, instant + self._span)
        return NEVER

    def drained_at(self, units: int, now: int) -> int:
        self.advance(now)
        if units <= self.level:
            return now
        turns, rest = divmod(units - max(0, self.level) - 1, self.capacity)  # a capacity comes round in every span
        rest += 1 + max(0, -self.level)
        for instant, taken in self._log:
            rest -= taken
            if rest <= 0:
                return max(now, instant + self._span) + turns * self._span
        return now + (1 + turns) * self._span  # what lies there now, once it has been taken

    def take(self, scaled: int) -> None:
        self.level -= scaled
        slot = max(1, self.quota.window // _SLOTS)
        if self._log and self._log[-1][0] // slot == self.at // slot:
            scaled += self._log.pop()[1]
        self._log.append((self.at, scaled))

    def give(self, scaled: int, since: int) -> None:
        if since + self._span > self.at:  # otherwise it has come back already
            self.put(min(self.capacity, self.level + scaled))

    def put(self, level: int) -> None:
        if level < self.level:
            self.take(self.level - level)  # comes back a window from now, so that the log and the level stay one
            return
        given = level - self.level
        self.level = level
        while given > 0:
            instant, taken = self._log.popleft()
            if taken > given:
                self._log.appendleft((instant, taken - given))
            given -= taken

    def retune(self, quota: Quota, now: int) -> None:
        super().retune(quota, now)
        self.at = now - 1  # a shorter window may free at once
        self.advance(now)
