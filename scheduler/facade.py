"""``Scheduler``: puts the rooms together."""

import contextlib
import functools
import inspect
import os
import random
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import anyio
import anyio.abc
import httpx
import msgspec
from prometheus_client import CollectorRegistry

from scheduler.checks import (
    encoded,
    header,
    named,
    nanoseconds,
    not_negative,
    positive,
    positive_weights,
    shares_by_priority,
    whole,
)
from scheduler.clock import Clock, SystemClock
from scheduler.config import growth_from, project_rules_from, read_settings, rules_for
from scheduler.core.backoff import RetryBudget
from scheduler.core.fairness import Weights
from scheduler.core.gate import Gate
from scheduler.core.quota import Charge, Dimension, Quota, Refill
from scheduler.core.reconcile import Account
from scheduler.core.reserves import Reserves
from scheduler.engine.admission import Admission
from scheduler.engine.attempts import RetryPolicy
from scheduler.engine.events import Event
from scheduler.engine.leases import SoleOwner
from scheduler.engine.outlook import Outlook
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.engine.statistics import Statistics, look
from scheduler.engine.waiter import Waiter
from scheduler.errors import ConfigurationError
from scheduler.http.client import make_client
from scheduler.http.driver import Driver, Job
from scheduler.http.many import Result, perform_many
from scheduler.priority import Priority, priority_of
from scheduler.providers import catalogue
from scheduler.providers.base import Provider, Usage
from scheduler.providers.pools import priced
from scheduler.providers.registry import provider_named
from scheduler.telemetry.collector import SchedulerCollector
from scheduler.tokens.text import TiktokenCounter

P = ParamSpec("P")
R = TypeVar("R")
Limits = Mapping[str, Mapping[str, int | Mapping[str, Any]]]


class Scheduler:
    """Lets requests to a rate-limited API through, in order, as fast as its limits allow and no faster.

    One scheduler serves several threads, several event loops, and one ``asyncio.run`` after another. ``reserve`` and
    its kin need no lifecycle; ``request`` and ``map`` own an HTTP client and are used inside ``async with``.

    Args:
        provider: Name of the provider, or an adapter.
        tier: Take the limits that the provider publishes for this tier.
        limits: Limits by model or pattern; they count before the tier's. With neither, limits are learned.
        project_limits: Project -> limits that bind it in addition.
        reserved: Priority -> share of every limit's level that less important work leaves to it.
        weights: Tenant -> weight; those not named have 1.
        concurrency: The most requests that may be in flight, over all models.
        max_queued: The most requests that may wait; unbounded if None.
        base_url: Where the provider is, if not at its own address.
        api_key: The key; taken from the provider's environment variable if None.
        timeout: Seconds that one answer may take.
        max_attempts: Times that ``request`` and ``map`` send a request at most.
        growth: ``"documented"`` to let traffic grow no faster from the start than the provider states; otherwise it
            does so only once the provider has complained.
        registry: A Prometheus registry to add the metrics to.
        transport: What sends for ``request`` and ``map``, instead of httpx's own.
        allow_plain_http: Whether the key may go over plain http to another machine.
        clock: Where instants come from; for tests.
        seed: Seed of the jitter; for tests.

    Raises:
        ConfigurationError: If a setting is unusable; it names the key and the mend.
    """

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
        self._policy = RetryPolicy(max_attempts=whole(max_attempts, "max_attempts"))
        self._budget = RetryBudget(now=self._clock.now())
        self._price = _prices(self.provider, named=isinstance(provider, str))
        self._growth = growth_from(growth, self.provider)
        self._rules = rules_for(self.provider.name, limits, tier)
        self._project_rules = project_rules_from(project_limits)
        self._reserves = Reserves(shares_by_priority(reserved))
        self._weights = Weights(positive_weights(weights))
        self._concurrency = None if concurrency is None else whole(concurrency, "concurrency")
        self._max_queued = None if max_queued is None else whole(max_queued, "max_queued")
        self.admission = self._new_admission()
        self._driver: Driver | None = None
        self._client: httpx.AsyncClient | None = None
        self._group: anyio.abc.TaskGroup | None = None
        self._closing = False
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

    def forked(self) -> None:
        """Begin anew in a forked child: who waits and what is in flight is the parent's. Called by the interpreter."""
        listeners = self.admission.listeners
        self.admission.forked()
        self.admission = self._new_admission()
        self.admission.listeners = listeners
        self._random.seed()  # not the parent's jitter
        self._forked = True

    # ---- one attempt at a time

    def reserve(
        self,
        model: str = "",
        *,
        tokens: int = 0,
        requests: int = 1,
        images: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        priority: int | str = Priority.NORMAL,
        tenant: str = "",
        project: str | None = None,
        timeout: float | None = None,
        endpoint: str = "",
    ) -> Waiter:
        """Wait for a turn: ``async with scheduler.reserve(...) as reservation``, or ``with`` in a thread.

        Leaving the block unsettled keeps the charge; an exception makes the outcome unknown and keeps it too.

        Args:
            model: Model that the request names; with ``@flex`` or the like behind it where it has limits of its own.
            tokens: Tokens that it is expected to be charged, in and out.
            requests: Requests that it counts as.
            images: Images that it is charged.
            input_tokens: Tokens charged to limits of input alone.
            output_tokens: Tokens charged to limits of output alone.
            priority: Who goes first; the lowest.
            tenant: On whose behalf it is sent; tenants of one priority share by their weights.
            project: Project that it is sent in.
            timeout: Seconds that it may wait. Of one tenant's requests the earliest deadline goes first.
            endpoint: Path that it is sent to, such as ``/v1/chat/completions``: by it the statistics of charges go.

        Raises:
            RequestTooLarge: On entering, if it can never go.
            QueueFull: On entering, if as many wait as may.
            DeadlineUnattainable: On entering, if its turn cannot come within *timeout*, or did not.
            RequestWithdrawn: On entering, if somebody withdrew it.
        """
        charge = not_negative(Charge(requests, tokens, input_tokens, output_tokens, images))
        tenant = named(tenant)
        if type(priority) is not int:
            priority = priority_of(priority)
        wait = None if timeout is None else nanoseconds(timeout)
        if self._forked:
            self._warn_forked()
        return Waiter(self.admission, model, project, charge, priority, tenant=tenant, timeout=wait, endpoint=endpoint)

    def reserve_nowait(
        self,
        model: str = "",
        *,
        tokens: int = 0,
        requests: int = 1,
        images: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        priority: int | str = Priority.NORMAL,
        tenant: str = "",
        project: str | None = None,
        endpoint: str = "",
    ) -> Reservation:
        """Return a reservation at once, or raise an error that says when. See ``reserve``.

        Raises:
            RequestTooLarge: If it can never go.
            DeadlineUnattainable: If it cannot go now; ``expected_wait`` says in how many seconds it could.
        """
        waiter = self.reserve(
            model,
            tokens=tokens,
            requests=requests,
            images=images,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            priority=priority,
            tenant=tenant,
            project=project,
            endpoint=endpoint,
        )
        return self.admission.try_now(waiter)

    def throttled(
        self, *, model: str = "", tokens: int = 0, priority: int | str = Priority.NORMAL, project: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function, asynchronous or not, so that each call waits for its turn first."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def wait_and_call(*args: P.args, **kwargs: P.kwargs) -> Any:
                    async with self.reserve(model, tokens=tokens, priority=priority, project=project):
                        return await function(*args, **kwargs)

                return wait_and_call  # type: ignore[return-value]  # a coroutine function, as *function* is

            @functools.wraps(function)
            def block_and_call(*args: P.args, **kwargs: P.kwargs) -> R:
                with self.reserve(model, tokens=tokens, priority=priority, project=project):
                    return function(*args, **kwargs)

            return block_and_call

        return decorate

    # ---- whole requests

    async def __aenter__(self) -> Self:
        if self._forked:
            self._warn_forked()
        key = self._key if self._key is not None else os.environ.get(self.provider.key_variable) or None
        self._client = make_client(
            self.provider,
            key,
            timeout=self._timeout,
            transport=self._transport,
            allow_plain_http=self._allow_plain_http,
        )
        self._driver = Driver(
            self.admission, self.provider, self._client, self._policy, self._budget, self._random.random
        )
        self._closing = False
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._client is not None
        assert self._group is not None
        client, group = self._client, self._group
        self._client = self._driver = self._group = None
        group.cancel_scope.cancel()
        try:
            await group.__aexit__(None, None, None)  # the block's own error goes its way as it is
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    @property
    def driver(self) -> Driver:
        """What carries out whole requests.

        Raises:
            RuntimeError: Outside ``async with``.
        """
        if self._driver is None:
            raise RuntimeError("use request and map inside `async with Scheduler(...) as scheduler:`")
        return self._driver

    def job(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any],
        *,
        priority: int | str = Priority.NORMAL,
        tenant: str | None = None,
        project: str | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Describe a whole request.

        Raises:
            InvalidRequest: If it cannot be sent as it is.
        """
        call = self.provider.describe(method, url, body)
        wait = None if timeout is None else nanoseconds(timeout)
        return Job(call, encoded(body), priority_of(priority), tenant and named(tenant), header(project), wait)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Mapping[str, Any],
        priority: int | str = Priority.NORMAL,
        tenant: str | None = None,
        project: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- it bounds waits and attempts, not this coroutine
    ) -> httpx.Response:
        """Send a request when its turn comes, as often as need be, and return the successful response.

        Args:
            method: HTTP method.
            url: Relative path of a known endpoint, such as ``/v1/chat/completions``.
            json: The body.
            priority: Who goes first; the lowest.
            tenant: On whose behalf it is sent.
            project: Project that it is sent in.
            timeout: Seconds within which its last attempt begins; one under way is not cut short.

        Raises:
            InvalidRequest: If it cannot be sent as it is.
            SchedulerError: If it failed for good; see ``scheduler.errors``.
            RuntimeError: Outside ``async with``, or after ``drain``.
        """
        self._refuse_closing()
        job = self.job(method, url, json, priority=priority, tenant=tenant, project=project, timeout=timeout)
        answer = await self.driver.perform(job)
        if answer.error is not None:
            raise answer.error
        assert answer.response is not None
        return answer.response

    async def map(
        self,
        bodies: Iterable[Mapping[str, Any]],
        *,
        url: str = "/v1/chat/completions",
        priority: int | str = Priority.BATCH,
        project: str | None = None,
        most: int = 1_000,
    ) -> AsyncGenerator[Result, None]:
        """Send many requests and yield their results as they come; nothing is raised for a single failure.

        Args:
            bodies: The bodies, read as they are needed.
            url: Endpoint of all.
            priority: Who goes first; the lowest.
            project: Project that they are sent in.
            most: How many may be waiting or in flight.

        Raises:
            RuntimeError: Outside ``async with``, after ``drain``, or if the block is left meanwhile.
        """
        self._refuse_closing()
        driver, group = self.driver, self._group
        assert group is not None

        def job(body: Mapping[str, Any]) -> Job:
            return self.job("POST", url, body, priority=priority, project=project)

        async with contextlib.aclosing(perform_many(driver, group, bodies, job, whole(most, "most"))) as results:
            async for result in results:
                yield result

    # ---- looking, changing and ending

    def waiting(self, most: int = 100) -> list[Outlook]:
        """Return of *most* requests that wait why they do, behind how many, and until when."""
        return self.admission.waiting(whole(most, "most"))

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

    def statistics(self) -> Statistics:
        """Return everything that can be seen, at one instant."""
        return self.admission.look(lambda now: look(self.admission, now))

    def on_event(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell *listener* of every event; it may look and never decide. Return what stops that."""
        self.admission.listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self.admission.listeners.remove(listener)

        return stop

    async def drain(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 -- it bounds the wait
        """Refuse new requests and maps, and wait until nothing waits, flies or is under way.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether all was done in that time.
        """
        self._closing = True
        with anyio.move_on_after(timeout) as scope:
            await self.admission.wait_idle()
        return not scope.cancelled_caught

    def _refuse_closing(self) -> None:
        if self._closing:
            raise RuntimeError("this scheduler is draining; make another, or enter it again")

    def _warn_forked(self) -> None:
        self._forked = False
        warnings.warn(
            "this process was forked from one that uses the same scheduler; both now spend the whole budget. Make a "
            "scheduler in each process, or share a store",
            RuntimeWarning,
            stacklevel=3,
        )


def _prices(provider: Provider, *, named: bool) -> Callable[[str], catalogue.Price | None]:
    try:
        return catalogue.load(provider.name).price
    except ConfigurationError:
        if named:
            raise
        return lambda _: None  # an adapter of the user's own has no catalogue


def _register(registry: CollectorRegistry, collector: SchedulerCollector) -> None:
    try:
        registry.register(collector)
    except ValueError:
        raise ConfigurationError(
            "it already holds the metrics of a scheduler", "registry", "give each scheduler a registry of its own"
        ) from None


_CHANGEABLE = ("tier", "limits", "project_limits", "reserved", "weights")

_SCHEDULERS: "weakref.WeakSet[Scheduler]" = weakref.WeakSet()


def _after_fork() -> None:
    for scheduler in list(_SCHEDULERS):
        scheduler.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
