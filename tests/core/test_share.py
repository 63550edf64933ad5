"""The share of the refill that is used where no header tells."""

from hypothesis import given, strategies as st

from scheduler.core.quota import MINUTE, SECOND
from scheduler.core.share import Share
from scheduler.core.tuning import WHOLE

AMOUNT = 60_000


def refused(share: Share, at: int, passed: int, left: int = 0) -> None:
    share.refused(at * SECOND, at * SECOND, passed, left, AMOUNT, MINUTE)


def test_two_refusals_measure_what_refills_for_us() -> None:
    """What passed in between, over what the limit brings in that time, less three percent."""
    share = Share()
    refused(share, 10, 70_000)
    assert share.permille == WHOLE
    refused(share, 110, 70_000 + 50_000)
    assert share.permille == 493  # 970 thousandths of (50 + 2) / 102


def test_what_was_left_counts_too() -> None:
    """A level that fell by half of what passed means that the other half was refilled."""
    share = Share()
    refused(share, 10, 0, left=40_000)
    refused(share, 90, 80_000, left=0)
    assert share.permille == (40_000 + 2_000) * 1000 // 82_000 * 970 // 1000


def test_a_bucket_that_hardly_paid_is_not_empty_again() -> None:
    """Where less than a fifth of the refill was drawn since it was empty, something else has refused."""
    share = Share()
    assert share.refused(0, 0, 0, 0, AMOUNT, MINUTE)
    assert not share.refused(20 * SECOND, 20 * SECOND, 3_900, 0, AMOUNT, MINUTE)
    assert share.permille == WHOLE
    assert share.refused(40 * SECOND, 40 * SECOND, 8_000, 0, AMOUNT, MINUTE)


def test_a_short_time_measures_badly() -> None:
    """A second's measurement is blended with two seconds of what was believed."""
    share = Share()
    refused(share, 10, 0)
    refused(share, 11, 0)
    assert 600 < share.permille < 700


def test_refusals_of_one_instant_measure_nothing() -> None:
    """There is no time between them."""
    share = Share()
    refused(share, 10, 0)
    refused(share, 10, 100)
    assert share.permille == WHOLE


def test_every_measured_refusal_lowers_the_share() -> None:
    """More may have passed than the share allows, from a full bucket: it was too much all the same."""
    share = Share()
    refused(share, 10, 0)
    refused(share, 20, 1_000_000)
    assert share.permille == 970


def test_it_climbs_slowly_where_it_was_measured_and_faster_further_on() -> None:
    """By three percent in half a minute, by twelve in a minute; not above one."""
    share = Share()
    refused(share, 0, 0)
    refused(share, 100, 50_000)
    base = share.permille
    seen = []
    for seconds in range(1, 121):
        share.climb((100 + seconds) * SECOND, guessed=False)
        seen.append(share.permille)
    assert seen[29] == base + base * 30 // 1000
    assert seen[59] == base + base * 120 // 1000
    share.climb(3600 * SECOND, guessed=False)
    assert share.permille == WHOLE
    assert not share.climb(3600 * SECOND, guessed=False)
    assert not share.climb(3700 * SECOND, guessed=False)


def test_patience_grows_while_measurements_agree() -> None:
    """A steady world is tested ever more seldom, a changed one soon again."""
    share = Share()
    now = passed = 0
    refused(share, now, passed)
    climbed = []
    for rate in (500, 500, 500, 200):
        now, passed = now + 100, passed + 100 * rate
        refused(share, now, passed)
        base = share.permille
        share.climb((now + 30) * SECOND, guessed=False)
        climbed.append((share.permille - base) * 1000 // base)
    assert climbed[0] > climbed[1] > climbed[2]
    assert climbed[3] >= 25


def test_a_guess_may_be_exceeded() -> None:
    """Where the limit itself was guessed the share climbs above one, and comes back to one when answers tell."""
    share = Share()
    refused(share, 0, 0)
    assert share.climb(60 * SECOND, guessed=True)
    assert share.permille == 1_120
    assert share.climb(3600 * SECOND, guessed=True)
    assert share.permille == 16_000
    assert share.whole()
    assert share.permille == WHOLE
    assert not share.whole()


@given(steps=st.lists(st.tuples(st.sampled_from(["refuse", "climb"]), st.integers(0, 100), st.integers(0, 10**6))))
def test_it_stays_within_its_bounds(steps: list[tuple[str, int, int]]) -> None:
    """Whatever refusals say."""
    share = Share()
    now = passed = 0
    for what, seconds, units in steps:
        now, passed = now + seconds, passed + units
        if what == "refuse":
            refused(share, now, passed, units % 1_000)
        else:
            share.climb(now * SECOND, guessed=False)
        assert 50 <= share.permille <= WHOLE
