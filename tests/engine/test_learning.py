"""Which account learns from a refusal, what opens a gate again, and what slowing down does."""

import anyio
import pytest
from engine_support import Run, at_once, headers, refusal

from scheduler.providers.base import Cause, Outcome, Reading


def test_a_refusal_without_numbers_where_all_have_room_pauses_nothing(on_virtual_time: Run) -> None:
    """Recent answers show room in every bucket: a hidden window refused, and only its stubbornness closes the gate."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000})
        room = headers("tokens", 60_000, 59_000, "1s") | headers("requests", 600, 599, "100ms")
        for _ in range(3):
            with scheduler.reserve_nowait("m", tokens=10) as reservation:
                await anyio.sleep(1)
                reservation.observe(room)
        gate = scheduler.admission.book.scopes_for("m", None, 0)[0][0].gate
        open_after = []
        for _ in range(5):
            async with scheduler.reserve("m", tokens=1000) as reservation:
                reservation.observe({}, 429, b"")
            open_after.append(gate.is_open)
            await anyio.sleep(0.001)
        hidden = [account.hidden for account, _ in reservation.draws]
        assert open_after[0]
        assert not open_after[-1]
        assert sum(window is not None for window in hidden) == 1

    on_virtual_time(main)


@pytest.mark.parametrize("limits", [{"rpm": 600, "tpm": 60_000}, {"rpm": 600}])
def test_a_refusal_tells_of_the_other_buckets_too(on_virtual_time: Run, limits: dict[str, int]) -> None:
    """Its body proves who refused; its headers say what lies in the others, configured or not, without the request."""

    async def main() -> None:
        scheduler = at_once(limits)
        reservation = scheduler.reserve_nowait("m", tokens=1_000)
        told = headers("tokens", 60_000, 2_000, "58s") | headers("requests", 600, 0, "60s")
        reservation.observe(told, 429, refusal(600, 600, 1, "requests per min (RPM)"))
        buckets = {bucket.quota: bucket for bucket in scheduler.statistics().scopes[0].buckets}
        assert buckets["rpm"].level in range(2)
        assert buckets["tpm"].limit == 60_000
        assert buckets["tpm"].level in range(2_000, 2_002)

    on_virtual_time(main)


def test_a_day_is_not_blamed_for_what_a_minute_may_have_refused(on_virtual_time: Run) -> None:
    """What is wrongly blamed on the bucket of a day would be waited for for hours."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000, "tpd": 70_000})
        reservation = scheduler.reserve_nowait("m", tokens=1_000)
        reservation.observe({}, 429, b"")
        reservation.settle()
        levels = {bucket.quota: bucket.level for bucket in scheduler.statistics().scopes[0].buckets}
        assert levels["tpd"] == 70_000
        assert levels["tpm"] == 500

    on_virtual_time(main)


def test_an_explained_refusal_opens_the_gate(on_virtual_time: Run) -> None:
    """A refusal without numbers closes it; when the next answer shows a hidden window, it opens, slowly."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000}, concurrency=10)
        refused = scheduler.reserve_nowait("m", tokens=1_000)
        await anyio.sleep(0.26)
        other = scheduler.reserve_nowait("m", tokens=1_000)
        refused.observe({}, 429, b"")
        refused.settle()
        paused = [scheduler.statistics().scopes[0].paused]
        other.observe(headers("tokens", 60_000, 58_000, "2s") | headers("requests", 600, 598, "200ms"))
        other.settle()
        assert [*paused, scheduler.statistics().scopes[0].paused] == [True, False]
        assert scheduler.statistics().scopes[0].buckets[1].pace == 4.0

    on_virtual_time(main)


def test_slow_down_lowers_the_rate_and_holds_it(on_virtual_time: Run) -> None:
    """Five a second before; after "slow down" what it was in the minute before it grew, for a quarter of an hour."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600})
        went: list[float] = []

        async def spend_until(end: float, rate: float) -> None:
            while anyio.current_time() < end:
                async with scheduler.reserve("m") as reservation:
                    went.append(anyio.current_time())
                    reservation.observe({})
                await anyio.sleep(1 / rate)

        def rate(begin: float, end: float) -> float:
            return sum(begin <= each < end for each in went) / (end - begin)

        await spend_until(60, 2)
        await spend_until(70, 5)
        before = rate(60, 70)
        body = b'{"error": {"message": "Your request rate grew too fast.", "code": "slow_down"}}'
        async with scheduler.reserve("m") as reservation:
            reservation.observe({}, 429, body)
        await spend_until(70 + 18 * 60, 5)
        assert before == pytest.approx(5, rel=0.1)
        assert rate(80, 140) == pytest.approx(2, rel=0.15)
        assert rate(800, 900) == pytest.approx(2, rel=0.15)
        assert rate(1_100, 1_150) > 2.2

    on_virtual_time(main)


def test_an_overload_takes_no_rate_away(on_virtual_time: Run) -> None:
    """It closes the gate, and what opens it begins slowly; nothing is held for a quarter of an hour."""

    async def main() -> None:
        scheduler = at_once({"rpm": 6_000})
        with scheduler.reserve_nowait("m") as reservation:
            reservation.observe({}, 503, b"")
        for _ in range(30):
            async with scheduler.reserve("m") as reservation:
                reservation.observe({})
        assert anyio.current_time() < 5

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("reading", "paused", "ramped"),
    [
        (Reading(Outcome.OVERLOADED, Cause.OVERLOAD), True, False),
        (Reading(Outcome.OVERLOADED, Cause.RAMP), True, True),
        (Reading(Outcome.THROTTLED, Cause.RATE), True, False),
        (Reading(Outcome.FAILED, Cause.SERVER), False, False),
    ],
)
def test_an_error_within_an_answer_becomes_its_outcome(
    on_virtual_time: Run,
    reading: Reading,
    paused: bool,  # noqa: FBT001 -- a parameter of the test
    ramped: bool,  # noqa: FBT001 -- the same
) -> None:
    """Its headers have taught the levels, so the charge stands; what names no fault of its own pauses the scope."""

    async def main() -> None:
        scheduler = at_once({"rpm": 600, "tpm": 60_000})
        reservation = scheduler.reserve_nowait("m", tokens=1_000)
        await anyio.sleep(1)
        reservation.observe(headers("tokens", 60_000, 59_000, "1s"))
        before = scheduler.statistics().scopes[0].buckets[1].level
        reservation.learn(reading)
        reservation.settle()
        scope = scheduler.statistics().scopes[0]
        assert scope.buckets[1].level == before
        assert scope.outcomes == {reading.outcome.value: 1}
        assert (scope.paused, scope.ramp is not None) == (paused, ramped)

    on_virtual_time(main)


def test_a_bucket_far_smaller_than_its_minute_is_used_at_its_rate(on_virtual_time: Run) -> None:
    """Two at once and twenty a second, and headers that say 1,200: nobody waits for what can never lie there."""

    async def main() -> None:
        scheduler = at_once({"rpm": 1_200})
        level, at = 2.0, 0.0
        for _ in range(40):
            async with scheduler.reserve("m") as reservation:
                await anyio.sleep(0.02)
                now = anyio.current_time()
                level, at = min(2.0, level + (now - at) * 20), now
                assert level >= 1
                level -= 1
                reservation.observe(headers("requests", 1_200, int(level), "100ms"))
        assert anyio.current_time() < 2 * 40 / 20

    on_virtual_time(main)
