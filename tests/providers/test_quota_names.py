"""Quotas by their short names, and providers by theirs."""

from typing import Any

import pytest

from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota, Refill
from scheduler.errors import ConfigurationError
from scheduler.providers.openai import OpenAI
from scheduler.providers.quotas import QUOTA_KEYS, quota_for
from scheduler.providers.registry import provider_named
from scheduler.tokens.text import ByteEstimate


@pytest.mark.parametrize(
    ("key", "quota"),
    [
        ("rpm", Quota(Dimension.REQUESTS, 5, MINUTE)),
        ("rps", Quota(Dimension.REQUESTS, 5, SECOND)),
        ("rpd", Quota(Dimension.REQUESTS, 5, DAY)),
        ("tpm", Quota(Dimension.TOKENS, 5, MINUTE)),
        ("tpd", Quota(Dimension.TOKENS, 5, DAY)),
        ("ipm", Quota(Dimension.IMAGES, 5, MINUTE)),
        ("itpm", Quota(Dimension.INPUT_TOKENS, 5, MINUTE)),
        ("otpm", Quota(Dimension.OUTPUT_TOKENS, 5, MINUTE)),
        ("concurrency", Quota(Dimension.CONCURRENCY, 5, 0, refill=Refill.RELEASE)),
    ],
)
def test_names(key: str, quota: Quota) -> None:
    """A short name is a dimension and a window."""
    assert quota == quota_for(key, 5)


def test_a_quota_goes_by_the_name_that_made_it() -> None:
    """Every name is read back from its quota."""
    assert {key: quota_for(key, 1).name for key in QUOTA_KEYS} == {key: key for key in QUOTA_KEYS}


@pytest.mark.parametrize("amount", [0, -1, 1.5, 5.0, "5", True, None, 10**15 + 1, pytest.param(10**5000, id="huge")])
def test_unusable_amounts(amount: Any) -> None:
    """Zero is no way to lift a limit, and a limit is a whole number."""
    with pytest.raises(ConfigurationError) as raised:
        quota_for("rpm", amount)
    assert raised.value.key == "rpm"
    assert "leave it out" in raised.value.mend
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("key", ["", "RPM", "rpw", "requests", "batch_queue"])
def test_unknown_names(key: str) -> None:
    """An unknown name is refused with the known ones."""
    with pytest.raises(ConfigurationError, match=r"known are rps, rpm, rph, rpd, tps"):
        quota_for(key, 5)


def test_providers_by_name() -> None:
    """A provider is made by its name; an unknown one is refused with the known ones."""
    counter = ByteEstimate()
    provider = provider_named("openai", counter, "http://127.0.0.1:1")
    assert isinstance(provider, OpenAI)
    assert provider.base_url == "http://127.0.0.1:1"
    assert provider_named("openai", counter).base_url == "https://api.openai.com"
    with pytest.raises(ConfigurationError, match="known are openai"):
        provider_named("opnai", counter)
