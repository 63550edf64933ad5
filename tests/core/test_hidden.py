"""Hidden windows: what is owed, how long the slice is, and that it may be gone."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.hidden import Hidden
from scheduler.core.quota import MINUTE, SECOND

AMOUNT = 60_000
CAPACITY = AMOUNT * MINUTE
TOKEN = MINUTE
RATE = 990  # tokens a second, of 1,000


def hidden(size: int, now: int = 0) -> Hidden:
    """Return a window whose first refusal has shown that it holds *size* tokens, with nothing owed."""
    ours = Hidden(AMOUNT, CAPACITY, now)
    ours.owe(size * TOKEN)
    ours.refused(1_000 * TOKEN, SECOND, 0, 0, now, now, event=True)
    ours.give(10 * (size + 1_000) * TOKEN)
    return ours


class Slice:
    """A server's slice of *size* tokens that refills 1,000 a second."""

    def __init__(self, size: int) -> None:
        self.size, self.full_at = size, 0

    def wait(self, units: int, now: int) -> int:
        owed = max(0, self.full_at - now)
        room = max(0, self.size - units) * SECOND // 1000
        if owed > room:
            return owed - room
        self.full_at = max(self.full_at, now) + units * SECOND // 1000
        return 0


def test_the_first_refusal_measures_the_size() -> None:
    """What was owed and asked, less what refills until it would have fit, is what the slice holds."""
    ours = Hidden(AMOUNT, CAPACITY, 0)
    ours.owe(2_700 * TOKEN)
    ours.refused(500 * TOKEN, SECOND // 5, 0, 0, 0, 0, event=True)
    assert ours.size == 3_000 * TOKEN


def test_what_is_nearly_a_second_is_one() -> None:
    """That is what providers speak of, and the first measure is rough."""
    for owed in (400, 600, 1_000):
        ours = Hidden(AMOUNT, CAPACITY, 0)
        ours.owe(owed * TOKEN)
        ours.refused(500 * TOKEN, SECOND // 10, 0, 0, 0, 0, event=True)
        assert ours.size == 1_000 * TOKEN


def test_a_surprise_was_owed_here_too() -> None:
    """Others arrived before it that were sent before long ago: the whole bucket misses them as well."""
    ours = Hidden(AMOUNT, CAPACITY, 0)
    ours.owe(1_000 * TOKEN)
    ours.refused(500 * TOKEN, SECOND, 0, 2_500 * TOKEN, 0, 0, event=True)
    assert ours.size == 3_000 * TOKEN


def test_later_measures_draw_the_size_towards_them() -> None:
    """A quarter of the way, up or down, so that none decides alone."""
    ours = hidden(3_000)
    ours.owe(0)
    ours.refused(500 * TOKEN, SECOND // 10, 0, 4_600 * TOKEN, SECOND, SECOND, event=False)
    assert ours.size == 3_500 * TOKEN


def test_a_request_larger_than_the_slice_says_only_that_it_is() -> None:
    """Its measure is its own charge; a size above that comes down, one below it stays."""
    ours = hidden(3_000)
    ours.refused(5_000 * TOKEN, SECOND, 0, 1_000 * TOKEN, SECOND, SECOND, event=False)
    assert ours.size == 3_000 * TOKEN
    ours.refused(2_000 * TOKEN, 2 * SECOND, 0, 1_000 * TOKEN, SECOND, SECOND, event=False)
    assert 2_500 * TOKEN < ours.size < 3_000 * TOKEN


def test_without_a_wait_the_slice_holds_less_than_was_asked_and_owed() -> None:
    """All that is known is that it did not fit."""
    ours = Hidden(AMOUNT, CAPACITY, 0)
    ours.owe(700 * TOKEN)
    ours.refused(200 * TOKEN, None, 0, 0, 0, 0, event=True)
    assert ours.size == 900 * TOKEN


def test_without_a_wait_a_second_is_the_most_that_is_believed() -> None:
    """It is what providers speak of; a longer one is found by testing upward."""
    ours = Hidden(AMOUNT, CAPACITY, 0)
    ours.owe(7_000 * TOKEN)
    ours.refused(500 * TOKEN, None, 0, 0, 0, 0, event=True)
    assert ours.size == 1_000 * TOKEN


def test_what_a_refusal_says_is_owed_is_owed() -> None:
    """A request that was to wait waits that long from its arrival, and for uneven arrival."""
    ours = Hidden(AMOUNT, CAPACITY, 0)
    ours.refused(500 * TOKEN, SECOND // 2, 0, 0, 0, SECOND // 10, event=True)
    passed = (SECOND // 2 - SECOND // 10) * 1_000 // RATE
    assert ours.ready_at(500 * TOKEN, SECOND // 10) == pytest.approx(SECOND // 10 + passed + ours.spare, rel=0.01)


def test_a_request_larger_than_the_slice_goes_when_nothing_is_owed() -> None:
    """It passes, and what it owes is waited out by the next."""
    ours = hidden(100)
    ready = ours.ready_at(5_000 * TOKEN, SECOND)
    assert ready == SECOND
    ours.take(5_000 * TOKEN)
    assert ours.ready_at(TOKEN, SECOND) > 5 * SECOND


@pytest.mark.parametrize("size", [10, 100, 1_000, 5_000])
def test_it_learns_a_slice_of_any_size(size: int) -> None:
    """Where arrival is even, few refusals are enough to use nearly all of the rate."""
    server, ours = Slice(size), Hidden(AMOUNT, CAPACITY, 0)
    now = refusals = 0
    units = 60
    went = 0
    while now < 60 * SECOND:
        now = ours.ready_at(units * TOKEN, now)
        assert ours.ready_at(units * TOKEN, now) == now
        ours.take(units * TOKEN)
        wait = server.wait(units, now)
        if wait:
            ours.give(units * TOKEN)
            ours.refused(units * TOKEN, wait, 0, 0, now, now, event=True)
            refusals += 1
        else:
            went += units
            ours.answered(now, now)
        units = 60 + units * 7 % 300
    assert refusals <= (5 if size >= 1_000 else 20)
    assert went > (0.97 if size >= 1_000 else 0.4) * 60_000


def test_a_request_that_came_too_early_widens_the_spare() -> None:
    """By a fixed step; answers take it off again, so slowly that one event in a thousand of them stands."""
    ours = hidden(1_000)
    before = ours.spare
    ours.refused(10 * TOKEN, 50_000_000, 0, 0, SECOND, SECOND, event=True)
    step = ours.spare - before
    assert step == 60_000_000
    for _ in range(500):
        ours.answered(SECOND, SECOND)
    assert before < ours.spare < before + step * 3 // 4
    for _ in range(2_000):
        ours.answered(SECOND, SECOND)
    assert ours.spare == 100_000_000


def test_where_no_wait_is_named_size_and_spare_share_the_blame() -> None:
    """Each event makes the one a little smaller, much smaller if it comes soon, and the other larger."""
    ours = hidden(1_000)
    size, spare = ours.size, ours.spare
    ours.refused(10 * TOKEN, None, 0, 0, 20 * SECOND, 20 * SECOND, event=True)
    assert ours.size == size * 15 // 16
    assert ours.spare > spare
    ours.refused(10 * TOKEN, None, 0, 0, 25 * SECOND, 25 * SECOND, event=True)
    assert ours.size == size * 15 // 16 * 3 // 4


def test_where_nobody_tells_what_requests_take_the_rate_gives_way_too() -> None:
    """Events that go on soon after each other lower it by an eighth; it climbs back, ever more slowly."""
    ours = hidden(1_000)
    slow = []
    for start in (100, 500):
        whole = ours.permille
        for second in (0, 1, 2, 3):
            ours.refused(10 * TOKEN, None, 0, 0, (start + second) * SECOND, (start + second) * SECOND, event=True)
        low = ours.permille
        assert low < whole * 7 // 8
        for quarter in range(4 * 60):
            now = (start + 4) * SECOND + quarter * SECOND // 4
            ours.answered(now, now)
        slow.append(ours.permille - low)
        for second in range(300):
            ours.answered(ours._at + SECOND, (start + 70 + second) * SECOND)
    assert slow[0] > 2 * slow[1] > 0


def test_seldom_events_leave_the_rate_alone() -> None:
    """Only size and spare give way."""
    ours = hidden(1_000)
    whole = ours.permille
    for now in (100 * SECOND, 200 * SECOND):
        ours.refused(10 * TOKEN, None, 0, 0, now, now, event=True)
    assert ours.permille == whole


def test_the_spare_has_a_bound() -> None:
    """Beyond it, refusals are cheaper than what it costs."""
    ours = hidden(1_000)
    for second in range(1, 20):
        ours.refused(10 * TOKEN, SECOND // 10, 0, 0, second * SECOND, second * SECOND, event=True)
    assert ours.spare == 850_000_000


def test_a_spare_within_its_bound_leaves_the_size_alone() -> None:
    """A wait that is small for the slice is laid to uneven arrival alone."""
    ours = hidden(5_000)
    size = ours.size
    ours.refused(4_000 * TOKEN, SECOND // 10, 0, 1_100 * TOKEN, SECOND, SECOND, event=True)
    assert ours.size == size


def test_events_in_a_row_are_counted_until_an_answer_comes() -> None:
    """An answer to an older request proves nothing."""
    ours = hidden(1_000)
    for now in (SECOND, 2 * SECOND):
        ours.refused(TOKEN, None, 0, 0, now, now, event=True)
    ours.refused(TOKEN, None, 0, 0, 2 * SECOND, 2 * SECOND, event=False)
    assert ours.repeated == 3
    ours.answered(SECOND, 3 * SECOND)
    assert ours.repeated == 3
    ours.answered(3 * SECOND, 4 * SECOND)
    assert ours.repeated == 0


def test_it_is_forgotten_where_it_is_no_more() -> None:
    """After ten quiet minutes it is tested upward by a quarter every half minute, until it is none."""
    ours = hidden(1_000)
    now = 0
    size = ours.size
    ours.answered(9 * MINUTE, 9 * MINUTE)
    assert ours.size == size
    while not ours.gone and now < 30 * MINUTE:
        now += 30 * SECOND
        ours.answered(now, now)
    assert ours.gone
    assert 15 * MINUTE < now < 20 * MINUTE


def test_a_test_that_fails_is_taken_back_and_put_off() -> None:
    """The size before it stands again, and the next test waits twice as long."""
    ours = hidden(1_000)
    size = ours.size
    now = 10 * MINUTE
    ours.answered(now, now)
    assert ours.size > size
    ours.refused(TOKEN, SECOND // 100, 0, 0, now, now, event=True)
    assert ours.size <= size
    size = ours.size
    ours.answered(now + 19 * MINUTE, now + 19 * MINUTE)
    assert ours.size == size
    ours.answered(now + 20 * MINUTE, now + 20 * MINUTE)
    assert ours.size > size


def test_a_changed_limit_changes_the_slice_with_it() -> None:
    """A slice is a time: twice the limit is twice the size."""
    ours = hidden(1_000)
    size = ours.size
    ours.retune(2 * AMOUNT, 2 * CAPACITY)
    assert ours.size == 2 * size
    ours.take(1_000 * TOKEN)
    assert ours.ready_at(ours.size, 0) == pytest.approx(SECOND * 1_000 // (2 * RATE) + ours.spare, abs=10)


def test_a_limit_that_changes_during_a_test_changes_what_it_goes_back_to() -> None:
    """The size before the test is a time, too."""
    ours = hidden(1_000)
    ours.answered(10 * MINUTE, 10 * MINUTE)
    ours.retune(10 * AMOUNT, 10 * CAPACITY)
    ours.refused(0, None, 0, 0, 11 * MINUTE, 11 * MINUTE, event=True)
    assert ours.size == 10_000 * TOKEN


@given(data=st.data())
def test_a_wait_of_a_hidden_window_is_exact(data: st.DataObject) -> None:
    """Between events the named instant is sufficient and a nanosecond less is not."""
    ours = hidden(data.draw(st.integers(0, 3_000)))
    now = 0
    for _ in range(data.draw(st.integers(0, 6))):
        now += data.draw(st.integers(0, 3 * SECOND))
        ours.answered(data.draw(st.integers(0, now)), now)
        if data.draw(st.booleans()):
            wait = data.draw(st.none() | st.integers(0, 2 * SECOND))
            surprise = data.draw(st.integers(-2_000, 2_000)) * TOKEN
            event = data.draw(st.booleans())
            ours.refused(data.draw(st.integers(0, 2_000)) * TOKEN, wait, 0, surprise, now, now, event=event)
        ours.take(data.draw(st.integers(0, 2_000)) * TOKEN)
    charge = data.draw(st.integers(0, CAPACITY))
    ready = ours.ready_at(charge, now)
    if ready > now:
        assert ours.ready_at(charge, ready - 1) == ready
        assert ours.ready_at(charge, ready) == ready
