"""The files of the catalogue: their form, checked. An error names file, key and mend."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.resources import files
from typing import Annotated, Any

import msgspec

from scheduler.core.quota import Quota
from scheduler.errors import ConfigurationError
from scheduler.providers.quotas import QUOTA_KEYS, quota_for

BATCH_QUEUE = "batch_queue"
"""Key of a tier for input tokens enqueued in batches: no quota, since nothing refills it but a batch's end."""

_FOLDER = files("scheduler.providers") / "tiers"
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Dollars = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class FileTier(msgspec.Struct, forbid_unknown_fields=True):
    """A ``[[tier]]``."""

    name: _Name
    aliases: list[_Name] = []
    paid: _Dollars | None = None
    cap: _Dollars | None = None


class FileGroup(msgspec.Struct, forbid_unknown_fields=True):
    """A ``[[group]]`` or a ``[[long_context]]``."""

    models: list[_Name]
    as_of: date
    source: Annotated[str, msgspec.Meta(min_length=1)]
    tiers: dict[_Name, dict[str, Any]]
    name: str | None = None
    shared: bool = False
    over: Annotated[int, msgspec.Meta(ge=1)] | None = None


class FilePrice(msgspec.Struct, forbid_unknown_fields=True):
    """A ``[prices."MODEL"]``, in US dollars per million tokens."""

    input: _Dollars
    output: _Dollars | None = None
    cached_input: _Dollars | None = None


class File(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file."""

    provider: _Name
    as_of: date
    tier: list[FileTier]
    group: list[FileGroup]
    long_context: list[FileGroup] = []
    prices: dict[_Name, FilePrice] = {}


def has_file(provider: str) -> bool:
    """Whether a file comes with the package for *provider*, whose name may be anybody's own."""
    return provider in _known()


def packaged(provider: str) -> tuple[str, str]:
    """Return the name and text of the file that comes with the package.

    Raises:
        ConfigurationError: If there is none for *provider*.
    """
    known = _known()
    if provider not in known:
        mend = f"leave it out, or give limits; tiers are known of {', '.join(known)}"
        raise ConfigurationError(f"no tiers are published of {provider!r:.40}", "tier", mend)
    return f"tiers/{provider}.toml", (_FOLDER / f"{provider}.toml").read_text(encoding="utf-8")


def _known() -> list[str]:
    return sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))


def file_of(text: str, file: str) -> File:
    """Read a file's text.

    Raises:
        ConfigurationError: If it is no TOML, has another form, or contradicts itself.
    """
    try:
        read = msgspec.convert(tomllib.loads(text), File)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"it is no TOML: {error}", mend="correct that line", file=file) from error
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        raise ConfigurationError(problem, place.rstrip("`"), "correct or remove it", file) from error
    for key, problem, mend in _contradictions(read):
        raise ConfigurationError(problem, key, mend, file)
    return read


def quotas_of(amounts: Mapping[str, Any], key: str, file: str) -> tuple[tuple[Quota, ...], int | None]:
    """Return the quotas of one tier, and its batch queue or None.

    Raises:
        ConfigurationError: If a name or an amount is unusable.
    """
    quotas = []
    queue = None
    for name, amount in amounts.items():
        try:
            quota = quota_for("tpd" if name == BATCH_QUEUE else name, amount)
        except ConfigurationError as error:
            mend = f"known are {', '.join(QUOTA_KEYS)}, {BATCH_QUEUE}" if name not in QUOTA_KEYS else error.mend
            place = error.key if name in QUOTA_KEYS else name
            raise ConfigurationError(error.problem, f"{key}.{place}", mend, file) from error
        if name == BATCH_QUEUE:
            queue = quota.amount
        else:
            quotas.append(quota)
    return tuple(quotas), queue


def _contradictions(read: File) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with a file as a whole: key, problem, mend."""
    seen: set[str] = set()
    for position, tier in enumerate(read.tier):
        for name in (tier.name, *tier.aliases):
            if name in seen or name != name.lower():
                yield f"tier[{position}]", f"{name!r} is taken or not in small letters", "give it another name"
            seen.add(name)
    tiers = {tier.name for tier in read.tier}
    models: set[str] = set()
    for position, group in enumerate(read.group):
        key = f"group[{position}]"
        for name in group.tiers:
            if name not in tiers:
                yield f"{key}.tiers.{name}", "there is no such tier", "known are " + ", ".join(sorted(tiers))
        if group.shared and not group.name:
            yield f"{key}.name", "a shared pool has no name", "name it"
        for model in group.models:
            if model in models:
                yield f"{key}.models", f"{model!r} stands in two groups", "remove it from one"
            models.add(model)
