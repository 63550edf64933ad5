"""Everything about a simulated provider that can be chosen: limits, charges, headers, faults, times."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

DIMENSIONS = ("rpm", "rpd", "tpm", "tpd", "ipm", "concurrency")
"""Names of limits: requests, tokens and images per minute or day, and requests in flight."""
FAULTS = ("overloaded", "slow_down", "insufficient_quota", "server_error", "drop", "stall", "broken_stream")
"""Kinds of faults. The first three strike at the door and charge nothing; the others strike after admission."""

_SHORTEST = 0.001  # seconds between two uses of a tenant
Limits = Mapping[str, int]
"""Limits of one pool: a name of ``DIMENSIONS`` to units."""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """Somebody else who spends from a limit, unseen by the client.

    Attributes:
        limit: Which limit, a name of ``DIMENSIONS`` other than concurrency.
        share: Share of the limit's refill that is spent; it may be above 1.
        every: Seconds between two uses; each takes that many seconds' worth at once, as far as it is there.
        begin: Second from the simulator's start on.
        end: Second until which.
        pool: The pool: a key of ``World.limits`` or of ``World.shared``; "" for every pool that has the limit.
    """

    limit: str = "tpm"
    share: float
    every: float = 0.5
    begin: float = 0.0
    end: float = math.inf
    pool: str = ""

    def __post_init__(self) -> None:
        _check(self.limit in DIMENSIONS[:-1], "limit", f"one of {', '.join(DIMENSIONS[:-1])}", self.limit)
        _check(_finite(self.share) and self.share >= 0, "share", "a number of at least 0", self.share)
        _check(_finite(self.every) and self.every >= _SHORTEST, "every", f"at least {_SHORTEST} seconds", self.every)
        _check(0 <= self.begin <= self.end, "begin", "between 0 and end", self.begin)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of limits while the simulator runs.

    Attributes:
        at: Second from the simulator's start.
        model: A model of the pool.
        limits: The new limits; those not named stay.
        project: Whose limits, or None for the organization's.
    """

    at: float
    model: str
    limits: Limits
    project: str | None = None

    def __post_init__(self) -> None:
        _check(_finite(self.at) and self.at >= 0, "at", "seconds from 0", self.at)
        check_limits("limits", self.limits)


@dataclass(frozen=True, kw_only=True)
class FaultWindow:
    """A time in which a fault strikes more often.

    Attributes:
        kind: One of ``FAULTS``.
        begin: Second from the simulator's start on.
        end: Second until which.
        rate: Share of requests struck, in addition to the others.
    """

    kind: str
    begin: float
    end: float
    rate: float = 1.0

    def __post_init__(self) -> None:
        _check(self.kind in FAULTS, "kind", f"one of {', '.join(FAULTS)}", self.kind)
        _check(0 <= self.begin <= self.end, "begin", "between 0 and end", self.begin)
        _check(_finite(self.rate) and 0 <= self.rate <= 1, "rate", "a share between 0 and 1", self.rate)


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
                _check(key in DIMENSIONS, name, f"keyed by {', '.join(DIMENSIONS)}", key)
        _check(self.refused_charged <= {*DIMENSIONS[:-1]}, "refused_charged", "names of limits", self.refused_charged)

    def _check_choices(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            for choice in value.values() if isinstance(value, Mapping) else (value,):
                _check(choice in choices, name, f"one of {', '.join(choices)}", choice)
        for kind, rate in self.faults.items():
            _check(kind in FAULTS, "faults", f"keyed by {', '.join(FAULTS)}", kind)
            _check(_finite(rate) and 0 <= rate <= 1, f"faults[{kind!r}]", "a share between 0 and 1", rate)

    def _check_numbers(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _SHARES:
                _check(_finite(value) and 0 <= value <= 1, entry.name, "a share between 0 and 1", value)
            elif isinstance(value, float):
                _check(
                    _finite(value) and (value >= 0 or entry.name == "offset"), entry.name, "finite, not below 0", value
                )
        for limit in DIMENSIONS:
            _check(0 <= self.start_of(limit) <= 1, "start", "a share between 0 and 1", self.start_of(limit))
            _check(0 < self.burst_of(limit) < math.inf, "burst", "above 0", self.burst_of(limit))
            _check((self.slice_of(limit) or 1) > 0, "slices", "above 0 seconds", self.slice_of(limit))
        for name in ("stream_chunks", "embedding_dimensions", "max_body"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for begin, end in self.outages:
            _check(0 <= begin <= end, "outages", "pairs of begin and end", (begin, end))

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


_LARGEST = 2**53
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


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(truth: bool, name: str, wanted: str, value: object) -> None:  # noqa: FBT001 - an assertion with words
    if not truth:
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_limits(name: str, limits: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless *limits* are usable; *name* is what they are called in the message."""
    for key, value in limits.items():
        _check(key in DIMENSIONS, name, f"keyed by {', '.join(DIMENSIONS)}", key)
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
        _check(whole, f"{name}[{key!r}]", "a whole number from 0", value)
