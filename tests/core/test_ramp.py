"""The ramp: slowing down together, holding, and growing again."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from scheduler.core.growth import Growth
from scheduler.core.quota import HOUR, MINUTE, SECOND, Charge, Dimension
from scheduler.core.ramp import Flow, Ramp

TOKENS = Dimension.TOKENS.position
NOTHING = Flow(0, 0)
EVEN = Flow(10_000, 10), Flow(10_000, 10)


def slowed(
    recent: Flow = EVEN[0], earlier: Flow = EVEN[1], growth: Growth | None = None, now: int = 0, *, alone: bool = True
) -> Ramp:
    """Return a ramp after a complaint."""
    ramp = Ramp("m", TOKENS, growth, now, alone=alone)
    ramp.slow_down((recent, earlier), now, now)
    return ramp


def rate(ramp: Ramp, charge: Charge = Charge(tokens=1_000)) -> float:  # noqa: B008 -- immutable
    """Return the requests of a charge that it lets through in a second."""
    return ramp.rate / 1e6 / ramp.weigh(charge)


def send(ramp: Ramp, now: int, until: int, charge: Charge = Charge(tokens=1_000)) -> tuple[int, int]:  # noqa: B008
    """Send as many requests as may go until an instant; return how many, and when the next may."""
    sent = 0
    while (now := ramp.ready_at(charge, now)) < until:
        ramp.take(charge, now)
        sent += 1
    return sent, now


def test_traffic_that_has_grown_goes_back_to_what_it_was() -> None:
    """Five requests a second in the minute before, ten in the last ten seconds: five."""
    ramp = slowed(Flow(100_000, 100), Flow(50_000, 50))
    assert rate(ramp) == pytest.approx(5)
    assert send(ramp, 10 * SECOND, 20 * SECOND)[0] == pytest.approx(50, abs=8)


def test_even_traffic_falls_by_a_fifth() -> None:
    """Where it has not grown it was too much all the same."""
    assert rate(slowed()) == pytest.approx(0.8)


def test_a_burst_without_a_past_keeps_a_quarter() -> None:
    """It has no rate to go back to."""
    assert rate(slowed(earlier=NOTHING)) == pytest.approx(0.25)


def test_traffic_above_a_stated_floor_does_not_go_below_it() -> None:
    """A burst without a past may have that much at any time; where it was below the floor a quarter is left."""
    growth = Growth(floor=30_000)
    assert rate(slowed(earlier=NOTHING, growth=growth)) == pytest.approx(0.5, rel=0.04)
    assert rate(slowed(earlier=Flow(7_000, 7), growth=growth)) == pytest.approx(0.7)
    assert rate(slowed(earlier=NOTHING, growth=Growth(floor=90_000))) == pytest.approx(0.25)


def test_requests_of_unlike_sizes_fall_together() -> None:
    """Large, small and empty ones in the mix of the complaint: all fall by the same fifth."""
    kinds = [Charge(tokens=3_000), Charge(tokens=100), Charge(), Charge(tokens=900)]
    ramp = slowed(Flow(40_000, 40), Flow(40_000, 40), alone=False)
    now = 0
    for number in range(1_000):
        now = ramp.ready_at(kinds[number % 4], now)
        ramp.take(kinds[number % 4], now)
    assert 1_000 * SECOND / now == pytest.approx(3.2, rel=0.01)


def test_requests_without_tokens_are_counted_by_themselves() -> None:
    """Where nothing was told of tokens a request is one."""
    ramp = slowed(Flow(0, 50), Flow(0, 50))
    assert rate(ramp, Charge()) == pytest.approx(4)
    assert ramp.bound(600, MINUTE, tokens=False) == 10_000_000
    assert ramp.bound(600, MINUTE, tokens=True) is None


def test_tokens_alone_are_counted_where_no_account_counts_requests() -> None:
    """Then a request weighs its tokens."""
    ramp = slowed(Flow(10_000, 0), Flow(10_000, 0))
    assert ramp.weigh(Charge(tokens=7)) == 7
    assert rate(ramp) == pytest.approx(0.8)


def test_all_answers_of_one_event_count_once() -> None:
    """Requests that were sent before the first of them came tell nothing new, and hold nothing longer."""
    ramp = slowed(now=MINUTE)
    before, until = ramp.rate, ramp.held_until
    for late in range(1, 30):
        ramp.slow_down(EVEN, MINUTE - late, MINUTE + late * SECOND)
        ramp.slow_down(None, MINUTE - late, MINUTE + late * SECOND)
        ramp.hold(MINUTE - late, MINUTE + late * SECOND)
    assert (ramp.rate, ramp.held_until) == (before, until)


def test_another_event_reduces_further_and_never_raises() -> None:
    """By what was measured; or where that cannot be told by a fifth; a rate that is lower already stays."""
    ramp = slowed()
    ramp.slow_down((Flow(6_000, 6), Flow(6_000, 6)), MINUTE, MINUTE)
    assert rate(ramp) == pytest.approx(0.48)
    ramp.slow_down(None, 2 * MINUTE, 2 * MINUTE)
    assert rate(ramp) == pytest.approx(0.384)
    ramp.slow_down(EVEN, 3 * MINUTE, 3 * MINUTE)
    assert rate(ramp) == pytest.approx(0.384)


def test_it_holds_for_a_quarter_of_an_hour_from_the_last_complaint_and_grows_gradually() -> None:
    """A probe that is told so again holds it for longer; then it grows by a tenth a minute, not by steps."""
    ramp = slowed()
    ramp.hold(MINUTE, MINUTE)
    _, now = send(ramp, 0, 16 * MINUTE - SECOND)
    assert rate(ramp) == pytest.approx(0.8)
    seen = []
    for minute in range(16, 27):
        _, now = send(ramp, now, minute * MINUTE + SECOND)
        seen.append(rate(ramp))
    assert seen[0] == pytest.approx(0.8, rel=0.02)
    assert all(later / one == pytest.approx(1.1, rel=0.01) for one, later in pairwise(seen))


def test_a_stated_growth_is_not_exceeded_above_its_floor() -> None:
    """Below it a tenth a minute; above it 1.5 in a quarter of an hour, compounded each second."""
    growth = Growth(floor=66_000)
    ramp = slowed(growth=growth)
    _, now = send(ramp, 0, 15 * MINUTE)
    floor = ramp.bound(growth.floor, MINUTE, tokens=True)
    assert floor is not None
    minutes = 0
    while ramp.rate < floor * 58 // 60:
        _, now = send(ramp, now, now + MINUTE)
        minutes += 1
    assert minutes == pytest.approx(4, abs=1)
    rates = []
    for _ in range(60):
        _, now = send(ramp, now, now + MINUTE)
        rates.append(ramp.rate)
    assert all(later <= 1.5 * one for one, later in zip(rates, rates[15:], strict=False))
    assert all(later <= 1.5 ** (1 / 15) * 1.001 * one for one, later in pairwise(rates))
    assert rates[-1] > 1.4 * rates[-16] > 1.9 * rates[-31]


def test_what_nobody_asks_for_does_not_grow() -> None:
    """After an hour without requests it has grown by a minute."""
    ramp = slowed()
    send(ramp, 0, 15 * MINUTE)
    ramp.take(Charge(tokens=1_000), 15 * MINUTE + HOUR)
    assert rate(ramp) == pytest.approx(0.88, rel=0.01)


def test_the_slowest_ramp_still_grows() -> None:
    """One request in many minutes is not rounded down for ever."""
    ramp = slowed(Flow(0, 1), NOTHING)
    for number in range(200):
        ramp.slow_down(None, number * SECOND, number * SECOND)
    slowest = ramp.rate
    ramp.take(Charge(), HOUR)
    assert ramp.rate > slowest > 0


def test_a_request_larger_than_the_purse_goes_when_it_is_full_and_leaves_debt() -> None:
    """Nothing starves; those after it wait the debt out."""
    ramp = slowed()
    large = Charge(tokens=40_000)
    full = ramp.ready_at(large, 0)
    assert full == SECOND
    ramp.take(large, full)
    assert ramp.ready_at(Charge(tokens=1), full) == pytest.approx(full + 40_001 / 800 * SECOND - SECOND, rel=0.01)


def test_a_request_a_minute_goes_whatever_was_measured() -> None:
    """A complaint to one who had hardly sent anything does not silence him for days."""
    ramp = slowed(Flow(10, 1), NOTHING)
    ramp.take(Charge(tokens=100_000), 0)
    assert ramp.ready_at(Charge(tokens=100_000), 0) <= 61 * SECOND


def test_a_complaint_bounds_the_debt_by_the_new_rate() -> None:
    """Whatever was owed at the old rate, a minute at the new one pays it."""
    ramp = slowed(Flow(480_000, 10), Flow(480_000, 10))
    ramp.take(Charge(tokens=400_000), 0)
    ramp.slow_down((Flow(20, 1), Flow(20, 1)), SECOND, SECOND)
    assert ramp.ready_at(Charge(tokens=1), SECOND) <= SECOND + 2 * MINUTE


def test_what_was_not_sent_comes_back() -> None:
    """A cancelled request frees the next, and the purse never holds more than it can."""
    ramp = slowed()
    now = ramp.ready_at(Charge(tokens=1_000), 0)
    ramp.take(Charge(tokens=1_000), now)
    assert ramp.ready_at(Charge(tokens=1_000), now) > now
    ramp.give(Charge(tokens=1_000), now)
    assert ramp.ready_at(Charge(tokens=1_000), now) == now
    ramp.give(Charge(tokens=10**9), now)
    ramp.take(Charge(tokens=1_400), now)
    assert ramp.ready_at(Charge(tokens=1_000), now) > now


def test_it_reaches_what_limits_let_through() -> None:
    """A limit on tokens and one on requests, in the mix of the complaint; without any, four times what was too fast."""
    ramp = slowed()
    assert ramp.bound(60_000, MINUTE, tokens=True) == ramp.bound(60, MINUTE, tokens=False) == 1_000_000_000
    assert ramp.far == 4_000_000_000


def test_who_comes_after_others_is_told_when() -> None:
    """At the present rate; where it must be sure, no later than growth may begin."""
    ramp = slowed()
    own = Charge(tokens=1_000)
    others = Charge(requests=10, tokens=10_000)
    assert ramp.drained_at(others, own, 0, sure=False) == ramp.drained_at(others, own, 0, sure=True)
    assert ramp.drained_at(others, own, 0, sure=False) == 13_500_000_000
    many = Charge(requests=10_000, tokens=10_000_000)
    assert ramp.drained_at(many, own, 0, sure=False) > 3 * HOUR
    assert ramp.drained_at(many, own, 0, sure=True) == 15 * MINUTE


@given(data=st.data())
def test_a_wait_is_exact(data: st.DataObject) -> None:
    """Between events the named instant is sufficient and a nanosecond less is not, whatever has happened before."""
    growth = data.draw(st.none() | st.builds(Growth, floor=st.integers(1, 100_000)))
    if data.draw(st.booleans()) and growth is not None:
        ramp = Ramp("m", TOKENS, growth, 0, kept=True)
    else:
        flows = st.builds(Flow, st.integers(0, 10**6), st.integers(1, 10**4))
        ramp = slowed(data.draw(flows), data.draw(flows), growth)
    charges = st.builds(Charge, st.integers(0, 3), st.integers(0, 20_000))
    now = 0
    for _ in range(data.draw(st.integers(0, 12))):
        now += data.draw(st.integers(0, 3 * SECOND) | st.integers(0, 20 * MINUTE))
        match data.draw(st.sampled_from(["go", "go", "go", "give", "uncount", "slow down", "further", "hold"])):
            case "go":
                charge = data.draw(charges)
                now = ramp.ready_at(charge, now)
                ramp.take(charge, now)
            case "give":
                ramp.give(data.draw(charges), now)
            case "uncount":
                ramp.uncount(data.draw(charges))
            case "slow down":
                ramp.slow_down((data.draw(st.builds(Flow, st.integers(0, 99), st.integers(1, 9))), NOTHING), now, now)
            case "further":
                ramp.slow_down(None, now, now)
            case _:
                ramp.hold(now, now)
    charge = data.draw(charges)
    ready = ramp.ready_at(charge, now)
    assert ready >= now
    if ready > now:
        assert ramp.ready_at(charge, ready - 1) == ready
    assert ramp.ready_at(charge, ready) == ready
