"""The wall clock's midnights, as instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from scheduler.calendar import DRIFT, Calendar
from scheduler.core.bucket import NEVER, FixedBucket, bucket_for
from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.schedule import Schedule

PACIFIC = "America/Los_Angeles"


class Clocks:
    """Both clocks of a machine, to be set."""

    def __init__(self, wall: datetime, now: int = 5 * HOUR) -> None:
        self.monotonic = now
        self.real = round(wall.timestamp()) * SECOND

    def now(self) -> int:
        return self.monotonic

    def wall(self) -> int:
        return self.real

    def live(self, nanoseconds: int) -> None:
        self.monotonic += nanoseconds
        self.real += nanoseconds

    def sleep(self, nanoseconds: int) -> None:
        """Suspend the machine: the monotonic clock does not count it."""
        self.real += nanoseconds


def quota(zone: str = PACIFIC, window: int = DAY, slack: int = 10 * SECOND) -> Quota:
    return Quota(Dimension.REQUESTS, 100, window, 0, Refill.FIXED, None, zone, slack)


def local(zone: str, *when: int) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type, misc]  # year, month, day and so on


def begin(clocks: Clocks, limit: Quota | None = None) -> FixedBucket:
    limit = limit or quota()
    bucket = bucket_for(limit, clocks.now(), schedule=Calendar(clocks).schedule(limit))
    assert isinstance(bucket, FixedBucket)
    return bucket


def length(schedule: Schedule, instant: int) -> int:
    number = schedule.number(instant)
    return schedule.begins(number + 1) - schedule.begins(number)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (PACIFIC, (2026, 11, 22), 24),
        (PACIFIC, (2026, 3, 8), 23),
        (PACIFIC, (2026, 11, 1), 25),
        ("UTC", (2026, 3, 8), 24),
        ("America/Havana", (2026, 3, 8), 23),  # 00:00 is skipped: it begins at 01:00
        ("America/Havana", (2026, 11, 1), 25),  # 00:00 comes twice
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
    ],
)
def test_days_are_as_long_as_their_zone_makes_them(zone: str, day: tuple[int, int, int], hours: float) -> None:
    """Days on which clocks are changed have 23 or 25 hours."""
    clocks = Clocks(local(zone, *day, 12))
    schedule = Calendar(clocks).schedule(quota(zone))
    assert length(schedule, clocks.now()) == round(hours * HOUR)


def test_the_wait_ends_at_midnight_in_the_zone() -> None:
    """At 20:00 in California the next day's requests come in four hours and the slack."""
    clocks = Clocks(local(PACIFIC, 2026, 11, 22, 20))
    bucket = begin(clocks)
    bucket.take(100)
    assert bucket.ready_at(1, clocks.now()) == clocks.now() + 4 * HOUR + 10 * SECOND


@given(
    zone=st.sampled_from(
        [PACIFIC, "UTC", "America/Havana", "Pacific/Apia", "Asia/Kathmandu", "America/Toronto", "America/St_Johns"]
    ),
    when=st.datetimes(datetime(1905, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 -- hypothesis wants them naive
    later=st.integers(0, 400 * DAY),
)
def test_every_instant_lies_in_the_window_that_it_is_numbered_with(zone: str, when: datetime, later: int) -> None:
    """In zones that skip midnights, days, or repeat them."""
    clocks = Clocks(when.replace(tzinfo=UTC))
    schedule = Calendar(clocks).schedule(quota(zone))
    for instant in (clocks.now(), clocks.now() + later):
        number = schedule.number(instant)
        assert schedule.begins(number) <= instant < schedule.begins(number + 1)


def test_a_day_whose_midnight_lies_within_a_skipped_hour_begins_after_it() -> None:
    """Toronto went from 23:30 to 00:30 in 1919: half an hour of the new date counts to the old."""
    clocks = Clocks(local("America/Toronto", 1919, 3, 30, 23, 29) + timedelta(minutes=2))
    schedule = Calendar(clocks).schedule(quota("America/Toronto"))
    assert schedule.number(clocks.now()) == datetime(1919, 3, 30, tzinfo=UTC).toordinal()


def test_a_day_that_was_begun_twice_begins_once() -> None:
    """St. John's went from 00:01 back to 23:01 in 2010: the hour that follows belongs to the day that had begun."""
    clocks = Clocks(local("America/St_Johns", 2010, 11, 7))
    schedule = Calendar(clocks).schedule(quota("America/St_Johns"))
    today = schedule.number(clocks.now())
    assert today == datetime(2010, 11, 7, tzinfo=UTC).toordinal()
    clocks.live(HOUR // 2)
    other = Calendar(clocks).schedule(quota("America/St_Johns"))
    assert schedule.number(clocks.now()) == other.number(clocks.now()) == today


def test_shorter_windows_begin_at_full_minutes_and_hours() -> None:
    """By the wall clock, whatever the monotonic clock shows."""
    clocks = Clocks(datetime(2026, 11, 22, 8, 0, 15, tzinfo=UTC), now=123)
    for window, rest in ((MINUTE, 45 * SECOND), (HOUR, HOUR - 15 * SECOND)):
        schedule = Calendar(clocks).schedule(quota("UTC", window))
        assert schedule.begins(schedule.number(123) + 1) == 123 + rest


def test_after_the_last_year_no_day_begins() -> None:
    """Dates end; nobody waits for a day that has none."""
    schedule = Calendar(Clocks(datetime(2026, 1, 1, tzinfo=UTC))).schedule(quota())
    assert schedule.begins(10**9) == NEVER


def test_small_differences_between_the_clocks_are_let_be() -> None:
    """A wait that was named is still true when the wall clock was slewed meanwhile; from a tenth of a second on not."""
    clocks = Clocks(local(PACIFIC, 2026, 11, 22, 20))
    bucket = begin(clocks)
    bucket.take(100)
    named = bucket.ready_at(1, clocks.now())
    clocks.real += DRIFT
    assert bucket.ready_at(1, clocks.now()) == named
    clocks.real += 1
    assert bucket.ready_at(1, clocks.now()) == named - DRIFT - 1


def test_a_wall_clock_set_forward_over_midnight_brings_the_day() -> None:
    """And set back, the day is not given again."""
    clocks = Clocks(local(PACIFIC, 2026, 11, 22, 23))
    bucket = begin(clocks)
    bucket.take(100)
    clocks.real += 2 * HOUR
    clocks.live(1)
    bucket.advance(clocks.now())
    assert bucket.level == 100
    bucket.take(100)
    clocks.real -= 2 * HOUR
    clocks.live(MINUTE)
    bucket.advance(clocks.now())
    assert bucket.level == 0
    assert bucket.ready_at(1, clocks.now()) == clocks.now() + 25 * HOUR - MINUTE - 1 + 10 * SECOND
    clocks.live(2 * HOUR)
    bucket.advance(clocks.now())
    assert bucket.level == 0
    clocks.live(DAY)
    bucket.advance(clocks.now())
    assert bucket.level == 100


@pytest.mark.parametrize(("before", "level"), [(30 * MINUTE, 100), (90 * MINUTE, 0)])
def test_a_suspended_hour_counts_by_the_wall_clock(before: int, level: int) -> None:
    """A midnight in it brings the day, and without one nothing comes; the wait that is left is an hour shorter."""
    clocks = Clocks(local(PACIFIC, 2026, 11, 23) - timedelta(microseconds=before // 1000))
    bucket = begin(clocks)
    bucket.take(100)
    clocks.sleep(HOUR)
    clocks.live(1)
    bucket.advance(clocks.now())
    assert bucket.level == level
    if not level:
        assert bucket.ready_at(1, clocks.now()) == clocks.now() - 1 + before - HOUR + 10 * SECOND


def test_a_suspended_hour_brings_a_continuous_bucket_nothing() -> None:
    """It is credited with what the monotonic clock has seen: less than the provider has, never more."""
    clocks = Clocks(local(PACIFIC, 2026, 11, 22, 12))
    bucket = bucket_for(Quota(Dimension.REQUESTS, 60, MINUTE), clocks.now(), 0)
    clocks.sleep(HOUR)
    clocks.live(SECOND)
    bucket.advance(clocks.now())
    assert bucket.whole == 1
