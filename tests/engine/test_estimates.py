"""Requests that come with candidates are charged what answers have told of such requests."""

from functools import partial

import anyio
import httpx
import pytest
from engine_support import Run, at_once, emptied, headers, refusal

from scheduler import ChargeStatistics, Priority, RequestTooLarge
from scheduler.core.quota import DAY, MINUTE, Charge, Dimension
from scheduler.engine.waiter import Waiter
from scheduler.providers.base import Observation, Outcome, Reading
from scheduler.simulator import Simulator, World
from scheduler.testing import Recorder

CHAT = "/v1/chat/completions"
LIMIT = 60_000
A_SECOND = LIMIT // 60


def asked(scheduler: Recorder, *candidates: int, model: str = "m", endpoint: str = CHAT) -> Waiter:
    """Return a request that wants its turn, as drivers make it."""
    charge = Charge(tokens=candidates[0])
    return Waiter(scheduler.admission, model, None, charge, Priority.NORMAL, endpoint=endpoint, candidates=candidates)


def left(remaining: int, limit: int = LIMIT) -> dict[str, str]:
    return headers("tokens", limit, remaining, f"{(limit - remaining) * 60 / limit:.3f}s")


def test_refusals_teach_the_rule(on_virtual_time: Run) -> None:
    """What a refusal's body says that its request would have taken decides between the candidates of the next."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        async with asked(scheduler, 1_000, 1_700) as reservation:
            reservation.observe({}, 429, refusal(LIMIT, 59_000, 1_700))
        assert reservation.charge.tokens == 1_000
        await anyio.sleep(60)
        async with asked(scheduler, 100, 800) as reservation:
            assert reservation.charge == Charge(tokens=800)
        async with scheduler.reserve("m", tokens=100, endpoint=CHAT) as bare:
            assert bare.charge.tokens == 100

    on_virtual_time(main)


async def factor(scheduler: Recorder, times: int, *candidates: int) -> float:
    """Have requests refused that would have taken twice their estimate; return what the account makes of it."""
    for _ in range(times):
        async with asked(scheduler, *candidates) if candidates else scheduler.reserve("m", tokens=1_000) as reservation:
            reservation.observe({}, 429, refusal(LIMIT, 59_000, 2_000))
        await anyio.sleep(60)
    return scheduler.statistics().scopes[0].buckets[0].charge_ratio


def test_nothing_is_corrected_twice(on_virtual_time: Run) -> None:
    """What the estimate makes up for teaches the account nothing; what comes without candidates is the account's."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        assert await factor(scheduler, 5, 1_000, 1_000) == 1.0
        async with asked(scheduler, 1_000, 1_000) as reservation:
            reservation.observe(left(58_000))
        assert scheduler.statistics().scopes[0].buckets[0].charged == 1_000 + 1_334 + 4 * 2_000
        (told,) = scheduler.statistics().charges
        assert (told.told, told.charged, told.estimated) == (5, 10_000, 1_000 + 1_334 + 3 * 2_000)
        assert await factor(at_once({"tpm": LIMIT}), 5) == 2.0

    on_virtual_time(main)


def test_requests_with_and_without_candidates_share_an_account(on_virtual_time: Run) -> None:
    """Where bare requests have taught it a factor, the others' refusals, that need none, bring it back."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        assert await factor(scheduler, 5) == 2.0
        assert await factor(scheduler, 2, 1_000, 2_000) == 1.0

    on_virtual_time(main)


def test_those_who_wait_are_charged_what_was_learned_meanwhile(on_virtual_time: Run) -> None:
    """Most of a job is queued before its first answer: who waits is estimated again when his turn is considered."""

    async def main() -> None:
        scheduler = emptied({"tpm": LIMIT})
        charges: list[int] = []

        async def wait() -> None:
            async with asked(scheduler, 600, 1_200) as reservation:
                charges.append(reservation.charge.tokens)

        await anyio.sleep(2.5)
        async with anyio.create_task_group() as group, asked(scheduler, 1_000, 2_000) as first:
            for _ in range(20):
                group.start_soon(wait)
            await anyio.sleep(0.01)
            waiting = len(scheduler.waiting())
            assert waiting > 10
            first.observe({}, 429, refusal(LIMIT, 59_000, 2_000))
            first.settle()
        assert charges == [600] * (20 - waiting) + [1_200] * waiting
        assert not any(lane.queue.units(1) for lane in scheduler.admission.lanes if lane.mask & 2)

    on_virtual_time(main)


def test_an_estimate_makes_nobody_too_large(on_virtual_time: Run) -> None:
    """What was learned is not certain: who fits a limit by the default rule goes, and who does by what was learned."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        for _ in range(4):
            async with asked(scheduler, 1_000, 1_000) as reservation:
                reservation.observe({}, 429, refusal(LIMIT, 58_500, 2_000))
            await anyio.sleep(60)
        async with asked(scheduler, 16_000, 16_000) as reservation:
            assert reservation.charge.tokens == 32_000
            reservation.observe(left(LIMIT - 32_000))
        await anyio.sleep(120)
        async with asked(scheduler, 59_000, 59_000) as reservation:
            assert reservation.charge.tokens == LIMIT
        with pytest.raises(RequestTooLarge):
            await asked(scheduler, 70_000, 70_000).__aenter__()

        other = at_once({"tpm": LIMIT})
        async with asked(other, 1_000, 100) as reservation:
            reservation.observe({}, 429, refusal(LIMIT, LIMIT - 50, 100))
        await anyio.sleep(60)
        async with asked(other, 70_000, 7_000) as reservation:
            assert reservation.charge.tokens == 7_000

    on_virtual_time(main)


def test_who_waits_never_comes_to_be_too_large(on_virtual_time: Run) -> None:
    """An estimate that grows while its request waits ends at the limit: it gets its turn."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        charges: list[int] = []

        async def wait() -> None:
            async with asked(scheduler, 70_000, 40_000) as reservation:
                charges.append(reservation.charge.tokens)

        async with asked(scheduler, 9_000, 5_000) as reservation:
            reservation.observe({}, 429, refusal(LIMIT, 59_000, 5_000))
        async with anyio.create_task_group() as group, asked(scheduler, 9_000, 5_000) as held:
            group.start_soon(wait)
            await anyio.sleep(0.01)
            assert len(scheduler.waiting()) == 1
            held.observe({}, 429, refusal(LIMIT, 59_000, 9_000))
            for _ in range(3):
                scheduler.admission.estimates.learn(held, 9_000)
        assert charges == [LIMIT]

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("model", "endpoint", "charge"),
    [
        ("gpt-4o-mini", CHAT, 30_000),
        ("gpt-4o-mini-2024-07-18", CHAT, 30_000),
        ("gpt-4o-mini-0718", CHAT, 30_000),
        ("gpt-4o", CHAT, 3_000),
        ("gpt-4o-mini", "/v1/responses", 3_000),
    ],
)
def test_snapshots_of_a_model_are_one(on_virtual_time: Run, model: str, endpoint: str, charge: int) -> None:
    """A model that is charged otherwise is known by its name without a date, and at its endpoint."""

    async def main() -> None:
        scheduler = Recorder(limits={"*": {"tpm": LIMIT}}, seed=1)
        for _ in range(6):
            for name, requested in (("gpt-4o-mini-2024-07-18", 1_000), ("gpt-4o", 100), ("gpt-5", 100)):
                async with asked(scheduler, 100, 1_000, model=name) as reservation:
                    reservation.observe({}, 429, refusal(LIMIT, LIMIT - 50, requested))
                await anyio.sleep(20)
        async with asked(scheduler, 3_000, 30_000, model=model, endpoint=endpoint) as reservation:
            assert reservation.charge.tokens == charge

    on_virtual_time(main)


def test_invented_endpoints_learn_together(on_virtual_time: Run) -> None:
    """Anybody can invent a path: those that the provider does not know are one."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        async with asked(scheduler, 100, 700, endpoint="/v1/one") as reservation:
            reservation.observe({}, 429, refusal(LIMIT, LIMIT - 50, 700))
        await anyio.sleep(10)
        async with asked(scheduler, 100, 700, endpoint="/v1/two") as reservation:
            assert reservation.charge.tokens == 700
        async with asked(scheduler, 100, 700) as reservation:
            assert reservation.charge.tokens == 100

    on_virtual_time(main)


# ---- what headers tell


async def told(scheduler: Recorder, charge: int, latency: float = 0.1) -> int:
    """Send a request of 1,000 or 4,000 tokens to a full bucket and answer what it took; return what it was charged."""
    async with asked(scheduler, 1_000, 4_000) as reservation:
        await anyio.sleep(latency)
        reservation.observe(left(LIMIT - charge))
    return reservation.charge.tokens


def test_a_full_bucket_tells_what_a_request_took(on_virtual_time: Run) -> None:
    """Once an answer has told that nobody else had drawn on it: the first may speak of others."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        charged = []
        for _ in range(4):
            charged.append(await told(scheduler, 4_000))
            await anyio.sleep(20)
        assert charged == [1_000, 1_000, 1_000, 4_000]
        assert scheduler.statistics().charges == (ChargeStatistics("openai", CHAT, "tokens", 2, 8_000, 5_000),)

    on_virtual_time(main)


def test_a_bucket_that_has_rested_is_full_whatever_went_before(on_virtual_time: Run) -> None:
    """After requests that overlapped nobody knows the level; after two windows without any it is full."""

    async def main(rest: float, tells: int) -> None:
        scheduler = at_once({"tpm": LIMIT})
        for _ in range(2):
            async with asked(scheduler, 1_000, 4_000) as one, asked(scheduler, 1_000, 4_000) as other:
                one.observe(left(50_000))
                other.observe(left(46_000))
            await anyio.sleep(rest)
        await told(scheduler, 4_000)
        assert scheduler.admission.estimates.version == tells

    on_virtual_time(partial(main, 121.0, 1))
    on_virtual_time(partial(main, 30.0, 0))


def test_levels_that_may_have_been_mended_meanwhile_teach_nothing(on_virtual_time: Run) -> None:
    """Of a bucket that was not full, reservations given back make a charge look small: told, but not learned."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        for _ in range(7):  # until the slow start is over
            async with asked(scheduler, 1, 1) as reservation:
                reservation.observe(left(50_000))
            await anyio.sleep(0.3)
        level = 50_000
        for _ in range(4):
            level += 3 * A_SECOND // 10 - 3_000
            async with asked(scheduler, 4_000, 3_000) as reservation:
                reservation.observe(left(level))
            await anyio.sleep(0.3)
        (charges,) = scheduler.statistics().charges
        assert (charges.told, charges.charged) == (3, 9_000)
        async with asked(scheduler, 4_000, 3_000) as reservation:
            assert reservation.charge.tokens == 4_000

    on_virtual_time(main)


@pytest.mark.parametrize(("latency", "charge"), [(0.1, 4_000), (1.0, 1_000), (3.0, 4_000)])
def test_headers_written_at_the_end_teach_nothing_wrong(on_virtual_time: Run, latency: float, charge: int) -> None:
    """Where about a charge came back while the answer was on its way, it may or may not be in what remains."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT})
        for _ in range(3):
            await told(scheduler, 4_000, latency)
            await anyio.sleep(20)
        assert await told(scheduler, 4_000) == charge

    on_virtual_time(main)


def test_an_answer_about_minute_and_day_teaches_once(on_virtual_time: Run) -> None:
    """Two buckets that tell one charge are one witness."""

    async def main() -> None:
        scheduler = at_once({"tpm": LIMIT, "tpd": 10 * LIMIT})
        limits = ((LIMIT, MINUTE), (10 * LIMIT, DAY))
        said = tuple(Observation(Dimension.TOKENS, limit, limit - 4_000, window) for limit, window in limits)
        for _ in range(2):
            async with asked(scheduler, 1_000, 4_000) as reservation:
                reservation.learn(Reading(Outcome.SUCCESS, observations=said))
            await anyio.sleep(2_000)
        assert [each.told for each in scheduler.statistics().charges] == [2]
        assert scheduler.admission.estimates.version == 1

    on_virtual_time(main)


def test_whole_requests_are_estimated(on_virtual_time: Run) -> None:
    """From the adapter's candidates to the charge, and from the provider's answers back."""

    async def main() -> None:
        simulator = Simulator(World(limits={"*": {"tpm": LIMIT}}, charge="sum", seed=7, latency=3.0))
        transport = httpx.ASGITransport(simulator)
        async with Recorder(limits={"*": {"tpm": LIMIT}}, transport=transport, api_key="k", seed=1) as scheduler:
            for size in (1_000, 2_000, 3_000, 4_000, 5_000):
                body = {"model": "m", "messages": [{"role": "user", "content": size * "x"}], "max_tokens": 500}
                await scheduler.request("POST", CHAT, json=body)
                await anyio.sleep(20)
            assert [each.charge.tokens for each in scheduler.admitted] == [500, 501, 751, 1_001 + 500, 1_251 + 500]

    on_virtual_time(main)
