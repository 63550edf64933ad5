"""The wall clock's midnights, as instants of the monotonic clock.

Some quotas come back at midnight in a named zone, by the provider's wall clock. Ours is all that we know of it. The
*shift* is what must be added to an instant of the monotonic clock to get the wall clock's reading. It stands still
while nobody sets the wall clock and the machine does not sleep, and changes when either happens: CLOCK_MONOTONIC does
not count a suspended hour, the wall clock does. So the shift is looked at whenever somebody asks for a window: nothing
runs in the background, and nobody polls. Differences below a tenth of a second are the slewing of time daemons and the
pauses between two readings; they are let be, so that a wait that was named is not off by a microsecond when it ends.
The slack of the quotas that follow the wall clock is a hundred times that.

Midnights are those of the zone's own rules: a day has 23, 24 or 25 hours, and one that begins at 01:00 because its
midnight is skipped begins there.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from scheduler.clock import Clock
from scheduler.core.bucket import NEVER
from scheduler.core.quota import DAY, SECOND, Quota
from scheduler.core.schedule import Schedule

DRIFT = SECOND // 10
"""Nanoseconds that the wall clock may go astray before instants are named anew."""

_LAST = date.max.toordinal() - 1


class Calendar:
    """Translates between instants and the wall clock."""

    def __init__(self, clock: Clock) -> None:
        """Begin with the present readings of *clock*."""
        self._clock = clock
        self._shift = clock.wall() - clock.now()

    @property
    def shift(self) -> int:
        """Nanoseconds from an instant to the wall clock's reading then, by its present setting."""
        now = self._clock.now()
        shift = self._clock.wall() - now
        if abs(shift - self._shift) > DRIFT:
            self._shift = shift
        return self._shift

    def schedule(self, quota: Quota) -> Schedule:
        """Return when the windows of a quota begin that follow the wall clock of its zone.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: If the machine does not know the zone.
        """
        if quota.window == DAY:
            return Days(self, ZoneInfo(quota.zone))
        return Multiples(self, quota.window)


class Multiples:
    """Windows that begin when the wall clock shows a multiple of their length since the epoch."""

    def __init__(self, calendar: Calendar, window: int) -> None:
        self._calendar = calendar
        self._window = window

    def number(self, instant: int) -> int:
        """Return the number of the window in which an instant lies."""
        return (instant + self._calendar.shift) // self._window

    def begins(self, number: int) -> int:
        """Return the instant at which a window begins."""
        return number * self._window - self._calendar.shift


class Days:
    """The days of a zone, numbered as dates are."""

    def __init__(self, calendar: Calendar, zone: ZoneInfo) -> None:
        self._calendar = calendar
        self._zone = zone
        self._day = (0, 0, 0)  # begin and end of a day by the wall clock, and its number: most asked for

    def number(self, instant: int) -> int:
        """Return the number of the day in which an instant lies."""
        wall = instant + self._calendar.shift
        begin, end, number = self._day
        if begin <= wall < end:
            return number
        number = min(_LAST, datetime.fromtimestamp(wall // SECOND, self._zone).date().toordinal())
        if wall < self._midnight(number):  # an hour was skipped from before midnight to after it
            number -= 1
        while wall >= self._midnight(number + 1):  # clocks were set back over midnight, or a day was skipped
            number += 1
        self._day = (self._midnight(number), self._midnight(number + 1), number)
        return number

    def begins(self, number: int) -> int:
        """Return the instant at which a day begins, or ``NEVER`` after the last year that dates have."""
        if number > _LAST:
            return NEVER
        begin, end, present = self._day
        if present <= number <= present + 1 and present:
            return (begin if number == present else end) - self._calendar.shift
        return self._midnight(number) - self._calendar.shift

    def _midnight(self, number: int) -> int:
        day = date.fromordinal(number)
        return round(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()) * SECOND
