"""Which limits a request draws on, and that all of them pay or none."""

from typing import Any

import pytest

from scheduler.simulator import Change, Tenant, World
from scheduler.simulator.meters import SECOND
from scheduler.simulator.scopes import Charge, Enforcer, Grant, Refusal, Scope

POOLS = {"gpt-5": {"rpm": 1}, "gpt-5*": {"rpm": 2}, "gpt*": {"rpm": 3}, "family": {"rpm": 4}}


def level(scope: Scope, name: str, now: int = 0) -> float:
    scope.limits[name].catch_up(now)
    return float(scope.limits[name].meter.level(now))


def admit(enforcer: Enforcer, tokens: int = 0, *, now: float = 0, project: str | None = None) -> Grant | Refusal:
    instant = round(now * SECOND)
    return enforcer.admit(instant, enforcer.scopes_of("m", project), Charge(1, tokens))


@pytest.mark.parametrize(
    ("model", "pool"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-mini", "gpt-5*"),
        ("gpt-4o", "gpt*"),
        ("picture", "family"),
        ("picture-2025-01-01", "family"),
        ("claude", ""),
    ],
)
def test_exact_names_win_over_globs_and_longer_globs_over_shorter(model: str, pool: str) -> None:
    """Snapshots belong to their model, shared pools to their members, and unmatched models to nobody."""
    enforcer = Enforcer(World(limits=POOLS, shared={"family": ("picture",)}))
    assert enforcer.pool_of(model) == pool


def test_models_of_one_glob_share_one_pool() -> None:
    """What one model takes is missing for the other."""
    enforcer = Enforcer(World(limits={"gpt-4o*": {"rpm": 1}}))
    assert enforcer.scopes_of("gpt-4o") == enforcer.scopes_of("gpt-4o-mini")


def test_many_unknown_models_are_one_scope() -> None:
    """Names from outside do not make the simulator grow."""
    enforcer = Enforcer(World())
    for number in range(3000):
        enforcer.scopes_of(f"model-{number}")
    assert len(enforcer.scopes) == 1


def test_a_refused_request_takes_nothing_from_anybody() -> None:
    """Where the project's limit refuses, the organization's is untouched, and the other way round."""
    world = World(limits={"m": {"rpm": 5, "tpm": 100}}, project_limits={"p": {"m": {"tpm": 50}}})
    enforcer = Enforcer(world)
    refusal = admit(enforcer, 60, project="p")
    assert isinstance(refusal, Refusal)
    assert (refusal.scope.project, refusal.limit.name, refusal.too_large) == ("p", "tpm", True)
    assert isinstance(admit(enforcer, 90), Grant)
    organization, project = enforcer.scopes_of("m", "p")
    refusal = admit(enforcer, 20, project="p")
    assert isinstance(refusal, Refusal)
    assert refusal.scope is organization
    assert (level(organization, "rpm"), level(organization, "tpm"), level(project, "tpm")) == (4, 10, 50)


def test_a_project_s_request_draws_on_both() -> None:
    """The organization and the project pay for the same request."""
    world = World(limits={"m": {"tpm": 100}}, project_limits={"p": {"*": {"tpm": 50}}})
    enforcer = Enforcer(world)
    admit(enforcer, 30, project="p")
    admit(enforcer, 30, project="another")
    organization, project = enforcer.scopes_of("m", "p")
    assert (level(organization, "tpm"), level(project, "tpm")) == (40, 20)


def test_the_longest_wait_is_the_reason() -> None:
    """Of several limits that refuse, the one that refuses longest is named."""
    enforcer = Enforcer(World(limits={"m": {"rpm": 1, "rpd": 1, "tpm": 10}}))
    admit(enforcer, 10)
    refusal = admit(enforcer, 10)
    assert isinstance(refusal, Refusal)
    assert refusal.limit.name == "rpd"
    assert refusal.wait == 86_400 * SECOND


@pytest.mark.parametrize(("charged", "left"), [(frozenset[str](), 60), (frozenset({"rpm"}), 59)])
def test_refused_requests_are_charged_where_the_world_says_so(charged: frozenset[str], left: int) -> None:
    """A refusal takes a request where refusals count as requests, and never tokens that they do not count as."""
    enforcer = Enforcer(World(limits={"m": {"rpm": 60, "tpm": 10}}, refused_charged=charged))
    assert isinstance(admit(enforcer, 11), Refusal)
    scope = enforcer.scopes_of("m")[0]
    assert (level(scope, "rpm"), level(scope, "tpm")) == (left, 10)


def test_charged_refusals_leave_no_debt() -> None:
    """However many are refused, the level does not fall below zero."""
    enforcer = Enforcer(World(limits={"m": {"rpm": 3}}, refused_charged=frozenset({"rpm"})))
    for _ in range(10):
        admit(enforcer)
    assert level(enforcer.scopes_of("m")[0], "rpm") == 0


def test_concurrency_is_free_again_at_the_end() -> None:
    """The second request is refused while the first is inside."""
    enforcer = Enforcer(World(limits={"m": {"concurrency": 1}}))
    first = admit(enforcer)
    assert isinstance(first, Grant)
    refusal = admit(enforcer)
    assert isinstance(refusal, Refusal)
    assert refusal.wait is None
    enforcer.finish(0, first, 0)
    assert isinstance(admit(enforcer), Grant)


@pytest.mark.parametrize(("unused", "left"), [("kept", 40), ("returned", 80)])
def test_unused_tokens_come_back_only_where_the_world_returns_them(unused: str, left: int) -> None:
    """Of 60 charged and 20 used, 40 come back or none."""
    enforcer = Enforcer(World(limits={"m": {"tpm": 100, "rpm": 5}}, unused=unused))
    grant = admit(enforcer, 60)
    assert isinstance(grant, Grant)
    enforcer.finish(0, grant, 20)
    scope = enforcer.scopes_of("m")[0]
    assert (level(scope, "tpm"), level(scope, "rpm")) == (left, 4)
    assert scope.limits["tpm"].returned == left - 40


def test_a_slice_refuses_inside_the_minute() -> None:
    """At 60 a minute by the second, two requests at once are one too many though 59 are left."""
    enforcer = Enforcer(World(limits={"m": {"rpm": 60, "rpd": 100}}, slices=1.0))
    admit(enforcer)
    refusal = admit(enforcer)
    assert isinstance(refusal, Refusal)
    assert (refusal.limit.name, refusal.wait) == ("rpm", SECOND)
    assert isinstance(admit(enforcer, now=1.0), Grant)


@pytest.mark.parametrize("every", [0.5, 1.0, 7.0])
def test_a_tenant_takes_its_share_unseen(every: float) -> None:
    """A tenant of half a limit leaves half of the refill, however often it comes."""
    tenant = Tenant(share=0.5, every=every)
    enforcer = Enforcer(World(limits={"m": {"tpm": 600}}, start=0.0, tenants=(tenant,)))
    scope = enforcer.scopes_of("m")[0]
    assert level(scope, "tpm", 42 * SECOND) == pytest.approx(210, abs=1)
    assert scope.limits["tpm"].unseen == pytest.approx(210, abs=1)


def test_a_tenant_comes_and_goes() -> None:
    """Before its begin and after its end it takes nothing, and never more than is there."""
    tenant = Tenant(share=50.0, every=1.0, begin=10.0, end=20.0, limit="rpm", pool="m")
    enforcer = Enforcer(World(limits={"m": {"rpm": 60}}, tenants=(tenant,)))
    scope = enforcer.scopes_of("m")[0]
    assert level(scope, "rpm", 10 * SECOND) == 60
    assert level(scope, "rpm", 20 * SECOND) == 0
    assert level(scope, "rpm", 30 * SECOND) == 10


def test_it_does_not_matter_how_often_a_tenant_is_looked_at() -> None:
    """Uses happen at their own instants, also where they are worked out later."""
    world = World(limits={"m": {"tpm": 700}}, tenants=(Tenant(share=0.7), Tenant(share=0.5, every=3.0, begin=1.0)))
    one, other = (Enforcer(world).scopes_of("m")[0] for _ in range(2))
    for second in range(100):
        level(one, "tpm", second * SECOND)
    assert level(one, "tpm", 100 * SECOND) == level(other, "tpm", 100 * SECOND)


def test_limits_change_at_their_instant() -> None:
    """A change that came due between two requests happened at its own instant."""
    changes = (Change(at=10.0, model="m-2025-01-01", limits={"tpm": 60}),)
    enforcer = Enforcer(World(limits={"m": {"tpm": 600}}, start=0.0, changes=changes))
    assert isinstance(admit(enforcer, 1, now=30.0), Grant)
    assert level(enforcer.scopes_of("m")[0], "tpm", 30 * SECOND) == 59
    assert enforcer.scopes_of("m")[0].limits["tpm"].amount == 60


@pytest.mark.parametrize(("limits", "names"), [({"rpm": 5}, {"tpm", "rpm"}), ({"tpm": None}, set())])
def test_limits_are_added_and_lifted(limits: dict[str, Any], names: set[str]) -> None:
    """A limit that was not there is full when it comes; None lifts one."""
    enforcer = Enforcer(World(limits={"m": {"tpm": 600}}))
    enforcer.change(0, "m", limits)
    assert enforcer.scopes_of("m")[0].limits.keys() == names


def test_a_model_without_limits_gets_a_pool_of_its_own() -> None:
    """Limiting a model that nothing matched leaves the other unlimited models alone."""
    enforcer = Enforcer(World())
    enforcer.scopes_of("m")
    enforcer.change(0, "m", {"rpm": 5})
    assert enforcer.scopes_of("m")[0].limits.keys() == {"rpm"}
    assert not enforcer.scopes_of("another")[0].limits
