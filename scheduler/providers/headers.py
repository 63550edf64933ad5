"""``x-ratelimit-*`` headers of OpenAI and of those who copied them, read into observations.

The names are ``x-ratelimit-(limit|remaining|reset)-DIMENSION``, in any case; others that differ only in their names and
in what a reset means are read by the same rules (see ``Naming``). An answer carries some of them, all or
none. Limits without a remaining level prove nothing and are left out; what is malformed, absurd or negative is
counted and not believed. Dimensions that are not known here (``tokens_usage_based``, a duplicate of ``tokens`` from
2023) are no error and are passed over.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from scheduler.core.quota import MINUTE, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.durations import duration, whole_number
from scheduler.providers.windows import infer_window

PREFIX = "x-ratelimit-"

Seen: TypeAlias = tuple[tuple[Observation, ...], int]
"""Observations, each bucket at most once, and the number of fields that were ignored."""
HeaderReader: TypeAlias = Callable[[Mapping[str, str]], Seen]
"""Reads an answer's headers, their names in small letters."""


class Naming(NamedTuple):
    """What a header's last words mean.

    Attributes:
        dimension: What is counted.
        project: Whether the bucket is the project's.
        window: Window in nanoseconds where the numbers do not decide it, or None.
        least: Units that any request takes of it at least.
        inferred: Whether the reset is the time until the bucket is full, and tells the window; otherwise it is not
            looked at.
    """

    dimension: Dimension
    project: bool = False
    window: int | None = None
    least: int = 0
    inferred: bool = True


NAMINGS: Mapping[str, Naming] = {
    "requests": Naming(Dimension.REQUESTS, least=1),
    "tokens": Naming(Dimension.TOKENS, window=MINUTE),  # per minute in every recorded sample
    "input-images": Naming(Dimension.IMAGES, least=1),  # there only when the request has an image
    "project-requests": Naming(Dimension.REQUESTS, project=True, least=1),
    "project-tokens": Naming(Dimension.TOKENS, project=True, window=MINUTE),
}
"""Meanings at OpenAI."""


class Fields(dict[str, str]):
    """Headers whose names are in small letters already."""


def lowered(headers: Mapping[Any, Any]) -> Mapping[str, str]:
    """Return the headers with their names in small letters, without what is not text."""
    if type(headers) is Fields:
        return headers
    return {name.lower(): value for name, value in headers.items() if isinstance(name, str) and isinstance(value, str)}


class Names(NamedTuple):
    """The names of the headers that speak of one bucket, and what they mean."""

    limit: str
    remaining: str
    reset: str
    naming: Naming


def names_of(namings: Mapping[str, Naming], template: str = PREFIX + "{}-{}") -> tuple[Names, ...]:
    """Return the names of headers.

    Args:
        namings: What the names' last words mean.
        template: A header's name, with places for limit, remaining or reset, and for the last words.
    """
    fill = template.format
    return tuple(
        Names(fill("limit", words), fill("remaining", words), fill("reset", words), naming)
        for words, naming in namings.items()
    )


OPENAI = names_of(NAMINGS)
"""Those of OpenAI."""


def observations(headers: Mapping[str, str], names: tuple[Names, ...] = OPENAI) -> Seen:
    """Read what an answer's headers say about the provider's buckets.

    Args:
        headers: Headers with their names in small letters.
        names: Those that are looked for.

    Returns:
        The observations, each bucket at most once, and the number of fields that were ignored.
    """
    seen: list[Observation] = []
    ignored = 0
    for bucket in names:
        limit, remaining = headers.get(bucket.limit), headers.get(bucket.remaining)
        reset = headers.get(bucket.reset)
        if limit is None and remaining is None and reset is None:
            continue
        observation, unusable = _observe(limit, remaining, reset, bucket.naming)
        ignored += unusable
        if observation is not None:
            seen.append(observation)
    return tuple(seen), ignored


def joined(*readers: HeaderReader) -> HeaderReader:
    """Return a reader of what all *readers* read; of a bucket that two speak of the first is believed."""

    def read(headers: Mapping[str, str]) -> Seen:
        seen: dict[tuple[Dimension, int | None, bool], Observation] = {}
        ignored = 0
        for reader in readers:
            found, unusable = reader(headers)
            ignored += unusable
            for one in found:
                seen.setdefault((one.dimension, one.window, one.project), one)
        return tuple(seen.values()), ignored

    return read


def level_of(limit: str | None, remaining: str | None) -> tuple[tuple[int, int] | None, int]:
    """Return limit and remaining units where both are believable, else None; and how many fields were ignored."""
    amount = None if limit is None else whole_number(limit)
    left = None if remaining is None else whole_number(remaining)
    ignored = (limit is not None and amount is None) + (remaining is not None and left is None)
    if amount == 0 or (amount is not None and left is not None and left > amount):
        return None, ignored + 1
    return (None if amount is None or left is None else (amount, left)), ignored


def _observe(
    limit: str | None, remaining: str | None, reset: str | None, naming: Naming
) -> tuple[Observation | None, int]:
    """Read the three fields of one bucket; also return how many of them were ignored."""
    level, ignored = level_of(limit, remaining)
    window = None
    if naming.inferred and reset is not None:
        full = duration(reset)
        ignored += full is None
        if level is not None and full is not None:
            window = infer_window(*level, full, least=naming.least)
    if level is None:
        return None, ignored
    return Observation(naming.dimension, *level, window or naming.window, project=naming.project), ignored
