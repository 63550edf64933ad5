"""Tokens that a picture is billed, by model, detail and size: OpenAI's guide "Images and vision", copy of 2026.

Older models cover a picture with *tiles* of 512 pixels, newer and small ones with *patches* of 32. What the limiter
takes is another matter: see ``IMAGE_TOKENS``. Where a picture's size is not known (it lies elsewhere), 1024 x 1024 is
assumed. A model that the guide does not name is billed like the longest name that its own begins with, and else like
gpt-4o.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import ceil, sqrt
from typing import NamedTuple, Protocol

from scheduler.tokens.picture_size import Size, size_of

IMAGE_TOKENS = 765
"""What OpenAI's limiter takes for a picture in a request, whatever it is.

Recorded in 2024 to 2026: 788, 775 and 773 for chat requests with one picture and 26 characters, less what those take.
It was a photograph of 2560 x 1669 in one (1,105 by tiles), an address that could not be downloaded and base64 of no
picture at all in others, where the model was gpt-4o-mini, which bills 25,501 for 1024 x 1024. So the limiter does not
look at it. It is what gpt-4o bills for 1024 x 1024.
"""
LOW_DETAIL_TOKENS = 85
"""The same at ``detail: low``, as gpt-4o bills it; no charge of one is recorded."""

UNKNOWN: Size = (1024, 1024)
"""Size that is assumed of a picture that lies elsewhere."""

_PATCH = 32
_TILE = 512
_THUMBNAIL = 512  # the side of the picture that a model sees at low detail


class Rule(Protocol):
    """How a model bills pictures."""

    def tokens(self, detail: str, size: Size) -> int:
        """Return the tokens of a picture of *size* pixels at *detail*: low, high, original, auto or ""."""
        ...


class Tiles(NamedTuple):
    """A base, and as much again for every tile of the picture, reduced to 2048 x 2048 and then by its shortest side."""

    base: int
    tile: int
    shortest: int = 768

    def tokens(self, detail: str, size: Size) -> int:
        """See ``Rule``."""
        if detail == "low":
            return self.base
        scale = min(1.0, 2048 / max(size))
        scale *= min(1.0, self.shortest / (min(size) * scale))
        width, height = (ceil(round(side * scale, 6) / _TILE) for side in size)
        return self.base + self.tile * width * height


class ImageModel(NamedTuple):
    """GPT Image: tiles of a smaller picture; *detail* is ``input_fidelity``, and high adds a sum."""

    tiles: Tiles
    square: int = 4160
    oblong: int = 6240

    def tokens(self, detail: str, size: Size) -> int:
        """See ``Rule``."""
        extra = self.square if size[0] == size[1] else self.oblong
        return self.tiles.tokens("", size) + (extra if detail == "high" else 0)


class Bound(NamedTuple):
    """The most patches, and the most pixels of a side, that a picture is reduced to."""

    patches: int
    side: int


class Patches(NamedTuple):
    """As many tokens as patches, times a factor. A bound of None reduces nothing."""

    factor: float = 1.0
    high: Bound | None = Bound(1_536, 2_048)
    original: Bound | None = Bound(1_536, 2_048)
    auto: str = "high"

    def tokens(self, detail: str, size: Size) -> int:
        """See ``Rule``."""
        if detail == "low":
            patches = _patches(size, Bound((_THUMBNAIL // _PATCH) ** 2, _THUMBNAIL))
        else:
            chosen = detail if detail in {"high", "original"} else self.auto
            patches = _patches(size, self.high if chosen == "high" else self.original)
        return ceil(patches * self.factor)


def _patches(size: Size, bound: Bound | None) -> int:
    """Return the patches that cover a picture once it is reduced to its bound."""
    width, height = float(size[0]), float(size[1])
    if bound is None:
        return ceil(width / _PATCH) * ceil(height / _PATCH)
    reduced = min(1.0, bound.side / max(size))
    width, height = width * reduced, height * reduced
    if ceil(width / _PATCH) * ceil(height / _PATCH) > bound.patches:
        factor = sqrt(_PATCH * _PATCH * bound.patches / (width * height))
        across, down = width * factor / _PATCH, height * factor / _PATCH
        factor *= min(max(1, int(across)) / across, max(1, int(down)) / down)
        width, height = round(width * factor, 6) // 1, round(height * factor, 6) // 1
    return min(bound.patches, max(1, ceil(width / _PATCH)) * max(1, ceil(height / _PATCH)))


_FINE = Bound(2_500, 2_048)
_FINEST = Bound(10_000, 6_000)
_GPT_4O = Tiles(85, 170)
_LATEST = Patches(high=_FINE, original=None, auto="original")  # for gpt-6 taken over from gpt-5.6
_RULES: Mapping[str, Rule] = {
    "gpt-4o": _GPT_4O,
    "gpt-4.1": _GPT_4O,
    "gpt-4.5": _GPT_4O,
    "gpt-4o-mini": Tiles(2833, 5667),
    "gpt-5": Tiles(70, 140),
    "o1": Tiles(75, 150),
    "o3": Tiles(75, 150),
    "computer-use-preview": Tiles(65, 129),
    "gpt-image": ImageModel(Tiles(65, 129, 512)),
    "gpt-4.1-mini": Patches(1.62),
    "gpt-4.1-nano": Patches(2.46),
    "o4-mini": Patches(1.72),
    "gpt-5-mini": Patches(1.62),
    "gpt-5-nano": Patches(2.46),
    "gpt-5-codex-mini": Patches(),
    "gpt-5.1-codex-mini": Patches(),
    "gpt-5.2": Patches(),
    "gpt-5.3-codex": Patches(),
    "gpt-5.4": Patches(high=_FINE, original=_FINEST),
    "gpt-5.4-mini": Patches(1.62),
    "gpt-5.4-nano": Patches(2.46),
    "gpt-5.5": Patches(high=_FINE, original=_FINEST, auto="original"),
    "gpt-5.6": _LATEST,
    "gpt-6": _LATEST,
}
_LONGEST_FIRST = sorted(_RULES, key=len, reverse=True)


@lru_cache(maxsize=1024)
def rule_for(model: str) -> Rule:
    """Return how *model* bills pictures; fine-tuned models as their base does."""
    base = model.removeprefix("ft:")
    return next((_RULES[name] for name in _LONGEST_FIRST if base.startswith(name)), _GPT_4O)


def picture_tokens(model: str, detail: str, url: str) -> int:
    """Return the tokens that a picture is billed.

    Args:
        model: Model that sees it.
        detail: ``detail`` of its part, or "".
        url: Its address or data URL, or "" where it has neither.
    """
    return rule_for(model).tokens(detail, size_of(url) or UNKNOWN)
