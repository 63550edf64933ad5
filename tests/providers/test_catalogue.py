"""What providers publish: tiers, limits and prices."""

from fnmatch import fnmatchcase

import pytest

from scheduler.core.quota import Dimension
from scheduler.errors import ConfigurationError
from scheduler.providers.base import Usage
from scheduler.providers.catalogue import Catalogue, Limits, Price, load, long_context_over, parse

OPENAI = load("openai")
GOOD = """
provider = "acme"
as_of = 2026-01-01
[[tier]]
name = "1"
aliases = ["one"]
[[group]]
models = ["a", "b"]
as_of = 2026-01-01
source = "a page"
tiers.1 = { rpm = 5, batch_queue = 7 }
[[group]]
models = ["c", "d"]
name = "pool"
shared = true
as_of = 2026-01-01
source = "a page"
tiers.1 = { concurrency = 2, itpm = 9 }
[prices.a]
input = 2
"""


def limits_of(tier: str, model: str, catalogue: Catalogue = OPENAI) -> dict[str, int]:
    """Return the limits of a model by their short names."""
    found = [one for one in catalogue.quotas(tier) if any(fnmatchcase(model, name) for name in one.models)]
    assert len(found) <= 1
    return {quota.name: quota.amount for one in found for quota in one.quotas}


def test_tiers_have_names_aliases_and_what_they_take() -> None:
    """Old and new tiers are there, lowest first; a tier is found by its aliases and in any case."""
    assert OPENAI.tiers == ("free", "1", "2", "3", "4", "5", "build", "launch", "grow")
    assert OPENAI.tier("Tier-3") == OPENAI.tier("3")
    assert (OPENAI.tier("4").paid, OPENAI.tier("4").cap) == (250, 5_000)
    assert (OPENAI.tier("grow").paid, OPENAI.tier("grow").cap) == (500, 200_000)


@pytest.mark.parametrize(
    ("tier", "model", "limits"),
    [
        ("1", "gpt-5.5", {"rpm": 500, "tpm": 500_000}),
        ("5", "gpt-6-sol", {"rpm": 15_000, "tpm": 40_000_000}),
        ("build", "gpt-6-astra", {"rpm": 5_000, "tpm": 1_000_000}),
        ("launch", "gpt-6.1-terra", {"rpm": 10_000, "tpm": 4_000_000}),
        ("build", "gpt-6-luna", {"rpm": 5_000, "tpm": 2_000_000}),
        ("grow", "gpt-5.6-luna", {"rpm": 30_000, "tpm": 180_000_000}),
        ("3", "gpt-5-mini", {"rpm": 5_000, "tpm": 4_000_000}),
        ("3", "gpt-5-mini-2025-08-07", {"rpm": 5_000, "tpm": 4_000_000}),
        ("4", "gpt-4.1", {"rpm": 10_000, "tpm": 2_000_000}),
        ("2", "gpt-4-turbo-2024-04-09", {"rpm": 5_000, "tpm": 450_000}),
        ("1", "gpt-4o-mini", {"rpm": 500, "rpd": 10_000, "tpm": 200_000}),
        ("1", "gpt-4-0613", {"rpm": 500, "rpd": 10_000, "tpm": 10_000}),
        ("1", "gpt-4-turbo-preview", {}),
        ("3", "gpt-image-2", {"tpm": 800_000, "ipm": 50}),
        ("free", "gpt-4o-mini", {"rpm": 3, "rpd": 200}),
        ("free", "gpt-3.5-turbo-0125", {"rpm": 3, "rpd": 200, "tpm": 40_000}),
        ("free", "gpt-5", {}),
        ("grow", "gpt-4o", {}),
        ("1", "gpt-4.1@long-context", {"rpm": 100, "tpm": 200_000}),
        ("1", "gpt-4.1-2025-04-14@long-context", {"rpm": 100, "tpm": 200_000}),
        ("5", "gpt-5.5@long-context", {"rpm": 8_000, "tpm": 20_000_000}),
        ("4", "gpt-4.1@long-context", {}),
        ("1", "gpt-4o@long-context", {}),
    ],
)
def test_published_limits(tier: str, model: str, limits: dict[str, int]) -> None:
    """Spot values are those of the sources; snapshots share their model's; what no source states is no limit."""
    assert limits == limits_of(tier, model)


def test_every_group_is_dated_sourced_and_usable() -> None:
    """Each group says when and whence, limits something, and no two pools of a tier claim the same model."""
    assert OPENAI.groups
    for group in (*OPENAI.groups, *OPENAI.long_context):
        assert group.as_of <= OPENAI.as_of
        assert group.source
        assert all(quotas for quotas in group.quotas.values())
        assert group.quotas.keys() <= set(OPENAI.tiers)
    for tier in OPENAI.tiers:
        limits = OPENAI.quotas(tier)
        assert limits
        assert len({one.scope for one in limits}) == len(limits)
        for one in limits:
            names = [quota.name for quota in one.quotas]
            assert len(set(names)) == len(names)
            assert sum(one.scope == other.scope or one.scope in other.models for other in limits) == 1


def test_higher_tiers_are_no_lower() -> None:
    """From tier to tier no published limit of a model falls."""
    for ladder in (("1", "2", "3", "4", "5"), ("build", "launch", "grow")):
        for group in (*OPENAI.groups, *OPENAI.long_context):
            amounts: dict[str, int] = {}
            for tier in ladder:
                for quota in group.quotas.get(tier, ()):
                    assert quota.amount >= amounts.get(quota.name, 0), (group.models, tier)
                    amounts[quota.name] = quota.amount


def test_batch_queues_are_data_beside_the_quotas() -> None:
    """The batch queue is no quota of the tier; models without a published one are absent."""
    assert OPENAI.batch_queue("2")["gpt-4o"] == 1_350_000
    assert OPENAI.batch_queue("tier5")["gpt-5.5"] == 15_000_000_000
    assert "gpt-5" not in OPENAI.batch_queue("1")


def test_long_context_pools_stand_apart() -> None:
    """The pools of long requests say beyond how many input tokens they begin."""
    pools = {model: group.over for group in OPENAI.long_context for model in group.models}
    assert pools == {"gpt-5.5": 272_000, "gpt-4.1": 128_000, "gpt-5.2-pro": 128_000}
    assert all(long_context_over("openai", model) == over for model, over in pools.items())


@pytest.mark.parametrize(
    ("provider", "model", "over"),
    [
        ("openai", "gpt-4.1-2025-04-14", 128_000),
        ("openai", "gpt-4.1-mini", None),
        ("openai", "ft:gpt-4.1:acme::1", None),
        ("openai", "", None),
        ("nobody", "gpt-4.1", None),
    ],
)
def test_whose_requests_are_long(provider: str, model: str, over: int | None) -> None:
    """Snapshots are as their model; other models, and providers without a catalogue, have no long requests."""
    assert long_context_over(provider, model) == over


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-5-mini", Price(0.25, 2.0, 0.025)),
        ("gpt-5-mini-2025-08-07", Price(0.25, 2.0, 0.025)),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", Price(0.15, 0.6, 0.075)),
        ("gpt-4-0613", Price(30, 60)),
        ("gpt-3.5-turbo-0125", Price(0.5, 1.5)),
        ("omni-moderation-latest", Price(0, 0)),
        ("gpt-6-luna", Price(0.1, 0.5, 0.01)),
        ("gpt-image-1", Price(5, None, 1.25)),
        ("gpt-4o-realtime-preview", None),
        ("gpt-9", None),
        ("ft:", None),
        ("", None),
    ],
)
def test_prices(model: str, price: Price | None) -> None:
    """A model is priced by its name; snapshots and fine-tuned models by their base's, other prefixes not."""
    assert price == OPENAI.price(model)


def test_cost() -> None:
    """Cached input costs its own price, or the full one where none is published; the unit is US dollars."""
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=200_000)
    assert Price(2.0, 8.0, 0.5).cost(usage) == pytest.approx(1.2 + 0.2 + 1.6)
    assert Price(2.0, 8.0).cost(usage) == pytest.approx(2.0 + 1.6)
    assert Price(2.0).cost(usage) == pytest.approx(2.0)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    """An unknown tier or provider is an error that lists what is known."""
    with pytest.raises(ConfigurationError, match="known are free, 1, 2"):
        OPENAI.quotas("6")
    with pytest.raises(ConfigurationError, match=r"tiers are known of .*openai"):
        load("../../etc/passwd")


def test_shared_pools_and_own_limits() -> None:
    """Models of a group have limits each of its own, or share the pool that has its name."""
    catalogue = parse(GOOD)
    assert [one.scope for one in catalogue.quotas("one")] == ["a", "b", "pool"]
    pool = catalogue.quotas("1")[-1]
    assert isinstance(pool, Limits)
    assert {"c", "d"} <= set(pool.models)
    assert {quota.dimension for quota in pool.quotas} == {Dimension.CONCURRENCY, Dimension.INPUT_TOKENS}
    assert catalogue.batch_queue("1") == {"a": 7, "b": 7}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("provider =", "provider", ""),
        ('provider = "acme"', "provider = 5", "provider"),
        ('provider = "acme"', "", ""),
        ("rpm = 5", "rpm = 0", "group[0].tiers.1.rpm"),
        ("rpm = 5", "rpm = -5", "group[0].tiers.1.rpm"),
        ("rpm = 5", "rpm = 5.5", "group[0].tiers.1.rpm"),
        ("rpm = 5", "rpm = true", "group[0].tiers.1.rpm"),
        ("rpm = 5", "rpn = 5", "group[0].tiers.1.rpn"),
        ("batch_queue = 7", "batch_queue = 0", "group[0].tiers.1.batch_queue"),
        ("tiers.1 = { c", "tiers.2 = { c", "group[1].tiers.2"),
        ('name = "pool"', "", "group[1].name"),
        ('["c", "d"]', '["c", "a"]', "group[1].models"),
        ('["one"]', '["1"]', "tier[0]"),
        ('["one"]', '["One"]', "tier[0]"),
        ("input = 2", "input = -2", "prices[...].input"),
        ("input = 2", "inptu = 2", "prices[...]"),
        ('source = "a page"', "", "group[0]"),
    ],
)
def test_a_broken_file_is_refused_by_key(old: str, new: str, key: str) -> None:
    """An unusable file is an error that names file and key and has a mend."""
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(ConfigurationError) as raised:
        parse(text, "acme.toml")
    assert (raised.value.file, raised.value.key) == ("acme.toml", key)
    assert raised.value.mend
