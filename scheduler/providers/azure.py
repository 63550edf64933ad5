"""Azure OpenAI (Foundry): OpenAI's models behind deployments, with headers, paths and refusals of their own.

- Paths: ``/openai/v1/chat/completions``, where the model is the deployment's name, or the older
  ``/openai/deployments/NAME/chat/completions?api-version=...``. Limits bind the deployment.
- Headers: remaining levels, by now with limits; windows by ``x-ratelimit-renewalperiod-*`` in seconds, a minute where
  that is absent: quota is per minute. Resets are bare numbers, milliseconds in recorded successes and seconds in
  reported refusals: nothing is made of them. Where a response has no meter, limits and levels of -1 stand in it; they
  are ignored and counted.
- The counter is said to begin anew each minute. It is kept as one that refills evenly, which is never above it by more
  than its cushion covers; requests are evaluated over slices of 1 or 10 s, which the engine finds as a hidden window.
- Refusals: ``retry after 86400 seconds`` stands where the request alone exceeds what the deployment has, so it is too
  large for ever. Others name their seconds, and which rate it was, but no numbers. Provisioned units answer with
  ``retry-after-ms`` at full use. Regional want of capacity is an overload with quota left.

Sources: Microsoft's pages on quota and on errors (2026), recorded headers of 2024 to 2026, and reported texts.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension
from scheduler.providers.base import Call, Cause
from scheduler.providers.compatible_parts import summed, words
from scheduler.providers.dialect import Dialect
from scheduler.providers.durations import whole_number
from scheduler.providers.headers import PREFIX, Naming, Seen, names_of, observations
from scheduler.providers.like_openai import LikeOpenAI
from scheduler.providers.openai_errors import Causes
from scheduler.tokens.counter import TokenCounter

_DIMENSIONS = {"requests": Dimension.REQUESTS, "tokens": Dimension.TOKENS}
_DEPLOYMENT = re.compile(
    r"/openai/deployments/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})(/[a-z/]{1,40})(?:\?api-version=[0-9a-z.-]{1,40})?"
)
_BELOW = re.compile(r"(?<=[^/])/openai(?:/.*)?$")
_V1 = "/openai/v1"


def azure_headers(headers: Mapping[str, str]) -> Seen:
    """Read Azure's headers, their names in small letters."""
    namings = {}
    ignored = 0
    for word, dimension in _DIMENSIONS.items():
        text = headers.get(f"{PREFIX}renewalperiod-{word}")
        seconds = None if text is None else whole_number(text)
        window = MINUTE if seconds is None else seconds * SECOND
        if not 0 < window <= DAY or (text is not None and seconds is None):
            window, ignored = MINUTE, ignored + 1
        namings[word] = Naming(dimension, window=window, least=int(word == "requests"), inferred=False)
    seen, unusable = observations(headers, names_of(namings))
    return seen, ignored + unusable


AZURE = Dialect(
    name="azure",
    base_url="",  # everyone's resource has an address of its own
    key_variable="AZURE_OPENAI_API_KEY",
    prefix=_V1,
    headers=azure_headers,
    causes=Causes(
        words=words(
            (r"exceeded (?:the )?token rate limit\b.{0,400}\bretry after 86400 seconds", Cause.TOO_LARGE),
            (r"exceeded (?:the )?(?:token|call) rate limit|rate limit is exceeded", Cause.RATE),
            (r"experiencing high demand|allowed during peak load", Cause.OVERLOAD),
        ),
        names={"NoCapacity": Cause.OVERLOAD, "DeploymentNotFound": Cause.BAD_REQUEST},
    ),
    charge_rule=summed,  # its guide: prompt text and count, max_tokens and best_of
    key_header="api-key",
    key_prefix="",
)


class Azure(LikeOpenAI):
    """One Azure OpenAI resource.

    Args:
        counter: Counts input tokens for the expected cost.
        base_url: The resource, ``https://NAME.openai.azure.com``, with or without ``/openai`` and the rest. There
            is no common address: without one nothing can be sent, but turns can be reserved.
    """

    def __init__(self, counter: TokenCounter, base_url: str | None = None) -> None:
        super().__init__(AZURE, counter, _BELOW.sub("", base_url or ""))

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; a deployment that the url names counts as the model. See ``Provider``.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable.
        """
        deployment = _deployment(url)
        if deployment is None:
            return super().describe(method, url, body)
        model, tail = deployment
        return replace(super().describe(method, _V1 + tail, _named(body, model)), url=url)


def _deployment(url: Any) -> tuple[str, str] | None:
    """Return the deployment that an older path names and the path's end, or None where it names none."""
    match = _DEPLOYMENT.fullmatch(url) if isinstance(url, str) else None
    return None if match is None else (match[1], match[2])


def _named(body: Any, model: str) -> Any:
    """Return a body that names the deployment as its model; what is no body stays as it is, for others to refuse."""
    return {**body, "model": model} if isinstance(body, Mapping) else body
