"""What the engine has learned can be seen in its statistics."""

import anyio
import pytest
from engine_support import Run, at_once, headers, refusal

from scheduler import BucketStatistics, ChargeStatistics, Scheduler
from scheduler.core.quota import Dimension
from scheduler.engine.charges import Charges

CHAT = "/v1/chat/completions"


def bucket(scheduler: Scheduler, quota: str = "tpm") -> BucketStatistics:
    """Return what is seen of a bucket of the first scope."""
    return next(each for each in scheduler.statistics().scopes[0].buckets if each.quota == quota)


async def answered(scheduler: Scheduler, tokens: int, headers: dict[str, str], endpoint: str = "") -> None:
    async with scheduler.reserve("m", tokens=tokens, endpoint=endpoint) as reservation:
        reservation.observe(headers)


def left(remaining: int, limit: int = 60_000) -> dict[str, str]:
    return headers("tokens", limit, remaining, f"{(limit - remaining) * 60 / limit:.3f}s")


def test_the_limit_seen_stands_beside_the_limit_configured(on_virtual_time: Run) -> None:
    """What the owner said stays when answers disprove it; what nobody said is None; who reconfigures says it anew."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        for _ in range(3):
            await answered(scheduler, 100, left(20_000, 30_000))
        assert (bucket(scheduler).configured, bucket(scheduler).limit) == (60_000, 30_000)
        await answered(scheduler, 100, headers("requests", 500, 499, "120ms"))
        assert (bucket(scheduler, "rpm").configured, bucket(scheduler, "rpm").limit) == (None, 500)
        scheduler.configure(limits={"m": {"tpm": 40_000, "rpm": 700}})
        assert (bucket(scheduler).configured, bucket(scheduler).limit) == (40_000, 40_000)
        assert (bucket(scheduler, "rpm").configured, bucket(scheduler, "rpm").limit) == (700, 700)
        scheduler.configure(limits={"m": {"tpm": 40_000}})
        assert (bucket(scheduler, "rpm").configured, bucket(scheduler, "rpm").limit) == (None, 700)

    on_virtual_time(main)


def test_limits_of_projects_and_of_the_process_are_configured() -> None:
    """They are as much the owner's word as the organization's."""
    scheduler = at_once({"tpm": 60_000}, project_limits={"p": {"*": {"tpm": 6_000}}}, concurrency=7)
    scheduler.reserve_nowait("m", tokens=1, project="p").settle()
    seen = {
        scope.name: {each.quota: each.configured for each in scope.buckets} for scope in scheduler.statistics().scopes
    }
    assert seen == {"m": {"tpm": 60_000, "rpm": None}, "p/*": {"tpm": 6_000}, "local": {"concurrency": 7}}


def test_a_guessed_limit_is_not_confirmed() -> None:
    """A refusal without numbers is the first that is known of a limit: nobody has named it."""
    scheduler = at_once(None)
    scheduler.admission.book.learn = True
    with scheduler.reserve_nowait("m", tokens=100) as reservation:
        reservation.observe({"retry-after": "30"}, 429, b"")
    seen = bucket(scheduler)
    assert seen.limit is not None
    assert not seen.confirmed
    assert bucket(at_once_known()).confirmed


def at_once_known() -> Scheduler:
    scheduler = at_once({"tpm": 60_000})
    scheduler.reserve_nowait("m").settle()
    return scheduler


def test_unseen_spending_and_returns_are_shown_by_themselves(on_virtual_time: Run) -> None:
    """In whole units: 8,000 gone that nobody here has taken, and then some back."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        await answered(scheduler, 20_000, left(40_000))
        await answered(scheduler, 100, left(39_900))
        assert bucket(scheduler).unseen_spending == 0
        await anyio.sleep(1)
        await answered(scheduler, 100, left(40_900 - 100 - 8_000))
        spent = bucket(scheduler).unseen_spending
        assert spent == pytest.approx(8_000, abs=252)  # but for what being full may explain
        for _ in range(10):
            await anyio.sleep(5)
            await answered(scheduler, 100, left(59_900))
        assert bucket(scheduler).unseen_spending == spent
        assert bucket(scheduler).unseen_returns > 1_000

    on_virtual_time(main)


def test_a_hidden_window_is_shown(on_virtual_time: Run) -> None:
    """Its size in units and in seconds, what is kept besides, the share of the rate, and what it explained."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        await answered(scheduler, 100, left(59_900))
        assert bucket(scheduler).hidden is None
        assert bucket(scheduler).hidden_refusals == 0
        await anyio.sleep(20)
        for _ in range(2):
            async with scheduler.reserve("m", tokens=1_000):
                pass
        async with scheduler.reserve("m", tokens=1_000) as reservation:
            reservation.observe({}, 429, refusal(60_000, 2_000, 1_000))
        hidden = bucket(scheduler).hidden
        assert hidden is not None
        assert hidden.units == pytest.approx(1_000 * hidden.seconds, abs=1)
        assert 0.5 <= hidden.seconds <= 3
        assert hidden.spare == 0.15
        assert hidden.share == 0.99
        assert bucket(scheduler).hidden_refusals == 1

    on_virtual_time(main)


def test_the_age_of_headers_is_shown(on_virtual_time: Run) -> None:
    """An answer that knows nothing of seconds of spending is as old as that."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        await answered(scheduler, 10_000, left(60_000))
        assert bucket(scheduler).lag == 0.0
        await anyio.sleep(3)
        await answered(scheduler, 10_000, left(60_000))
        assert bucket(scheduler).lag == 3.0

    on_virtual_time(main)


def test_what_is_measured_without_headers_is_shown(on_virtual_time: Run) -> None:
    """The share of the refill that is ours, and that a bucket was not the one that refused."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        for _ in range(12):
            await answered(scheduler, 10, {})
        assert bucket(scheduler).share == 1.0
        for seconds in (0, 60, 60):
            await anyio.sleep(seconds)
            for _ in range(30):
                await answered(scheduler, 1_000, {})
            async with scheduler.reserve("m", tokens=1_000) as reservation:
                reservation.observe({}, 429, b"")
        assert 0.05 <= bucket(scheduler).share < 1.0
        assert not bucket(scheduler).acquitted
        await anyio.sleep(60)
        async with scheduler.reserve("m", tokens=10) as reservation:
            reservation.observe({}, 429, b"")
        assert bucket(scheduler).acquitted

    on_virtual_time(main)


# ---- charges


def test_bodies_tell_the_charges_of_their_endpoint(on_virtual_time: Run) -> None:
    """What a refusal says that a request would have taken, over what was estimated for it."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        for tokens, requested, endpoint in ((1_000, 1_250, CHAT), (1_000, 1_350, CHAT), (500, 600, "/v1/embeddings")):
            async with scheduler.reserve("m", tokens=tokens, endpoint=endpoint) as reservation:
                reservation.observe({}, 429, refusal(60_000, 59_900, requested))
        assert scheduler.statistics().charges == (
            ChargeStatistics("openai", CHAT, "tokens", 2, 2_600, 2_000),
            ChargeStatistics("openai", "/v1/embeddings", "tokens", 1, 600, 500),
        )
        assert [each.ratio for each in scheduler.statistics().charges] == [1.3, 1.2]

    on_virtual_time(main)


def test_a_body_without_a_charge_tells_none(on_virtual_time: Run) -> None:
    """Headers of a refusal tell of the level, not of what its request would have taken."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        async with scheduler.reserve("m", tokens=1_000, endpoint=CHAT) as reservation:
            reservation.observe(left(100), 429, b"")
        assert bucket(scheduler).refusals == 1
        assert scheduler.statistics().charges == ()

    on_virtual_time(main)


def test_levels_tell_the_charge_of_a_request_that_was_alone(on_virtual_time: Run) -> None:
    """Two successive anchors with one request in between differ by what it took."""

    async def main() -> None:
        scheduler = at_once({"tpm": 60_000})
        for _ in range(5):
            await answered(scheduler, 1_000, left(60_000 - 1_500), CHAT)
            await anyio.sleep(10)
        assert scheduler.statistics().charges == (ChargeStatistics("openai", CHAT, "tokens", 4, 6_000, 4_000),)

    on_virtual_time(main)


def test_invented_endpoints_are_other() -> None:
    """Paths are anybody's to invent: they make neither labels nor memory."""
    charges = Charges("p", ["/known"])

    for number in range(100):
        charges.note(f"/v1/{number}", Dimension.TOKENS, 3, 2)
    charges.note("", Dimension.TOKENS, 3, 2)
    charges.note("/known", Dimension.TOKENS, 1, 0)
    known, other = charges.look()
    assert (known.endpoint, known.ratio) == ("/known", 1.0)
    assert other == ChargeStatistics("p", "other", "tokens", 101, 303, 202)


def test_the_endpoint_travels_with_the_request() -> None:
    """From whoever reserves to whoever learns; nobody has to say it."""
    scheduler = at_once({"tpm": 60_000})
    assert scheduler.reserve_nowait("m", endpoint=CHAT).endpoint == CHAT
    assert scheduler.reserve_nowait("m").endpoint == ""
