"""Recorded answers of Anthropic, Google and Bedrock: what each one means."""

from typing import NamedTuple

import pytest
from provider_data import samples

from scheduler.core.quota import MINUTE, SECOND, Dimension
from scheduler.providers.anthropic import Anthropic
from scheduler.providers.base import Cause, Observation, Provider, Reading
from scheduler.providers.bedrock import Bedrock
from scheduler.providers.gemini import Gemini

REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS
SENT, PRODUCED = Dimension.INPUT_TOKENS, Dimension.OUTPUT_TOKENS


class Meaning(NamedTuple):
    """What a recorded answer means.

    Attributes:
        levels: What its headers say, by dimension: limit and remaining, in the minute.
        cause: Why it did not succeed, or None for a success.
        code: The provider's code.
        refused: What its body proves.
        delay: Seconds that it asks to wait.
    """

    levels: dict[Dimension, tuple[int, int]] = {}  # noqa: RUF012  # a tuple's default is not changed
    cause: Cause | None = None
    code: str = ""
    refused: Observation | None = None
    delay: int | None = None


ANTHROPIC: dict[int, Meaning] = {
    # Full buckets, and so up to half a thousand short of full; the tokens of both kinds are a sum and no bucket.
    22: Meaning({REQUESTS: (4_000, 3_999), SENT: (400_000, 399_500), PRODUCED: (80_000, 79_500)}),
    # 2024: one bucket for both kinds. 49000 may be 48,500.
    23: Meaning({REQUESTS: (50, 49), TOKENS: (50_000, 48_500)}),
    24: Meaning({REQUESTS: (5, 5), TOKENS: (10_000, 9_500)}),
    25: Meaning({REQUESTS: (4_000, 3_999), SENT: (200_000, 199_500), PRODUCED: (80_000, 79_500)}),
    26: Meaning({REQUESTS: (50, 49), TOKENS: (40_000, 39_500)}),
    # The requests refused: none is left, of tokens there are many.
    80: Meaning({REQUESTS: (5, 0), TOKENS: (25_000, 15_500)}, Cause.RATE),
    81: Meaning(),  # a success without rate headers
    # The layer that imitates OpenAI calls it an invalid request by type, and a reached rate by code.
    82: Meaning({}, Cause.RATE, "rate_limit_error", Observation(SENT, 20_000, 0, MINUTE)),
    83: Meaning({}, Cause.RATE, "", Observation(SENT, 1_000_000, 0, MINUTE)),
    84: Meaning({}, Cause.OVERLOAD, "overloaded_error"),
    85: Meaning({}, Cause.RATE, "rate_limit_error"),  # no bucket is named
    109: Meaning(),  # retry-after on a success asks for nothing
}

GEMINI: dict[int, Meaning] = {
    92: Meaning({}, Cause.RATE, "RESOURCE_EXHAUSTED"),  # minute and day at once, without values
    93: Meaning({}, Cause.RATE),  # Vertex names the quota and not its value
    94: Meaning({}, Cause.RATE, "RESOURCE_EXHAUSTED"),
    95: Meaning({}, Cause.RATE, "RESOURCE_EXHAUSTED"),
    # A day's quota, and a delay of 47 s: without a date nobody knows how long the day is.
    96: Meaning({}, Cause.RATE, "", delay=47),
}

BEDROCK: dict[int, Meaning] = {
    86: Meaning({}, Cause.RATE, "ThrottlingException"),  # no number, no delay
}

READERS: list[tuple[Provider, int, Meaning]] = [
    (provider, line, meaning)
    for provider, table in ((Anthropic(), ANTHROPIC), (Gemini(), GEMINI), (Bedrock(), BEDROCK))
    for line, meaning in table.items()
]


def read(provider: Provider, line: int) -> Reading:
    sample = samples()[line]
    return provider.read(sample.status or 0, sample.headers, sample.body)


@pytest.mark.parametrize(
    ("provider", "line", "meaning"), READERS, ids=[f"{provider.name}-{line}" for provider, line, _ in READERS]
)
def test_recorded_answers(provider: Provider, line: int, meaning: Meaning) -> None:
    """Levels, cause, code, what was refused and the delay are those that the recording states; nothing is ignored."""
    reading = read(provider, line)
    levels = {one.dimension: (one.limit, one.remaining) for one in reading.observations}
    assert levels == meaning.levels
    assert all(one.window == MINUTE and not one.project for one in reading.observations)
    assert (reading.cause, reading.code, reading.refused) == meaning[1:4]
    assert reading.delay == (None if meaning.delay is None else meaning.delay * SECOND)
    assert reading.ignored == 0
    assert bool(reading.message) is (meaning.cause is not None and line not in {80, 96})  # these have no words


def test_every_row_of_these_providers_has_a_stated_meaning() -> None:
    """No recorded answer of Anthropic, Google or Bedrock is left out of these tables."""
    stated = {"anthropic": ANTHROPIC, "anthropic via openai-compat": ANTHROPIC, "aws-bedrock": BEDROCK}
    stated |= {"gemini": GEMINI, "vertex": GEMINI}
    for line, sample in samples().items():
        assert (sample.provider in stated) == (line in ANTHROPIC or line in GEMINI or line in BEDROCK)
        if sample.provider in stated:
            assert line in stated[sample.provider]


def test_no_recorded_answer_of_any_provider_raises() -> None:
    """Each of these adapters reads all answers of all providers, with any status, and shows them safely."""
    for provider in (Anthropic(), Gemini(), Bedrock()):
        for sample in samples().values():
            for status in (sample.status or 0, 200, 429, 503):
                reading = provider.read(status, sample.headers, sample.body)
                assert len(reading.message) <= 500
                assert reading.message.isprintable()
