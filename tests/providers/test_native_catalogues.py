"""What Anthropic, Google and Cohere publish: tiers, limits and prices."""

from fnmatch import fnmatchcase

import pytest

from scheduler.core.quota import Refill
from scheduler.providers.base import Usage
from scheduler.providers.catalogue import Catalogue, Price, load, price_of

NATIVE = ("anthropic", "gemini", "cohere")
ANTHROPIC, COHERE = load("anthropic"), load("cohere")
MODELS = ("1", "2", "3", "4"), ("start", "build", "scale")


def limits_of(catalogue: Catalogue, tier: str, model: str) -> dict[str, int]:
    """Return the limits of a model by their short names."""
    found = [one for one in catalogue.quotas(tier) if any(fnmatchcase(model, name) for name in one.models)]
    assert len(found) <= 1
    return {quota.name: quota.amount for one in found for quota in one.quotas}


@pytest.mark.parametrize(
    ("tier", "model", "limits"),
    [
        ("1", "claude-sonnet-4-5-20250929", {"rpm": 50, "itpm": 30_000, "otpm": 8_000}),
        ("tier-4", "claude-opus-4-1", {"rpm": 4_000, "itpm": 2_000_000, "otpm": 400_000}),
        ("4", "claude-haiku-4-5", {"rpm": 4_000, "itpm": 4_000_000, "otpm": 800_000}),
        ("Start", "claude-opus-5-5", {"rpm": 1_000, "itpm": 2_000_000, "otpm": 400_000}),
        ("build", "claude-haiku-5-5", {"rpm": 5_000, "itpm": 5_000_000, "otpm": 1_000_000}),
        ("scale", "claude-sonnet-5", {"rpm": 10_000, "itpm": 10_000_000, "otpm": 2_000_000}),
        ("start", "claude-fable-5-1", {"rpm": 1_000, "itpm": 500_000, "otpm": 100_000}),
        ("scale", "claude-fable-5", {"rpm": 4_000, "itpm": 4_000_000, "otpm": 800_000}),
        ("1", "claude-3-5-haiku-20241022", {"rpm": 50, "itpm": 50_000, "otpm": 10_000}),
        ("4", "claude-opus-5-5", {}),
        ("start", "claude-3-7-sonnet", {}),
        ("build", "messages/batches", {"rpm": 2_000}),
        ("scale", "messages/count_tokens", {"rpm": 8_000}),
    ],
)
def test_anthropics_limits(tier: str, model: str, limits: dict[str, int]) -> None:
    """Spot values are those of the guide, old tiers and new; what it does not state is no limit."""
    assert limits_of(ANTHROPIC, tier, model) == limits


def test_opus_and_sonnet_of_the_fourth_generation_share_a_pool_each() -> None:
    """Later models have limits of their own."""
    pools = {limits.scope: set(limits.models) for limits in ANTHROPIC.quotas("start")}
    assert {"claude-opus-4-8", "claude-opus-4-5"} <= pools["claude-opus-4.x"]
    assert {"claude-sonnet-4-6", "claude-sonnet-4-5"} <= pools["claude-sonnet-4.x"]
    assert not any(model.startswith("claude-opus-5") for model in pools["claude-opus-4.x"])


@pytest.mark.parametrize(
    ("tier", "pool", "limits"),
    [
        ("trial", "command-a-03-2025", {"rpm": 20}),
        ("production", "command-a-03-2025", {"rpm": 500}),
        ("production", "command-a-reasoning-08-2025", {}),
        ("evaluation", "rerank", {"rpm": 10}),
        ("production", "embed", {"rpm": 2_000}),
    ],
)
def test_coheres_limits(tier: str, pool: str, limits: dict[str, int]) -> None:
    """Models of chat have limits of their own, the other endpoints one each."""
    assert limits_of(COHERE, tier, pool) == limits


def test_what_is_not_published_is_not_there() -> None:
    """Gemini's tiers have names and no numbers; Bedrock's quotas are each account's own, and so are its prices."""
    assert load("gemini").tiers == ("free", "1", "2", "3")
    assert not load("gemini").quotas("tier2")
    assert price_of("bedrock")("anthropic.claude-sonnet-4-5-20250929-v1:0") is None


@pytest.mark.parametrize("name", NATIVE)
def test_every_group_is_dated_sourced_and_usable(name: str) -> None:
    """Each group says when and whence, and no two pools of a tier claim the same model."""
    catalogue = load(name)
    assert catalogue.provider == name
    for group in catalogue.groups:
        assert group.as_of <= catalogue.as_of
        assert group.source
        assert all(quotas for quotas in group.quotas.values())
        assert group.quotas.keys() <= set(catalogue.tiers)
    for tier in catalogue.tiers:
        limits = catalogue.quotas(tier)
        assert len({one.scope for one in limits}) == len(limits)
        for one in limits:
            assert len({quota.name for quota in one.quotas}) == len(one.quotas)
            assert all(quota.refill is Refill.CONTINUOUS for quota in one.quotas)
            assert sum(one.scope == other.scope or one.scope in other.models for other in limits) == 1


@pytest.mark.parametrize("ladder", MODELS)
def test_higher_tiers_are_no_lower(ladder: tuple[str, ...]) -> None:
    """From tier to tier no published limit of a model falls."""
    for group in ANTHROPIC.groups:
        amounts: dict[str, int] = {}
        for tier in ladder:
            for quota in group.quotas.get(tier, ()):
                assert quota.amount >= amounts.get(quota.name, 0), (group.models, tier)
                amounts[quota.name] = quota.amount


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("anthropic", "claude-opus-5-5", Price(4, 20, 0.2)),
        ("anthropic", "claude-opus-4-5-20251101", Price(5, 25, 0.5)),
        ("anthropic", "claude-haiku-4-5-latest", Price(1, 5, 0.1)),
        ("anthropic", "claude-3-opus-20240229", None),
        ("gemini", "gemini-2.5-flash-lite", Price(0.1, 0.4, 0.01)),
        ("gemini", "gemini-2.5-flash-image", None),
        ("cohere", "command-a-03-2025", Price(2.5, 10)),
    ],
)
def test_prices(provider: str, model: str, price: Price | None) -> None:
    """A model is priced by its name; dated snapshots by their base's, other prefixes not."""
    assert load(provider).price(model) == price


def test_cached_input_costs_its_own_price() -> None:
    """A read of the cache is a part of the input."""
    price = ANTHROPIC.price("claude-sonnet-4-5")
    assert price is not None
    assert price.cost(Usage(1_000_000, 900_000, 100_000)) == pytest.approx(0.3 + 0.27 + 1.5)
