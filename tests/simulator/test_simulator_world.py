"""Settings are checked, tiers are read, and nothing is shared with those who are judged."""

import ast
from pathlib import Path
from typing import Any

import pytest

import scheduler.simulator
from scheduler.simulator import Change, FaultWindow, Tenant, World, world_for_tier
from scheduler.simulator.scopes import Enforcer
from scheduler.simulator.tiers import CATALOGUE

TIERS = """
provider = "openai"
as_of = 2026-11-22

[[group]]
models = ["gpt-5", "gpt-5-mini"]
[group.tiers]
1 = { rpm = 500, tpm = 500_000, rpd = 10_000, batch_queue = 1_500_000 }
launch = { rpm = 10_000, tpm = 4_000_000 }

[[group]]
models = ["gpt-image-1", "gpt-image-2"]
name = "gpt-image"
shared = true
[group.tiers]
1 = { tpm = 100_000, ipm = 5 }

[prices."gpt-5-mini"]
input = 0.25
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (tmp_path / "openai.toml").write_text(TIERS, encoding="utf-8")
    return tmp_path


def test_models_of_a_group_have_limits_of_their_own(catalogue: Path) -> None:
    """Only what is enforced is taken over; prices and batch queues are not limits of requests."""
    world = world_for_tier("1", catalogue=catalogue, seed=7)
    assert world.seed == 7
    assert world.limits["gpt-5"] == world.limits["gpt-5-mini"] == {"rpm": 500, "tpm": 500_000, "rpd": 10_000}
    enforcer = Enforcer(world)
    assert enforcer.scopes_of("gpt-5") != enforcer.scopes_of("gpt-5-mini")


def test_shared_groups_are_one_pool(catalogue: Path) -> None:
    """All models of the group, and their snapshots, draw on it."""
    enforcer = Enforcer(world_for_tier("1", catalogue=catalogue))
    assert enforcer.pool_of("gpt-image-1") == enforcer.pool_of("gpt-image-2-2026-01-01") == "gpt-image"


def test_models_that_a_tier_does_not_know_are_unlimited(catalogue: Path) -> None:
    """At that tier."""
    enforcer = Enforcer(world_for_tier("launch", catalogue=catalogue))
    assert enforcer.scopes_of("gpt-image-1")[0].limits == {}


def test_an_unknown_tier_is_an_error_that_names_the_known(catalogue: Path) -> None:
    """Rather than a world without limits."""
    with pytest.raises(ValueError, match="no tier 'gold'; it has 1, launch"):
        world_for_tier("gold", catalogue=catalogue)


def test_the_real_catalogue_can_be_read() -> None:
    """Every tier of the catalogue makes a world."""
    if not (CATALOGUE / "openai.toml").exists():
        pytest.skip("the catalogue of tiers is not there yet")
    assert world_for_tier("1").limits


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": {"m": {"rps": 5}}},
        {"limits": {"m": {"rpm": -1}}},
        {"limits": {"m": {"rpm": 1.5}}},
        {"limits": {"m": {"rpm": True}}},
        {"project_limits": {"p": {"m": {"rpm": 2**53}}}},
        {"refill": "hourly"},
        {"refill": {"rpm": "hourly"}},
        {"refill": {"requests": "fixed"}},
        {"burst": 0.0},
        {"start": 1.5},
        {"start": {"rpm": -1.0}},
        {"slices": 0.0},
        {"charge": "guess"},
        {"unused": "lost"},
        {"factor": -1.0},
        {"noise": float("nan")},
        {"latency": float("inf")},
        {"headers_missing": 1.5},
        {"headers_at": "never"},
        {"requests_header": "hour"},
        {"faults": {"fire": 0.5}},
        {"faults": {"drop": 2.0}},
        {"outages": ((5.0, 1.0),)},
        {"refused_charged": {"requests"}},
        {"stream_chunks": 0},
        {"broken_stream": "fade"},
    ],
)
def test_unusable_settings_are_refused(settings: dict[str, Any]) -> None:
    """With the name of the setting in the message."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        World(**settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Tenant, {"share": -1.0}),
        (Tenant, {"share": 0.5, "every": 0.0}),
        (Tenant, {"share": 0.5, "limit": "concurrency"}),
        (Tenant, {"share": 0.5, "begin": 5.0, "end": 1.0}),
        (Change, {"at": -1.0, "model": "m", "limits": {}}),
        (Change, {"at": 1.0, "model": "m", "limits": {"tokens": 5}}),
        (FaultWindow, {"kind": "fire", "begin": 0.0, "end": 1.0}),
        (FaultWindow, {"kind": "drop", "begin": 2.0, "end": 1.0}),
        (FaultWindow, {"kind": "drop", "begin": 0.0, "end": 1.0, "rate": 2.0}),
    ],
)
def test_unusable_parts_are_refused(kind: type[Any], settings: dict[str, Any]) -> None:
    """Before they are part of a world."""
    with pytest.raises(ValueError, match="must be"):
        kind(**settings)


def test_the_simulator_imports_nothing_of_what_it_judges() -> None:
    """Of this package it imports itself only."""
    for file in Path(scheduler.simulator.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file.name} imports relatively"
                names = [node.module or ""]
            foreign = [name for name in names if name.split(".")[0] == "scheduler"]
            assert all(name.startswith("scheduler.simulator") for name in foreign), file.name
