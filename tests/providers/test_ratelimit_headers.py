"""Rate-limit headers, read into observations."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import DAY, MINUTE, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.headers import NAMINGS, lowered, observations


def fields(words: str, limit: str | None, remaining: str | None, reset: str | None) -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{kind}-{words}": text for kind, text in named.items() if text is not None}


def test_reads_each_bucket_that_is_named() -> None:
    """Requests, tokens, images and the project's buckets are observed each by itself."""
    headers = {
        **fields("requests", "10000", "9999", "8.64s"),
        **fields("tokens", "30000", "29996", "8ms"),
        **fields("input-images", "50000", "49999", "1ms"),
        **fields("project-tokens", "60000", "57000", "3s"),
        **fields("project-requests", "60", "59", "1s"),
    }
    assert observations(headers) == (
        (
            Observation(Dimension.REQUESTS, 10_000, 9_999, DAY),
            Observation(Dimension.TOKENS, 30_000, 29_996, MINUTE),
            Observation(Dimension.IMAGES, 50_000, 49_999, MINUTE),
            Observation(Dimension.REQUESTS, 60, 59, MINUTE, project=True),
            Observation(Dimension.TOKENS, 60_000, 57_000, MINUTE, project=True),
        ),
        0,
    )


def test_names_in_any_case() -> None:
    """Names arrive in capitals too."""
    headers = lowered({"X-Ratelimit-Limit-Tokens": "10", "X-RATELIMIT-REMAINING-TOKENS": "5"})
    assert observations(headers)[0] == (Observation(Dimension.TOKENS, 10, 5, MINUTE),)


def test_tokens_are_per_minute_and_requests_of_unknown_window_where_nothing_decides() -> None:
    """A full bucket tells no window: tokens have always been per minute, requests have not."""
    headers = fields("requests", "500", "500", "0s") | fields("tokens", "500000", "500000", "0s")
    assert [seen.window for seen in observations(headers)[0]] == [None, MINUTE]


def test_duplicates_and_unknown_dimensions_are_passed_over() -> None:
    """``tokens_usage_based`` repeats ``tokens``; neither it nor a new name is an error."""
    headers = fields("tokens_usage_based", "160000", "1", "1ms") | fields("new-things", "x", "y", "z")
    assert observations(headers) == ((), 0)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "ignored"),
    [
        ("500", None, "1ms", 0),
        (None, "119", None, 0),
        ("-1", "-1", None, 2),
        ("0", "0", None, 1),
        ("500", "501", "1ms", 1),
        ("NaN", "5", "1ms", 1),
        ("9" * 400, "5", "1ms", 1),
        ("2" + "0" * 15, "5", "1ms", 1),
        ("1.5", "1", "1ms", 1),
        ("500, 500", "499, 499", "1ms", 2),
    ],
)
def test_what_cannot_be_believed_is_counted(
    limit: str | None, remaining: str | None, reset: str | None, ignored: int
) -> None:
    """Malformed, negative and absurd fields make no observation and are counted; absent ones are not."""
    assert observations(fields("requests", limit, remaining, reset)) == ((), ignored)


@pytest.mark.parametrize("reset", ["60", "soon", "-1s", "5 s", "9" * 70 + "s"])
def test_an_unusable_reset_costs_the_window_only(reset: str) -> None:
    """A reset without a unit has no meaning here; the level is believed all the same."""
    seen, ignored = observations(fields("requests", "500", "499", reset))
    assert (seen, ignored) == ((Observation(Dimension.REQUESTS, 500, 499),), 1)


NAMES = st.sampled_from(
    [f"x-ratelimit-{kind}-{words}" for kind in ("limit", "remaining", "reset") for words in NAMINGS]
)
VALUES = st.text(max_size=80) | st.integers().map(str) | st.floats().map(str) | st.just("1m26.4s")


@given(st.dictionaries(NAMES | st.text(max_size=40), VALUES))
def test_any_headers_at_all(headers: dict[str, str]) -> None:
    """Whatever the headers say, observations are sane, each bucket is there at most once, and nothing raises."""
    seen, ignored = observations(lowered(headers))
    assert len({(one.dimension, one.project) for one in seen}) == len(seen)
    assert 0 <= ignored <= len(headers) + len(NAMINGS)
    for one in seen:
        assert 0 <= one.remaining <= one.limit <= 10**15
        assert one.limit > 0
