"""Everything about a simulated provider that can be chosen: limits, charges, headers, faults, times."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from scheduler.simulator.parts import (
    DIMENSIONS,
    FAULTS,
    SHORTEST,
    Change,
    FaultWindow,
    Growth,
    Limits,
    Tenant,
    check,
    check_limits,
    finite,
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A simulated provider. All switches have the documented provider's behaviour as their default.

    Instants count from the simulator's start: the first request, unless it was begun before. Times are in seconds.

    Attributes:
        limits: Model, glob pattern or name of a shared pool -> limits. Exact names win over globs and longer globs
            over shorter; a dated snapshot (``NAME-2025-08-07``) belongs to NAME; all models that a glob matches
            share one pool. Models that nothing matches are unlimited.
        shared: Name of a pool -> the models that share it; the pool's limits stand in ``limits`` under its name.
        project_limits: Project -> the same as ``limits``, in addition to the organization's.
        refill: ``continuous``, ``fixed`` (windows counted from the start) or ``sliding``; for all, or by limit.
        burst: Size of the bucket as a share of the limit; for all, or by limit. A sliding window has none.
        start: Level at the start as a share of full; for all, or by limit.
        slices: Seconds of the slice over which limits are enforced as well, or None; for the limits per minute, or
            by limit. A request larger than a slice passes when the slice is full, and leaves debt.
        charge: ``documented``, ``sum`` or ``recorded-2025``; what each means stands in ``charging.py``.
        factor: The charge in tokens is multiplied by this,
        offset: increased by this many tokens,
        noise: and multiplied by lognormal noise of mean 1 and this sigma.
        unused: ``kept``, or ``returned``: at completion the limits get back the charge less the usage.
        refused_charged: Limits that a refused request is charged to as well, down to zero.
        growth: How fast the organization's traffic to a pool may grow, or None. A request that would make it grow
            faster is answered 429 ``slow_down``, before the limits are asked, and charged nothing.
        tenants: Others who spend from the same limits.
        changes: Changes of limits while it runs.
        headers: Whether answers carry rate headers.
        headers_at: ``admission`` or ``completion``: the instant that the headers describe.
        headers_stale: They describe the level this many seconds before.
        headers_missing: Share of answers without them.
        headers_malformed: Share of answers whose headers are nonsense.
        headers_daily: Share of answers whose headers describe the limits per day, where there are such.
        requests_header: Window of the requests headers: ``minute``, ``day``, or ``auto``: whichever has less left.
        bodies: Whether refusals say the numbers.
        refusal_headers: Whether refusals carry rate headers.
        retry_after: Whether refusals carry ``retry-after``.
        retry_after_ms: Whether refusals carry ``retry-after-ms``.
        overload_retry_after: Seconds in the ``retry-after`` of overload and ramp errors, or None for no such header.
        faults: Kind of ``FAULTS`` -> share of requests struck.
        fault_windows: Times in which a fault strikes more often.
        outages: ``(begin, end)`` in which everything is answered 503.
        stall: Seconds that a stalled request waits in addition.
        broken_stream: ``cut`` or ``event``: how a broken stream ends.
        latency: Median seconds from admission to the first byte.
        latency_sigma: Sigma of its logarithm.
        latency_per_token: Seconds for each token of output, in addition.
        network: Median seconds of one way over the network, in addition.
        network_sigma: Sigma of its logarithm.
        door: Seconds that each request takes to be let in, one at a time, in the order in which they came; who comes
            meanwhile waits on his way, as on a busy machine.
        output: Median tokens of output of one choice, before ``max_tokens`` cuts it.
        output_sigma: Sigma of its logarithm.
        stream_chunks: Most pieces of content in a stream, for one choice.
        embedding_dimensions: Length of embedding vectors, unless the request says.
        key: The key that a request must carry, or None.
        organization: Name in headers and bodies.
        max_body: Bytes of the largest request body; more is answered 413.
        seed: Seed of all chance. The same request, sent the same number of times before, has the same luck.
    """

    limits: Mapping[str, Limits] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    project_limits: Mapping[str, Mapping[str, Limits]] = field(default_factory=dict)
    refill: str | Mapping[str, str] = "continuous"
    burst: float | Mapping[str, float] = 1.0
    start: float | Mapping[str, float] = 1.0
    slices: float | Mapping[str, float] | None = None

    charge: str = "documented"
    factor: float = 1.0
    offset: float = 0.0
    noise: float = 0.0
    unused: str = "kept"
    refused_charged: frozenset[str] = frozenset()

    growth: Growth | None = None
    tenants: tuple[Tenant, ...] = ()
    changes: tuple[Change, ...] = ()

    headers: bool = True
    headers_at: str = "admission"
    headers_stale: float = 0.0
    headers_missing: float = 0.0
    headers_malformed: float = 0.0
    headers_daily: float = 0.0
    requests_header: str = "auto"
    bodies: bool = True
    refusal_headers: bool = True
    retry_after: bool = True
    retry_after_ms: bool = False
    overload_retry_after: float | None = None

    faults: Mapping[str, float] = field(default_factory=dict)
    fault_windows: tuple[FaultWindow, ...] = ()
    outages: tuple[tuple[float, float], ...] = ()
    stall: float = 600.0
    broken_stream: str = "cut"

    latency: float = 0.0
    latency_sigma: float = 0.0
    latency_per_token: float = 0.0
    network: float = 0.0
    network_sigma: float = 0.0
    door: float = 0.0
    output: float = 40.0
    output_sigma: float = 0.0
    stream_chunks: int = 8
    embedding_dimensions: int = 8

    key: str | None = field(default=None, repr=False)
    organization: str = "org-simulator"
    max_body: int = 32 * 1024 * 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("limits", "shared", "project_limits", "faults"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        object.__setattr__(self, "refused_charged", frozenset(self.refused_charged))
        self._check_all_limits()
        self._check_choices()
        self._check_numbers()

    def _check_all_limits(self) -> None:
        for model, limits in self.limits.items():
            check_limits(f"limits[{model!r}]", limits)
        for project, pools in self.project_limits.items():
            for model, limits in pools.items():
                check_limits(f"project_limits[{project!r}][{model!r}]", limits)
        for name in ("refill", "burst", "start", "slices"):
            value = getattr(self, name)
            for key in value if isinstance(value, Mapping) else ():
                check(key in DIMENSIONS, name, f"keyed by {', '.join(DIMENSIONS)}", key)
        check(self.refused_charged <= {*DIMENSIONS[:-1]}, "refused_charged", "names of limits", self.refused_charged)

    def _check_choices(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            for choice in value.values() if isinstance(value, Mapping) else (value,):
                check(choice in choices, name, f"one of {', '.join(choices)}", choice)
        for kind, rate in self.faults.items():
            check(kind in FAULTS, "faults", f"keyed by {', '.join(FAULTS)}", kind)
            check(finite(rate) and 0 <= rate <= 1, f"faults[{kind!r}]", "a share between 0 and 1", rate)

    def _check_numbers(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _SHARES:
                check(finite(value) and 0 <= value <= 1, entry.name, "a share between 0 and 1", value)
            elif isinstance(entry.default, float) and entry.name not in {"burst", "start"}:
                fine = finite(value) and (value >= 0 or entry.name == "offset")
                check(fine, entry.name, "a finite number, not below 0", value)
        for limit in DIMENSIONS:
            check(0 <= self.start_of(limit) <= 1, "start", "a share between 0 and 1", self.start_of(limit))
            check(0 < self.burst_of(limit) < math.inf, "burst", "above 0", self.burst_of(limit))
            slice_ = self.slice_of(limit)
            check(slice_ is None or SHORTEST <= slice_ < math.inf, "slices", f"at least {SHORTEST} s", slice_)
        for name in ("stream_chunks", "embedding_dimensions", "max_body"):
            check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        delay = self.overload_retry_after
        check(delay is None or (finite(delay) and delay >= 0), "overload_retry_after", "None or from 0 on", delay)
        for begin, end in self.outages:
            check(0 <= begin <= end, "outages", "pairs of begin and end", (begin, end))

    def refill_of(self, limit: str) -> str:
        """Return how *limit* refills."""
        return str(_of(self.refill, limit, "continuous"))

    def burst_of(self, limit: str) -> float:
        """Return the size of *limit*'s bucket as a share of the limit."""
        return 1.0 if self.refill_of(limit) == "sliding" else float(_of(self.burst, limit, 1.0))

    def start_of(self, limit: str) -> float:
        """Return the level of *limit* at the start as a share of full."""
        return float(_of(self.start, limit, 1.0))

    def slice_of(self, limit: str) -> float | None:
        """Return the seconds of *limit*'s slice, or None."""
        if isinstance(self.slices, Mapping):
            return self.slices.get(limit)
        return self.slices if limit.endswith("pm") else None


_SHARES = ("headers_missing", "headers_malformed", "headers_daily")
_CHOICES = {
    "refill": ("continuous", "fixed", "sliding"),
    "charge": ("documented", "sum", "recorded-2025"),
    "unused": ("kept", "returned"),
    "headers_at": ("admission", "completion"),
    "requests_header": ("auto", "minute", "day"),
    "broken_stream": ("cut", "event"),
}


def _of(setting: Any, limit: str, otherwise: Any) -> Any:
    return setting.get(limit, otherwise) if isinstance(setting, Mapping) else setting
