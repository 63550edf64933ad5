"""What a scheduler that knows nothing learns of one recorded answer, at each provider."""

import pytest
from provider_data import samples

from scheduler import Scheduler

LEARNED: list[tuple[str, int, dict[str, int | None]]] = [
    ("openai", 5, {"rpd": 10_000, "tpm": 10_000}),
    ("openai", 12, {"rpm": 500, "tpm": 500_000}),
    ("openai", 36, {"rpm": None, "tpm": 30_000}),
    ("groq", 27, {"rpd": 14_400, "tpm": 6_000}),
    ("groq", 87, {"rpm": None, "tpd": 100_000}),
    ("mistral", 28, {"requests/10s": 60, "tpm": 20_000_000}),
    ("mistral", 99, {"rpm": 720, "tpm": 5_000_000}),
    ("azure", 30, {"rpm": 100, "tpm": 100_000}),
    ("azure", 75, {"rpm": None, "tpm": None}),
    ("together", 32, {"rps": 2, "tpm": None}),
    ("together", 105, {"rpm": 9, "tpm": None}),
    ("openrouter", 97, {"rpd": 50, "tpm": None}),
    ("github-models", 108, {"rpd": 50, "tpm": None}),
    ("kong", 68, {"rpd": 10_000, "tpm": 10_000}),
    ("ietf", 34, {"rpm": None, "tpm": None}),
]


@pytest.mark.parametrize(("name", "line", "limits"), LEARNED)
def test_limits_that_one_answer_teaches(name: str, line: int, limits: dict[str, int | None]) -> None:
    """Limit and window of each bucket that an answer states are those that are kept from then on; others stay open."""
    sample = samples()[line]
    scheduler = Scheduler(provider=name)
    reservation = scheduler.reserve_nowait("some-model", tokens=10)
    reservation.observe(sample.headers, sample.status or (200 if sample.headers else 429), sample.body)
    reservation.settle()
    (scope,) = scheduler.statistics().scopes
    assert {bucket.quota: bucket.limit for bucket in scope.buckets} == limits
