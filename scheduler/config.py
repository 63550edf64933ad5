"""Limits and settings as people write them, turned into rules; every error names file, key and mend.

Limits are a mapping of models to limits::

    {"gpt-5-mini": {"rpm": 500, "tpm": 500_000, "rpd": 10_000}, "gpt-4o*": {"tpm": 30_000}, "*": {"rpm": 60}}

A key is a model's name, or a pattern; all models that a pattern matches share its limits. The most particular key
counts: a name before a pattern, a longer pattern before a shorter one.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from scheduler.engine.scopes import Rule
from scheduler.errors import ConfigurationError
from scheduler.providers import catalogue
from scheduler.providers.quotas import quota_for


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A configuration file: the keys are the arguments of ``Scheduler``."""

    provider: str = "openai"
    base_url: str | None = None
    tier: str | None = None
    limits: dict[str, dict[str, Any]] = {}
    project_limits: dict[str, dict[str, dict[str, Any]]] = {}
    concurrency: int | None = None
    max_queued: int | None = None
    max_attempts: int = 10
    timeout: float = 600.0


def read_settings(path: str | Path) -> Settings:
    """Read a configuration file.

    Raises:
        ConfigurationError: If it cannot be read, is not TOML, or holds something unusable.
    """
    data = read_toml(path)
    if isinstance(tier := data.get("tier"), int):
        data["tier"] = str(tier)
    try:
        return msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        words, _, key = str(error).partition(" - at `$")
        known = ", ".join(Settings.__struct_fields__)
        raise ConfigurationError(words, key.strip(".`"), f"known are {known}", str(path)) from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", file=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"is not TOML: {error}", file=str(path)) from None


def rules_from(limits: Mapping[Any, Any], *, key: str = "limits", file: str = "") -> tuple[Rule, ...]:
    """Turn limits as people write them into rules.

    Args:
        limits: Model or pattern -> short name of a limit -> amount.
        key: What the mapping is called, for errors.
        file: Where it was read, for errors.

    Raises:
        ConfigurationError: If anything is unusable.
    """
    rules = []
    for model, amounts in limits.items():
        if not isinstance(model, str) or not model:
            raise ConfigurationError(f"{model!r:.40} is no model", key, "write its name, or a pattern", file)
        if not isinstance(amounts, Mapping) or not amounts:
            raise ConfigurationError("no limits given", f"{key}.{model}", 'write {"rpm": 500, "tpm": 30_000}', file)
        quotas = []
        for name, amount in amounts.items():
            try:
                quotas.append(quota_for(name, amount))
            except ConfigurationError as error:
                raise ConfigurationError(error.problem, f"{key}.{model}.{name}", error.mend, file) from None
        rules.append(Rule(model, (model,), tuple(quotas)))
    return tuple(rules)


def rules_of_tier(provider: str, tier: str) -> tuple[Rule, ...]:
    """Return what a provider publishes for a tier.

    Raises:
        ConfigurationError: If the tier is unknown.
    """
    published = catalogue.load(provider).quotas(tier)
    return tuple(Rule(limits.scope, limits.models, limits.quotas) for limits in published)
