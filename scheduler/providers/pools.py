"""Names of pools: whose limits a request draws on, where that is not simply its model's.

    MODEL[@TIER][@long-context][@ORGANIZATION]

A request of a service tier, of long context or of another organization has limits of its own, and those of requests
without a model are found by the first word of their path (``files``, ``batches``). Model names may hold an ``@`` of
their own (``@cf/meta/llama-3-8b-instruct``), so a name is never split without trying the longer one first.
"""

from collections.abc import Iterator, Mapping

LONG_CONTEXT = "long-context"
TIERS: Mapping[str, str] = {
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",  # its name since July 2026
    "scale": "scale",
    "ultrafast": "ultrafast",
}
"""``service_tier`` in a request -> part of the pool's name; others (auto, default) are the model's own."""

_SHARING = "@priority"
"""The tier whose limits are the model's: "For a given model, the rate limit is shared between Standard and Priority
processing" (fast mode guide, copies of 2025 to November 2026; recorded headers of such requests agree). Ultrafast has
limits of its own (its guide); of flex and scale nothing is said."""

_ORGANIZATION = "@org-"

FACTORS: Mapping[str, float] = {"flex": 0.5, "priority": 2.0, "ultrafast": 6.0}
"""Price of a tier, as a multiple of the model's: flex costs what batches do, ultrafast six times as much; priority
about twice (1.75 to 2.5 by model, pricing page of 2026)."""


def pool_of(name: str, *, tier: object = None, long: bool = False, organization: str = "") -> str:
    """Return the name of a pool.

    Args:
        name: The model, or what stands for one.
        tier: ``service_tier`` as the request has it.
        long: Whether it draws on a pool of long requests.
        organization: The organization that its headers name, or "".
    """
    part = TIERS.get(tier) if isinstance(tier, str) else None
    if part is not None:
        name = f"{name}@{part}"
    if long:
        name = f"{name}@{LONG_CONTEXT}"
    return f"{name}@{organization}" if organization else name


def shared(pool: str) -> str:
    """Return the pool whose limits bind *pool* where no limits are named for itself."""
    begin, found, end = pool.partition(_SHARING)
    return begin + end if found and begin and end[:1] in {"", "@"} else pool


def home_of(pool: str) -> tuple[str, str]:
    """Return a pool without the organization that it names, and that organization or ""."""
    name, found, organization = pool.rpartition(_ORGANIZATION)
    return (name, _ORGANIZATION[1:] + organization) if found and name else (pool, "")


def priced(pool: str) -> Iterator[tuple[str, float]]:
    """Yield the names that a pool may be priced under, longest first, each with the factor of what it leaves out."""
    factor = 1.0
    yield pool, factor
    while "@" in pool:
        pool, _, part = pool.rpartition("@")
        factor *= FACTORS.get(part, 1.0)
        if pool:
            yield pool, factor
