"""Whose limits a request draws on, and whether it is admitted: all of them pay, or none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple

from scheduler.simulator.growth import GrowthMeter
from scheduler.simulator.limits import Limit
from scheduler.simulator.meters import SECOND
from scheduler.simulator.parts import DIMENSIONS, Limits
from scheduler.simulator.world import World

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_REMEMBERED = 1024  # model names whose pool is remembered; the names come from outside


class Charge(NamedTuple):
    """What one request takes."""

    requests: int = 1
    tokens: int = 0
    images: int = 0

    def units(self, limit: str) -> int:
        """Return the units of *limit* that it takes."""
        return {"r": self.requests, "t": self.tokens, "i": self.images, "c": 1}[limit[0]]


@dataclass(eq=False)
class Scope:
    """The organization's or one project's limits on one pool of models.

    Attributes:
        pool: Key of the pool in ``World.limits``; "" for the models without limits.
        project: Name of the project, or None for the organization.
        limits: Limits by name.
        peak: Most requests that were inside at once.
        growth: How fast its traffic may grow, or None.
    """

    pool: str
    project: str | None
    limits: dict[str, Limit] = field(default_factory=dict)
    granted: int = 0
    refused: int = 0
    inside: int = 0
    peak: int = 0
    growth: GrowthMeter | None = None

    def report(self, now: int) -> dict[str, object]:
        """Return the counts, as ``Simulator.report`` shows them."""
        return {
            "scope": "organization" if self.project is None else "project",
            "project": self.project,
            "pool": self.pool,
            "granted": self.granted,
            "refused": self.refused,
            "in_flight": self.inside,
            "peak_in_flight": self.peak,
            "limits": {name: limit.report(now) for name, limit in self.limits.items()},
            "too_fast": 0 if self.growth is None else self.growth.refused,
        }


@dataclass(frozen=True)
class Refusal:
    """A request that was not admitted.

    Attributes:
        scope: Whose limit refused.
        limit: Which limit.
        units: What the request would have taken of it.
        wait: Nanoseconds until it would fit, or None where nobody can tell.
        too_large: Whether it can never fit.
    """

    scope: Scope
    limit: Limit
    units: int
    wait: int | None
    too_large: bool


@dataclass(frozen=True)
class Grant:
    """An admitted request: what it drew on, and the receipts for what it may give back."""

    scopes: tuple[Scope, ...]
    charge: Charge
    receipts: tuple[tuple[Limit, int, int], ...]


class Enforcer:
    """All scopes of a world. Instants are nanoseconds since the start and never go back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._limits: dict[str | None, dict[str, Limits]] = {None: dict(world.limits)}
        self._limits.update({project: dict(pools) for project, pools in world.project_limits.items()})
        self._shared = {model: pool for pool, models in world.shared.items() for model in models}
        self._scopes: dict[tuple[str | None, str], Scope] = {}
        self._found: dict[tuple[str, str | None], tuple[Scope, ...]] = {}
        self._changes = sorted(world.changes, key=lambda change: change.at, reverse=True)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All scopes that were drawn on, the organization's first."""
        return tuple(sorted(self._scopes.values(), key=lambda scope: (scope.project or "", scope.pool)))

    def scopes_of(self, model: str, project: str | None = None) -> tuple[Scope, ...]:
        """Return the scopes that a request of *project* for *model* draws on; the organization's is the first."""
        key = (model, project if project in self._limits else None)
        found = self._found.get(key)
        if found is None:
            owners = (None,) if key[1] is None else (None, key[1])
            found = tuple(self._scope(owner, self.pool_of(model, owner)) for owner in owners)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[key] = found
        return found

    def pool_of(self, model: str, project: str | None = None) -> str:
        """Return the key of the pool that *model* belongs to, or "" where it has no limits."""
        pools = self._limits[project]
        base = _DATED.sub("", model)
        for name in (model, base):
            for key in (name, self._shared.get(name, name)):
                if key in pools:
                    return key
        globs = sorted((key for key in pools if any(sign in key for sign in "*?[")), key=len, reverse=True)
        matching = (key for key in globs if fnmatchcase(model, key) or fnmatchcase(base, key))
        return next(matching, "")

    def _scope(self, project: str | None, pool: str) -> Scope:
        scope = self._scopes.get((project, pool))
        if scope is None:
            scope = self._scopes[project, pool] = Scope(pool, project)
            for name, amount in self._limits[project].get(pool, {}).items():
                scope.limits[name] = self._limit(scope, name, amount, 0)
            if self.world.growth is not None and project is None:
                scope.growth = GrowthMeter(self.world.growth)
        return scope

    def _limit(self, scope: Scope, name: str, amount: int, now: int) -> Limit:
        return Limit(self.world, name, amount, now, scope.pool, project=scope.project is not None)

    def admit(self, now: int, scopes: tuple[Scope, ...], charge: Charge) -> Grant | Refusal:
        """Charge all limits of *scopes*, or none and say which refused: one that never fits, else the longest wait."""
        self.catch_up(now)
        refusal = None
        for scope in scopes:
            for limit in scope.limits.values():
                limit.catch_up(now)
                refusal = self._worse(refusal, self._refusal(now, scope, limit, charge.units(limit.name)))
        if refusal is None:
            return self._grant(now, scopes, charge)
        self._refused(now, scopes, charge, refusal)
        return refusal

    def _refusal(self, now: int, scope: Scope, limit: Limit, units: int) -> Refusal | None:
        if not units:
            return None
        if limit.too_large(units):
            return Refusal(scope, limit, units, None, too_large=True)
        wait = limit.wait(now, units)
        return None if wait == 0 else Refusal(scope, limit, units, wait, too_large=False)

    def _worse(self, one: Refusal | None, other: Refusal | None) -> Refusal | None:
        if one is None or other is None:
            return one or other
        return max(one, other, key=lambda refusal: (refusal.too_large, refusal.wait or 0))

    def _grant(self, now: int, scopes: tuple[Scope, ...], charge: Charge) -> Grant:
        receipts = []
        for scope in scopes:
            scope.granted += 1
            scope.inside += 1
            scope.peak = max(scope.peak, scope.inside)
            for limit in scope.limits.values():
                units = charge.units(limit.name)
                if units:
                    receipts.append((limit, units, limit.take(now, units)))
        return Grant(scopes, charge, tuple(receipts))

    def _refused(self, now: int, scopes: tuple[Scope, ...], charge: Charge, refusal: Refusal) -> None:
        refusal.limit.refused += 1
        for scope in scopes:
            scope.refused += 1
            for name in self.world.refused_charged & scope.limits.keys():
                limit = scope.limits[name]
                limit.charged += limit.drain(now, charge.units(name))

    def finish(self, now: int, grant: Grant, used: int) -> None:
        """End an admitted request that used *used* tokens: it leaves, and what the world returns comes back."""
        self.catch_up(now)
        for scope in grant.scopes:
            scope.inside -= 1
        unused = max(0, grant.charge.tokens - used) if self.world.unused == "returned" else 0
        for limit, units, receipt in grant.receipts:
            if not limit.window:
                limit.meter.give_back(now, units, receipt)
            elif unused and limit.name.startswith("t"):
                limit.give_back(now, unused, receipt)

    def catch_up(self, now: int) -> None:
        """Make the changes of limits that came due by *now*, each at its own instant."""
        while self._changes and self._changes[-1].at * SECOND <= now:
            change = self._changes.pop()
            self.change(round(change.at * SECOND), change.model, change.limits, change.project)

    def change(self, now: int, model: str, limits: Mapping[str, int | None], project: str | None = None) -> None:
        """Change limits of the pool that *model* belongs to; None lifts one; a model without a pool gets its own."""
        pools = self._limits.setdefault(project, {})
        pool = self.pool_of(model, project) or model
        if pool not in pools:
            pools[pool] = {}
            self._found.clear()
        scope = self._scope(project, pool)
        for name in DIMENSIONS:
            amount = limits.get(name)
            if amount is not None and name in scope.limits:
                scope.limits[name].change(now, amount)
            elif amount is not None:
                scope.limits[name] = self._limit(scope, name, amount, now)
            elif name in limits:
                scope.limits.pop(name, None)

    def use(self, now: int, scopes: tuple[Scope, ...], charge: Charge) -> None:
        """Let somebody unseen take *charge* from *scopes*, as far as it is there."""
        self.catch_up(now)
        for limit in (limit for scope in scopes for limit in scope.limits.values() if limit.window):
            limit.catch_up(now)
            limit.unseen += limit.drain(now, charge.units(limit.name))
