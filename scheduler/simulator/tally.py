"""What happened, counted: so that a test can ask the provider and need not believe the client."""

from collections import Counter
from dataclasses import dataclass, field

from scheduler.simulator.meters import SECOND


@dataclass
class Tally:
    """Counts of a whole simulator. Instants are nanoseconds since its start, or None.

    Attributes:
        arrived: Requests that came to an endpoint.
        granted: Requests that were admitted.
        refused: Refusals by limit.
        faults: Faults by kind.
        rejected: Answers for an error of the caller, by status.
        completed: Answers that were given to the end.
        abandoned: Admitted requests whose client went away before the answer's end.
        completions: Times that each request was completed, by digest.
        inside: Requests admitted and not ended.
        peak: Most of them at once.
    """

    arrived: int = 0
    granted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rejected: Counter[int] = field(default_factory=Counter)
    completed: int = 0
    abandoned: int = 0
    completions: Counter[bytes] = field(default_factory=Counter)
    inside: int = 0
    peak: int = 0
    first_arrival: int | None = None
    last_admission: int | None = None
    last_completion: int | None = None
    shortest_latency: int | None = None

    def arrival(self, now: int) -> None:
        """Count a request that came."""
        self.arrived += 1
        if self.first_arrival is None:
            self.first_arrival = now

    def admission(self, now: int) -> None:
        """Count a request that was admitted."""
        self.granted += 1
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        self.last_admission = now

    def completion(self, now: int, admitted: int, digest: bytes) -> None:
        """Count an answer that was given to the end."""
        self.completed += 1
        self.completions[digest] += 1
        self.last_completion = now
        taken = now - admitted
        self.shortest_latency = taken if self.shortest_latency is None else min(taken, self.shortest_latency)

    def report(self, start: int) -> dict[str, object]:
        """Return the counts, with instants of the server's clock in seconds; *start* is that of the start."""

        def instant(now: int | None) -> float | None:
            return None if now is None else (start + now) / SECOND

        return {
            "arrived": self.arrived,
            "granted": self.granted,
            "refused": self.refused.total(),
            "refused_by": dict(self.refused),
            "faults": dict(self.faults),
            "rejected": {str(status): count for status, count in self.rejected.items()},
            "completed": self.completed,
            "completed_twice": sum(count > 1 for count in self.completions.values()),
            "abandoned": self.abandoned,
            "in_flight": self.inside,
            "peak_in_flight": self.peak,
            "first_arrival": instant(self.first_arrival),
            "last_admission": instant(self.last_admission),
            "last_completion": instant(self.last_completion),
            "shortest_latency": None if self.shortest_latency is None else self.shortest_latency / SECOND,
        }
