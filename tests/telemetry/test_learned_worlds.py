"""What is learned of whole worlds, as the metrics show it: a simulated provider that is not what was configured."""

from typing import Any

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry
from scrapes import at, scraped

from scheduler.simulator import Simulator, World
from scheduler.simulator.parts import Tenant
from scheduler.testing import Recorder, run

CHAT = "/v1/chat/completions"
LIMITS = {"rpm": 300, "tpm": 120_000}
HOP = {"network": 0.04, "network_sigma": 0.6, "latency": 1.0, "latency_sigma": 0.5}
TPM = {"scope": "*", "project": "", "quota": "tpm"}
TOKENS = {"provider": "openai", "endpoint": CHAT, "dimension": "tokens"}


def play(number: int, tokens: int, pause: float = 0.0, **world: Any) -> tuple[dict[str, Any], CollectorRegistry]:
    """Send chat requests, all at once or with a pause between; return the provider's report and the metrics."""
    registry = CollectorRegistry()

    async def main() -> dict[str, Any]:
        simulator = Simulator(World(limits={"*": LIMITS}, seed=7, **{**HOP, **world}))
        transport = httpx.ASGITransport(simulator)
        bodies = [
            {"model": "m", "messages": [{"role": "user", "content": f"{index}"}], "max_tokens": tokens}
            for index in range(number)
        ]
        async with Recorder(
            limits={"*": LIMITS}, transport=transport, api_key="k", seed=1, registry=registry
        ) as scheduler:
            if pause:
                for body in bodies:
                    await scheduler.request("POST", CHAT, json=body)
                    await anyio.sleep(pause)
            else:
                async for result in scheduler.map(bodies):
                    assert result.error is None
            report: Any = simulator.report()["scopes"]
            limit: dict[str, Any] = report[0]["limits"]["tpm"]
            return limit

    return run(main), registry


def test_a_tenant_of_30_percent_is_told() -> None:
    """Unseen spending is what the tenant took of the same limit, to a few percent, and no more."""
    report, registry = play(600, 1_000, tenants=(Tenant(share=0.3), Tenant(share=0.3, limit="rpm")))
    seen = scraped(registry)
    told = at(seen, "unseen_spending_units_total", **TPM)
    assert 0.93 * report["unseen"] < told <= report["unseen"]
    assert told / (told + at(seen, "charged_units_total", **TPM)) == pytest.approx(0.24, abs=0.04)
    assert at(seen, "unseen_returns_units_total", **TPM) < 0.01 * told


def test_nobody_else_is_told_of_where_nobody_is() -> None:
    """Latencies that differ and answers that overtake each other are not taken for a tenant."""
    _, registry = play(600, 1_000)
    seen = scraped(registry)
    assert at(seen, "unseen_spending_units_total", **TPM) == 0
    assert at(seen, "unseen_returns_units_total", **TPM) == 0
    assert ("scheduler_bucket_hidden_seconds", tuple(sorted(TPM.items()))) not in seen
    assert at(seen, "bucket_lag_seconds", **TPM) == 0
    assert at(seen, "bucket_share", **TPM) == 1


def test_charges_a_quarter_above_the_estimate_are_told() -> None:
    """By endpoint, from the levels before and after single requests; and the estimates follow."""
    report, registry = play(30, 1_000, pause=2.0, factor=1.25)
    seen = scraped(registry)
    charge, estimate = at(seen, "told_charge_units_total", **TOKENS), at(seen, "told_estimate_units_total", **TOKENS)
    assert charge >= 25_000
    assert 250 <= charge - estimate <= 3 * 250
    assert report["charged"] == 30 * 1_250


def test_a_slice_of_a_second_is_shown_as_a_hidden_window() -> None:
    """Its length, its size, and the refusals that it explained."""
    _, registry = play(400, 600, slices=1.0, requests_header="minute")
    seen = scraped(registry)
    assert at(seen, "bucket_hidden_seconds", **TPM) == pytest.approx(1.0, rel=0.15)
    assert at(seen, "bucket_hidden_units", **TPM) == pytest.approx(2_000, rel=0.15)
    assert at(seen, "bucket_hidden_share", **TPM) >= 0.9
    assert 0 < at(seen, "bucket_hidden_spare_seconds", **TPM) <= 0.6
    assert 0 < at(seen, "bucket_hidden_refusals_total", **TPM) <= at(seen, "refusals_total")
