"""Anthropic's rate limit headers, read into observations."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import DAY, MINUTE, Dimension
from scheduler.providers.anthropic import Anthropic
from scheduler.providers.anthropic_headers import observations
from scheduler.providers.base import Observation
from scheduler.providers.headers import lowered

DATE = {"date": "Mon, 23 Jun 2025 10:26:56 GMT"}
NOW = "2025-06-23T10:26:56Z"


def fields(
    name: str, limit: str | None, remaining: str | None, reset: str | None = NOW, prefix: str = "anthropic-ratelimit"
) -> dict[str, str]:
    named = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"{prefix}-{name}-{kind}": text for kind, text in named.items() if text is not None}


SENT, PRODUCED = fields("input-tokens", "40000", "31000"), fields("output-tokens", "8000", "7000")


def test_each_bucket_by_itself() -> None:
    """Requests are exact; tokens are rounded to the nearest thousand, and the least that they may be is observed."""
    assert observations(fields("requests", "50", "49") | SENT | PRODUCED) == (
        (
            Observation(Dimension.REQUESTS, 50, 49, MINUTE),
            Observation(Dimension.INPUT_TOKENS, 40_000, 30_500, MINUTE),
            Observation(Dimension.OUTPUT_TOKENS, 8_000, 6_500, MINUTE),
        ),
        0,
    )


@pytest.mark.parametrize(
    ("stated", "remaining"), [(0, 0), (1_000, 500), (999, 999), (31_234, 31_234), (40_000, 39_500)]
)
def test_only_whole_thousands_were_rounded(stated: int, remaining: int) -> None:
    """A number that is no whole thousand was not rounded, and below nothing there is nothing."""
    seen, _ = observations(fields("input-tokens", "40000", str(stated)))
    assert [one.remaining for one in seen] == [remaining]


@given(level=st.integers(0, 10**6))
def test_an_observation_never_states_more_than_there_was(level: int) -> None:
    """Whatever the level was that was rounded, what is observed is not above it, and at most a thousand below."""
    seen, _ = observations(fields("input-tokens", "1000000", str((level + 500) // 1000 * 1000)))
    assert level - 1000 <= seen[0].remaining <= level


def test_the_sum_of_both_kinds_is_no_bucket() -> None:
    """The tokens that stand beside input and output tokens are their sum, or one of them, and are left out."""
    for limit in ("48000", "40000", "8000", "60000"):
        seen, ignored = observations(SENT | PRODUCED | fields("tokens", limit, "1000"))
        assert [one.dimension for one in seen] == [Dimension.INPUT_TOKENS, Dimension.OUTPUT_TOKENS]
        assert ignored == 0


def test_one_kind_missing_leaves_the_sum_undecided() -> None:
    """Where only one of the two kinds is stated, nobody can tell what the tokens beside it are."""
    seen, _ = observations(PRODUCED | fields("tokens", "48000", "1000"))
    assert [one.dimension for one in seen] == [Dimension.OUTPUT_TOKENS]


def test_the_workspace_has_a_limit_of_its_own() -> None:
    """The guide's own example: 40,000 in, 8,000 out, and a workspace of 30,000 in all, which is the project's."""
    seen, _ = observations(SENT | PRODUCED | fields("tokens", "30000", "12000"))
    assert seen[-1] == Observation(Dimension.TOKENS, 30_000, 11_500, MINUTE, project=True)


def test_fast_mode_draws_on_its_own_limits() -> None:
    """Where fast limits are stated, the standard ones are not what this request has drawn on."""
    fast = fields("input-tokens", "5000", "4000", prefix="anthropic-fast")
    seen, ignored = observations(SENT | PRODUCED | fields("requests", "50", "49") | fast)
    assert seen == (Observation(Dimension.INPUT_TOKENS, 5_000, 3_500, MINUTE),)
    assert ignored == 0


def test_other_families_are_passed_over() -> None:
    """Priority capacity and subscriptions are no quotas of ours, and not malformed either."""
    headers = {
        **fields("input-tokens", "9", "8", prefix="anthropic-priority"),
        "anthropic-ratelimit-unified-status": "allowed_warning",
        "anthropic-ratelimit-unified-5h-utilization": "0.81",
        "anthropic-ratelimit-unified-reset": "1782211200",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    }
    assert observations(headers) == ((), 0)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "window"),
    [
        ("50", "49", "2025-06-23T10:26:44Z", MINUTE),  # full, and so in the past
        ("50", "49", "2025-06-23T10:27:56Z", MINUTE),
        ("50", "0", "2025-06-23T10:35:21Z", MINUTE),  # 505 s were recorded: a debt
        ("1000", "500", "2025-06-23T22:26:56Z", DAY),  # half of a day's
        ("1000", "0", "2025-06-24T00:00:00Z", DAY),  # until midnight
        ("1000000", "0", "2025-06-24T10:26:56Z", DAY),
    ],
)
def test_windows(limit: str, remaining: str, reset: str, window: int) -> None:
    """All that is published is per minute; a reset far ahead of the answer's date tells the day's apart."""
    seen, _ = observations(DATE | fields("requests", limit, remaining, reset))
    assert [one.window for one in seen] == [window]


def test_without_a_date_the_window_is_the_minute() -> None:
    """No local clock is asked."""
    seen, _ = observations(fields("requests", "1000", "0", "2099-01-01T00:00:00Z"))
    assert [one.window for one in seen] == [MINUTE]


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "ignored"),
    [
        ("50", None, NOW, 0),
        (None, "49", None, 0),
        ("-1", "-1", None, 2),
        ("0", "0", None, 1),
        ("50", "51", NOW, 1),
        ("9" * 400, "5", NOW, 1),
        ("50.5", "50", NOW, 1),
        ("50, 50", "49, 49", NOW, 2),
    ],
)
def test_what_cannot_be_believed_is_counted(
    limit: str | None, remaining: str | None, reset: str | None, ignored: int
) -> None:
    """Malformed, negative and absurd fields make no observation and are counted; absent ones are not."""
    assert observations(fields("requests", limit, remaining, reset)) == ((), ignored)


@pytest.mark.parametrize("reset", ["60", "soon", "2025-06-23T10:26:56", "2025-13-01T00:00:00Z", "2" * 70, ""])
def test_an_unusable_reset_costs_nothing_but_itself(reset: str) -> None:
    """A reset that names no instant is counted; the level is believed all the same."""
    seen, ignored = observations(DATE | fields("requests", "50", "49", reset))
    assert (seen, ignored) == ((Observation(Dimension.REQUESTS, 50, 49, MINUTE),), 1)


def test_names_in_any_case() -> None:
    """Names arrive in capitals too."""
    headers = {name.title(): value for name, value in SENT.items()}
    assert Anthropic().read(200, headers, None).observations == observations(SENT)[0]


NAMES = st.sampled_from(
    [
        f"anthropic-{family}-{name}-{kind}"
        for family in ("ratelimit", "fast", "priority")
        for name in ("requests", "tokens", "input-tokens", "output-tokens")
        for kind in ("limit", "remaining", "reset")
    ]
    + ["date", "retry-after"]
)
VALUES = st.text(max_size=80) | st.integers().map(str) | st.datetimes().map(str) | st.just(NOW) | st.just(DATE["date"])


@given(st.dictionaries(NAMES | st.text(max_size=40), VALUES))
def test_any_headers_at_all(headers: dict[str, str]) -> None:
    """Whatever the headers say, observations are sane, each bucket is there at most once, and nothing raises."""
    seen, ignored = observations(lowered(headers))
    assert len({(one.dimension, one.project) for one in seen}) == len(seen)
    assert 0 <= ignored <= len(headers) + 8
    for one in seen:
        assert 0 <= one.remaining <= one.limit <= 10**15
        assert one.limit > 0
