"""Clients that come with the scheduler: address, key, timeout and transport in one."""

import sys
from typing import Any

import anyio
import anyio.to_thread
import pytest
from quiet import is_quiet

from scheduler import ConfigurationError, Scheduler
from scheduler.simulator import World, serving

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
WORLD = World(limits={"m": {"rpm": 600, "tpm": 60_000}}, key="sk-right")


@pytest.mark.network
def test_the_four_clients_share_one_budget() -> None:
    """Each is ready to use, by tasks or threads, httpx or httpx2; one scheduler counts the requests of all."""

    async def main() -> None:
        async with serving(WORLD) as url:
            scheduler = Scheduler(base_url=str(url), api_key="sk-right", limits=WORLD.limits)
            clients: list[Any] = [scheduler.client(), scheduler.client2()]
            for client in clients:
                async with client:
                    assert (await client.post("/v1/chat/completions", json=BODY)).status_code == 200

            def threaded() -> None:
                clients: list[Any] = [scheduler.sync_client(), scheduler.sync_client2()]
                for client in clients:
                    with client:
                        assert client.post("/v1/chat/completions", json=BODY).status_code == 200

            await anyio.to_thread.run_sync(threaded)
            assert scheduler.statistics().sent == 4
            assert is_quiet(scheduler)

    anyio.run(main)


def test_arguments_of_the_client_count_before_ours() -> None:
    """The timeout and the address are a client's to be set."""
    scheduler = Scheduler(api_key="sk-1")
    client = scheduler.sync_client(timeout=3.0, base_url="https://other.example")
    assert client.timeout.read == 3.0
    assert client.base_url.host == "other.example"
    assert client.headers["authorization"] == "Bearer sk-1"
    client.close()


@pytest.mark.parametrize("make", ["client", "client2", "sync_client", "sync_client2"])
def test_a_key_that_would_travel_in_the_clear_makes_no_client(make: str) -> None:
    """The error names the setting and the mend."""
    scheduler = Scheduler(base_url="http://far.example", api_key="sk-1")
    with pytest.raises(ConfigurationError) as caught:
        getattr(scheduler, make)()
    assert caught.value.key == "base_url"


@pytest.mark.parametrize("make", ["transport2", "sync_transport2", "client2", "sync_client2"])
def test_without_httpx2(make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it and does not have it is told what to install."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match=r"quota-scheduler\[httpx2\]"):
        getattr(Scheduler(), make)()
