"""Bulk requests against llmock, a limiter that nobody here wrote: nothing is lost, and its report finds no fault."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sdk_llmock import KEY, Llmock, llmock
from sdk_support import needs, run

from scheduler import Scheduler

needs("llmock")

pytestmark = pytest.mark.network

STYLES = {
    "openai": ("", "/v1/chat/completions", "max_completion_tokens", "gpt-5-mini"),
    "anthropic": ("/anthropic", "/v1/messages", "max_tokens", "claude-haiku-4-5"),
    "groq": ("/groq/openai", "/v1/chat/completions", "max_tokens", "llama-3.1-8b-instant"),
}


def bodies(style: str, number: int) -> list[dict[str, Any]]:
    """Return requests of 40 to 240 characters, no two alike."""
    _, _, cap, model = STYLES[style]
    texts = [f"{index} " + "word " * (8 + index % 40) for index in range(number)]
    return [{"model": model, cap: 20, "messages": [{"role": "user", "content": text}]} for text in texts]


def bulk(server: Llmock, style: str, number: int, limits: Any = None, **settings: Any) -> Scheduler:
    """Send *number* requests through ``map``; all have to be answered. Return the scheduler."""
    prefix, path, _, _ = STYLES[style]
    scheduler = Scheduler(style, base_url=server.url + prefix, limits=limits, api_key=KEY, **settings)

    async def main() -> Counter[str]:
        async with scheduler:
            results = scheduler.map(bodies(style, number), url=path, most=200)  # a small machine serves no more at once
            return Counter([repr(result.error) async for result in results])

    assert run(main) == {"None": number}
    return scheduler


def check(server: Llmock, number: int) -> None:
    """Nothing is lost or sent twice; at most 2 in 1,000 are refused; the report finds no fault."""
    statuses = server.statuses()
    assert statuses[200] == number
    assert statuses.total() - number <= 2 * number / 1000
    assert server.findings() == []


@pytest.fixture(scope="module")
def unlimited() -> Iterator[Llmock]:
    with llmock() as server:
        yield server


@pytest.mark.parametrize("style", STYLES)
def test_with_its_default_limits(unlimited: Llmock, style: str) -> None:
    """By default it limits nothing and says nothing of limits: 1,000 requests take seconds."""
    unlimited.forget()
    bulk(unlimited, style, 1000)
    check(unlimited, 1000)


@pytest.mark.parametrize(("style", "told"), [*((style, False) for style in STYLES), ("openai", True)])
def test_with_tokens_that_bind(style: str, told: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """Where 1,000 requests take more tokens than a minute has, they take what the minute has, and then the rate."""
    with llmock(tpm=78_000) as server:
        bulk(server, style, 1000, {"*": {"tpm": 78_000}} if told else None)
        check(server, 1000)


@pytest.mark.parametrize("style", ["openai", "anthropic"])  # its Groq says of the minute what Groq says of the day
def test_with_requests_that_bind(style: str) -> None:
    """The same with requests a minute."""
    with llmock(rpm=600) as server:
        bulk(server, style, 640)
        check(server, 640)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("style", ["openai", "anthropic"])
def test_with_its_tightest_limit(style: str) -> None:
    """One request a minute is the tightest limit that it can be given."""
    with llmock(rpm=1) as server:
        bulk(server, style, 2)
        check(server, 2)


@pytest.mark.parametrize("style", STYLES)
def test_failures_in_between(unlimited: Llmock, style: str) -> None:
    """Refusals, overload and errors that it is told to throw in are waited out as they ask; it finds no fault."""
    unlimited.forget()
    for status in (429, 500, 503, 429, 529):
        unlimited.script(type="fail", status=status, times=2, retry_after=0.3)
    bulk(unlimited, style, 100, {"*": {"rpm": 6000}})
    statuses = unlimited.statuses()
    assert statuses == {200: 100, 429: 4, 500: 2, 503: 2, 529: 2}
    assert unlimited.findings() == []


def test_what_it_finds_fault_with(unlimited: Llmock) -> None:
    """The report is no empty form: a scheduler that gives up at once is found out."""
    unlimited.forget()
    unlimited.script(type="fail", status=503, times=1, retry_after=0.1)
    scheduler = Scheduler("openai", base_url=unlimited.url, api_key=KEY, max_attempts=1)

    async def main() -> None:
        async with scheduler:
            (result,) = [result async for result in scheduler.map(bodies("openai", 1))]
            assert result.error is not None

    run(main)
    assert [finding.partition(":")[0] for finding in unlimited.findings()] == ["gave_up"]
