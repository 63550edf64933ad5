"""Bulk requests against llmock as it is by default, and with failures thrown in: nothing is lost, no fault found."""

from collections.abc import Iterator

import pytest
from sdk_bulk import STYLES, bodies, bulk, check
from sdk_llmock import KEY, Llmock, llmock
from sdk_support import needs, run

from scheduler import Scheduler

needs("llmock")

pytestmark = pytest.mark.network


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


@pytest.mark.parametrize("style", STYLES)
def test_failures_in_between(unlimited: Llmock, style: str) -> None:
    """Refusals, overload and errors that it is told to throw in are waited out as they ask, without a fault found."""
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
