"""Worlds from the catalogue of tiers, which the simulator reads by itself."""

import tomllib
from pathlib import Path
from typing import Any

from scheduler.simulator.parts import DIMENSIONS
from scheduler.simulator.world import World

CATALOGUE = Path(__file__).parent.parent / "providers" / "tiers"
"""Directory of the catalogue: one file for each provider."""


def world_for_tier(tier: str, *, provider: str = "openai", catalogue: Path = CATALOGUE, **overrides: Any) -> World:
    """Return the world of a customer at *tier*; models that the catalogue does not know there are unlimited.

    Args:
        tier: Name of the tier, such as ``1`` or ``launch``.
        provider: Whose tiers.
        catalogue: Directory of the catalogue.
        overrides: Other settings of ``World``.

    Raises:
        ValueError: If no group of models has that tier, or a setting is unusable.
        FileNotFoundError: If the catalogue does not know the provider.
    """
    groups = tomllib.loads((catalogue / f"{provider}.toml").read_text(encoding="utf-8")).get("group", [])
    limits: dict[str, dict[str, int]] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for group in groups:
        found = group.get("tiers", {}).get(tier)
        if found is None:
            continue
        enforced = {name: found[name] for name in DIMENSIONS if name in found}
        if group.get("shared", False):
            shared[group["name"]] = tuple(group["models"])
            limits[group["name"]] = enforced
        else:
            limits.update(dict.fromkeys(group["models"], enforced))
    if not limits:
        known = sorted({name for group in groups for name in group.get("tiers", {})})
        raise ValueError(f"{provider} has no tier {tier!r}; it has {', '.join(known)}")
    return World(**{"limits": limits, "shared": shared, **overrides})
