"""Recorded answers of those who speak OpenAI's language: what each one means. Every line belongs to one table."""

import importlib
from typing import NamedTuple

import pytest
from provider_data import samples
from test_header_samples import HEADERS, REFUSALS, SILENT

from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension
from scheduler.providers.base import Cause, Observation, Outcome, Reading
from scheduler.providers.registry import provider_named
from scheduler.tokens.text import ByteEstimate

REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS
MS = 1_000_000


class Meaning(NamedTuple):
    """What a recorded answer means; a success where no cause is stated."""

    observations: tuple[Observation, ...] = ()
    cause: Cause | None = None
    seconds: float | None = None
    refused: Observation | None = None


def ok(*observations: Observation) -> Meaning:
    return Meaning(observations)


def rpx(limit: int, remaining: int, window: int = MINUTE) -> Observation:
    return Observation(REQUESTS, limit, remaining, window)


def tpm(limit: int, remaining: int, took: int | None = None) -> Observation:
    return Observation(TOKENS, limit, remaining, MINUTE, requested=took)


def level(dimension: Dimension, limit: int, used: int, requested: int | None, window: int = MINUTE) -> Observation:
    return Observation(dimension, limit, limit - used, window, requested=requested)


GROQ = {
    27: ok(rpx(14_400, 14_399, DAY), tpm(6_000, 5_987)),
    72: ok(),  # what remains of 1,000 a day, but the limit is not there
    73: ok(rpx(1_000, 998, DAY), tpm(12_000, 11_961)),
    87: Meaning((), Cause.RATE, 578.016, level(TOKENS, 100_000, 97_050, 3_619, DAY)),
    88: Meaning((), Cause.TOO_LARGE),
    89: Meaning((), Cause.RATE, 4.77, level(TOKENS, 6_000, 5_034, 1_443)),
    90: Meaning((), Cause.RATE, 1.984999999, level(TOKENS, 12_000, 2_542, 9_855)),
    91: Meaning((), Cause.RATE, 5.289, level(TOKENS, 15_000, 11_972, 4_351)),
}
MISTRAL = {
    28: ok(rpx(60, 59, 10 * SECOND), tpm(20_000_000, 19_999_979, 21)),  # the month is a budget: left out
    74: ok(rpx(50, 48), tpm(50_000, 49_962, 19)),
    99: ok(tpm(5_000_000, 4_999_911, 52), rpx(720, 717)),
    100: Meaning((), Cause.RATE),
    101: Meaning((), Cause.OVERLOAD),
    102: Meaning((), Cause.RATE),
    103: ok(),  # what remains, without limits
    104: ok(rpx(188, 187), tpm(625_000, 624_982, 18)),
}
AZURE = {
    29: ok(),  # what remains, without limits
    30: ok(rpx(100, 99), tpm(100_000, 99_994)),
    31: ok(),
    75: Meaning((), Cause.TOO_LARGE, 86_400),
    76: Meaning((), Cause.TOO_LARGE, 86_400),
    77: Meaning((), Cause.RATE, 45),
    78: Meaning((), Cause.RATE, 9),
    79: Meaning((), Cause.RATE),
}
TOGETHER = {
    32: ok(rpx(2, 1, SECOND)),
    33: ok(rpx(2, 0, SECOND)),
    105: Meaning((), Cause.RATE, None, level(REQUESTS, 9, 9, None)),
    106: Meaning((), Cause.RATE, None, level(REQUESTS, 60, 60, None)),
}
OPENROUTER = {
    97: Meaning((), Cause.RATE, None, level(REQUESTS, 50, 50, None, DAY)),
    98: Meaning((), Cause.OVERLOAD),  # it was the provider behind it that refused
}
XAI = {107: Meaning((), Cause.BILLING)}
GITHUB = {108: Meaning((), Cause.RATE, 5_631, level(REQUESTS, 50, 50, None, DAY))}
IETF = {34: ok()}  # what remains, without a limit: Replicate

TABLES = {
    "groq": GROQ,
    "mistral": MISTRAL,
    "azure": AZURE,
    "together": TOGETHER,
    "openrouter": OPENROUTER,
    "xai": XAI,
    "github-models": GITHUB,
    "ietf": IETF,
}
NATIVE = {*range(22, 27), *range(80, 87), *range(92, 97), 109}
"""Lines of Anthropic, Google and Amazon, whose languages are their own: tables of ``test_header_samples_native``."""


def read(name: str, line: int) -> Reading:
    sample = samples()[line]
    status = sample.status or (200 if sample.headers else 429)
    return provider_named(name, ByteEstimate()).read(status, sample.headers, sample.body)


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, table in TABLES.items() for line in table])
def test_meaning(name: str, line: int) -> None:
    """Observations, cause, delay and level of every recorded answer are those that its table states."""
    reading, meant = read(name, line), TABLES[name][line]
    assert set(reading.observations) == set(meant.observations)
    assert reading.cause is meant.cause
    assert (reading.outcome is Outcome.SUCCESS) == (meant.cause is None)
    assert reading.delay == (None if meant.seconds is None else round(meant.seconds * 1e9))
    assert reading.refused == meant.refused
    assert reading.ignored == 0


def test_through_a_proxy() -> None:
    """Kong passes OpenAI's headers on, and they mean what they mean without it."""
    sample = samples()[68]
    direct, through = (
        provider_named(name, ByteEstimate()).read(200, sample.headers, None) for name in ("openai", "kong")
    )
    assert direct.observations == through.observations == (rpx(10_000, 9_999, DAY), tpm(10_000, 9_481))


def test_every_line_belongs_to_one_table() -> None:
    """No recorded answer is left without a stated meaning, and none has two."""
    tables = [HEADERS.keys(), REFUSALS.keys(), SILENT, NATIVE, *(table.keys() for table in TABLES.values())]
    claimed = [line for table in tables for line in table]
    assert sorted(claimed) == sorted(samples())


def test_lines_of_other_languages_are_claimed_by_their_tables() -> None:
    """What is set aside here is stated there."""
    try:
        native = importlib.import_module("test_header_samples_native")
    except ModuleNotFoundError:
        pytest.skip("the adapters of Anthropic, Google and Amazon have no tables yet")
    claimed = [line for table in (native.ANTHROPIC, native.GEMINI, native.BEDROCK) for line in table]
    assert sorted(claimed) == sorted(NATIVE)
