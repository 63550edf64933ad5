"""The worlds in which `scenarios.py` tries the scheduler: providers that are not what the client was told.

`LIMIT` tokens and `LIMIT / 1000` requests a minute, together, unless a world says otherwise. A world's settings are
those of `scheduler.simulator.World`, less what follows from the limits; what the client believes stands beside them.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scheduler.simulator.parts import Change, FaultWindow, Growth, Tenant

LIMIT = 300_000
"""Tokens a minute."""
DAYS = 40
"""A day brings as much as this many minutes."""
HOP: Mapping[str, Any] = {"network": 0.04, "network_sigma": 0.6}
HEAVY: Mapping[str, Any] = {"network": 0.2, "network_sigma": 1.0}
MILD: Mapping[str, Any] = {"network": 0.1, "network_sigma": 0.6}
BARE: Mapping[str, Any] = {"bodies": False, "retry_after": False, "refusal_headers": False}
"""Refusals that say nothing."""
BLIND: Mapping[str, Any] = {"headers": False}


@dataclass(frozen=True)
class Case:
    """A world, and what the client is told of it.

    Attributes:
        name: As the table shows it.
        world: Settings of the simulator.
        told: The configured limits as multiples of the true ones; None: nothing is configured.
        tenant: Share of the limits that others spend, and how often, from when and until when, in seconds.
        change: Second at which the limits are multiplied, and by what.
        daily: Share of the headers that describe the limits of the day.
        limit: Tokens a minute.
        requests: How many there are to do.
        most: Refusals per 1,000 that the study's best strategy drew: all, and after the first minute; None: no study.
        ratio: The study's makespan over the ideal, in a world of one limit; None: no study.
        projects: Whether half of the requests are those of a project with less than the organization's limit.
        compared: Spans of seconds whose rates of admission are shown side by side.
        kept: Whether the client keeps to the world's limit on growth from the start.
        settled: Second from which what is learned is judged.
    """

    name: str
    world: Mapping[str, Any] = field(default_factory=dict)
    told: float | None = 1.0
    tenant: tuple[float, float, float, float] | None = None
    change: tuple[float, float] | None = None
    daily: float = 0.0
    limit: int = LIMIT
    requests: int = 1_500
    most: tuple[float, float] | None = None
    ratio: float | None = None
    projects: bool = False
    compared: tuple[tuple[float, float], ...] = ()
    kept: bool = False

    @property
    def settled(self) -> float:
        """Second from which what is learned is judged."""
        return 60.0 + (self.change[0] if self.change else 0.0)

    @property
    def limits(self) -> dict[str, int]:
        """The true limits at the start."""
        day = {"rpd": DAYS * self.limit // 1000, "tpd": DAYS * self.limit} if self.daily else {}
        return {"rpm": self.limit // 1000, "tpm": self.limit, **day}

    def settings(self) -> dict[str, Any]:
        """Return the settings of the simulator."""
        world = {**HOP, "limits": {"*": self.limits}, "latency": 2.0, "latency_sigma": 0.5, **self.world}
        if self.tenant:
            share, every, begin, end = self.tenant
            world["tenants"] = tuple(
                Tenant(limit=limit, share=share, every=every, begin=begin, end=end) for limit in ("rpm", "tpm")
            )
        if self.change:
            at, factor = self.change
            limits = {name: round(self.limits[name] * factor) for name in ("rpm", "tpm")}
            world["changes"] = (Change(at=at, model="m", limits=limits),)
        if self.daily:
            world["headers_daily"] = self.daily
            world["start"] = {"rpd": 1 - 1 / DAYS, "tpd": 1 - 1 / DAYS}
        return world


FOREVER = 1e9
STEADY = (0.3, 0.5, 0.0, FOREVER)
BURSTS = (0.5, 3.0, 0.0, FOREVER)
SLICED: Mapping[str, Any] = {"slices": 1.0}
GROWTH: Mapping[str, Any] = {"growth": Growth(floor=600_000, span=150.0)}
"""A limit on growth that a job of some minutes meets: half as much again in 150 s, measured over 10 s."""
RETURNED: Mapping[str, Any] = {"unused": "returned", "output": 450.0, "output_sigma": 0.8}

STUDY = [
    Case("as configured", most=(0.0, 0.0), ratio=1.016),
    Case("starts empty", {"start": 0.0}, most=(0.6, 0.0), ratio=1.015),
    Case("starts at 30 %", {"start": 0.3}, most=(0.0, 0.0), ratio=1.015),
    Case("configured at 2x", told=2.0, most=(0.0, 0.0), ratio=1.016),
    Case("configured at 1/2", told=0.5, most=(0.0, 0.0), ratio=1.017),
    Case("nothing configured", told=None, most=(0.0, 0.0), ratio=1.020),
    Case("tenant 30 %", tenant=STEADY, most=(0.0, 0.0), ratio=1.012),
    Case("tenant 50 %, 3 s bursts", tenant=BURSTS, most=(0.0, 0.0), ratio=1.015),
    Case("tenant 50 %, 10 s bursts", tenant=(0.5, 10.0, 0.0, FOREVER), most=(0.1, 0.0), ratio=1.019),
    Case("tenant 40 % from 100 s to 250 s", tenant=(0.4, 0.5, 100.0, 250.0), most=(0.0, 0.0), ratio=1.017),
    Case("charge x1.25", {"factor": 1.25}, most=(0.1, 0.1), ratio=1.011),
    Case("charge x2", {"factor": 2.0}, most=(0.3, 0.3), ratio=1.009),
    Case("charge x0.67", {"factor": 0.67}, most=(0.0, 0.0), ratio=1.046),
    Case("charge +400 each", {"offset": 400.0}, most=(0.0, 0.0), ratio=1.013),
    Case("charge noise 20 %", {"noise": 0.2}, most=(0.0, 0.0), ratio=1.016),
    Case("charge is sum, not max", {"charge": "sum"}, most=(0.0, 0.0), ratio=1.013),
    Case("limit halves at 60 s", change=(60.0, 0.5), most=(0.0, 0.0), ratio=1.007),
    Case("limit doubles at 60 s", change=(60.0, 2.0), most=(0.0, 0.0), ratio=1.035),
    Case("heavy jitter", HEAVY, most=(0.0, 0.0), ratio=1.020),
    Case("headers 5 s stale", {"headers_stale": 5.0}, most=(0.1, 0.0), ratio=1.020),
    Case("headers written at completion", {"headers_at": "completion"}, most=(0.0, 0.0), ratio=1.014),
    Case("30 % malformed", {"headers_malformed": 0.3}, most=(0.0, 0.0), ratio=1.019),
    Case("half the headers missing", {"headers_missing": 0.5}, most=(0.0, 0.0), ratio=1.016),
    Case("30 % daily headers", daily=0.3, most=(0.0, 0.0), ratio=1.016),
    Case("sliced", SLICED, most=(1.5, 0.5), ratio=1.038),
    Case("reservation returned", RETURNED, most=(0.0, 0.0), ratio=1.104),
    Case("reservation returned, 4,000 requests", RETURNED, requests=4_000, most=(0.0, 0.0), ratio=1.029),
    Case("429 without numbers", BARE, most=(0.0, 0.0), ratio=1.016),
    Case("all headers daily", daily=1.0, most=(0.6, 0.0), ratio=1.013),
    Case("tenant 30 % + charge x1.25", {"factor": 1.25}, tenant=STEADY, most=(0.1, 0.1), ratio=1.012),
    Case("bursts 3 s + sum + jitter", {"charge": "sum", **HEAVY}, tenant=BURSTS, most=(0.0, 0.0), ratio=1.014),
    Case("sliced + jitter", {**SLICED, **HEAVY}, most=(18.7, 14.2), ratio=1.335),
    Case("sliced + mild jitter", {**SLICED, **MILD}, most=(5.4, 3.0), ratio=1.058),
    Case("sliced + tenant 30 %", SLICED, tenant=STEADY, most=(1.3, 0.2), ratio=1.013),
    Case("sliced + charge x1.25", {**SLICED, "factor": 1.25}, most=(6.9, 5.1), ratio=1.049),
    Case("sliced, bodyless", {**SLICED, **BARE}, most=(1.4, 0.6), ratio=1.042),
    Case(
        "halves + charge x1.25 noise 20 %",
        {"factor": 1.25, "noise": 0.2},
        change=(60.0, 0.5),
        most=(0.8, 1.2),
        ratio=1.009,
    ),
    Case("unconfigured + tenant 30 % + x2", {"factor": 2.0}, None, STEADY, most=(1.8, 0.2), ratio=1.009),
    Case("2x + starts empty + x1.25", {"start": 0.0, "factor": 1.25}, 2.0, most=(0.7, 0.0), ratio=1.011),
    Case("stale + tenant 30 %", {"headers_stale": 5.0}, tenant=STEADY, most=(13.8, 0.0), ratio=1.020),
    Case("stale + charge x2", {"headers_stale": 5.0, "factor": 2.0}, most=(5.5, 1.1), ratio=1.015),
    Case(
        "half missing + x1.25 + jitter", {"headers_missing": 0.5, "factor": 1.25, **HEAVY}, most=(0.1, 0.1), ratio=1.015
    ),
    Case("daily + halves", daily=0.3, change=(60.0, 0.5), most=(0.0, 0.0), ratio=1.008),
    Case("daily + doubles", daily=0.3, change=(60.0, 2.0), most=(0.0, 0.0), ratio=1.036),
    Case("returned + tenant 30 %", RETURNED, tenant=STEADY, most=(0.0, 0.0), ratio=1.065),
    Case("bodyless + tenant 30 % + x1.25", {**BARE, "factor": 1.25}, tenant=STEADY, most=(0.1, 0.2), ratio=1.012),
    Case("blind: as configured", BLIND, most=(0.0, 0.0), ratio=1.014),
    Case("blind: starts empty", {**BLIND, "start": 0.0}, most=(1.1, 0.0), ratio=1.010),
    Case("blind: tenant 30 %", BLIND, tenant=STEADY, most=(2.7, 0.9), ratio=1.011),
    Case("blind: charge x1.25", {**BLIND, "factor": 1.25}, most=(7.9, 2.5), ratio=1.011),
    Case("blind: configured at 2x", BLIND, told=2.0, most=(11.2, 0.0), ratio=1.014),
    Case("blind: nothing configured", BLIND, told=None, most=(5.4, 0.0), ratio=1.014),
    Case("blind, no bodies: tenant 30 %", {**BLIND, **BARE}, tenant=STEADY, most=(11.7, 12.8), ratio=1.011),
    Case("blind, no bodies: configured at 2x", {**BLIND, **BARE}, told=2.0, most=(21.9, 11.8), ratio=1.027),
    Case("blind, no bodies: nothing configured", {**BLIND, **BARE}, told=None, most=(5.4, 0.0), ratio=2.059),
    Case(
        "blind, no bodies: x2 + bursts",
        {**BLIND, **BARE, "factor": 2.0},
        tenant=(0.3, 3.0, 0.0, FOREVER),
        most=(39.7, 37.2),
        ratio=1.007,
    ),
]
"""The worlds of the study, with requests and tokens limited together, and its best figures for tokens alone."""

OTHERS = [
    Case("charge: as recorded in 2025", {"charge": "recorded-2025"}),
    Case("charge x2 +400", {"factor": 2.0, "offset": 400.0}),
    Case("blind: charge x2", {**BLIND, "factor": 2.0}),
    Case("blind: charge x2 +400", {**BLIND, "factor": 2.0, "offset": 400.0}),
    Case("blind: charge is sum, not max", {**BLIND, "charge": "sum"}),
    Case("blind: charge: as recorded in 2025", {**BLIND, "charge": "recorded-2025"}),
    Case("refusals charged", {"refused_charged": ["rpm", "tpm"]}, told=2.0),
    Case("429 without header or hint, 2x", BARE, told=2.0),
    Case("2 % errors", {"faults": {"server_error": 0.02}}),
    Case("an outage of 60 s", {"outages": ((60.0, 120.0),)}),
    Case("2 % never answered", {"faults": {"drop": 0.02}}),
    Case(
        "slow_down for 10 s",
        {"fault_windows": (FaultWindow(kind="slow_down", begin=60.0, end=70.0),)},
        compared=((30.0, 60.0), (60.0, 70.0), (75.0, 135.0)),
    ),
    Case("a day's limit in the headers of requests", {"requests_header": "day"}, daily=0.01),
    Case("two projects under one organization", projects=True),
    Case("short: 200 requests that fit", requests=200),
    Case("small: 30,000 a minute", limit=30_000, requests=150),
    Case("large: 6,000,000 a minute", limit=6_000_000, requests=24_000),
    Case(
        "growth above 600,000 a minute",
        GROWTH,
        limit=3_000_000,
        requests=7_000,
        compared=((0.0, 10.0), (10.0, 150.0), (150.0, 300.0), (300.0, 450.0)),
    ),
    Case(
        "growth above 600,000 a minute, kept",
        GROWTH,
        limit=3_000_000,
        requests=7_000,
        compared=((0.0, 10.0), (10.0, 150.0), (150.0, 300.0), (300.0, 450.0)),
        kept=True,
    ),
    Case("busy: 3,000,000 a minute, one at a time at the door", {"door": 0.01}, limit=3_000_000, requests=9_000),
    Case("busy, starts empty", {"door": 0.01, "start": 0.0}, limit=3_000_000, requests=9_000),
    Case("slices smaller than a request", {"slices": 0.1}),
    Case("slices of requests and tokens, x1.25", {"slices": {"rpm": 1.0, "tpm": 1.0}, "factor": 1.25}),
]


def slow(case: Case) -> Case:
    """Return the same with answers that take 20 s in the median, with a heavy tail."""
    world = {**case.world, "latency": 20.0, "latency_sigma": 1.0}
    return replace(case, name=f"20 s: {case.name}", world=world, most=None, ratio=None)


def drawn(seed: int) -> Case:
    """Draw a world at random from the cross product of everything that can be wrong."""
    chance = random.Random(seed)
    world: dict[str, Any] = {}
    pick = chance.choice
    world["start"] = pick([0.0, 0.3, 1.0, 1.0])
    world["factor"] = pick([0.67, 1.0, 1.0, 1.25, 2.0])
    world["offset"] = pick([0.0, 0.0, 400.0])
    world["noise"] = pick([0.0, 0.0, 0.2])
    world["charge"] = pick(["documented", "documented", "sum"])
    world["headers_stale"] = pick([0.0, 0.0, 0.0, 5.0])
    world["headers_malformed"] = pick([0.0, 0.0, 0.3])
    world["headers_missing"] = pick([0.0, 0.0, 0.5])
    world["headers_at"] = pick(["admission", "admission", "completion"])
    world["slices"] = pick([None, None, None, 1.0])
    world["faults"] = pick([{}, {}, {"server_error": 0.02}])
    world.update(pick([HOP, HOP, MILD, HEAVY]))
    world.update(pick([{}, {}, {}, BARE]))
    world.update(pick([{}, {}, {}, RETURNED]))
    world["latency"], world["latency_sigma"] = pick([(0.5, 0.3), (2.0, 0.5), (5.0, 0.8)])
    tenant = pick([None, None, STEADY, BURSTS, (0.4, 0.5, 100.0, 250.0)])
    told = pick([0.5, 1.0, 1.0, 1.0, 2.0, None])
    change = pick([None, None, None, (60.0, 0.5), (60.0, 2.0)])
    return Case(f"drawn {seed}", world, told, tenant, change, pick([0.0, 0.0, 0.3]))
