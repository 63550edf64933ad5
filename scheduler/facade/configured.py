"""Settings: what a scheduler is made of, and what of it may change while it runs."""

import os
import random
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from scheduler.checks import positive, positive_weights, shares_by_priority, whole
from scheduler.clock import Clock, SystemClock
from scheduler.config import growth_from, project_rules_from, read_settings, rules_for
from scheduler.core.backoff import RetryBudget
from scheduler.core.fairness import Weights
from scheduler.core.gate import Gate
from scheduler.core.quota import SECOND, Dimension, Quota, Refill
from scheduler.core.reconcile import Account
from scheduler.core.reserves import Reserves
from scheduler.engine.admission import Admission
from scheduler.engine.attempts import RetryPolicy
from scheduler.engine.leases import SoleOwner
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.statistics import Statistics, look
from scheduler.errors import ConfigurationError
from scheduler.http.passage import Seam
from scheduler.providers import catalogue
from scheduler.providers.base import Provider, Usage
from scheduler.providers.pools import priced
from scheduler.providers.registry import provider_named
from scheduler.telemetry.collector import SchedulerCollector
from scheduler.tokens.text import TiktokenCounter

Limits = Mapping[str, Mapping[str, int | Mapping[str, Any]]]


class Configured:
    """Holds the settings. See ``Scheduler`` for what they mean."""

    def __init__(
        self,
        provider: str | Provider = "openai",
        *,
        tier: str | int | None = None,
        limits: Limits | None = None,
        project_limits: Mapping[str, Limits] | None = None,
        reserved: Mapping[int | str, float] | None = None,
        weights: Mapping[str, float] | None = None,
        concurrency: int | None = None,
        max_queued: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 600.0,
        max_attempts: int = 10,
        longest_delay: float = 900.0,
        growth: str | None = None,
        registry: CollectorRegistry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        allow_plain_http: bool = False,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self.provider = provider_named(provider, TiktokenCounter(), base_url) if isinstance(provider, str) else provider
        self._clock: Clock = clock or SystemClock()
        self._key = api_key
        self._timeout = positive(timeout, "timeout")
        self._transport = transport
        self._allow_plain_http = allow_plain_http
        self._random = random.Random(seed)  # noqa: S311 -- jitter, not secrets
        self._policy = RetryPolicy(
            max_attempts=whole(max_attempts, "max_attempts"),
            longest_delay=round(positive(longest_delay, "longest_delay") * SECOND),
        )
        self._budget = RetryBudget(now=self._clock.now())
        self._price = catalogue.price_of(self.provider.name)
        self._growth = growth_from(growth, self.provider)
        self._rules = rules_for(self.provider.name, limits, tier)
        self._project_rules = project_rules_from(project_limits)
        self._reserves = Reserves(shares_by_priority(reserved))
        self._weights = Weights(positive_weights(weights))
        self._concurrency = None if concurrency is None else whole(concurrency, "concurrency")
        self._max_queued = None if max_queued is None else whole(max_queued, "max_queued")
        self.admission = self._new_admission()
        self._forked = False
        self._file: tuple[str | Path, dict[str, Any]] | None = None
        _SCHEDULERS.add(self)
        if registry is not None:
            _register(registry, SchedulerCollector(self.statistics))

    @classmethod
    def from_file(cls, path: str | Path, **overrides: Any) -> Self:
        """Make a scheduler from a configuration file; *overrides* are arguments that count before the file's.

        Raises:
            ConfigurationError: If anything in it is unusable; it names file, key and mend.
        """
        settings = msgspec.structs.asdict(read_settings(path))
        try:
            scheduler = cls(**{**settings, **overrides})
        except ConfigurationError as error:
            error.file = error.file or str(path)
            raise
        scheduler._file = (path, overrides)
        return scheduler

    def _new_admission(self) -> Admission:
        return Admission(
            self.provider,
            ScopeBook(
                self._rules,
                self._project_rules,
                SoleOwner(self._clock),
                weights=self._weights,
                growth=self._growth,
            ),
            self._clock,
            local=self._local(),
            reserves=self._reserves,
            max_queued=self._max_queued,
            chance=self._random.random,
            price=self._cost,
        )

    def _local(self) -> Scope | None:
        if self._concurrency is None:
            return None
        quota = Quota(Dimension.CONCURRENCY, self._concurrency, 0, refill=Refill.RELEASE)
        account = Account(quota, self._clock.now(), scope="local")
        account.configured = self._concurrency
        return Scope("local", None, [account], Gate("local"), configured=True, local=True)

    def _cost(self, pool: str, usage: Usage) -> float:
        """Return what a usage costs: at the price of its pool, or at its model's, times what a service tier costs more.

        A request of a tier is taken to have had it, though a provider may have served it as any other, and cheaper.
        """
        for name, factor in priced(pool):
            price = self._price(name)
            if price is not None:
                return price.cost(usage) * factor
        return 0.0

    def statistics(self) -> Statistics:
        """Return everything that can be seen, at one instant."""
        return self.admission.look(lambda now: look(self.admission, now))

    @property
    def _seam(self) -> Seam:
        """What all requests over HTTP share."""
        return Seam(self.admission, self.provider, self._policy, self._budget, self._random.random)

    def forked(self) -> None:
        """Begin anew in a forked child: who waits and what is in flight is the parent's. Called by the interpreter."""
        listeners = self.admission.listeners
        self.admission.forked()
        self.admission = self._new_admission()
        self.admission.listeners = listeners
        self._random.seed()  # not the parent's jitter
        self._forked = True

    def configure(
        self,
        *,
        tier: str | int | None = None,
        limits: Limits | None = None,
        project_limits: Mapping[str, Limits] | None = None,
        reserved: Mapping[int | str, float] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Change settings while it runs; nobody who waits is dropped, and what is None stays as it is.

        What had been spent of a limit stays spent: a raised limit adds room, a lowered one may leave a debt. See
        ``Scheduler`` for the arguments; *tier* and *limits* go together.

        Raises:
            ConfigurationError: If a setting is unusable; then nothing has changed.
        """
        rules = self._rules if tier is None and limits is None else rules_for(self.provider.name, limits, tier)
        projects = self._project_rules if project_limits is None else project_rules_from(project_limits)
        shares = None if reserved is None else shares_by_priority(reserved)
        heavier = None if weights is None else positive_weights(weights)

        def change(now: int) -> None:
            if rules is not self._rules or projects is not self._project_rules:
                self.admission.book.change(rules, projects, now)
            if shares is not None:
                self._reserves.change(shares)
            if heavier is not None:
                self._weights.change(heavier)

        self.admission.retune(change)
        self._rules, self._project_rules = rules, projects

    def reload(self) -> None:
        """Read the configuration file again and follow its limits, shares and weights. See ``configure``.

        Raises:
            ConfigurationError: If anything in it is unusable; then nothing has changed.
            RuntimeError: If the scheduler was not made from a file.
        """
        if self._file is None:
            raise RuntimeError("this scheduler was not made from a file: use configure")
        path, overrides = self._file
        settings = {**msgspec.structs.asdict(read_settings(path)), **overrides}
        try:
            self.configure(**{name: settings[name] for name in _CHANGEABLE})
        except ConfigurationError as error:
            error.file = error.file or str(path)
            raise

    def _warn_forked(self) -> None:
        self._forked = False
        warnings.warn(
            "this process was forked from one that uses the same scheduler; both now spend the whole budget. Make a "
            "scheduler in each process, or share a store",
            RuntimeWarning,
            stacklevel=3,
        )


def _register(registry: CollectorRegistry, collector: SchedulerCollector) -> None:
    try:
        registry.register(collector)
    except ValueError:
        raise ConfigurationError(
            "it already holds the metrics of a scheduler", "registry", "give each scheduler a registry of its own"
        ) from None


_CHANGEABLE = ("tier", "limits", "project_limits", "reserved", "weights")

_SCHEDULERS: "weakref.WeakSet[Configured]" = weakref.WeakSet()


def _after_fork() -> None:
    for scheduler in list(_SCHEDULERS):
        scheduler.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
