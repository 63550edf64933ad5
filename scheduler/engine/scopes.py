"""Scopes: whom a limit binds, and which accounts a request draws on.

A rule names models (or patterns of models) and the quotas that they share; variants of a model (``gpt-5@flex``) are
named like models. A model that no rule names gets a scope of its own when it is first seen, and its limits are learned;
a variant that shares its model's limits draws on those. Names come from request bodies, so the number of learned
scopes is bounded: the longest idle one makes room, and where none is idle a common scope takes the rest.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from scheduler.core.fairness import Fairness, Weights
from scheduler.core.gate import Gate
from scheduler.core.growth import Growth
from scheduler.core.quota import HOUR, MINUTE, Dimension, Quota, Refill
from scheduler.core.ramp import Ramp
from scheduler.core.reconcile import Account
from scheduler.engine.leases import AccountSource
from scheduler.providers.pools import home_of, shared

if TYPE_CHECKING:
    from scheduler.engine.lane import Lane

OTHER = "other"
"""The scope, and the metric label, of models beyond the bound."""

LEARNED_MOST = 1_000
LEARNED_AGE = HOUR
"""How many scopes are learned, and how long one is kept that nobody uses, in nanoseconds."""


ORGANIZATIONS_MOST = 100
"""How many organizations have scopes with the limits that are configured; those of others are learned."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Limits that some models share.

    Attributes:
        scope: Name of the scope.
        models: Names, or patterns with ``*`` and ``?``, of the models that draw on it together.
        quotas: What binds them. Dimensions of requests and tokens that none of these counts are learned.
    """

    scope: str
    models: tuple[str, ...]
    quotas: tuple[Quota, ...]


@dataclass(eq=False, slots=True)
class Scope:
    """Accounts and gate of an organization or a project, for one group of models."""

    name: str
    project: str | None
    accounts: list[Account]
    gate: Gate
    configured: bool
    sent: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    """Header fields that were not believed."""
    flying: int = 0
    used: int = 0
    local: bool = False
    """Whether it binds this process only, and no provider speaks of it."""
    lanes: "list[Lane]" = field(default_factory=list)
    fairness: Fairness = field(default_factory=lambda: Fairness(Weights()))
    ramp: Ramp | None = None
    """How fast its traffic may go, where that has been too fast or may become so."""

    def account_for(self, dimension: Dimension, window: int | None, limit: int) -> Account | None:
        """Return the account that an observation speaks of, or None if there is none yet.

        Where the window is known it decides. Otherwise the same limit does, then an account that knows nothing, then
        the shortest window. Where a window does not refill evenly, one that was inferred as if it did says nothing.
        """
        for account in self.accounts:  # by far the most are of a bucket that is known just so
            quota = account.bucket.quota
            if quota.amount == limit and quota.window == window and account.dimension is dimension and account.known:
                return account
        counted = [account for account in self.accounts if account.dimension is dimension]
        known = [account for account in counted if account.known]
        uneven = [account for account in known if account.bucket.quota.refill is not Refill.CONTINUOUS]
        same = [account for account in known if account.bucket.quota.amount == limit]
        of_window = [account for account in known if account.bucket.quota.window == window]
        stated = next((account for account in uneven if account in same), None)
        if stated is not None or of_window:
            return stated or of_window[0]
        unknown = next((account for account in counted if not account.known), None)
        if window is not None and not uneven:
            return unknown
        shortest = min(known, key=lambda account: account.bucket.quota.window, default=None)
        return next(iter(same), None) or unknown or shortest

    def inherit(self, dropped: "Scope") -> None:
        """Go on counting what a scope has counted that is dropped: counters never fall."""
        self.sent += dropped.sent
        self.ignored += dropped.ignored
        for outcome, number in dropped.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + number

    @property
    def tokens_counted(self) -> Dimension:
        """The dimension in which its requests' tokens are counted."""
        alone = any(account.dimension is Dimension.INPUT_TOKENS for account in self.accounts)
        return Dimension.INPUT_TOKENS if alone else Dimension.TOKENS

    @property
    def idle(self) -> bool:
        """Whether nothing of it is in flight or waiting."""
        return not self.flying and not any(lane.queue for lane in self.lanes)


class ScopeBook:
    """Finds, and makes, the scopes of a model."""

    def __init__(
        self,
        rules: Iterable[Rule],
        project_rules: Mapping[str, Iterable[Rule]],
        source: AccountSource,
        *,
        learn: bool = True,
        weights: Weights | None = None,
        growth: Growth | None = None,
    ) -> None:
        """Begin with *rules* for the organization and *project_rules* by project.

        Args:
            rules: The organization's rules.
            project_rules: Rules by project name.
            source: Where accounts come from.
            weights: The weights of tenants.
            learn: Whether models without a rule are learned; otherwise nothing binds them.
            growth: How fast an organization's traffic may grow, where that is to be kept from the start.
        """
        self._rules: dict[str | None, tuple[Rule, ...]] = {
            None: tuple(rules),
            **{name: tuple(each) for name, each in project_rules.items()},
        }
        self._source = source
        self.learn = learn
        self.weights = Weights() if weights is None else weights
        self._growth = growth
        self._scopes: dict[tuple[str | None, str], Scope] = {}
        self._learned: dict[str, Scope] = {}
        self._organizations: set[str] = set()  # those that requests have named
        self._left: list[Scope] = []  # named no more, with somebody in them

    def __iter__(self) -> Iterator[Scope]:
        return iter([*self._scopes.values(), *self._learned.values(), *self._left])

    def change(self, rules: Iterable[Rule], project_rules: Mapping[str, Iterable[Rule]], now: int) -> None:
        """Go on under other rules. Who waits stays where he is, under the limits that his scope has now.

        A scope that no rule names any more keeps its limits for those who wait in it, and gets nobody new.
        """
        self._rules = {None: tuple(rules), **{name: tuple(each) for name, each in project_rules.items()}}
        named = {(project, rule.scope): rule for project, each in self._rules.items() for rule in each}
        for organization in self._organizations:
            others = (_of_organization(rule, organization) for rule in self._rules[None])
            named = {(None, rule.scope): rule for rule in others} | named
        for key in [key for key in self._scopes if key not in named]:
            self._left.append(self._scopes.pop(key))
        self._left = [scope for scope in self._left if not scope.idle]
        for key, scope in self._scopes.items():
            self._follow(scope, named[key], now)

    def _follow(self, scope: Scope, rule: Rule, now: int) -> None:
        """Give a scope the quotas of a rule: levels go on, less what had been spent."""
        kept = []
        for quota in rule.quotas:
            account = next((each for each in scope.accounts if _alike(each.bucket.quota, quota)), None)
            if account is None:
                account = self._source.open(scope.name, quota, now, known=True)
            elif not account.known or account.bucket.quota != quota:
                account.retune(quota, now)
            account.configured = quota.amount
            kept.append(account)
        if scope.project is None:
            counted = {quota.dimension for quota in rule.quotas}
            for account in scope.accounts:
                if account.dimension not in counted:
                    account.configured = None
                    kept.append(account)
            counted |= {each.dimension for each in kept}
            kept += self._unknown(scope.name, {Dimension.REQUESTS, Dimension.TOKENS} - counted, now)
        scope.accounts = kept

    def scopes_for(self, model: str, project: str | None, now: int) -> tuple[tuple[Scope, ...], list[Scope]]:
        """Return the scopes whose accounts a request for *model* draws on, and those that were dropped to make room.

        Args:
            model: Model, or the pool that the provider names instead: ``MODEL@flex``.
            project: Project that it is sent in, or None.
            now: The instant.
        """
        dropped: list[Scope] = []
        found = []
        home, organization = home_of(model)
        rule = self._elsewhere(model, home, organization) if organization else _rule_for(self._rules[None], model)
        if rule is not None:
            found.append(self._configured(rule, None, now))
        elif self.learn:
            found.append(self._learned_scope(shared(model), now, dropped))
        if project is not None and (rule := _rule_for(self._rules.get(project, ()), home)) is not None:
            found.append(self._configured(rule, project, now))
        return tuple(found), dropped

    def _elsewhere(self, pool: str, home: str, organization: str) -> Rule | None:
        """Return the rule of a pool that names its organization: one that names it too, or that of the same at home.

        The latter holds in a scope of its own. Which organization is at home nobody says: an SDK may name it always.
        """
        own = [rule for rule in self._rules[None] if any(home_of(name)[1] for name in rule.models)]
        rule = _rule_for(own, pool)
        if rule is not None:
            return rule
        rule = _rule_for(self._rules[None], home)
        if rule is None or len(self._organizations | {organization}) > ORGANIZATIONS_MOST:
            return None
        self._organizations.add(organization)
        return _of_organization(rule, organization)

    def _configured(self, rule: Rule, project: str | None, now: int) -> Scope:
        key = (project, rule.scope)
        if key not in self._scopes:
            name = rule.scope if project is None else f"{project}/{rule.scope}"
            accounts = [self._source.open(name, quota, now, known=True) for quota in rule.quotas]
            for account, quota in zip(accounts, rule.quotas, strict=True):
                account.configured = quota.amount
            if project is None:
                counted = {quota.dimension for quota in rule.quotas}
                accounts += self._unknown(name, {Dimension.REQUESTS, Dimension.TOKENS} - counted, now)
            self._scopes[key] = self._make(name, project, accounts, Gate(name), now, configured=True)
        return self._scopes[key]

    def _learned_scope(self, model: str, now: int, dropped: list[Scope]) -> Scope:
        if model in self._learned:
            return self._learned[model]
        dropped += self._make_room(now)
        return self._learn(model if len(self._learned) < LEARNED_MOST else OTHER, now)

    def _learn(self, name: str, now: int) -> Scope:
        if name not in self._learned:
            accounts = self._unknown(name, {Dimension.REQUESTS, Dimension.TOKENS}, now)
            self._learned[name] = self._make(name, None, accounts, Gate(name, probing=True), now, configured=False)
            self._learned[name].used = now
        return self._learned[name]

    def _make_room(self, now: int) -> list[Scope]:
        """Drop the scopes that nobody used for long, and the longest unused idle one if there are too many."""
        idle = [name for name, scope in self._learned.items() if scope.idle and name != OTHER]
        old = [name for name in idle if self._learned[name].used < now - LEARNED_AGE]
        if idle and not old and len(self._learned) >= LEARNED_MOST:
            old = [min(idle, key=lambda name: self._learned[name].used)]
        dropped = [self._learned.pop(name) for name in old]
        if dropped:
            other = self._learn(OTHER, now)
            for scope in dropped:
                other.inherit(scope)
        return dropped

    def _unknown(self, name: str, dimensions: Iterable[Dimension], now: int) -> list[Account]:
        return [self._source.open(name, Quota(each, 1, MINUTE), now, known=False) for each in sorted(dimensions)]

    def _make(
        self, name: str, project: str | None, accounts: list[Account], gate: Gate, now: int, *, configured: bool
    ) -> Scope:
        scope = Scope(name, project, accounts, gate, configured, fairness=Fairness(self.weights))
        if self._growth is not None and project is None:
            scope.ramp = Ramp(name, scope.tokens_counted.position, self._growth, now, kept=True)
        return scope

    def open_account(self, scope: Scope, quota: Quota, now: int) -> Account:
        """Add an account to a scope, for a limit that was learned."""
        account = self._source.open(scope.name, quota, now, known=True)
        scope.accounts.append(account)
        return account


def _of_organization(rule: Rule, organization: str) -> Rule:
    return replace(rule, scope=f"{rule.scope}@{organization}")


def _alike(one: Quota, other: Quota) -> bool:
    return (one.dimension, one.window, one.refill) == (other.dimension, other.window, other.refill)


_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}(?=@|\Z)")


def _rule_for(rules: Sequence[Rule], pool: str) -> Rule | None:
    """Return the rule of a pool: its own if it is named, and otherwise that of the pool whose limits it shares."""
    other = shared(pool)
    if other == pool:
        return _match(rules, pool)
    own = tuple(rule for rule in rules if any(shared(name) != name for name in rule.models))
    return _match(own, pool) or _match(rules, other)


def _match(rules: Sequence[Rule], model: str) -> Rule | None:
    """Return the most particular rule: an exact name before a pattern, a longer pattern before a shorter one.

    What names no model draws on no model's limits: the pool of an endpoint, ``/files``, is matched by names that begin
    as it does.
    """
    family = _SNAPSHOT.sub("", model)  # a dated snapshot draws on its model's limits, in every variant
    best: tuple[bool, int] | None = None
    found = None
    for rule in rules:
        for name in rule.models:
            if model.startswith("/") and not name.startswith("/"):
                continue
            exact = name in {model, family}
            if exact or fnmatchcase(model, name):
                rank = (exact, len(name))
                if best is None or rank > best:
                    best, found = rank, rule
    return found
