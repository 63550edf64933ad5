"""Prometheus metrics, read from the engine's own counters when somebody scrapes.

The hot path touches no metric. Labels are configured names: scopes that were learned from model names in requests are
all labelled ``other``, since those names are anybody's to invent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.engine.bucket_statistics import BucketStatistics, HiddenStatistics
from scheduler.engine.scopes import OTHER
from scheduler.engine.statistics import NOTHING, ScopeStatistics, Statistics

_PLACE = ("scope", "project")
_BUCKET = (*_PLACE, "quota")
_ENDPOINT = ("provider", "endpoint", "dimension")

Facts = tuple[tuple[str, str, Callable[[BucketStatistics], float | None]], ...]


def _hidden(fact: Callable[[HiddenStatistics], float]) -> Callable[[BucketStatistics], float | None]:
    return lambda bucket: None if bucket.hidden is None else fact(bucket.hidden)


_GAUGES: Facts = (
    ("bucket_level", "Units that lie in a bucket, as far as is known; debt is below zero.", lambda b: b.level),
    ("bucket_limit", "Units that one window brings, as is believed now.", lambda b: b.limit),
    ("bucket_limit_configured", "Units that one window brings, as its owner has said.", lambda b: b.configured),
    ("bucket_cushion", "Units kept back for what cannot be seen.", lambda b: b.cushion),
    ("bucket_forecast_error", "Largest recent error of the forecast level, in units.", lambda b: b.forecast_error),
    ("bucket_pace", "Multiple of the refill at which a bucket may be emptied, while held back.", lambda b: b.pace),
    ("bucket_share", "Measured share of the refill that is used where no header tells.", lambda b: b.share),
    ("bucket_charge_ratio", "Charge over estimate by recent refusals; corrects charges.", lambda b: b.charge_ratio),
    ("bucket_corrected", "1 where headers have shown that unused charges come back.", lambda b: b.corrected),
    ("bucket_lag_seconds", "Seconds by which headers are older than their requests.", lambda b: b.lag),
    (
        "bucket_acquitted",
        "1 where refusals without numbers turned out not to be a bucket's own.",
        lambda b: b.acquitted,
    ),
    (
        "bucket_hidden_units",
        "Units that a hidden window holds, where there is one.",
        _hidden(lambda h: h.units),
    ),
    (
        "bucket_hidden_seconds",
        "Length of a hidden window, where there is one.",
        _hidden(lambda h: h.seconds),
    ),
    ("bucket_hidden_spare_seconds", "Refill kept in it for uneven arrival.", _hidden(lambda h: h.spare)),
    ("bucket_hidden_share", "Share of the refill used while there is one.", _hidden(lambda h: h.share)),
)
_COUNTERS: Facts = (
    ("charged_units", "Units charged.", lambda b: b.charged),
    ("unseen_spending_units", "Units gone from a bucket beyond our charges.", lambda b: b.unseen_spending),
    ("unseen_returns_units", "Units back in a bucket beyond its refill.", lambda b: b.unseen_returns),
    ("bucket_refusals", "Refusals by the bucket that caused them.", lambda b: b.refusals),
    ("bucket_hidden_refusals", "Refusals that a hidden window explained.", lambda b: b.hidden_refusals),
)


class SchedulerCollector(Collector):
    """Turns statistics into metrics."""

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        """Ask *statistics* at every scrape."""
        self._statistics = statistics

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, so that registering reads nothing and finds a second scheduler out."""
        return _metrics(NOTHING)

    def collect(self) -> Iterator[Metric]:
        """Return all metrics as they are now."""
        return _metrics(self._statistics())


def _metrics(seen: Statistics) -> Iterator[Metric]:
    yield from _totals(seen)
    yield from _by_scope(seen)
    yield from _by_bucket(seen)
    yield from _by_endpoint(seen)
    yield _waits(seen)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"scheduler_{name}", words, value=value)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"scheduler_{name}", words, value=value)


def _totals(seen: Statistics) -> Iterator[Metric]:
    tokens = CounterMetricFamily("scheduler_tokens", "Tokens that the provider billed.", labels=("direction",))
    tokens.add_metric(("input",), seen.usage.input_tokens)
    tokens.add_metric(("output",), seen.usage.output_tokens)
    yield tokens
    # Counters never fall: what was let through and then cancelled stays in the first.
    yield _counter("attempts", "Attempts let through.", seen.sent + seen.cancelled)
    yield _counter("cancelled", "Attempts let through and never sent.", seen.cancelled)
    yield _counter("refusals", "Attempts answered 429.", seen.refusals)
    yield _counter("retries", "Attempts after a request's first.", seen.retries)
    yield _counter("sdk_retries", "Requests that an SDK sent again by itself.", seen.resumed)
    yield _counter("cost_usd", "What the billed usage costs, where prices are known.", seen.cost)
    yield _gauge("queued", "Requests that wait.", seen.queued)
    yield _gauge("in_flight", "Requests let through and not ended.", seen.in_flight)


def _place(scope: ScopeStatistics) -> tuple[str, str]:
    return (scope.name if scope.configured else OTHER), scope.project or ""


def _by_scope(seen: Statistics) -> Iterator[Metric]:
    requests: Counter[tuple[str, ...]] = Counter()
    queued: Counter[tuple[str, ...]] = Counter()
    flying: Counter[tuple[str, ...]] = Counter()
    ignored: Counter[tuple[str, ...]] = Counter()
    paused: Counter[tuple[str, ...]] = Counter()
    ramps: Counter[tuple[str, ...]] = Counter()
    for scope in seen.scopes:
        place = _place(scope)
        for outcome, number in scope.outcomes.items():
            requests[*place, outcome] += number
        queued[place] += scope.queued
        flying[place] += scope.in_flight
        ignored[place] += scope.ignored_headers
        paused[place] += scope.paused
        if scope.ramp is not None:
            ramps[place] += scope.ramp
    yield _family(CounterMetricFamily, "requests", "Attempts by outcome.", (*_PLACE, "outcome"), requests)
    yield _family(GaugeMetricFamily, "scope_queued", "Requests that wait, by scope.", _PLACE, queued)
    yield _family(GaugeMetricFamily, "scope_in_flight", "Requests in flight, by scope.", _PLACE, flying)
    yield _family(CounterMetricFamily, "ignored_headers", "Header fields that were not believed.", _PLACE, ignored)
    yield _family(GaugeMetricFamily, "paused", "Scopes that are closed or probing.", _PLACE, paused)
    words = "Tokens a minute that a scope may send that grew too fast, while its ramp holds it back."
    yield _family(GaugeMetricFamily, "ramp_tokens_per_minute", words, _PLACE, ramps)


def _by_bucket(seen: Statistics) -> Iterator[Metric]:
    for family, facts in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
        for name, words, value in facts:
            found: Counter[tuple[str, ...]] = Counter()
            for scope in seen.scopes:
                for bucket in scope.buckets if scope.configured else ():
                    number = value(bucket)
                    if number is not None:
                        found[*_place(scope), bucket.quota] = number  # type: ignore[assignment]  # floats count too
            yield _family(family, name, words, _BUCKET, found)


def _by_endpoint(seen: Statistics) -> Iterator[Metric]:
    told = CounterMetricFamily("scheduler_told_charge_units", "Units that answers say requests took.", labels=_ENDPOINT)
    estimate = CounterMetricFamily("scheduler_told_estimate_units", "Their estimate.", labels=_ENDPOINT)
    for each in seen.charges:
        place = (each.provider, each.endpoint, each.dimension)
        told.add_metric(place, each.charged)
        estimate.add_metric(place, each.estimated)
    yield told
    yield estimate


def _family(
    family: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    words: str,
    labels: tuple[str, ...],
    values: Counter[tuple[str, ...]],
) -> Metric:
    metric = family(f"scheduler_{name}", words, labels=labels)
    for key, value in sorted(values.items()):
        metric.add_metric(key, value)
    return metric


def _waits(seen: Statistics) -> Metric:
    buckets = []
    total = 0
    for bound, number in seen.waits.items():
        total += number
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    metric = HistogramMetricFamily("scheduler_wait_seconds", "Time that requests waited for their turn.")
    metric.add_metric((), buckets=buckets, sum_value=seen.wait_sum)
    return metric
