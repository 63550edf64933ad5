"""The purse: slow start, and slowing down."""

from hypothesis import given, strategies as st

from scheduler.core.pace import Pace
from scheduler.core.quota import DAY, MINUTE, SECOND

AMOUNT = 60_000
CAPACITY = AMOUNT * MINUTE
TOKEN = MINUTE
ROUND = SECOND // 4


def started(now: int = 0) -> Pace:
    """Return a pace whose probe is out."""
    pace = Pace(CAPACITY, MINUTE, now)
    pace.take(TOKEN)
    return pace


def test_the_first_request_is_the_probe() -> None:
    """It passes whatever its size, and the next waits for the pace."""
    pace = Pace(CAPACITY, MINUTE, 0)
    assert pace.ready_at(CAPACITY, 0) == 0
    pace.take(CAPACITY)
    assert pace.ready_at(4_000 * TOKEN // 10, 0) == SECOND // 10


def test_it_starts_at_four_times_the_refill_and_doubles_every_round() -> None:
    """An answer to a request of this round doubles the pace, an older one does not; from 256 on it is free."""
    pace = started()
    for number in range(6):
        assert pace.permille == 4_000 << number
        began = number * ROUND
        pace.answered(began, began + ROUND - 1)
        assert pace.permille == 4_000 << number, "answers that come sooner confirm nothing"
        pace.answered(began, began + ROUND)
        pace.answered(began, began + ROUND)
    assert pace.free
    assert pace.permille == 256_000


def test_doubling_does_not_reach_back() -> None:
    """What was refilled before an answer was refilled at the old pace."""
    looked, not_looked = started(), started()
    looked.ready_at(CAPACITY, ROUND)
    looked.answered(0, ROUND)
    not_looked.answered(0, ROUND)
    assert looked.ready_at(CAPACITY, ROUND) == not_looked.ready_at(CAPACITY, ROUND)
    assert looked.ready_at(1_000 * TOKEN, ROUND) == ROUND
    assert looked.ready_at(1_001 * TOKEN, ROUND) > ROUND


def test_what_was_not_spent_comes_back() -> None:
    """A charge that is given back may be spent again, but no more than the purse holds."""
    pace = started()
    full = pace.ready_at(CAPACITY, 0)
    pace.ready_at(0, full)
    pace.take(100 * TOKEN)
    pace.give(100 * TOKEN)
    pace.give(100 * TOKEN)
    assert pace.ready_at(CAPACITY, full) == full
    pace.take(1_200 * TOKEN)
    assert pace.ready_at(4 * TOKEN, full) == full + SECOND // 1000


def test_a_long_window_is_paced_as_if_it_were_a_minute() -> None:
    """A day's bucket is emptied in a quarter of a minute at the start, not in six hours."""
    pace = Pace(86_400 * DAY, DAY, 0)
    pace.take(DAY)
    assert pace.ready_at(1_440 * DAY, 0) == SECOND // 4


def test_a_restart_and_a_lower_limit_keep_the_purse_within_its_size() -> None:
    """A purse that was filled at a high pace holds no burst when it starts anew, nor under a lower limit."""
    pace = started()
    for now in range(1, 5):
        pace.answered(now - 1, now)
    pace.ready_at(0, SECOND)
    pace.restart(2_000, SECOND)
    pace.take(600 * TOKEN)
    assert pace.ready_at(200 * TOKEN, SECOND) == SECOND + SECOND // 10
    pace.ready_at(0, 2 * SECOND)
    pace.retune(CAPACITY // 2, MINUTE, 2 * SECOND)
    pace.take(300 * TOKEN)
    assert pace.ready_at(100 * TOKEN, 2 * SECOND) == 2 * SECOND + SECOND // 10


def test_more_than_the_purse_holds_passes_when_it_is_full() -> None:
    """It takes the purse into debt, which those after it wait out."""
    pace = started()
    full = pace.ready_at(CAPACITY, 0)
    assert full == 300_000_000
    pace.ready_at(0, full)
    pace.take(CAPACITY)
    assert pace.ready_at(TOKEN, full) > full + 14 * SECOND


@given(data=st.data())
def test_a_wait_of_the_pace_is_exact(data: st.DataObject) -> None:
    """Between events the named instant is sufficient and a nanosecond less is not."""
    pace = started()
    now = 0
    for _ in range(data.draw(st.integers(0, 6))):
        now += data.draw(st.integers(0, 3 * SECOND))
        pace.answered(data.draw(st.integers(0, now)), now)
        pace.ready_at(0, now)
        pace.take(data.draw(st.integers(0, 2_000)) * TOKEN)
    charge = data.draw(st.integers(0, CAPACITY))
    ready = pace.ready_at(charge, now)
    if ready > now:
        assert pace.ready_at(charge, ready - 1) == ready
        assert pace.ready_at(charge, ready) == ready
