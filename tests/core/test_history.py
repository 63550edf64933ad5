"""What had been charged at an instant of the recent past."""

from scheduler.core.history import History, Mark, slot_of
from scheduler.core.quota import SECOND

SLOT = 1 << 26
DAY = 86_400 * SECOND


def _empty(now: int) -> Mark:
    return Mark(slot_of(now), 0, 0, -1, 0, 0, 0, 0)


def charged(history: History, charges: list[tuple[int, int]]) -> int:
    """Note charges of (instant, units), and return the total."""
    total, until = 0, -1
    for now, units in charges:
        if now >= until:
            until = history.mark(Mark(slot_of(now), total, 1_000 - total, now - 5, total // 2, 7, 2 * total, 3))
        total += units
    return total


def test_totals_are_known_to_a_slots_accuracy_on_the_side_that_is_asked_for() -> None:
    """Not too small if later, else not too large."""
    history = History()
    total = charged(history, [(0, 10), (SLOT + 1, 20), (SLOT + 5, 5), (5 * SLOT, 40)])
    assert history.total_at(SLOT + 3, total, later=False) == 10
    assert history.total_at(SLOT + 3, total, later=True) == 35
    assert history.total_at(9 * SLOT, total, later=False) == 75
    assert history.total_at(-SLOT, total, later=False) == 0


def test_what_was_believed_is_remembered() -> None:
    """The level before the first charge since an instant, as it was believed then."""
    history = History()
    charged(history, [(0, 10), (SLOT + 1, 20), (5 * SLOT, 40)])
    assert history.believed_at(SLOT + 7) == 990
    assert history.believed_at(3 * SLOT) == 970
    assert history.believed_at(6 * SLOT) is None


def test_what_was_so_when_a_request_was_charged_is_remembered() -> None:
    """As it was before the first charge of the request's slot; nothing of what is forgotten."""
    history = History()
    charged(history, [(0, 10), (SLOT + 1, 20), (SLOT + 5, 5)])
    assert history.mark_at(SLOT + 5) == Mark(1, 10, 990, SLOT - 4, 5, 7, 20, 3)
    assert history.mark_at(3 * SLOT) is None
    assert history.mark_at(-SLOT) is None
    assert history.mark_before(3 * SLOT) == history.mark_at(SLOT)
    assert history.mark_before(SLOT + 3) == history.mark_at(SLOT)
    assert history.mark_before(SLOT - 1) == history.mark_at(0)
    assert history.mark_before(-1) is None


def test_corrections_are_known_to_a_slots_accuracy_and_not_too_few() -> None:
    """As many as there were before the first charge of a later slot."""
    history = History()
    charged(history, [(0, 10), (SLOT + 1, 20), (5 * SLOT, 40)])
    assert history.corrected_at(0, 99) == 20
    assert history.corrected_at(2 * SLOT, 99) == 60
    assert history.corrected_at(5 * SLOT, 99) == 99


def test_what_is_owed_is_the_most_beyond_the_refill_since_any_instant() -> None:
    """A burst after a pause owes its size; what it owed before the pause is paid."""
    history = History()
    total = charged(history, [(0, 50), (SECOND, 300), (SECOND + SLOT, 200)])
    now = SECOND + SLOT
    since = now - (SECOND >> 26 << 26)
    assert history.owed(now, total, 100, SECOND, 10 * SECOND) == 500 * SECOND - 100 * since
    assert history.owed(now + 60 * SECOND, total, 100, SECOND, 10 * SECOND) == 0


def test_it_is_bounded() -> None:
    """What is used for days remembers a few minutes."""
    history = History()
    for step in range(20_000):
        history.mark(_empty(step * SECOND // 10))
    assert len(history._marks) <= 2 * 4096
    for step in range(100):
        history.mark(_empty(DAY + step * SECOND // 10))
    assert len(history._marks) <= 110
