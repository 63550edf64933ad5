"""What the words of a rate-limit refusal say: which limit, how much was used, how much was asked for.

Today's words are exact to the unit and name the bucket:

    Rate limit reached for gpt-4o in organization org-X on tokens per min (TPM): Limit 30000, Used 29937,
    Requested 385. Please try again in 644ms.

They may lack the model, stand within other words, or say "Request too large for ..." with no Used. Those of 2022 to
2023 (``Limit: 60.000000 / min. Current: 100.000000 / min``, ``Limit: 0/1min``) name the limit, but their Current is
no level: one real refusal prints ``Limit: 1000000 / min. Current: 1 / min``.

Others have grammars of their own, which no provider's words share with another's:

    Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 5631 seconds before retrying. (GitHub)
    Tokens per Minute (actual/limit): 65605/16000. (xAI)
    The maximum rate limit for this model is 9.0 queries per minute. (Together)
    Rate limit exceeded: free-models-per-day. (OpenRouter; the numbers stand in headers)

Where a limit on requests is named and nothing else, all of it was used: a request takes one, and there was none.

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
_UNIT = r"(?P<unit>second|minute|min|hour|day)"
_OTHERS = (
    re.compile(r"\bRate limit of (?P<limit>[0-9]{1,15}) per (?P<seconds>[0-9]{1,9})s exceeded for (?P<noun>\w{1,60})"),
    re.compile(
        rf"\b(?P<noun>request|token)s per {_UNIT} \(actual/limit\): (?P<used>[0-9]{{1,15}})/(?P<limit>[0-9]{{1,15}})\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\brate limit (?:for this model )?is (?P<limit>[1-9][0-9]{0,14})(?:\.[0-9]{1,9})? "
        rf"(?P<noun>quer(?:y|ies)|requests?|tokens?) per {_UNIT}\b",
        re.IGNORECASE,
    ),
    re.compile(rf"\bfree-model(?P<noun>s)-per-{_UNIT}\b"),
)
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
    for pattern in _OTHERS:
        other = pattern.search(message)
        if other is not None:
            return _in_other_words(other.groupdict(), message)
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
    return Refusal(dimension, window, limit, used, requested, _wait(message), project, too_large)


def _in_other_words(said: dict[str, str], message: str) -> Refusal:
    """Return the facts of a grammar that is a provider's own."""
    noun = said["noun"].lower()
    dimension: Dimension | None = Dimension.TOKENS if "token" in noun else Dimension.REQUESTS
    window = _WINDOWS[said["unit"].lower()] if "unit" in said else int(said["seconds"]) * SECOND
    if "concurrent" in noun or not 0 < window <= DAY:
        dimension = None  # of what is held, or is a budget, no rate can be told
    limit, used = (int(said[name]) if name in said else None for name in ("limit", "used"))
    if used is None and dimension is Dimension.REQUESTS:
        used = limit
    return Refusal(dimension, window or None, limit, used, wait=_wait(message))


def _wait(message: str) -> int | None:
    wait = delay_in(message)
    return wait if wait is not None and 0 <= wait <= LONGEST else None


def _number(name: str, message: str) -> int | None:
    match = _NUMBERS[name].search(message)
    if match is None:
        return None
    number = int(match[1].replace(",", ""))
    return number if number <= MOST else None
