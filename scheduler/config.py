"""Limits and settings as people write them, turned into rules; every error names file, key and mend.

Limits are a mapping of models to limits::

    {"gpt-5-mini": {"rpm": 500, "tpm": 500_000, "rpd": 10_000}, "gpt-4o*": {"tpm": 30_000}, "*": {"rpm": 60}}

A key is a model's name, or a pattern; all models that a pattern matches share its limits. The most particular key
counts: a name before a pattern, a longer pattern before a shorter one. A limit is a number, or a table that says how it
comes back: see ``scheduler.providers.quotas``.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from scheduler.core.growth import Growth
from scheduler.engine.scopes import Rule
from scheduler.errors import ConfigurationError
from scheduler.providers import catalogue
from scheduler.providers.base import Provider
from scheduler.providers.quotas import quota_for

_MEND = 'write {"MODEL": {"rpm": 500, "tpm": 30_000}}'
_UNKNOWN = re.compile(r"unknown field `(.*)`")


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A configuration file: the keys are the arguments of ``Scheduler``."""

    provider: str = "openai"
    base_url: str | None = None
    tier: str | None = None
    limits: dict[str, Any] = {}
    project_limits: dict[str, Any] = {}
    reserved: dict[str, float] = {}
    weights: dict[str, float] = {}
    concurrency: int | None = None
    max_queued: int | None = None
    max_attempts: int = 10
    longest_delay: float = 900.0
    growth: str | None = None
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
        words, _, key = str(error).partition(" - at `$.")
        if unknown := _UNKNOWN.search(words):
            words, key = "no such setting", unknown[1]
        mend = f"known are {', '.join(Settings.__struct_fields__)}" if unknown else "write a value of that kind"
        raise ConfigurationError(words, key.strip("`"), mend, str(path)) from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        mend = "name a file that exists and may be read"
        raise ConfigurationError(f"cannot be read: {error.strerror}", mend=mend, file=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", mend="save it as UTF-8", file=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"is not TOML: {error}", mend="correct that line", file=str(path)) from None


def rules_from(limits: Mapping[Any, Any], *, key: str = "limits", file: str = "") -> tuple[Rule, ...]:
    """Turn limits as people write them into rules.

    Args:
        limits: Model or pattern -> short name of a limit -> amount, or a table with the amount and how it comes back.
        key: What the mapping is called, for errors.
        file: Where it was read, for errors.

    Raises:
        ConfigurationError: If anything is unusable.
    """
    if not isinstance(limits, Mapping):
        raise ConfigurationError(f"{limits!r:.40} holds no limits by model", key, _MEND, file)
    rules = []
    for model, amounts in limits.items():
        if not isinstance(model, str) or not model:
            raise ConfigurationError(f"{model!r:.40} is no model", key, "write its name, or a pattern", file)
        if not isinstance(amounts, Mapping) or not amounts:
            raise ConfigurationError("no limits given", f"{key}.{model}", _MEND, file)
        quotas = []
        for name, limit in amounts.items():
            try:
                quotas.append(quota_for(name, limit))
            except ConfigurationError as error:
                raise ConfigurationError(error.problem, f"{key}.{model}.{error.key}", error.mend, file) from None
        rules.append(Rule(model, (model,), tuple(quotas)))
    return tuple(rules)


def rules_of_tier(provider: str, tier: str) -> tuple[Rule, ...]:
    """Return what a provider publishes for a tier.

    Raises:
        ConfigurationError: If the tier is unknown.
    """
    published = catalogue.load(provider).quotas(tier)
    return tuple(Rule(limits.scope, limits.models, limits.quotas) for limits in published)


def rules_for(provider: str, limits: Any, tier: str | int | None) -> tuple[Rule, ...]:
    """Return the organization's rules: *limits* as people write them, before those that are published for *tier*.

    Limits for a name that the tier has too take its place, for all the models that go by it.

    Raises:
        ConfigurationError: If anything is unusable.
    """
    own = rules_from(limits or {})
    published = rules_of_tier(provider, str(tier)) if tier is not None else ()
    models = {rule.scope: rule.models for rule in published}
    names = {rule.scope for rule in own}
    return (
        *(Rule(rule.scope, (*rule.models, *models.get(rule.scope, ())), rule.quotas) for rule in own),
        *(rule for rule in published if rule.scope not in names),
    )


def growth_from(value: Any, provider: Provider) -> Growth | None:
    """Return the growth of traffic that is to be kept from the start: what the provider states, or none.

    Raises:
        ConfigurationError: If the value is unusable, or the provider states none.
    """
    if value is None:
        return None
    if value != "documented":
        mend = 'write "documented", or leave it out'
        raise ConfigurationError(f"{value!r:.40} says nothing of how traffic may grow", "growth", mend)
    if provider.growth is None:
        raise ConfigurationError(f"{provider.name} states no limit on the growth of traffic", "growth", "leave it out")
    return provider.growth


def project_rules_from(limits: Any) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of each project.

    Raises:
        ConfigurationError: If anything is unusable.
    """
    if not isinstance(limits or {}, Mapping):
        raise ConfigurationError(f"{limits!r:.40} holds no projects", "project_limits", "write {PROJECT: limits}")
    return {name: rules_from(each, key=f"project_limits.{name}") for name, each in (limits or {}).items()}
