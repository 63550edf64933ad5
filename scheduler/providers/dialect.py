"""What tells one provider that speaks OpenAI's language from another: names, headers, causes, charges. Data only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from scheduler.core.growth import Growth
from scheduler.core.quota import Dimension
from scheduler.providers.base import Settlement
from scheduler.providers.headers import HeaderReader, observations
from scheduler.providers.openai_charge import ChargeRule, Endpoint, documented
from scheduler.providers.openai_errors import COMMON, Causes

ResetReader: TypeAlias = Callable[[Mapping[str, str]], int | None]
"""Returns the nanoseconds until a refusal's limit is back, as its headers tell; their names in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One provider. What is not said is as at OpenAI.

    Attributes:
        name: Name in configuration and metrics.
        base_url: Origin and path prefix that its relative urls are joined to; "" where everyone has another.
        key_variable: Environment variable that holds the key.
        prefix: What its paths begin with where OpenAI's begin with ``/v1``.
        endpoints: OpenAI's endpoints that it has.
        headers: Reads its rate-limit headers. Where they are absent the IETF's fields are looked for.
        causes: Errors that mean something else than elsewhere.
        resets: Where a refusal's headers tell an instant to wait for.
        settlement: What happens to a charge when its usage is known.
        refusals_charged: Dimensions in which a refused request is charged all the same.
        growth: How fast traffic may grow, as it states; None where it states nothing.
        charge_rule: What its limiter takes at admission.
        cached_free: Whether its limiter does not count cached input.
        key_header: Header that carries the key.
        key_prefix: What stands before the key in it.
        project_header: Header that names the project, where it has such a thing.
        idempotency_header: Header that makes repeating a request harmless, where it takes one.
    """

    name: str
    base_url: str
    key_variable: str
    prefix: str = "/v1"
    endpoints: tuple[Endpoint, ...] = tuple(Endpoint)
    headers: HeaderReader = observations
    causes: Causes = COMMON
    resets: ResetReader | None = None
    settlement: Settlement = Settlement.KEPT
    refusals_charged: frozenset[Dimension] = frozenset({Dimension.REQUESTS})
    growth: Growth | None = None
    charge_rule: ChargeRule = documented
    cached_free: bool = False
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    project_header: str | None = None
    idempotency_header: str | None = None
