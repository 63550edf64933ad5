"""What the rows of ``compatible`` are made of, where a name or a number is not enough."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from scheduler.core.quota import Dimension
from scheduler.providers.base import Cause
from scheduler.providers.durations import until_epoch, whole_number
from scheduler.providers.headers import PREFIX, HeaderReader, Naming, Seen, names_of, observations
from scheduler.providers.named_windows import named_windows
from scheduler.providers.openai_charge import ChargeFacts, documented


def words(*pairs: tuple[str, Cause]) -> tuple[tuple[re.Pattern[str], Cause], ...]:
    """Return patterns, of small and capital letters alike, with the causes that they mean."""
    return tuple((re.compile(pattern, re.IGNORECASE), cause) for pattern, cause in pairs)


def sent(facts: ChargeFacts) -> int:
    """Return the charge of those who limit input alone."""
    return documented(facts._replace(output_cap=0))


def summed(facts: ChargeFacts) -> int:
    """Return the charge of those who reserve the prompt and the output cap together."""
    return sent(facts) + facts.output_cap * facts.n


def named(template: str = PREFIX + "{}-{}", **namings: Naming) -> HeaderReader:
    """Return a reader of headers by the last words of their names, written with ``_`` for ``-``."""
    by_words = {name.replace("_", "-"): naming for name, naming in namings.items()}
    return partial(observations, names=names_of(by_words, template))


def nothing(_: Mapping[str, str]) -> Seen:
    """Read nothing: there are no headers of its own, or none that bind."""
    return (), 0


def with_cost(headers: Mapping[str, str]) -> Seen:
    """Read Mistral's headers: the tokens that this call took stand beside what is left of the minute's."""
    seen, ignored = named_windows(headers)
    text = headers.get("x-ratelimit-tokens-query-cost")
    if text is None:
        return seen, ignored
    cost = whole_number(text)
    if cost is None:
        return seen, ignored + 1
    told = (replace(one, requested=cost) if cost and one.dimension is Dimension.TOKENS else one for one in seen)
    return tuple(told), ignored


def epoch_reset(headers: Mapping[str, str]) -> int | None:
    """Return the nanoseconds until OpenRouter's reset, milliseconds since 1970, against the answer's own date.

    None where either is absent, -1 where one is unusable.
    """
    text, date = headers.get("x-ratelimit-reset"), headers.get("date")
    if text is None or date is None:
        return None
    delay = until_epoch(text, date)
    return -1 if delay is None else delay
