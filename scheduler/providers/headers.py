"""``x-ratelimit-*`` headers of OpenAI and of those who copied them, read into observations.

The names are ``x-ratelimit-(limit|remaining|reset)-DIMENSION``, in any case. An answer carries some of them, all or
none. Limits without a remaining level prove nothing and are left out; what is malformed, absurd or negative is
counted and not believed. Dimensions that are not known here (``tokens_usage_based``, a duplicate of ``tokens`` from
2023) are no error and are passed over.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from scheduler.core.quota import MINUTE, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.durations import duration, whole_number
from scheduler.providers.windows import infer_window

PREFIX = "x-ratelimit-"


class Naming(NamedTuple):
    """What a header's last words mean.

    Attributes:
        dimension: What is counted.
        project: Whether the bucket is the project's.
        window: Window in nanoseconds where the numbers do not decide it, or None.
        least: Units that any request takes of it at least.
    """

    dimension: Dimension
    project: bool = False
    window: int | None = None
    least: int = 0


NAMINGS: Mapping[str, Naming] = {
    "requests": Naming(Dimension.REQUESTS, least=1),
    "tokens": Naming(Dimension.TOKENS, window=MINUTE),  # per minute in every recorded sample
    "input-images": Naming(Dimension.IMAGES, least=1),  # there only when the request has an image
    "project-requests": Naming(Dimension.REQUESTS, project=True, least=1),
    "project-tokens": Naming(Dimension.TOKENS, project=True, window=MINUTE),
}
"""Meanings at OpenAI."""


def lowered(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Return the headers with their names in small letters, without what is not text."""
    return {name.lower(): value for name, value in headers.items() if isinstance(name, str) and isinstance(value, str)}


def observations(
    headers: Mapping[str, str], *, namings: Mapping[str, Naming] = NAMINGS
) -> tuple[tuple[Observation, ...], int]:
    """Read what an answer's headers say about the provider's buckets.

    Args:
        headers: Headers with their names in small letters.
        namings: What the names' last words mean.

    Returns:
        The observations, each bucket at most once, and the number of fields that were ignored.
    """
    seen: list[Observation] = []
    ignored = 0
    for words, naming in namings.items():
        observation, unusable = _observe(headers, words, naming)
        ignored += unusable
        if observation is not None:
            seen.append(observation)
    return tuple(seen), ignored


def _observe(headers: Mapping[str, str], words: str, naming: Naming) -> tuple[Observation | None, int]:
    """Read the three fields of one bucket; also return how many of them were ignored."""
    texts = [headers.get(f"{PREFIX}{kind}-{words}") for kind in ("limit", "remaining", "reset")]
    limit, remaining = (None if text is None else whole_number(text) for text in texts[:2])
    reset = None if texts[2] is None else duration(texts[2])
    ignored = sum(
        text is not None and value is None for text, value in zip(texts, (limit, remaining, reset), strict=True)
    )
    if limit == 0 or (limit is not None and remaining is not None and remaining > limit):
        return None, ignored + 1
    if limit is None or remaining is None:
        return None, ignored
    window = None if reset is None else infer_window(limit, remaining, reset, least=naming.least)
    window = window or naming.window
    return Observation(naming.dimension, limit, remaining, window, project=naming.project), ignored
