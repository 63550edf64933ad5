"""Variants of a model: service tiers, long context and organizations, and whose limits each draws on."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from engine_support import Run, headers

from scheduler import DeadlineUnattainable
from scheduler.core.quota import Charge
from scheduler.engine import scopes
from scheduler.http.driver import Job
from scheduler.providers.base import Call, Usage
from scheduler.providers.catalogue import load
from scheduler.testing import Recorder, run


def scope_of(scheduler: Recorder, pool: str, project: str | None = None) -> list[str]:
    """Return the names of the scopes that a request of *pool* draws on."""
    found, _ = scheduler.admission.book.scopes_for(pool, project, scheduler.admission.clock.now())
    return [scope.name for scope in found]


def learning(**settings: Any) -> Recorder:
    scheduler = Recorder(seed=1, **settings)
    scheduler.admission.book.learn = True
    return scheduler


@pytest.mark.parametrize(
    ("pool", "scope"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5@flex", "gpt-5@flex"),
        ("gpt-5-2025-08-07@flex", "gpt-5@flex"),
        ("gpt-5@scale", "gpt-5@scale"),
        ("gpt-5@priority", "gpt-5"),
        ("gpt-5-2025-08-07@priority", "gpt-5"),
        ("gpt-5@org-1", "gpt-5@org-1"),
        ("o3@flex", "o3@flex"),
        ("o3@priority", "o3"),
        ("o4-mini@priority", "o4-mini@priority"),
        ("gpt-4.1@long-context", "gpt-4.1@long-context"),
        ("gpt-4.1-2025-04-14@long-context", "gpt-4.1@long-context"),
        ("gpt-4.1@priority@long-context", "gpt-4.1@long-context"),
        ("gpt-image-1@flex", "gpt-image*"),
        ("gpt-image-1@priority", "gpt-image-1"),
    ],
)
def test_whose_limits_a_variant_draws_on(pool: str, scope: str) -> None:
    """A variant draws on the limits that are named for it; else priority on its model's, and others on their own."""
    limits = {
        "gpt-5": {"rpm": 500},
        "gpt-5@flex": {"rpm": 50},
        "o4-mini@priority": {"rpm": 5},
        "gpt-image*": {"rpm": 7},
    }
    assert scope_of(learning(tier="1", limits=limits), pool) == [scope]


def test_a_pattern_for_the_rest_does_not_part_what_is_shared() -> None:
    """Where all the rest has a rule, priority still draws on its model's, and flex is part of the rest."""
    scheduler = learning(limits={"gpt-5": {"rpm": 500}, "*": {"rpm": 60}}, project_limits={"p": {"gpt-5": {"rpm": 9}}})
    assert scope_of(scheduler, "gpt-5@priority", "p") == ["gpt-5", "p/gpt-5"]
    assert scope_of(scheduler, "gpt-5@flex", "p") == ["*"]
    scheduler = learning(limits={"gpt-5": {"rpm": 500}, "*@priority": {"rpm": 60}})
    assert scope_of(scheduler, "gpt-5@priority") == ["*@priority"]


def test_priority_spends_what_standard_has_left(on_virtual_time: Run) -> None:
    """Requests of a model with priority and without are charged to one budget."""

    async def main() -> None:
        scheduler = Recorder(limits={"gpt-5": {"rpm": 2}}, seed=1)
        scheduler.reserve_nowait("gpt-5").settle()
        with pytest.raises(DeadlineUnattainable) as caught:
            scheduler.reserve_nowait("gpt-5@priority")
        assert caught.value.scope == "gpt-5"
        scheduler.reserve_nowait("gpt-5@flex").settle()

    on_virtual_time(main)


def test_flex_learns_limits_of_its_own(on_virtual_time: Run) -> None:
    """What an answer of a variant says of its limits is not said of its model's."""

    async def main() -> None:
        scheduler = learning(limits={"gpt-5": {"rpm": 500}})
        probe = scheduler.reserve_nowait("gpt-5@flex", tokens=100)
        probe.observe(headers("requests", 60, 59, "1s") | headers("tokens", 6000, 5900, "1s"))
        probe.settle()
        limits = {scope.name: {bucket.limit for bucket in scope.buckets} for scope in scheduler.statistics().scopes}
        assert limits["gpt-5@flex"] == {60, 6000}

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("pool", "factor"),
    [
        ("gpt-5", 1.0),
        ("gpt-5-2025-08-07@flex", 0.5),
        ("gpt-5@priority", 2.0),
        ("gpt-5@long-context@org-1", 1.0),
        ("unheard-of@flex", 0.0),
        ("@cf/x", 0.0),
    ],
)
def test_what_a_variant_costs(pool: str, factor: float) -> None:
    """A service tier costs its factor of what the model does; what has no price costs nothing."""
    price = load("openai").price("gpt-5")
    assert price is not None
    scheduler = Recorder(seed=1)
    usage = Usage(1_000_000, 0, 1_000_000)
    scheduler.reserve_nowait(pool).settle(usage=usage)
    assert scheduler.statistics().cost == pytest.approx(price.cost(usage) * factor)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whole_requests_draw_on_their_pool(backend: str) -> None:
    """A request of the scheduler's own draws on its pool's limits, and on the project that its call names."""

    async def main() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
        limits = {"gpt-5": {"rpm": 500}, "gpt-5@flex": {"rpm": 50}}
        projects = {name: {"*": {"rpm": 9}} for name in ("p", "q")}
        async with Recorder(transport=transport, api_key="k", limits=limits, project_limits=projects) as scheduler:
            body = {"model": "gpt-5", "input": "x", "service_tier": "flex"}
            await scheduler.request("POST", "/v1/responses", json=body)
            call = Call("POST", "/v1/responses", "gpt-5", Charge(), project="p")
            await scheduler.driver.perform(Job(call, b"{}", 0))
            await scheduler.driver.perform(Job(replace(call, project=None), b"{}", 0, project="q"))
            sent = {scope.name: scope.sent for scope in scheduler.statistics().scopes}
            assert sent == {"gpt-5@flex": 1, "gpt-5": 2, "p/*": 1, "q/*": 1}

    run(main, backend=backend)


def test_another_organization_has_the_same_limits_and_a_budget_of_its_own() -> None:
    """Limits hold for each organization that requests name; one that is named in the limits has its own."""
    limits = {"gpt-5": {"rpm": 500}, "gpt-4*": {"rpm": 40}, "gpt-5@org-b": {"rpm": 7}, "*": {"rpm": 60}}
    scheduler = learning(limits=limits, project_limits={"p": {"gpt-5": {"rpm": 9}}})
    assert scope_of(scheduler, "gpt-5@org-a", "p") == ["gpt-5@org-a", "p/gpt-5"]
    assert scope_of(scheduler, "gpt-5@priority@org-a") == ["gpt-5@org-a"]
    assert scope_of(scheduler, "gpt-4o@org-a") == scope_of(scheduler, "gpt-4.1@org-a") == ["gpt-4*@org-a"]
    assert scope_of(scheduler, "gpt-5@org-b") == ["gpt-5@org-b"]
    assert scope_of(scheduler, "gpt-5") == ["gpt-5"]
    amounts = {scope.name: scope.accounts[0].bucket.quota.amount for scope in scheduler.admission.book}
    assert amounts == {"gpt-5@org-a": 500, "p/gpt-5": 9, "gpt-4*@org-a": 40, "gpt-5@org-b": 7, "gpt-5": 500}


def test_limits_of_all_organizations_change_together() -> None:
    """Other limits hold for who was seen and who was not; what had been spent stays spent."""
    scheduler = learning(limits={"gpt-5": {"rpm": 500}})
    scheduler.reserve_nowait("gpt-5@org-a").settle()
    scheduler.configure(limits={"gpt-5": {"rpm": 100}})
    assert scope_of(scheduler, "gpt-5@org-a") == ["gpt-5@org-a"]
    (bucket, *_) = scheduler.statistics().scopes[0].buckets
    assert (bucket.limit, bucket.level) == (100, 99)


def test_more_organizations_than_anyone_has_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names ever new ones gets scopes that are bounded in number."""
    monkeypatch.setattr(scopes, "ORGANIZATIONS_MOST", 1)
    scheduler = learning(limits={"gpt-5": {"rpm": 500}})
    scope_of(scheduler, "gpt-5@org-a")
    scope_of(scheduler, "gpt-5@org-b")
    assert [scope.configured for scope in scheduler.admission.book] == [True, False]


def test_what_names_no_model_draws_on_no_models_limits() -> None:
    """Limits for all the rest are for the rest of the models; an endpoint's own are named with its slash."""
    limits = {"gpt-5": {"rpm": 500}, "*": {"rpm": 60}, "/files": {"rpm": 30}, "/vector_stores/*": {"rpm": 300}}
    scheduler = learning(limits=limits)
    assert scope_of(scheduler, "/models") == ["/models"]
    assert scope_of(scheduler, "/files") == ["/files"]
    assert scope_of(scheduler, "/vector_stores/vs_1") == ["/vector_stores/*"]
    assert scope_of(scheduler, "o3") == ["*"]
