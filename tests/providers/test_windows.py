"""Windows, told from limit, remaining and reset."""

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND
from scheduler.providers.windows import WINDOWS, infer_window

MS = 1_000_000


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "window"),
    [
        (10_000, 9_999, 8_640 * MS, DAY),
        (10_000, 9_996, 34_066 * MS, DAY),
        (200, 197, 1_252_666 * MS, DAY),
        (200, 197, 977_764 * MS, DAY),
        (10_000, 9_999, 6 * MS, MINUTE),
        (30_000, 29_999, 2 * MS, MINUTE),
        (500, 499, 120 * MS, MINUTE),
        (50, 47, 3_362 * MS, MINUTE),
        (100_000, 99_998, 0, MINUTE),
        (60, 59, SECOND // 60, SECOND),
        (3_600, 3_599, SECOND, HOUR),
        (10_000, 9_999, 12 * MS, MINUTE),  # twice what it should be: still the nearest
        (10_000, 9_999, 40 * MS, None),  # 400 s: near nothing
        (500, 500, 0, None),
        (500, 500, 120 * MS, None),
        (100_000_000, 99_999_999, 0, None),  # a day is possible too
    ],
)
def test_recorded_and_doubtful_cases(limit: int, remaining: int, reset: int, window: int | None) -> None:
    """The numbers decide where they can, and say so where they cannot."""
    assert window == infer_window(limit, remaining, reset, least=1)


def test_without_a_charge_of_its_own_one_missing_unit_proves_little() -> None:
    """A nearly full bucket may lack any part of a unit, unless the request itself took a whole one."""
    assert infer_window(30_000, 29_999, 1 * MS, least=0) is None
    assert infer_window(10_000, 9_999, 8_640 * MS, least=0) == DAY
    assert infer_window(10, 9, 30 * DAY, least=0) is None


@given(
    limit=st.integers(1, 10**9),
    share=st.fractions(0, 1, max_denominator=10**6),
    window=st.sampled_from(WINDOWS),
    least=st.integers(0, 1),
)
def test_a_real_bucket_is_never_misread(limit: int, share: Fraction, window: int, least: int) -> None:
    """Whatever the level, a bucket's headers imply its window or nothing; only a limit per second may escape."""
    missing = max(Fraction(least), share * limit)
    remaining = int(limit - missing)
    reset = int(missing * window / limit) // MS * MS
    found = infer_window(limit, remaining, reset, least=least)
    assert found in {window, None} or (window == SECOND and reset == 0 and found == MINUTE)


@given(limit=st.integers(3, 10**5), used=st.integers(2, 1000), window=st.sampled_from((MINUTE, DAY)))
def test_minute_and_day_are_always_told_apart(limit: int, used: int, window: int) -> None:
    """With two units used of any published number of requests, a minute and a day are never in doubt."""
    used = min(used, limit)
    reset = used * window // limit // MS * MS
    assert infer_window(limit, limit - used, reset, least=1) == window
