"""What a provider publishes, in pieces: tiers, limits of groups of models, prices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from scheduler.core.quota import Quota
from scheduler.providers.base import Usage
from scheduler.providers.pools import pool_of

SNAPSHOTS = ("-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", "-[0-9][0-9][0-9][0-9]", "-20" + 6 * "[0-9]")
"""How the dated snapshots of a model end, as globs: ``gpt-4o-2024-08-06``, ``gpt-4-0613``, and
``claude-opus-4-5-20251101``. They share its limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Quotas that bind together, for the models that draw on them.

    Attributes:
        scope: Name of the pool: the model's, unless several share one.
        models: Names and ``fnmatch`` globs of the models that draw on it.
        quotas: The limits; each binds by itself.
    """

    scope: str
    models: tuple[str, ...]
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier by name.

    Attributes:
        name: Its name.
        aliases: Other names that it goes by.
        paid: US dollars that must have been paid to reach it, or None where nothing is said.
        cap: US dollars that may be spent in a month, or None where nothing is said.
    """

    name: str
    aliases: tuple[str, ...] = ()
    paid: float | None = None
    cap: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. Where no price of output is published, *output* is None and adds nothing."""

    input: float
    output: float | None = None
    cached_input: float | None = None

    def cost(self, usage: Usage) -> float:
        """Return what *usage* costs in US dollars; cached input at the full price where no other is published."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.input_tokens - usage.cached_tokens
        total = fresh * self.input + usage.cached_tokens * cached + usage.output_tokens * (self.output or 0.0)
        return total / 1e6


@dataclass(frozen=True, slots=True)
class Group:
    """Models with the same limits, by tier.

    Attributes:
        models: Their names.
        scope: Name of the pool that they share, or None where each has limits of its own.
        as_of: The day that the source speaks of.
        source: Where the numbers are from.
        quotas: Limits by tier.
        batch_queue: Input tokens that may be enqueued in batches, by tier.
        over: For a pool of long requests: input tokens beyond which a request draws on it; else None.
    """

    models: tuple[str, ...]
    scope: str | None
    as_of: date
    source: str
    quotas: Mapping[str, tuple[Quota, ...]]
    batch_queue: Mapping[str, int]
    over: int | None = None

    def limits(self, tier: str) -> Iterator[Limits]:
        """Yield the limits of these models at *tier*, none where the source does not speak of it."""
        quotas = self.quotas.get(tier, ())
        if not quotas:
            return
        long = self.over is not None
        if self.scope is not None:
            yield Limits(self.scope, tuple(name for model in self.models for name in _names(model, long=long)), quotas)
            return
        for model in self.models:
            yield Limits(pool_of(model, long=long), tuple(_names(model, long=long)), quotas)


def _names(model: str, *, long: bool) -> Iterator[str]:
    """Yield a model's name and the globs of its snapshots, as pools of long requests or not."""
    for ending in ("", *SNAPSHOTS):
        yield pool_of(model + ending, long=long)
