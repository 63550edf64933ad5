"""What providers publish: limits by tier, and prices. Data with dates and sources, kept in ``tiers/*.toml``.

A tier is a name in that data, never an enum: providers rename and renumber them. What a file does not state is not
limited here, and is learned from the provider's answers.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

from scheduler.errors import ConfigurationError
from scheduler.providers.catalogue_file import FileGroup, file_of, has_file, packaged, quotas_of
from scheduler.providers.published import Group, Limits, Price, Tier

__all__ = ["Catalogue", "Group", "Limits", "Price", "Tier", "load", "parse", "price_of"]

_DATED = re.compile(r"(?:-[0-9]{4}-[0-9]{2}-[0-9]{2}|-[0-9]{4}|-20[0-9]{6}|-latest)$")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one provider publishes.

    Attributes:
        provider: Its name.
        as_of: The day that the whole was compiled; groups have days of their own.
        groups: Models with the same limits.
        long_context: Pools of long requests.
        prices: Prices by model.
        all_tiers: The tiers, lowest first.
    """

    provider: str
    as_of: date
    groups: tuple[Group, ...]
    long_context: tuple[Group, ...]
    prices: Mapping[str, Price]
    all_tiers: tuple[Tier, ...]

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers, lowest first."""
        return tuple(tier.name for tier in self.all_tiers)

    def tier(self, name: str) -> Tier:
        """Return the tier that goes by *name*, in letters of any case.

        Raises:
            ConfigurationError: If there is none; it names those that are known.
        """
        asked = str(name).strip().lower()
        for tier in self.all_tiers:
            if asked in {tier.name, *tier.aliases}:
                return tier
        raise ConfigurationError(
            f"{self.provider} has no tier {name!r:.40}", "tier", "known are " + ", ".join(self.tiers)
        )

    def quotas(self, tier: str) -> tuple[Limits, ...]:
        """Return the limits of *tier*, one for each pool; those of long requests are ``MODEL@long-context``.

        Raises:
            ConfigurationError: If the tier is unknown.
        """
        name = self.tier(tier).name
        return tuple(limits for group in (*self.groups, *self.long_context) for limits in group.limits(name))

    def batch_queue(self, tier: str) -> Mapping[str, int]:
        """Return the input tokens that each model may have enqueued in batches at *tier*, where a source says so.

        Raises:
            ConfigurationError: If the tier is unknown.
        """
        name = self.tier(tier).name
        return {
            model: group.batch_queue[name]
            for group in self.groups
            if name in group.batch_queue
            for model in group.models
        }

    def price(self, model: str) -> Price | None:
        """Return the price of *model*, or None where none is known.

        A dated snapshot, ``NAME-latest`` and a fine-tuned ``ft:NAME:...`` count as NAME, if they have no price of their
        own. No other prefix does: gpt-4o-realtime is not gpt-4o.
        """
        for name in _base_names(model):
            if name in self.prices:
                return self.prices[name]
        return None


@lru_cache(maxsize=1024)
def long_context_over(provider: str, model: str) -> int | None:
    """Return beyond how many input tokens a request for *model* draws on a pool of its own; None where no source says.

    Dated snapshots are as their model; fine-tuned models are not.
    """
    try:
        groups = load(provider).long_context
    except ConfigurationError:
        return None  # a provider without a catalogue
    names = {model, _DATED.sub("", model)}
    return next((group.over for group in groups if names & set(group.models)), None)


@lru_cache
def load(provider: str) -> Catalogue:
    """Return the catalogue that comes with the package.

    Raises:
        ConfigurationError: If there is none for *provider*; it names those that are known.
    """
    file, text = packaged(provider)
    return parse(text, file)


def price_of(provider: str) -> Callable[[str], Price | None]:
    """Return what tells the price of a model, or None where none is known; a provider without a file has none."""
    return load(provider).price if has_file(provider) else lambda _: None


def parse(text: str, file: str = "") -> Catalogue:
    """Read a catalogue.

    Args:
        text: TOML in the form that ``tiers/openai.toml`` explains.
        file: Where it is from, for errors.

    Raises:
        ConfigurationError: If it is unusable; it names file, key and mend.
    """
    read = file_of(text, file)
    return Catalogue(
        provider=read.provider,
        as_of=read.as_of,
        groups=tuple(_groups(read.group, "group", file)),
        long_context=tuple(_groups(read.long_context, "long_context", file)),
        prices=MappingProxyType(
            {model: Price(price.input, price.output, price.cached_input) for model, price in read.prices.items()}
        ),
        all_tiers=tuple(Tier(tier.name, tuple(tier.aliases), tier.paid, tier.cap) for tier in read.tier),
    )


def _groups(groups: Iterable[FileGroup], table: str, file: str) -> Iterator[Group]:
    for position, group in enumerate(groups):
        tiers = {
            tier: quotas_of(amounts, f"{table}[{position}].tiers.{tier}", file) for tier, amounts in group.tiers.items()
        }
        yield Group(
            tuple(group.models),
            group.name if group.shared else None,
            group.as_of,
            group.source,
            MappingProxyType({tier: quotas for tier, (quotas, _) in tiers.items()}),
            MappingProxyType({tier: queue for tier, (_, queue) in tiers.items() if queue is not None}),
            group.over,
        )


def _base_names(model: str) -> Iterator[str]:
    """Yield the names that *model* may be priced under, the longest first."""
    yield model
    if model.startswith("ft:"):
        model = model.split(":")[1]
        yield model
    yield _DATED.sub("", model)
