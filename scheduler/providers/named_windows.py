"""Rate-limit headers that name their window: Mistral's, Cerebras', Kong's and others'.

    x-ratelimit-limit-req-10-second: 60        x-ratelimit-limit-tokens-minute: 20000000
    x-ratelimit-limit-requests-day: 14400      x-ratelimit-limit-tokens-per-day: 1000000
    X-RateLimit-Limit-Minute: 5

The dimension may be missing, as at Kong, and is requests then. A reset is not needed, and means something else at each
of them (seconds to the end of a fixed window, an instant), so it is not looked at.

Months and years are passed over, on purpose: what is left of a month is a budget and no rate. No source says when it
comes back, and a month that passed for a minute would let everything through at once.
"""

import re
from collections.abc import Mapping

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.headers import PREFIX, Seen, level_of

_NAME = re.compile(
    PREFIX + r"(limit|remaining)-(?:(requests?|req|(?:input-|output-)?tokens|images)-)?(?:per-)?"
    r"(?:([1-9][0-9]{0,3})-)?(second|minute|hour|day)"
)
_DIMENSIONS = {
    "tokens": Dimension.TOKENS,
    "input-tokens": Dimension.INPUT_TOKENS,
    "output-tokens": Dimension.OUTPUT_TOKENS,
    "images": Dimension.IMAGES,
}
_WINDOWS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY}


def named_windows(headers: Mapping[str, str]) -> Seen:
    """Read the headers whose names tell their window, the name of every header in small letters."""
    pairs: dict[tuple[Dimension, int], dict[str, str]] = {}
    for name, text in headers.items():
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        window = int(match[3] or 1) * _WINDOWS[match[4]]
        if window <= DAY:
            pairs.setdefault((_DIMENSIONS.get(match[2], Dimension.REQUESTS), window), {})[match[1]] = text
    seen = []
    ignored = 0
    for (dimension, window), pair in pairs.items():
        level, unusable = level_of(pair.get("limit"), pair.get("remaining"))
        ignored += unusable
        if level is not None:
            seen.append(Observation(dimension, *level, window))
    return tuple(seen), ignored
