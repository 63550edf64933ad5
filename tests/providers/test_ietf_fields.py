"""The IETF's RateLimit fields, in all drafts, and as a fallback of every provider."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.ietf import ietf
from scheduler.providers.registry import PROVIDERS, provider_named
from scheduler.tokens.text import ByteEstimate

REQUESTS, TOKENS = Dimension.REQUESTS, Dimension.TOKENS


def one(limit: int, remaining: int, window: int | None, dimension: Dimension = REQUESTS) -> Observation:
    return Observation(dimension, limit, remaining, window)


@pytest.mark.parametrize(
    ("policy", "limits", "seen"),
    [
        ('"default";q=100;w=60', '"default";r=50;t=30', [one(100, 50, MINUTE)]),
        (
            '"burst";q=100;w=60,"daily";q=1000;w=86400',
            '"daily";r=7;t=9, "burst";r=0',
            [one(1000, 7, DAY), one(100, 0, MINUTE)],
        ),
        ('"p";q=10;w=1;pk=:c2RmanM=:', '"p";r=9;t=1;pk=:c2RmanM=:', [one(10, 9, SECOND)]),
        ('"p";q=10;w=60', '"p";r=9;pk=:YQ==:, "p";r=2;pk=:Yg==:', [one(10, 2, MINUTE)]),
        ('"p";q=10', '"p";r=9;t=5', [one(10, 9, None)]),
        ('"p";q=5000;qu="tokens";w=60', '"p";r=4000', [one(5000, 4000, MINUTE, TOKENS)]),
        ('"p";q=5000;qu="content-bytes";w=60', '"p";r=4000', []),
        ('"p";q=4;qu="concurrent-requests"', '"p";r=3', []),
        ('"week";q=1000;w=604800', '"week";r=999;t=100', []),
        ('"p";q=10;w=60', '"other";r=9', []),
        (None, '"p";r=9;t=5', []),
        ("default;q=100;w=60", "default;r=50;t=30", [one(100, 50, MINUTE)]),
        ("100;w=60", "limit=100, remaining=50, reset=5", [one(100, 50, MINUTE)]),
        ('10;w=1, 1000;w=3600;comment="x"', "limit=1000, remaining=50, reset=5", [one(1000, 50, HOUR)]),
        (None, "limit=100, remaining=50, reset=5", [one(100, 50, None)]),
        (None, "limit=100, remaining=50, reset=61", [one(100, 50, HOUR)]),
        (None, "limit=100, remaining=50, reset=3601", [one(100, 50, DAY)]),
    ],
)
def test_one_field(policy: str | None, limits: str, seen: list[Observation]) -> None:
    """Named policies of the later drafts, the dictionary of draft 07; what cannot be expressed is left out."""
    headers = {"ratelimit": limits} | ({} if policy is None else {"ratelimit-policy": policy})
    assert ietf(headers) == (tuple(seen), 0)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "seen"),
    [
        ("100", "99", "50", [one(100, 99, None)]),
        ("100", "99", None, [one(100, 99, None)]),
        ("100, 100;w=60", "99", "50", [one(100, 99, MINUTE)]),
        ('100, 10;w=1, 100;w=3600;comment="sliding"', "99", "50", [one(100, 99, HOUR)]),
        ("5000", "4999", "3600", [one(5000, 4999, HOUR)]),
        ("100", None, "50", []),
    ],
)
def test_three_fields(limit: str, remaining: str | None, reset: str | None, seen: list[Observation]) -> None:
    """Drafts up to 06 have a field each for limit, remaining and reset, with policies in the first."""
    fields = {"ratelimit-limit": limit, "ratelimit-remaining": remaining, "ratelimit-reset": reset}
    assert ietf({name: text for name, text in fields.items() if text is not None}) == (tuple(seen), 0)


def test_what_remains_without_a_limit_proves_nothing() -> None:
    """Replicate sends no limit."""
    assert ietf({"ratelimit-remaining": "599", "ratelimit-reset": "1"}) == ((), 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit": '"p";r=9, p=', "ratelimit-policy": '"p";q=10'},
        {"ratelimit": '"p";r=9', "ratelimit-policy": '"p";q=ten'},
        {"ratelimit": '"p";r=9', "ratelimit-policy": '"p";q=10;w=0'},
        {"ratelimit": '"p";r=-1', "ratelimit-policy": '"p";q=10'},
        {"ratelimit": '"p";r=11', "ratelimit-policy": '"p";q=10'},
        {"ratelimit": '"p";r=0', "ratelimit-policy": '"p";q=0'},
        {"ratelimit": '("p" "q");r=1', "ratelimit-policy": '("p" "q");q=10'},
        {"ratelimit": "limit=10, reset=5"},
        {"ratelimit": "r\u00e9"},
        {"ratelimit": '"' + "p" * 3_000 + '";r=1'},
        {"ratelimit-limit": "100", "ratelimit-remaining": "many"},
        {"ratelimit-limit": "", "ratelimit-remaining": "1"},
    ],
)
def test_malformed_fields_are_ignored_and_counted(headers: dict[str, str]) -> None:
    """A field that is malformed anywhere is ignored as a whole; numbers that cannot be are not believed."""
    assert ietf(headers) == ((), 1)


@pytest.mark.parametrize("name", ["openai", "groq", "azure", "mistral", "vllm", "kong", "ietf", "deepseek"])
def test_every_provider_falls_back_on_them(name: str) -> None:
    """Where an answer has none of its provider's own headers, the IETF's are read, in any case."""
    headers = {"RateLimit-Policy": '"p";q=10;w=60', "RateLimit": '"p";r=9;t=5'}
    provider = provider_named(name, ByteEstimate())
    assert provider.read(200, headers, None).observations == (one(10, 9, MINUTE),)


def test_own_headers_come_before_them() -> None:
    """Of two languages in one answer the provider's own is believed."""
    headers = {
        "RateLimit": "limit=10, remaining=9, reset=5",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
    }
    assert PROVIDERS["openai"](ByteEstimate(), None).read(200, headers, None).observations == (one(500, 499, MINUTE),)


FIELDS = st.sampled_from(["ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"])
PIECES = st.sampled_from(
    [
        '"p"',
        "p",
        ";",
        "q=",
        "r=",
        "w=",
        "t=",
        "10",
        "60",
        ",",
        " ",
        "limit=",
        "remaining=",
        ":YQ==:",
        "(",
        ")",
        "-",
        "1.5",
        "?1",
    ]
)


@given(st.dictionaries(FIELDS, st.text(max_size=60) | st.lists(PIECES, max_size=20).map("".join)))
def test_any_fields_at_all(headers: dict[str, str]) -> None:
    """Whatever the fields say, nothing raises and what is observed is sane."""
    seen, ignored = ietf(headers)
    assert ignored >= 0
    for each in seen:
        assert 0 <= each.remaining <= each.limit <= 10**15
        assert each.window is None or 0 < each.window <= DAY
