"""What the words of a rate-limit refusal say: which limit, how much was used, how much was asked for.

Today's words are exact to the unit and name the bucket:

    Rate limit reached for gpt-4o in organization org-X on tokens per min (TPM): Limit 30000, Used 29937,
    Requested 385. Please try again in 644ms.

They may lack the model, stand within other words, or say "Request too large for ..." with no Used. Those of 2022 to
2023 (``Limit: 60.000000 / min. Current: 100.000000 / min``, ``Limit: 0/1min``) name the limit, but their Current is
no level: one real refusal prints ``Limit: 1000000 / min. Current: 1 / min``.

All patterns have bounded repetitions and are searched in at most 2,000 characters.
"""

import re
from dataclasses import dataclass

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension
from scheduler.providers.base import Observation
from scheduler.providers.delays import LONGEST, delay_in
from scheduler.providers.durations import MOST

PARSED = 2000
"""Characters of a message that are looked at."""

_COUNTED = re.compile(
    r"\b(?:(input|output) )?(request|token|image)s? per (?:1 )?(second|sec|minute|min|hour|day)\b", re.IGNORECASE
)
_FOR = re.compile(r"\bfor (request|token|image)s\.", re.IGNORECASE)
_PER = re.compile(r"\bLimit: ?[0-9.,]{1,30} ?/ ?1? ?(second|sec|minute|min|hour|day)\b", re.IGNORECASE)
_NUMBERS = {
    name: re.compile(rf"\b{name}:? ?([0-9][0-9,]{{0,20}})(?![0-9])", re.IGNORECASE)
    for name in ("limit", "used", "requested")
}
_TOO_LARGE = re.compile(r"\brequest too large\b", re.IGNORECASE)
_PROJECT = re.compile(r"\bin project proj_", re.IGNORECASE)

_WINDOWS = {"sec": SECOND, "second": SECOND, "min": MINUTE, "minute": MINUTE, "hour": HOUR, "day": DAY}
_DIMENSIONS = {"request": Dimension.REQUESTS, "token": Dimension.TOKENS, "image": Dimension.IMAGES}
_TOKENS = {"input": Dimension.INPUT_TOKENS, "output": Dimension.OUTPUT_TOKENS}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The facts of a refusal's words; None where they are not said.

    Attributes:
        dimension: What is counted.
        window: Length of the window, in nanoseconds.
        limit: Units in a window.
        used: Units that were taken when the request was refused.
        requested: Units that this request would have taken.
        wait: Nanoseconds after which it would have fit.
        project: Whether the limit is the project's.
        too_large: Whether the words say that the request can never fit.
    """

    dimension: Dimension | None = None
    window: int | None = None
    limit: int | None = None
    used: int | None = None
    requested: int | None = None
    wait: int | None = None
    project: bool = False
    too_large: bool = False

    @property
    def never_fits(self) -> bool:
        """Whether the request can never fit, by the words or by their numbers."""
        beyond = self.limit is not None and self.requested is not None and self.requested > self.limit
        return self.too_large or beyond

    @property
    def observation(self) -> Observation | None:
        """What the refusal proves of the bucket; None unless it names the bucket, the limit and what was used."""
        if self.dimension is None or not self.limit or self.used is None:
            return None
        remaining = max(0, self.limit - self.used)
        return Observation(self.dimension, self.limit, remaining, self.window, self.project, self.requested, self.wait)


def refusal_of(message: str, kind: str = "") -> Refusal:
    """Read the words of a refusal.

    Args:
        message: The error's message, of any origin.
        kind: The error's type; ``tokens`` and ``requests`` name the dimension where the words do not.
    """
    message = message[:PARSED]
    counted, per = _COUNTED.search(message), _PER.search(message)
    noun = _FOR.search(message)
    dimension = _DIMENSIONS.get(noun[1].lower()) if noun else _DIMENSIONS.get(kind.removesuffix("s"))
    window = _WINDOWS[per[1].lower()] if per else None
    if counted:
        dimension, window = _DIMENSIONS[counted[2].lower()], _WINDOWS[counted[3].lower()]
        if counted[1] and dimension is Dimension.TOKENS:
            dimension = _TOKENS[counted[1].lower()]
    limit, used, requested = (_number(name, message) for name in _NUMBERS)
    project = _PROJECT.search(message) is not None
    too_large = _TOO_LARGE.search(message) is not None
    wait = delay_in(message)
    if wait is not None and not 0 <= wait <= LONGEST:
        wait = None
    return Refusal(dimension, window, limit, used, requested, wait, project, too_large)


def _number(name: str, message: str) -> int | None:
    match = _NUMBERS[name].search(message)
    if match is None:
        return None
    number = int(match[1].replace(",", ""))
    return number if number <= MOST else None
