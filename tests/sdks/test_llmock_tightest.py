"""Requests against llmock with the tightest limit that it can be given."""

import pytest
from sdk_bulk import STYLES, bulk, check
from sdk_llmock import llmock
from sdk_support import in_threads, needs

needs("llmock")

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.mark.timeout(180)
def test_one_request_a_minute() -> None:
    """The second request goes when a minute has passed, and is not refused, in any style."""
    styles = list(STYLES)

    def two(number: int) -> None:
        with llmock(rpm=1) as server:
            bulk(server, styles[number], 2)
            check(server, 2)

    in_threads(two, range(len(styles)))
