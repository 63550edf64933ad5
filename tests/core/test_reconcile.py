"""What answers teach an account, by the rules of its essay."""

import pytest

from scheduler.core.bucket import NEVER
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.core.reconcile import WHOLE, Account, Ticket

LIMIT = 60_000
RATE = LIMIT // 60
TPM = Quota(Dimension.TOKENS, LIMIT, MINUTE)


def account(quota: Quota = TPM, *, known: bool = True) -> Account:
    return Account(quota, 0, known=known)


def unpaced() -> Account:
    """Return an account whose slow start is over."""
    ours = account()
    ours.pace = None
    return ours


def charged(to: Account, units: int, now: int = 0) -> Ticket:
    to.bucket.advance(now)
    return to.charge(units, now)


def told(of: Account, ticket: Ticket, now: int, remaining: int, limit: int = LIMIT) -> bool:
    """An answer that came at *now*."""
    of.release(ticket, now)
    return of.answered(ticket, ticket.at, now, limit, remaining)


# ---- anchors


def test_the_level_comes_down_at_once() -> None:
    """What the newest answer says, with its refill and less what was charged since, is the most that there is."""
    ours = account()
    first = charged(ours, 1_000)
    charged(ours, 2_000, SECOND)
    told(ours, first, 2 * SECOND, 30_000)
    assert ours.bucket.whole == 30_000 + 2 * RATE - 2_000 + 1  # R is rounded down


def test_the_level_rises_by_a_part_and_when_two_answers_agree() -> None:
    """One answer alone raises nothing; the second raises by 0.4 of what both prove."""
    ours = account()
    ours.bucket.put(20_000 * MINUTE)
    tickets = [charged(ours, 100) for _ in range(2)]
    told(ours, tickets[0], 0, 40_000)
    assert ours.bucket.whole == 19_800
    told(ours, tickets[1], 0, 40_000)
    proven = 40_000 - 100 - RATE // 4 - 19_800  # the other may not have arrived, and arrival is up to 0.25 s late
    assert ours.bucket.whole == 19_800 + proven * 4 // 10


def test_an_older_answer_moves_nothing() -> None:
    """A past that a newer answer has superseded says nothing about now."""
    ours = account()
    old, new = charged(ours, 100), charged(ours, 100, SECOND)
    told(ours, new, 2 * SECOND, 50_000)
    level = ours.bucket.level
    told(ours, old, 2 * SECOND, 10)
    assert ours.bucket.level == level
    assert ours.anchored == SECOND


def test_a_bucket_that_was_full_since_is_not_filled_twice() -> None:
    """Late answers of before an idle minute do not give back what was spent after it."""
    ours = account()
    ours.bucket.put(30_000 * MINUTE)
    late = [charged(ours, 10) for _ in range(3)]
    charged(ours, 50_000, 2 * MINUTE)
    for ticket in late:
        told(ours, ticket, 2 * MINUTE, 40_000)
    assert ours.bucket.whole == 10_000


def test_requests_that_overtake_each_other_are_no_forecast_error() -> None:
    """An answer that already counts those sent within the tolerance after it is no reason for caution."""
    ours = account()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    first = charged(ours, 1_000, SECOND)
    charged(ours, 5_000, SECOND)
    before = ours.forecast_error(2 * SECOND)
    told(ours, first, 2 * SECOND, LIMIT - 6_000)
    assert ours.forecast_error(2 * SECOND) == before


# ---- caution


def test_the_cushion_is_twice_the_largest_recent_forecast_error() -> None:
    """It grows at once, to 15 % at most, is halved in 83 s, and does not shrink below a quarter second's refill."""
    ours = account()
    assert ours.cushion == RATE * MINUTE, "a second, before any answer"
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    ours._watch_until = 0
    told(ours, charged(ours, 10), 0, LIMIT - 20)
    assert ours.cushion == RATE * MINUTE // 4
    told(ours, charged(ours, 10), 0, LIMIT - 131)
    assert ours.forecast_error(0) == 100 * MINUTE
    assert ours.cushion == 400 * MINUTE, "four times the error, up to a second"
    told(ours, charged(ours, 10), 0, LIMIT - 500)
    assert ours.cushion == RATE * MINUTE
    told(ours, charged(ours, 10), 0, LIMIT - 3_480)
    error = ours.forecast_error(0)
    assert ours.cushion == 2 * error
    assert 2_900 * MINUTE < error < 3_000 * MINUTE
    assert ours.forecast_error(83 * SECOND) == error // 2
    told(ours, charged(ours, 10), 0, 0)
    assert ours.cushion == ours.bucket.capacity * 15 // 100
    told(ours, charged(ours, 10, DAY), DAY, LIMIT - 10)
    assert ours.cushion == RATE * MINUTE // 4


def test_of_an_error_in_what_was_doubted_only_the_part_is_remembered_that_will_come_again() -> None:
    """A burst of twenty seconds' refill errs by a tenth: what twice the refill of an answer's time would have erred."""
    ours = unpaced()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    ours._watch_until = 0
    charged(ours, 19_900, 2 * SECOND)
    last = charged(ours, 100, 2 * SECOND)
    told(ours, last, 3 * SECOND, LIMIT - 22_001)
    assert ours.forecast_error(3 * SECOND) == 2_000 * MINUTE * 2 * 2 * RATE // 20_000


def test_an_error_while_no_more_goes_than_refills_is_remembered_whole() -> None:
    """What others spend is in no proportion to what we do."""
    ours = unpaced()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    last = charged(ours, 2 * RATE, SECOND)
    told(ours, last, 2 * SECOND, LIMIT - 2 * RATE - 1_001)
    assert ours.forecast_error(2 * SECOND) == 1_000 * MINUTE


def test_what_came_back_was_not_doubted() -> None:
    """An error is no smaller because a hundred requests found no connection before."""
    ours = unpaced()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    for _ in range(100):
        ours.refund(charged(ours, 1_000, 10 * SECOND), 10 * SECOND)
    last = charged(ours, 2_000, 11 * SECOND)
    told(ours, last, 11 * SECOND, LIMIT - 2_000 - 2_001)
    assert ours.forecast_error(11 * SECOND) == 2_000 * MINUTE


def test_a_new_acquaintance_is_watched_with_a_larger_cushion() -> None:
    """For a quarter of a minute, and where it is there: what holds little is not made to wait for it."""
    full, low = account(), account()
    low.bucket.put(5_000 * MINUTE)
    for ours, level in ((full, LIMIT), (low, 5_000)):
        told(ours, charged(ours, 10), 0, level - 10)
    assert full.cushion == LIMIT * 60 // 1000 * MINUTE
    assert low.cushion == RATE * MINUTE // 4
    told(full, charged(full, 10, 16 * SECOND), 16 * SECOND, LIMIT - 10)
    assert full.cushion == RATE * MINUTE // 4


# ---- headers that lag behind


def stale(charges: int, lag: int = 5) -> Account:
    """Return an account that has spent 1,000 a second from full, and was told what had been left *lag* s before."""
    ours = unpaced()
    for second in range(charges):
        seen = LIMIT - 1_000 * max(0, second - lag) if second > lag else LIMIT
        now = second * SECOND // 100
        told(ours, charged(ours, 1_000, now), now, seen)
    return ours


def test_an_answer_that_does_not_know_of_its_own_request_is_old() -> None:
    """It says full although it cannot be: its age is what has passed since the first charge, and it raises nothing."""
    ours = stale(5)
    assert ours.lag == 4 * SECOND // 100
    assert LIMIT - 5_000 <= ours.bucket.whole <= LIMIT - 5_000 + RATE // 20


def test_an_old_answer_is_an_anchor_of_its_own_time() -> None:
    """What was charged since is taken off, and nothing rises above what was known."""
    ours = stale(30)
    assert ours.lag == 5 * SECOND // 100
    assert ours.bucket.whole <= LIMIT - 29_000 + RATE
    assert ours.anchored == 24 * SECOND // 100
    told(ours, charged(ours, 10, SECOND), SECOND, 10_000)
    assert ours.bucket.whole <= 10_000 + 30_000
    assert ours.forecast_error(SECOND) > 0
    older = charged(ours, 10, SECOND)
    ours.answered(older, SECOND // 2, SECOND, LIMIT, 10)
    assert ours.anchored == SECOND - ours.lag


def test_a_first_answer_that_is_old_proves_no_error() -> None:
    """Nothing was forecast before anybody told anything."""
    ours = unpaced()
    charged(ours, 1_000)
    told(ours, charged(ours, 1_000, SECOND // 10), SECOND // 10, LIMIT)
    assert ours.lag == SECOND // 10
    assert ours.forecast_error(SECOND // 10) == 0


def test_a_bucket_that_has_filled_up_meanwhile_proves_no_lag() -> None:
    """An answer that says "full" may have been written late, when what was charged had come back."""
    ours = unpaced()
    charged(ours, 100)
    second = charged(ours, 100, SECOND // 20)
    told(ours, second, 2 * SECOND, LIMIT)
    assert ours.lag == 0


def test_a_charge_far_below_its_estimate_is_no_lag() -> None:
    """An answer that knows of a few units is not older than its request: such requests take no more."""
    ours = unpaced()
    charged(ours, 1_000)
    second = charged(ours, 1_000, SECOND // 20)
    told(ours, second, SECOND // 10, LIMIT - 10)
    assert ours.lag == 0
    told(ours, charged(ours, 1_000, SECOND // 10), SECOND // 5, LIMIT)
    assert ours.lag > 0


def test_the_lag_is_forgotten_when_an_answer_knows_of_its_own_request() -> None:
    """The first charge that is taken from a full bucket shows it."""
    ours = stale(5)
    told(ours, charged(ours, 1_000, 2 * MINUTE), 2 * MINUTE, LIMIT - 1_000)
    assert ours.lag == 0


def test_what_an_old_answer_tells_has_been_there() -> None:
    """The cushion is no larger than what can lie there, of which answers tell whose headers lag, too."""
    ours = unpaced()
    ours.bucket.put(600 * MINUTE)
    told(ours, charged(ours, 100), 0, 500)
    charged(ours, 1_000, 2 * MINUTE)
    later = 2 * MINUTE + SECOND // 10
    told(ours, charged(ours, 1_000, later), later, LIMIT)
    later += SECOND // 10
    told(ours, charged(ours, 1_000, later), later, 30_000)
    assert ours.lag > 0
    assert ours.cushion == ours.bucket.capacity * 15 // 100


def test_what_has_been_there_changes_with_the_limit() -> None:
    """A limit that is halved does not make the bucket one that has never held more than little."""
    ours = unpaced()
    told(ours, charged(ours, 100), 0, LIMIT - 100)
    ours.retune(Quota(Dimension.TOKENS, LIMIT // 2, MINUTE), SECOND)
    told(ours, charged(ours, 100, MINUTE), MINUTE, 500, LIMIT // 2)
    assert ours.cushion == ours.bucket.capacity * 15 // 100


def test_a_short_window_keeps_no_more_than_two_percent() -> None:
    """A second of refill would be all of a second's bucket."""
    assert account(Quota(Dimension.TOKENS, 1_000, SECOND)).cushion == 20 * SECOND


def test_a_lowered_limit_lowers_the_cushion_with_it() -> None:
    """An error that was seen under a larger limit keeps no more than 15 % of the smaller one."""
    ours = account()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    told(ours, charged(ours, 10), 0, 0)
    ours.retune(Quota(Dimension.TOKENS, 600, MINUTE), 0)
    assert ours.cushion == 90 * MINUTE


def test_spending_that_no_answer_has_confirmed_counts_twice() -> None:
    """Half of a full bucket goes before the first answer; when nothing flies there is nothing to doubt."""
    ours = unpaced()
    went = []
    while ours.ready_at(1_000, 0) == 0:
        went.append(charged(ours, 1_000))
    assert len(went) == 30
    for ticket in went:
        ours.release(ticket, 0)
    assert ours.ready_at(1_000, 0) == 0


def test_doubt_falls_as_the_level_rises() -> None:
    """A doubted request waits half as long as its shortfall, and exactly."""
    ours = unpaced()
    charged(ours, 40_000)
    ready = ours.ready_at(1_000, 0)
    short = 1_000 + 1_000 + 40_000 - 20_000
    assert ready == short * SECOND // (2 * RATE)


def test_nothing_waits_for_more_than_nearly_full() -> None:
    """Cushion and doubt yield to a request that fits: it goes at 98 % of the capacity, or a second after its charge."""
    ours = unpaced()
    charged(ours, 60_000)
    assert ours.ready_at(57_800, 0) == 58_800 * SECOND // RATE
    assert ours.ready_at(58_700, 0) == 59_700 * SECOND // RATE
    assert ours.ready_at(60_000, 0) == MINUTE + SECOND


def test_what_takes_all_goes_when_the_bucket_has_been_full_for_a_second() -> None:
    """The wait is exact, whoever asks in between, and none where the bucket has been full for longer."""
    ours = unpaced()
    charged(ours, 60_000)
    assert ours.ready_at(60_000, 20 * SECOND) == MINUTE + SECOND
    assert ours.ready_at(59_500, MINUTE) == MINUTE + SECOND // 2
    assert ours.ready_at(60_000, MINUTE + SECOND - 1) == MINUTE + SECOND
    assert ours.ready_at(60_000, MINUTE + SECOND) == MINUTE + SECOND
    charged(ours, 60_000, 5 * MINUTE)
    assert ours.ready_at(60_000, 7 * MINUTE) == 7 * MINUTE


def test_a_report_that_comes_late_with_an_old_instant_is_taken() -> None:
    """Headers that came before the last that was heard of raise no error, whatever has faded since."""
    ours = account()
    tickets = [charged(ours, 10) for _ in range(3)]
    told(ours, tickets[0], 5 * SECOND, LIMIT - 10)
    told(ours, charged(ours, 10, 6 * SECOND), 8 * SECOND, 1_000)
    told(ours, tickets[1], 7 * SECOND, LIMIT - 20)
    assert ours.forecast_error(7 * SECOND) == ours.forecast_error(8 * SECOND)


# ---- refusals


def test_a_refusals_numbers_are_an_exact_anchor() -> None:
    """The charge comes back, the level goes to what is stated, and the cushion learns from the error."""
    ours = account()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    ticket = charged(ours, 1_000, SECOND)
    assert not ours.refused(ticket, SECOND, SECOND, (LIMIT, 400, 1_000))
    assert ours.bucket.whole == 401
    assert ours.forecast_error(SECOND) == ours.bucket.capacity * 75 // 1000


def test_a_refusal_raises_nothing() -> None:
    """However much its body states to remain, less than was asked for, the level does not go up."""
    ours = account()
    ours.bucket.put(100 * MINUTE)
    answered, refused = charged(ours, 0), charged(ours, 50)
    told(ours, answered, 0, 40_000)
    ours.refused(refused, 0, 0, (LIMIT, 40_000, 50_000))
    assert ours.bucket.whole == 100


def test_refusals_teach_what_requests_are_charged() -> None:
    """Estimates are corrected by what bodies asked for, begun with two as estimated, between half and three times."""
    ours = account()
    assert ours.charge_for(100) == 100
    ours.refused(charged(ours, 100), 0, 0, (LIMIT, 10, 200))
    assert ours.charge_for(100) == -(-100 * 380 // 280)
    for _ in range(50):
        ours.refused(charged(ours, 100), 0, 0, (LIMIT, 10, 90_000))
    assert ours.charge_for(100) == 300
    for _ in range(80):
        ours.refused(charged(ours, 100), 0, 0, (LIMIT, 0, 1))
    assert ours.charge_for(101) == 51
    assert ours.charge_for(0) == 0


def test_a_refused_charge_is_kept_where_the_provider_keeps_it() -> None:
    """Some providers charge refusals: then nothing comes back."""
    kept, returned = account(), account()
    for each, keeps in ((kept, True), (returned, False)):
        each.bucket.put(1_000 * MINUTE)
        each.refused(charged(each, 900), 0, 0, (LIMIT, 5_000, 6_000), charged=keeps)
    assert kept.bucket.whole == 100
    assert returned.bucket.whole == 1_000


def test_a_body_that_names_another_limit_changes_it_at_once() -> None:
    """The limiter itself has spoken; the caller is told that the limit changed."""
    ours = account()
    assert ours.refused(charged(ours, 1_000), 0, 0, (20_000, 500, 1_000))
    assert ours.bucket.quota.amount == 20_000
    assert ours.bucket.whole == 501 - 1


def test_an_old_body_changes_the_limit_but_not_the_anchor() -> None:
    """The anchor never goes back, and what an older answer says to remain does not raise the level."""
    ours = account()
    old, new = charged(ours, 100), charged(ours, 100, SECOND)
    told(ours, new, SECOND, 1_000)
    assert ours.refused(old, 0, SECOND, (90_000, 89_000, 90_000))
    assert ours.bucket.quota.amount == 90_000
    assert ours.anchored == SECOND
    assert ours.anchored_total == new.total
    assert ours.bucket.whole <= 31_101


def test_a_refusal_with_room_shows_a_hidden_window() -> None:
    """The minute had room: a shorter window refused, which is learned beside the bucket, in what the provider charges.

    The charges come back to the bucket, and the hidden window holds what passed and was asked, less what refilled.
    """
    ours = unpaced()
    tickets = [charged(ours, 400) for _ in range(3)]
    for ticket in tickets[2:]:
        ours.refused(ticket, 0, 0, (LIMIT, 50_000, 500), wait=SECOND // 2)
    assert ours.hidden is not None
    assert ours.hidden.size // MINUTE == RATE
    assert ours.bucket.whole == LIMIT - 800
    assert ours.ready_at(300, 0) > SECOND // 10
    ours.retune(Quota(Dimension.TOKENS, 2 * LIMIT, MINUTE), 0)
    assert ours.hidden.size // MINUTE > 1_900


def test_what_is_missing_from_the_bucket_was_owed_to_the_slice_too() -> None:
    """Unless it is so much that the bucket cannot have been what we thought."""
    sizes = []
    for left in (57_000, 10_000):
        ours = unpaced()
        charged(ours, 400)
        ours.refused(charged(ours, 400), 0, 0, (LIMIT, left, 400), wait=SECOND // 2)
        assert ours.hidden is not None
        sizes.append(ours.hidden.size // MINUTE)
    assert sizes == [2_900 - 1, 400]  # what was owed of the first 400, and 3,000 - 400 beside it; R is rounded down


def test_two_refusals_that_agree_tell_the_charge() -> None:
    """One is weighed against two requests as estimated; where the second says the same, that is it."""
    ours = unpaced()
    ours.refused(charged(ours, 1_000), 0, 0, (LIMIT, 0, 1_250))
    assert ours.charge_for(1_000) < 1_100
    ours.refused(charged(ours, 400), 0, 0, (LIMIT, 0, 500))
    assert ours.charge_for(1_000) == 1_250


def test_a_lower_limit_makes_careful_before_it_is_believed() -> None:
    """What it would leave may be all there is; a header that says more than we believe changes nothing."""
    ours = unpaced()
    ticket = charged(ours, 10)
    later = charged(ours, 1_000)
    assert not ours.answered(ticket, 0, SECOND, LIMIT // 2, 5_000)
    assert ours.bucket.quota.amount == LIMIT
    assert ours.bucket.whole == 5_000 + 1 - 1_000 + RATE // 2
    assert not ours.answered(later, 0, SECOND, LIMIT // 3, 50_000)
    assert ours.bucket.whole == 5_000 + 1 - 1_000 + RATE // 2


def test_a_refusal_that_is_charged_owes_the_slice_nothing() -> None:
    """Whatever the provider's minute keeps of refused requests, the slice did not take them."""
    kept, returned = unpaced(), unpaced()
    for ours, keeps in ((kept, True), (returned, False)):
        for _ in range(2):
            ours.refused(charged(ours, 400), 0, 0, (LIMIT, 50_000, 400), charged=keeps, wait=SECOND // 2)
    assert kept.hidden is not None
    assert kept.hidden.ready_at(0, 0) == returned.ready_at(0, 0)


def test_a_hidden_window_is_forgotten_when_it_is_none_any_more() -> None:
    """After quiet minutes it is tested upward, and goes."""
    ours = unpaced()
    ours.refused(charged(ours, 100), 0, 0, (LIMIT, 50_000, 100), wait=SECOND // 2)
    now = 0
    while ours.hidden is not None:
        now += 30 * SECOND
        told(ours, charged(ours, 100, now), now, LIMIT - 100)
    assert now < 30 * MINUTE


@pytest.mark.parametrize(
    "quota", [Quota(Dimension.TOKENS, LIMIT, DAY), Quota(Dimension.TOKENS, LIMIT, MINUTE, 0, Refill.FIXED)]
)
def test_only_a_minute_that_refills_evenly_can_hide_a_window(quota: Quota) -> None:
    """A day's bucket, or one that refills at instants, is not paced by the second."""
    ours = account(quota)
    ours.refused(charged(ours, 100), 0, 0, (LIMIT, 50_000, 100))
    assert ours.hidden is None
    assert ours.owed(0) == 0


def test_a_refusal_without_numbers_leaves_less_than_its_charge() -> None:
    """The level was below the charge: half of it is taken to be there."""
    ours = account()
    ours.refused(charged(ours, 1_000), 0, SECOND, None)
    assert ours.bucket.whole == 500 + RATE


def test_a_refusal_without_numbers_is_explained_by_the_next_answer() -> None:
    """If that shows room in the minute, a hidden window had refused, and the level comes back."""
    ours = account()
    refused, next_ = charged(ours, 1_000), charged(ours, 1_000, SECOND // 10)
    ours.refused(refused, 0, SECOND, None)
    told(ours, next_, SECOND, 58_000)
    assert ours.hidden is not None
    assert ours.bucket.whole == 58_000


def test_a_refusal_without_numbers_where_there_was_room_for_certain_needs_no_explanation() -> None:
    """Recent answers tell of so much more than was asked that only a hidden window can have refused."""
    ours = account()
    told(ours, charged(ours, 100), 0, LIMIT - 100)
    assert ours.roomy(1_000, SECOND)
    ours.refused(charged(ours, 1_000, SECOND), SECOND, SECOND, None)
    assert ours.hidden is not None
    assert ours.bucket.whole == LIMIT


@pytest.mark.parametrize("level", [5_000, LIMIT])
def test_room_is_not_certain_where_little_is_left_or_nobody_told(level: int) -> None:
    """A level that no answer has confirmed is no proof, nor one of about the charge."""
    ours = account()
    if level < LIMIT:
        told(ours, charged(ours, 100), 0, level)
    assert not ours.roomy(1_000, 0)


@pytest.mark.parametrize(("sent", "remaining"), [(3 * SECOND, 58_000), (SECOND // 10, 3_000)])
def test_a_refusal_stays_unexplained_by_a_late_answer_or_an_empty_minute(sent: int, remaining: int) -> None:
    """Only an answer to a request of about the same time that shows room proves a hidden window."""
    ours = account()
    ours.refused(charged(ours, 1_000), 0, SECOND, None)
    ours.answered(charged(ours, 1_000, SECOND), sent, 4 * SECOND, LIMIT, remaining)
    assert ours.hidden is None


def test_an_answer_from_before_the_refusal_explains_nothing() -> None:
    """A request sent well before it says nothing about the room at the refusal."""
    ours = account()
    early, refused = charged(ours, 100), charged(ours, 1_000, SECOND)
    ours.refused(refused, SECOND, SECOND, None)
    told(ours, early, SECOND, 59_000)
    assert ours.hidden is None


def test_after_a_refusal_nothing_rises_for_a_while() -> None:
    """For 4 s, doubling while refusals repeat, up to 30 s, answers raise nothing."""
    ours = account()
    now = 0
    holds = []
    for _ in range(6):
        ours.bucket.put(20 * MINUTE)
        ours.refused(charged(ours, 10, now), now, now, None)
        start = now
        rose = False
        while not rose:
            now += SECOND // 2
            ticket = charged(ours, 0, now)
            level = ours.bucket.level
            ours._puzzle = None  # the refusal is not explained away
            told(ours, ticket, now, LIMIT)
            rose = ours.bucket.level > level
        holds.append((now - start) // SECOND)
    assert holds == [4, 8, 16, 30, 30, 30]


# ---- easing


def test_after_a_pause_what_has_gathered_does_not_come_at_once() -> None:
    """An account begins slowly again; one of which nothing is known, or that has no rate, has nothing to begin."""
    ours, unknown = unpaced(), account(known=False)
    ours.ease(SECOND)
    assert ours.pace is not None
    assert ours.pace.permille == 4_000
    unknown.pace = None
    unknown.ease(SECOND)
    assert unknown.pace is None
    held = account(Quota(Dimension.CONCURRENCY, 4, 0, 0, Refill.RELEASE))
    held.ease(SECOND)
    assert held.pace is None


def test_its_history_says_what_a_stretch_carried_and_the_minute_before_it() -> None:
    """Five units a second in the last ten seconds, two in the minute before; of what never was, nothing."""
    ours = unpaced()
    for second in range(60, 130):
        charged(ours, 5 if second >= 120 else 2, second * SECOND)
    recent, earlier = ours.traffic(130 * SECOND - 1, 10 * SECOND)
    assert recent == 50
    assert 19 <= earlier <= 20
    assert ours.traffic(30 * SECOND, 10 * SECOND) == (0, 0)


# ---- without headers


def test_without_headers_refusals_measure_the_share_once_an_event() -> None:
    """What passes between two of them is what refills for us, and for all that were in flight it is one event."""
    ours = account()
    ours.refused(charged(ours, 10), 0, 0, None)
    for now in range(0, 100 * SECOND, SECOND):
        ours.answered(charged(ours, RATE // 2, now), now, now, None, 0)
    now = 100 * SECOND
    tickets = [charged(ours, 10, now) for _ in range(3)]
    for ticket in tickets:
        ours.refused(ticket, now, now, None)
    assert 480 <= ours.share <= 500
    assert ours.bucket.rate == LIMIT * ours.share // 1000


def test_without_headers_the_share_climbs_back() -> None:
    """However often answers come, and doubt is off after ten of them."""
    often, seldom = account(), account()
    for each, step in ((often, SECOND // 10), (seldom, 19 * SECOND // 10)):
        each.pace = None
        each.refused(charged(each, 10), 0, 0, None)
        each.refused(charged(each, 10, SECOND), SECOND, SECOND, None)
        low = each.share
        for now in range(SECOND + step, 20 * SECOND + 1, step):
            each.answered(charged(each, 10, now), now, now, None, 0)
        each.blind = 11
        each.answered(charged(each, 10, 20 * SECOND), 20 * SECOND, 20 * SECOND, None, 0)
        assert low < each.share < WHOLE
    assert often.share == seldom.share
    often.bucket.put(often.bucket.capacity)
    charged(often, 35_000, 20 * SECOND)
    assert often.ready_at(1_000, 20 * SECOND) == 20 * SECOND


def test_a_blind_bucket_that_cannot_have_been_empty_is_acquitted() -> None:
    """It paid next to nothing since it was blamed before: what was blamed on it is forgotten, until answers tell."""
    ours = unpaced()
    for now in range(12):
        ours.answered(charged(ours, 10, now), now, now, None, 0)
    for now in (SECOND, 20 * SECOND):
        ours.refused(charged(ours, 10, now), now, now, None)
    assert ours.acquitted
    assert ours.share == WHOLE
    assert ours.bucket.level == ours.bucket.capacity // 2
    told(ours, charged(ours, 10, 21 * SECOND), 21 * SECOND, LIMIT // 2)
    assert not ours.acquitted


def test_an_answer_with_headers_ends_the_blindness() -> None:
    """The whole refill is used again, and unconfirmed spending is doubted again."""
    ours = account()
    for now in (0, SECOND):
        ours.refused(charged(ours, 10, now), now, now, None)
    assert ours.bucket.rate < LIMIT
    told(ours, charged(ours, 10, 2 * SECOND), 2 * SECOND, 1_000)
    assert ours.share == WHOLE
    assert ours.blind == 0
    assert ours.bucket.rate == LIMIT


def test_a_share_of_one_unit_is_one_unit() -> None:
    """The smallest limit keeps refilling whatever the share."""
    ours = account(Quota(Dimension.REQUESTS, 1, MINUTE))
    for now in range(1, 30):
        ours.blind = 20
        ours.refused(charged(ours, 1, now), now, now, None)
    assert ours.bucket.rate == 1
    assert ours.ready_at(1, 30) < NEVER


# ---- limits


def test_an_unknown_limit_is_learned_from_the_first_answer() -> None:
    """What it states is adopted at once, with what has been charged since; before that nothing binds."""
    ours = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False)
    assert ours.ready_at(10**9, 0) == 0
    assert ours.fits(10**9)
    ticket = charged(ours, 500)
    charged(ours, 300)
    assert told(ours, ticket, 0, 50_000)
    assert ours.known
    assert ours.bucket.quota.amount == LIMIT
    assert ours.bucket.whole == 50_000 - 300
    assert not ours.fits(LIMIT + 1)


def test_an_unknown_limit_is_learned_from_a_refusals_body() -> None:
    """So is the limit that a refusal names."""
    ours = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False)
    assert ours.refused(charged(ours, 500), 0, 0, (LIMIT, 100, 500))
    assert ours.bucket.quota.amount == LIMIT
    assert ours.confirmed


def test_an_unknown_limit_is_guessed_from_a_refusal_without_numbers() -> None:
    """A full bucket and its refill have been spent: so much is the limit, and nothing is left."""
    ours = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False)
    for _ in range(10):
        ours.answered(charged(ours, 900), 0, 0, None, 0)
    ours.refused(charged(ours, 900, 30 * SECOND), 30 * SECOND, 30 * SECOND, None)
    assert ours.bucket.quota.amount == 6_000
    assert ours.bucket.level == 0
    assert not ours.confirmed
    assert ours.fits(10**6)


def test_the_window_of_an_unknown_limit_can_be_told() -> None:
    """An account that knows nothing yet may learn that it is a day's; one that knows keeps its window."""
    unknown, known = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False), account()
    for each in (unknown, known):
        each.assume(DAY)
        each.assume(DAY)
    assert unknown.bucket.quota.window == DAY
    assert known.bucket.quota.window == MINUTE


def test_a_lower_limit_is_adopted_with_its_level_and_a_new_start() -> None:
    """Three answers agree: level, anchor and pace follow, and forecasts made before do not count as errors."""
    ours = account()
    tickets = [charged(ours, 10) for _ in range(4)]
    changes = [told(ours, ticket, 0, 20_000, 30_000) for ticket in tickets[:3]]
    assert changes == [False, False, True]
    assert ours.bucket.quota.amount == 30_000
    assert ours.bucket.whole == 20_000 - 10
    assert ours.pace is not None
    assert ours.pace.permille == 2_000


def test_a_higher_limit_is_adopted_with_a_pace_that_begins_at_the_old_rate() -> None:
    """The burst grows with the limit, and what is spent at first is twice the old refill."""
    ours = account(Quota(Dimension.TOKENS, LIMIT, MINUTE, burst=2 * LIMIT))
    changes = [
        told(ours, charged(ours, 10, second * 4 * SECOND), second * 4 * SECOND, 120_000 - 10, 120_000)
        for second in range(1, 5)
    ]
    assert changes == [False, False, False, True]
    assert ours.bucket.quota.burst == 4 * LIMIT


def test_a_new_account_begins_at_the_level_that_told_of_it() -> None:
    """An answer that speaks of a bucket nobody knew of sets its level, with what was charged since."""
    ours = account()
    ours.begin(10_000, sent=0, now=SECOND, charged_after=500)
    assert ours.bucket.whole == 10_000 - 500 + RATE
    assert ours.anchored == 0


def test_its_owner_may_change_the_limit() -> None:
    """What was spent stays spent; forecasts made under the old limit are no errors under the new."""
    ours = account()
    told(ours, charged(ours, 10), 0, LIMIT - 10)
    flying = charged(ours, 990)
    ours.retune(Quota(Dimension.TOKENS, LIMIT // 2, MINUTE), 1)
    assert ours.bucket.whole == LIMIT // 2 - 1_000
    told(ours, flying, SECOND, LIMIT // 2 - 1_000, LIMIT // 2)
    assert ours.forecast_error(SECOND) == 0
    unknown = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False)
    unknown.pace = None
    unknown.retune(TPM, 0)
    assert unknown.known
    assert unknown.ready_at(LIMIT + 1, 0) == NEVER


# ---- ends


def test_a_cancelled_charge_comes_back_once() -> None:
    """Level and pace get it back, a second time changes nothing, and the total stands."""
    ours = account()
    ours.bucket.put(1_000 * MINUTE)
    ticket = charged(ours, 600)
    ours.refund(ticket, 0)
    ours.refund(ticket, 0)
    assert ours.bucket.whole == 1_000
    assert ours.total == 600


def test_a_charge_that_an_answer_has_already_left_out_does_not_come_back() -> None:
    """Where a later answer spoke of a level without it, a cancelled request adds nothing to that."""
    ours = account()
    held, sent = charged(ours, 5_000), charged(ours, 100)
    told(ours, sent, 0, 20_000)
    ours.refund(held, 0)
    assert ours.bucket.whole == 20_001


def test_an_unknown_account_gets_nothing_back() -> None:
    """What was never taken from a level does not come back to it, not even when one is known by then."""
    ours = account(Quota(Dimension.TOKENS, 1, MINUTE), known=False)
    ticket = charged(ours, 600)
    ours.refund(ticket, 0)
    assert ours.bucket.level == ours.bucket.capacity
    ours.correct(ticket, 100, 0)
    assert ours.total == 100


def test_concurrency_comes_back_with_the_end_and_by_nothing_else() -> None:
    """Neither a refund, nor an answer, nor a refusal changes what is held."""
    ours = account(Quota(Dimension.CONCURRENCY, 2, 0, refill=Refill.RELEASE))
    ticket = charged(ours, 1)
    ours.refund(ticket, 0)
    assert not ours.answered(ticket, 0, 0, 9, 9)
    assert not ours.refused(ticket, 0, 0, (9, 0, 1))
    assert ours.bucket.whole == 1
    ours.release(ticket, 0)
    assert ours.bucket.whole == 2


def test_a_corrected_charge_moves_level_and_total_either_way() -> None:
    """Where the provider corrects charges, so do we: more is taken, less comes back."""
    ours = account()
    ours.bucket.put(10_000 * MINUTE)
    more, less = charged(ours, 1_000), charged(ours, 1_000)
    ours.correct(more, 1_500, 0)
    assert (ours.bucket.whole, ours.total) == (7_500, 2_500)
    ours.correct(less, 200, 0)
    assert (ours.bucket.whole, ours.total) == (8_300, 1_700)


def test_a_sliding_account_recovers_from_what_others_spent() -> None:
    """An answer that shows an empty bucket holds us back for one window, not for ever."""
    ours = account(Quota(Dimension.TOKENS, 1_000, MINUTE, 0, Refill.SLIDING))
    told(ours, charged(ours, 10), 0, 0, 1_000)
    ready = ours.ready_at(900, SECOND)
    assert ready == MINUTE
    assert ours.ready_at(900, ready) == ready


# ---- claims


def test_a_claim_is_spared_by_who_leaves_enough_for_it() -> None:
    """A request may go now if the claimant's charge is still there at its instant, else not before that."""
    ours = account()
    ours.bucket.put(10_000 * MINUTE)
    until = 10 * SECOND
    assert ours.spares_at(9_000, 10_000, until, 0) == 0
    assert ours.spares_at(9_500, 10_000, until, 0) == until
    assert ours.spares_at(9_500, 10_000, 0, 0) == 1
    assert ours.spares_at(1_000, 9_500, NEVER, 0) == (500 + 1_000) * SECOND // RATE
    assert ours.spares_at(40_000, 40_000, NEVER, 0) == NEVER
