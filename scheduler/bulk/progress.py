"""How far a job is."""

from dataclasses import dataclass, field

from scheduler.bulk.work import Work
from scheduler.core.quota import SECOND
from scheduler.engine.admission import Admission


@dataclass(slots=True)
class Progress:
    """How far a job is; changes as it runs.

    Attributes:
        total: Lines to be sent.
        skipped: Lines whose results were there already.
        bad: Lines that cannot be sent.
        succeeded: Lines that succeeded.
        failed: Lines that ended otherwise.
        submitted: Lines that were handed to the scheduler.
        work: What lines will be charged that wait to be sent.
        shortest: The shortest latency seen, in nanoseconds, or None.
        latencies: The sum of all latencies seen, in nanoseconds.
        stopped: Why the job was stopped before its end, or "".
        interrupted: Whether a signal stopped it.
    """

    total: int = 0
    skipped: int = 0
    bad: int = 0
    succeeded: int = 0
    failed: int = 0
    submitted: int = 0
    work: Work = field(default_factory=Work)
    shortest: int | None = None
    latencies: int = 0
    stopped: str = ""
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Lines that have ended."""
        return self.succeeded + self.failed

    def success(self, latency: int) -> None:
        """Count a line that succeeded after *latency* nanoseconds."""
        self.succeeded += 1
        self.latencies += latency
        self.shortest = latency if self.shortest is None else min(self.shortest, latency)

    def seconds_left(self, admission: Admission, elapsed: float) -> float | None:
        """Return the seconds that the rest will take, or None where nothing tells.

        The limits tell, and how long answers take; where no limit is known, the pace so far.
        """
        rest = self.total - self.done
        if not rest:
            return 0.0
        latency = self.latencies / self.succeeded / SECOND if self.succeeded else 0.0
        needed = self.work.seconds_needed(admission, full=False, latency=latency)
        if needed is not None:
            return needed + latency
        return elapsed * rest / self.done if self.done else None
