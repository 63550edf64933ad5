"""What a run came to, and how fast it could have been."""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.bulk.progress import Progress
from scheduler.bulk.work import Work
from scheduler.core.quota import SECOND
from scheduler.engine.admission import Admission
from scheduler.engine.statistics import Statistics
from scheduler.telemetry.texts import duration, printable


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
        utilisation: Share of what the limits brought in that time that was charged, by dimension; of several limits on
            one dimension that of the most used.
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

    def __str__(self) -> str:
        used = ", ".join(f"{share:.0%} of {name}" for name, share in self.utilisation.items())
        ideal = "" if self.ideal_s is None else f" (ideal {duration(self.ideal_s)})"
        lines = [
            f"{self.succeeded:,} of {self.requests:,} succeeded, {self.failed:,} failed"
            + (f", {self.skipped:,} were there already" if self.skipped else ""),
            f"{self.sent:,} sent, {self.http_429:,} refused (429), {self.retries:,} retries",
            f"{self.makespan_s:.1f} s{ideal}, " + (f"used {used}" if used else "no limit known"),
            f"{self.tokens:,} tokens, ${self.cost_usd:.4f}",
        ]
        if self.stopped:
            lines.insert(0, f"stopped: {printable(self.stopped)}")
        return "\n".join(lines)


def summarize(progress: Progress, whole: Work, admission: Admission, seen: Statistics, seconds: float) -> Summary:
    """Return what a run came to.

    Args:
        progress: Where it ended.
        whole: The work of all its lines.
        admission: Whose limits bound it.
        seen: The engine's counters at the end.
        seconds: Its makespan.
    """
    latency = (progress.shortest or 0) / SECOND
    ideal = whole.seconds_needed(admission, full=True, latency=latency)
    requests = progress.total + progress.bad
    return Summary(
        requests=requests,
        succeeded=progress.succeeded,
        failed=requests - progress.succeeded,
        sent=seen.sent,
        http_429=seen.refusals,
        retries=seen.retries,
        makespan_s=round(seconds, 3),
        ideal_s=None if ideal is None else round(ideal + latency, 3),
        tokens=seen.usage.tokens,
        cost_usd=round(seen.cost, 6),
        utilisation=utilisation(seen, seconds),
        skipped=progress.skipped,
        stopped=progress.stopped,
    )


def utilisation(seen: Statistics, seconds: float) -> dict[str, float]:
    """Return the share of the limits that was charged in *seconds*, from full buckets, by dimension."""
    shares: dict[str, float] = {}
    for scope in seen.scopes:
        for bucket in scope.buckets:
            if bucket.limit and bucket.window and bucket.charged:
                brought = bucket.limit * (1 + seconds / bucket.window)
                share = round(bucket.charged / brought, 4)
                shares[bucket.dimension] = max(share, shares.get(bucket.dimension, 0.0))
    return shares
