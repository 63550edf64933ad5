"""Recorded answers of OpenAI, and of proxies that pass them on: what each one means."""

from typing import NamedTuple

import pytest
from provider_data import samples

from scheduler.core.quota import DAY, MINUTE, Dimension
from scheduler.providers.base import Cause, Observation, Reading
from scheduler.providers.openai import OpenAI
from scheduler.tokens.text import ByteEstimate

OPENAI = OpenAI(ByteEstimate())
REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS
MS = 1_000_000


def read(line: int, status: int = 429) -> Reading:
    """Read a recorded answer; *status* where none was recorded."""
    sample = samples()[line]
    return OPENAI.read(sample.status or status, sample.headers, sample.body)


# line: (window of requests, charge of tokens), for answers with headers; all tokens are per minute
HEADERS: dict[int, tuple[int, int | None]] = {
    1: (DAY, 57),
    2: (DAY, 41),
    3: (MINUTE, 22),
    4: (MINUTE, 23),
    5: (DAY, 22),
    6: (MINUTE, 8),
    7: (MINUTE, 12),
    8: (MINUTE, 125),
    9: (MINUTE, 8),
    10: (MINUTE, 9),
    11: (MINUTE, 0),
    12: (MINUTE, 5),
    13: (MINUTE, 5),
    14: (MINUTE, 23),
    15: (MINUTE, 318),
    16: (MINUTE, 30),
    17: (MINUTE, 23_749),
    18: (MINUTE, 43),
    19: (MINUTE, 14),
    20: (MINUTE, 19),
    21: (MINUTE, 25),
    35: (MINUTE, 4),
    66: (MINUTE, None),
    67: (DAY, 22),
    68: (DAY, 519),
    69: (MINUTE, 100),
    70: (DAY, 71),
}


class Refused(NamedTuple):
    """What a recorded refusal means."""

    cause: Cause
    milliseconds: int | None = None
    observation: Observation | None = None


def level(dimension: Dimension, limit: int, used: int, requested: int, window: int = MINUTE) -> Observation:
    return Observation(dimension, limit, limit - used, window, requested=requested)


REFUSALS: dict[int, Refused] = {
    36: Refused(Cause.RATE, 644, level(TOKENS, 30_000, 29_937, 385)),
    37: Refused(Cause.TOO_LARGE),
    38: Refused(Cause.RATE, 9_816, level(TOKENS, 10_000, 8_554, 3_082)),
    39: Refused(Cause.RATE, 18_642, level(TOKENS, 30_000, 14_567, 24_754)),
    40: Refused(Cause.TOO_LARGE),
    41: Refused(Cause.TOO_LARGE),
    42: Refused(Cause.RATE, 174, level(TOKENS, 30_000, 18_928, 11_159)),
    43: Refused(Cause.RATE, 3_890, level(TOKENS, 30_000, 28_039, 3_906)),
    45: Refused(Cause.RATE),
    46: Refused(Cause.RATE, 7_188, level(TOKENS, 10_000, 6_701, 4_497)),
    47: Refused(Cause.RATE, 20_000, level(REQUESTS, 3, 3, 1)),
    48: Refused(Cause.RATE, 3_000),
    49: Refused(Cause.RATE, 20_000, level(REQUESTS, 3, 3, 1)),
    50: Refused(Cause.RATE, 20, level(REQUESTS, 3_000, 3_000, 1)),
    51: Refused(Cause.RATE, 20_000),
    52: Refused(Cause.RATE, 1),
    53: Refused(Cause.RATE, 20_000),
    54: Refused(Cause.RATE, 432_000, level(REQUESTS, 200, 200, 1, DAY)),
    55: Refused(Cause.RATE, 86_400, level(REQUESTS, 1_000, 1_000, 1, DAY)),
    56: Refused(Cause.RATE, 8_640, level(REQUESTS, 10_000, 10_000, 1, DAY)),
    57: Refused(Cause.RATE, 125, level(TOKENS, 10_000, 9_524, 497)),
    58: Refused(Cause.RATE),
    59: Refused(Cause.RATE, 28, level(TOKENS, 40_000_000, 40_000_000, 19_304)),
    60: Refused(Cause.BILLING),
    61: Refused(Cause.BILLING),
    62: Refused(Cause.SERVER),
    63: Refused(Cause.OVERLOAD),
    64: Refused(Cause.RATE, 2_812, level(TOKENS, 1_000_000, 976_163, 70_716)),
    65: Refused(Cause.RATE, 20_000, level(REQUESTS, 3, 3, 1)),
}

SILENT = frozenset({44, 71})
"""Answers that say nothing of their buckets, or lack the level that makes a limit an observation."""


@pytest.mark.parametrize("line", HEADERS)
def test_headers_say_window_and_charge(line: int) -> None:
    """The window of the requests limit and the tokens charged are those that the recording shows."""
    window, charge = HEADERS[line]
    reading = read(line, 200)
    seen = {one.dimension: one for one in reading.observations}
    assert seen[REQUESTS].window == window
    assert reading.ignored == 0
    if charge is None:
        assert TOKENS not in seen
    else:
        assert (seen[TOKENS].limit - seen[TOKENS].remaining, seen[TOKENS].window) == (charge, MINUTE)


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals_say_cause_delay_and_level(line: int) -> None:
    """The cause, the delay and the level of a refusal are those that its words state."""
    reading, expected = read(line), REFUSALS[line]
    assert reading.cause is expected.cause
    assert reading.delay == (None if expected.milliseconds is None else expected.milliseconds * MS)
    assert reading.refused == expected.observation
    assert reading.message


def test_the_delay_is_what_the_level_implies() -> None:
    """Refused requests waited (used + requested - limit) / limit of a window, to the millisecond or two."""
    for line in (36, 38, 39, 42, 43, 46, 54, 56, 57, 59, 64, 87):
        reading = read(line)
        refused, delay = reading.refused, reading.delay
        assert refused is not None
        assert refused.window is not None
        assert refused.requested is not None
        assert delay is not None
        missing = refused.requested - refused.remaining
        assert abs(missing * refused.window // refused.limit - delay) <= 2 * MS


def test_answers_without_rate_limit_headers() -> None:
    """An answer may say nothing about its buckets, or lack the level that makes a limit an observation."""
    for line in SILENT:
        assert read(line, 200).observations == ()


def test_every_openai_row_has_a_stated_meaning() -> None:
    """No recorded OpenAI answer is left out of these tables."""
    rows = {line for line, sample in samples().items() if sample.provider.startswith("openai") and line < 97}
    assert rows - HEADERS.keys() - REFUSALS.keys() == SILENT


def test_no_recorded_answer_of_any_provider_raises() -> None:
    """All 109 answers of 15 providers are read, with any status, and shown safely."""
    found = samples()
    assert len(found) == 109
    for sample in found.values():
        for status in (sample.status or 0, 200, 429, 503):
            reading = OPENAI.read(status, sample.headers, sample.body)
            assert len(reading.message) <= 500
            assert reading.message.isprintable()
