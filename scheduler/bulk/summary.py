"""What a run came to, and how fast it could have been."""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.engine.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to; the fields of ``--json``.

    Attributes:
        requests: Lines of the input that are not blank, those skipped by a resumption left out.
        succeeded: Lines that succeeded.
        failed: Lines that failed, bad lines and lines never sent included.
        sent: Attempts.
        http_429: Attempts answered 429.
        retries: Attempts after a line's first.
        makespan_s: Seconds from the first line to the last answer.
        ideal_s: Seconds that the limits alone would have taken, from full buckets, and the shortest answer; None where
            no limit is known.
        tokens: Tokens that the provider billed.
        cost_usd: What they cost, where prices are known.
        utilisation: Share of what each limit brought in that time that was charged, by short name of the limit; of
            several scopes the most used.
        skipped: Lines whose results were there already.
        stopped: Why the run ended early, or "".
    """

    requests: int
    succeeded: int
    failed: int
    sent: int
    http_429: int
    retries: int
    makespan_s: float
    ideal_s: float | None
    tokens: int
    cost_usd: float
    utilisation: Mapping[str, float]
    skipped: int = 0
    stopped: str = ""


def utilisation(seen: Statistics, seconds: float) -> dict[str, float]:
    """Return the share of each limit that was charged in *seconds*, from a full bucket."""
    shares: dict[str, float] = {}
    for scope in seen.scopes:
        for bucket in scope.buckets:
            if bucket.limit and bucket.window and bucket.charged:
                brought = bucket.limit * (1 + seconds / bucket.window)
                share = round(bucket.charged / brought, 4)
                shares[bucket.quota] = max(share, shares.get(bucket.quota, 0.0))
    return shares
