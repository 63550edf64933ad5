"""``anthropic-ratelimit-*`` headers, read into observations.

Each bucket has three: ``limit``, ``remaining``, and ``reset``, the instant at which it will be full again (RFC 3339,
whole seconds, and up to twelve seconds past where it is full). An answer carries some of them, all or none. What is
read differs from what is written in four ways:

- **Remaining tokens are rounded to the nearest thousand** (rate limit guide), so 16000 may be 15,500. An observation
  never states more than there is: half a thousand is taken off whole thousands. Requests are exact.
- **tokens** is "the most restrictive limit in effect". Where input and output tokens are stated beside it, it is their
  sum in every recorded answer, and the bucket that it would make is none: it is left out. Where the workspace has a
  limit of its own that is the tightest, the guide says that it stands there; a limit below the sum that is neither of
  the two is taken for the project's. Alone, as in 2024, it is the limit.
- **fast** mode has limits of its own, and its answers carry ``anthropic-fast-{input,output}-tokens-*``. Such a request
  draws on those and not on the standard ones, which are left out then.
- Left out without being counted as unusable: ``anthropic-priority-*``, since requests of the priority tier draw on the
  standard limits as well, and what is beyond their own simply loses its priority; ``anthropic-ratelimit-unified-*`` of
  subscriptions, which state shares of hours and weeks and no quota.

All limits that are published are per minute. In 2024 there were some per day, and a reset that lies further ahead than
two minutes tells them apart; but an empty bucket may be in debt, and a debt of eight minutes was recorded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from scheduler.core.quota import MINUTE, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.durations import whole_number
from scheduler.providers.stamps import http_date, rfc3339
from scheduler.providers.windows import infer_window

_STANDARD = "anthropic-ratelimit-"
_FAST = "anthropic-fast-"
_DIMENSIONS = {
    "requests": Dimension.REQUESTS,
    "tokens": Dimension.TOKENS,
    "input-tokens": Dimension.INPUT_TOKENS,
    "output-tokens": Dimension.OUTPUT_TOKENS,
}
_ROUNDED = 1_000
_FAR = 2 * MINUTE


class _Level(NamedTuple):
    limit: int
    remaining: int
    window: int


def observations(fields: Mapping[str, str]) -> tuple[tuple[Observation, ...], int]:
    """Read what an answer's headers say about the provider's buckets.

    Args:
        fields: Headers with their names in small letters.

    Returns:
        The observations, each bucket at most once, and the number of fields that were ignored.
    """
    now = http_date(fields.get("date"))
    fast, ignored = _levels(fields, _FAST, now)
    levels, unusable = _levels(fields, _STANDARD, now)
    if fast:
        levels = fast
    seen = [_observation(dimension, level) for dimension, level in levels.items() if dimension is not Dimension.TOKENS]
    if Dimension.TOKENS in levels:
        seen.extend(_overall(levels))
    return tuple(seen), ignored + unusable


def _levels(fields: Mapping[str, str], prefix: str, now: int | None) -> tuple[dict[Dimension, _Level], int]:
    levels = {}
    ignored = 0
    for name, dimension in _DIMENSIONS.items():
        level, unusable = _level(fields, prefix + name, now)
        ignored += unusable
        if level is not None:
            levels[dimension] = level
    return levels, ignored


def _level(fields: Mapping[str, str], name: str, now: int | None) -> tuple[_Level | None, int]:
    """Read the three fields of one bucket; also return how many of them were ignored."""
    texts = [fields.get(f"{name}-{kind}") for kind in ("limit", "remaining", "reset")]
    limit, remaining = (None if text is None else whole_number(text) for text in texts[:2])
    reset = None if texts[2] is None else rfc3339(texts[2])
    ignored = sum(
        text is not None and value is None for text, value in zip(texts, (limit, remaining, reset), strict=True)
    )
    if limit == 0 or (limit is not None and remaining is not None and remaining > limit):
        return None, ignored + 1
    if limit is None or remaining is None:
        return None, ignored
    ahead = reset - now if reset is not None and now is not None else 0
    return _Level(limit, remaining, _window(limit, remaining, ahead)), ignored


def _window(limit: int, remaining: int, ahead: int) -> int:
    """Return the window of a bucket that is full again *ahead* nanoseconds from now."""
    if ahead <= _FAR:
        return MINUTE
    return infer_window(limit, remaining, ahead) or MINUTE


def _observation(dimension: Dimension, level: _Level, *, project: bool = False) -> Observation:
    remaining = level.remaining
    if dimension is not Dimension.REQUESTS and remaining % _ROUNDED == 0:
        remaining = max(0, remaining - _ROUNDED // 2)
    return Observation(dimension, level.limit, remaining, level.window, project)


def _overall(levels: Mapping[Dimension, _Level]) -> list[Observation]:
    """Return what the tokens of both kinds together say that those of each kind do not."""
    overall = levels[Dimension.TOKENS]
    kinds = [levels[kind] for kind in (Dimension.INPUT_TOKENS, Dimension.OUTPUT_TOKENS) if kind in levels]
    if not kinds:
        return [_observation(Dimension.TOKENS, overall)]
    limits = [kind.limit for kind in kinds]
    if len(kinds) == 2 and overall.limit < sum(limits) and overall.limit not in limits:  # noqa: PLR2004  # both
        return [_observation(Dimension.TOKENS, overall, project=True)]
    return []
