"""Limits on input and output tokens at a provider that corrects charges: reserved moderately, settled as produced."""

import json

import anyio
import pytest
from engine_support import Run

from scheduler.core.quota import Dimension
from scheduler.providers.anthropic import MESSAGES, OUTPUT, Anthropic
from scheduler.providers.base import Call, Usage
from scheduler.testing import Recorder, run

ANTHROPIC = Anthropic()
LIMITS = {"rpm": 4_000, "itpm": 400_000, "otpm": 80_000}
NAMES = {"rpm": "requests", "itpm": "input-tokens", "otpm": "output-tokens"}


def asked(characters: int, cap: int = 64_000) -> Call:
    """Return a request as the adapter sees it."""
    body = {"model": "m", "max_tokens": cap, "messages": [{"role": "user", "content": "x" * characters}]}
    return ANTHROPIC.describe("POST", MESSAGES, body)


class World:
    """An API that takes input at once and output as it is produced, and rounds what it says to thousands."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.levels = dict.fromkeys(limits, 0.0) | limits
        self.at = 0.0
        self.refused = 0

    def pass_time(self) -> None:
        now = anyio.current_time()
        for name, limit in self.limits.items():
            self.levels[name] = min(limit, self.levels[name] + (now - self.at) * limit / 60)
        self.at = now

    def headers(self) -> dict[str, str]:
        self.pass_time()
        told = {}
        for name, limit in self.limits.items():
            level = max(0.0, self.levels[name])
            rounded = int(level) if name == "rpm" else min(limit, round(level / 1000) * 1000)
            told[f"anthropic-ratelimit-{NAMES[name]}-limit"] = str(limit)
            told[f"anthropic-ratelimit-{NAMES[name]}-remaining"] = str(rounded)
        return told

    async def answer(self, sent: int, output: int, seconds: float) -> tuple[int, dict[str, str], bytes | None]:
        self.pass_time()
        needed = {"rpm": 1, "itpm": sent, "otpm": 1}
        short = next((name for name, units in needed.items() if self.levels[name] < units), None)
        if short is not None:
            self.refused += 1
            named = f"{self.limits[short]:,} {NAMES[short].replace('-', ' ')} per minute"
            words = f"This request would exceed your organization's rate limit of {named}."
            return 429, self.headers(), json.dumps({"error": {"type": "rate_limit_error", "message": words}}).encode()
        self.levels["rpm"] -= 1
        self.levels["itpm"] -= sent
        told = self.headers()
        for _ in range(4):
            await anyio.sleep(seconds / 4)
            self.pass_time()
            self.levels["otpm"] -= output / 4
        return 200, told, None


async def carry_out(world: World, call: Call, usage: Usage, number: int, *, seconds: float, most: int = 64) -> float:
    """Send so many requests, *most* at once, each until it succeeds; return the seconds that it took."""
    scheduler = Recorder(provider=ANTHROPIC, limits={"m": world.limits}, seed=1)
    limiter = anyio.CapacityLimiter(most)
    charge = call.charge

    async def one() -> None:
        async with limiter:
            status = 0
            while status != 200:
                async with scheduler.reserve(
                    "m", tokens=charge.tokens, input_tokens=charge.input_tokens, output_tokens=charge.output_tokens
                ) as reservation:
                    counted = ANTHROPIC.counted(usage).input_tokens
                    status, headers, body = await world.answer(counted, usage.output_tokens, seconds)
                    reservation.observe(headers, status, body)
                    reservation.settle(usage=usage if status == 200 else None)

    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(one)
    return anyio.current_time() - begun


def test_levels_follow_the_usage(on_virtual_time: Run) -> None:
    """At first what was estimated is held; then what was sent without the cache's part, and what was produced."""

    async def main() -> None:
        scheduler = Recorder(provider=ANTHROPIC, limits={"m": LIMITS})
        charge = asked(3_500).charge
        assert charge.output_tokens == OUTPUT
        reservation = scheduler.reserve_nowait(
            "m", tokens=charge.tokens, input_tokens=charge.input_tokens, output_tokens=charge.output_tokens
        )

        def levels() -> dict[str, int | None]:
            return {bucket.quota: bucket.level for bucket in scheduler.statistics().scopes[0].buckets}

        assert levels()["itpm"] == 400_000 - charge.input_tokens
        assert levels()["otpm"] == 80_000 - OUTPUT
        reservation.settle(usage=Usage(input_tokens=5_000, cached_tokens=4_400, output_tokens=3_000))
        assert levels() == {"rpm": 3_999, "itpm": 399_400, "otpm": 77_000, "tpm": None}

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("usage", "number", "seconds", "ideal"),
    [
        (Usage(1_000, 0, 200), 1_200, 4.0, 120),  # output binds: 240,000, of which 80,000 are there
        (Usage(4_000, 0, 50), 300, 2.0, 120),  # input binds: 1,200,000, of which 400,000 are there
        (Usage(4_000, 3_600, 400), 400, 5.0, 60),  # the cache carries the input
    ],
    ids=["short answers", "long questions", "cached"],
)
def test_the_limits_are_used_and_not_exceeded(
    on_virtual_time: Run, usage: Usage, number: int, seconds: float, ideal: float
) -> None:
    """Nothing is refused, and it takes no longer than the limits, a start from full buckets and the answers demand."""

    async def main() -> None:
        world = World(LIMITS)
        took = await carry_out(world, asked(usage.input_tokens * 7 // 2), usage, number, seconds=seconds)
        assert world.refused == 0
        assert took <= 1.07 * ideal + 2 * seconds

    on_virtual_time(main)


def test_answers_longer_than_was_reserved(on_virtual_time: Run) -> None:
    """Three times as much is produced as was reserved: the limit is exceeded by what is in flight, and paid back."""

    async def main() -> None:
        world = World(LIMITS)
        took = await carry_out(world, asked(3_500), Usage(1_000, 0, 3_000), 160, seconds=20.0)
        assert world.refused <= 8
        assert took <= 1.1 * 300 + 40  # 480,000 tokens, of which 80,000 are there

    on_virtual_time(main)


def test_what_a_refusal_gave_back_is_not_given_back_again() -> None:
    """Whoever settles a refused request with nothing used gets its charge once."""

    async def main() -> None:
        scheduler = Recorder(provider="gemini", limits={"m": {"rpm": 100_000, "tpm": 60_000_000}}, seed=1)
        scheduler.reserve_nowait(model="m", tokens=300_000).mark_sent()
        await anyio.sleep(0.1)
        refused = scheduler.reserve_nowait(model="m", tokens=10_000)
        account = next(each for each, _ in refused.draws if each.dimension is Dimension.TOKENS)
        refused.observe({}, status=429, body=b"{}")
        before = account.bucket.whole
        refused.settle(tokens=0)
        assert account.bucket.whole == before

    run(main)
