"""Limits that say how they come back."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.config import rules_from
from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.errors import ConfigurationError, DeadlineUnattainable
from scheduler.facade import Scheduler
from scheduler.providers.catalogue import parse
from scheduler.providers.quotas import quota_for

REQUESTS = Dimension.REQUESTS
PACIFIC = "America/Los_Angeles"


@pytest.mark.parametrize(
    ("key", "limit", "quota"),
    [
        ("rpm", {"amount": 5}, Quota(REQUESTS, 5, MINUTE)),
        ("rpm", {"amount": 5, "refill": "continuous", "burst": 2}, Quota(REQUESTS, 5, MINUTE, 2)),
        (
            "rpm",
            {"amount": 5, "refill": "sliding"},
            Quota(REQUESTS, 5, MINUTE, 0, Refill.SLIDING, None, "", SECOND // 4),
        ),
        ("rps", {"amount": 5, "refill": "fixed"}, Quota(REQUESTS, 5, SECOND, 0, Refill.FIXED, None, "", SECOND // 20)),
        (
            "rpd",
            {"amount": 5, "resets": f"midnight {PACIFIC}"},
            Quota(REQUESTS, 5, DAY, 0, Refill.FIXED, None, PACIFIC, 10 * SECOND),
        ),
        (
            "rpd",
            {"amount": 5, "refill": "fixed", "resets": " midnight  UTC ", "spread": 0.5},
            Quota(REQUESTS, 5, DAY, 0, Refill.FIXED, None, "UTC", 10 * SECOND, 500),
        ),
        (
            "rpm",
            {"amount": 5, "resets": "on the minute"},
            Quota(REQUESTS, 5, MINUTE, 0, Refill.FIXED, None, "UTC", 2 * SECOND),
        ),
        (
            "rph",
            {"amount": 5, "resets": "on the hour"},
            Quota(REQUESTS, 5, HOUR, 0, Refill.FIXED, None, "UTC", 10 * SECOND),
        ),
        ("concurrency", {"amount": 5}, Quota(Dimension.CONCURRENCY, 5, 0, refill=Refill.RELEASE)),
    ],
)
def test_tables(key: str, limit: dict[str, Any], quota: Quota) -> None:
    """Each way to come back is written in words; a plain amount is the short form."""
    assert quota_for(key, limit) == quota


@pytest.mark.parametrize(
    ("key", "limit", "place", "mend"),
    [
        ("rpm", {}, "rpm.amount", "whole number"),
        ("rpm", {"amount": 0}, "rpm.amount", "whole number"),
        ("rpm", {"amount": "5"}, "rpm.amount", "whole number"),
        ("rpm", {"amount": 5, "amout": 5}, "rpm.amout", "known are amount, refill, resets, burst, spread"),
        ("rpm", {"amount": 5, 7: 5}, "rpm.7", "known are amount"),
        ("concurrency", {"amount": 5, "refill": "fixed"}, "concurrency.refill", "known are amount"),
        ("rpm", {"amount": 5, "refill": "release"}, "rpm.refill", "known are continuous, fixed, sliding"),
        ("rpm", {"amount": 5, "refill": ["fixed"]}, "rpm.refill", "known are continuous, fixed, sliding"),
        ("rpm", {"amount": 5, "refill": "sliding", "resets": "on the minute"}, "rpm.refill", '"fixed"'),
        ("rpm", {"amount": 5, "burst": 0}, "rpm.burst", "whole number"),
        ("rpm", {"amount": 5, "burst": 3, "refill": "fixed"}, "rpm.burst", "leave it out"),
        ("rpm", {"amount": 5, "resets": "midnight UTC"}, "rpm.resets", '"on the minute"'),
        ("rpd", {"amount": 5, "resets": "on the day"}, "rpd.resets", "midnight America/Los_Angeles"),
        ("rpd", {"amount": 5, "resets": 0}, "rpd.resets", "midnight America/Los_Angeles"),
        ("rpd", {"amount": 5, "resets": "midnight Pacific"}, "rpd.resets", "install tzdata"),
        ("rpd", {"amount": 5, "resets": "midnight ../../etc/passwd"}, "rpd.resets", "America/Los_Angeles"),
        ("rpd", {"amount": 5, "resets": "midnight America"}, "rpd.resets", "America/Los_Angeles"),
        ("rpd", {"amount": 5, "spread": 0.5}, "rpd.spread", '"resets": "midnight UTC"'),
        ("rpd", {"amount": 5, "resets": "midnight UTC", "spread": 0}, "rpd.spread", "0.001 to 1"),
        ("rpd", {"amount": 5, "resets": "midnight UTC", "spread": 1.5}, "rpd.spread", "0.001 to 1"),
        ("rpd", {"amount": 5, "resets": "midnight UTC", "spread": True}, "rpd.spread", "0.001 to 1"),
        ("rpd", {"amount": 5, "resets": "midnight UTC", "spread": float("nan")}, "rpd.spread", "0.001 to 1"),
        ("rpd", {"amount": 5, "resets": "midnight UTC", "spread": "half"}, "rpd.spread", "0.001 to 1"),
    ],
)
def test_unusable_tables(key: str, limit: dict[Any, Any], place: str, mend: str) -> None:
    """An error names the key within the table, and the mend."""
    with pytest.raises(ConfigurationError) as raised:
        quota_for(key, limit)
    assert raised.value.key == place
    assert mend in raised.value.mend
    assert len(str(raised.value)) < 250


def test_the_error_of_a_model_s_limit_names_the_whole_way() -> None:
    """File, table, model, limit and key."""
    with pytest.raises(ConfigurationError) as raised:
        rules_from({"m": {"rpd": {"amount": 5, "resets": "noon UTC"}}}, file="scheduler.toml")
    assert (raised.value.file, raised.value.key) == ("scheduler.toml", "limits.m.rpd.resets")


TIERS = """
provider = "p"
as_of = 2026-11-22
[[tier]]
name = "free"
[[group]]
models = ["m"]
as_of = 2026-11-22
source = "a page"
[group.tiers]
free = { rpm = 10, rpd = { amount = 50, resets = "%s America/Los_Angeles" } }
"""


def test_a_published_tier_may_say_when_its_days_begin() -> None:
    """The catalogue's files are read alike; an error in one names the key."""
    (limits,) = parse(TIERS % "midnight").quotas("free")
    assert [quota.zone for quota in limits.quotas] == ["", PACIFIC]
    with pytest.raises(ConfigurationError) as raised:
        parse(TIERS % "noon", "p.toml")
    assert (raised.value.file, raised.value.key) == ("p.toml", "group[0].tiers.free.rpd.resets")


def test_a_file_s_tables_are_limits(tmp_path: Path) -> None:
    """A configuration file writes them as it writes tables; the machine's own clocks tell when days begin."""
    file = tmp_path / "scheduler.toml"
    file.write_text('[limits.m]\nrpd = { amount = 2, resets = "midnight UTC" }\n')
    scheduler = Scheduler.from_file(file)
    for _ in range(2):
        scheduler.reserve_nowait("m").settle()
    with pytest.raises(DeadlineUnattainable) as raised:
        scheduler.reserve_nowait("m")
    assert raised.value.quota == "rpd"
    assert raised.value.expected_wait is not None
    assert 0 < raised.value.expected_wait <= DAY // SECOND + 10
