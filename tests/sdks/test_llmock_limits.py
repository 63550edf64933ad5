"""Bulk requests against llmock with limits that bind: nothing is lost, almost nothing refused, no fault found."""

import pytest
from sdk_bulk import STYLES, bulk, check
from sdk_llmock import llmock
from sdk_support import needs

needs("llmock")

pytestmark = pytest.mark.network


@pytest.mark.parametrize(("style", "told"), [*((style, False) for style in STYLES), ("openai", True)])
def test_with_tokens_that_bind(style: str, told: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """Where 1,000 requests take more tokens than a minute has, they take what the minute has, and then the rate."""
    with llmock(tpm=78_000) as server:
        bulk(server, style, 1000, {"*": {"tpm": 78_000}} if told else None)
        check(server, 1000)


@pytest.mark.parametrize("style", STYLES)
def test_with_requests_that_bind(style: str) -> None:
    """The same with requests a minute."""
    with llmock(rpm=600) as server:
        bulk(server, style, 640)
        check(server, 640)
