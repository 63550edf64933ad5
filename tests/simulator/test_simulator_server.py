"""The simulator over real HTTP on loopback."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from simulator_support import CHAT, chat, rates

from scheduler.simulator import Simulator, World, run, serving

pytestmark = pytest.mark.network


def served(world: World | Simulator, use: Callable[[httpx.AsyncClient], Awaitable[None]]) -> Simulator:
    """Serve, let *use* talk to it, and return the simulator."""
    simulator = world if isinstance(world, Simulator) else Simulator(world)

    async def main() -> None:
        async with serving(simulator) as url, httpx.AsyncClient(base_url=url) as client:
            await use(client)

    asyncio.run(main())
    return simulator


def test_limits_are_enforced_over_http() -> None:
    """The third of two is refused, and the report says so, over HTTP as well."""

    async def use(client: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*[client.post(CHAT, json=chat()) for _ in range(3)])
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
        assert {rates(answer)["limit-requests"] for answer in answers} == {"2"}
        assert (await client.get("/control/report")).json()["granted"] == 2

    assert served(World(limits={"*": {"rpm": 2}}), use).report()["refused"] == 1


def test_a_stream_comes_in_pieces_and_its_headers_before_them() -> None:
    """The headers are there while the pieces are still to come."""

    async def use(client: httpx.AsyncClient) -> None:
        async with client.stream("POST", CHAT, json=chat(stream=True)) as answer:
            begin = time.monotonic()
            assert rates(answer)["remaining-requests"] == "8"
            pieces = [(time.monotonic() - begin, piece) async for piece in answer.aiter_text()]
        assert len(pieces) >= 5
        assert pieces[-1][0] > 0.1
        assert pieces[-1][1].endswith("data: [DONE]\n\n")

    served(World(limits={"*": {"rpm": 9}}, output=20, latency_per_token=0.01), use)


@pytest.mark.parametrize(("fault", "stream"), [("drop", False), ("broken_stream", True)])
def test_connections_are_dropped(fault: str, stream: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The socket closes without an answer, or in the middle of one; the server goes on."""

    async def use(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.TransportError):
            await client.post(CHAT, json=chat(stream=stream))
        assert (await client.get("/v1/models")).status_code == 200

    report = served(World(faults={fault: 1.0}), use).report()
    assert (report["granted"], report["completed"], report["in_flight"]) == (1, 0, 0)


def test_an_answer_that_nobody_waits_for_is_not_completed() -> None:
    """A client that hangs up leaves an abandoned request behind."""

    async def use(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(CHAT, json=chat(), timeout=0.05)
        await asyncio.sleep(0.25)

    report = served(World(latency=0.2), use).report()
    assert (report["abandoned"], report["completed"]) == (1, 0)


def test_a_server_that_stops_does_not_wait_for_requests_under_way(caplog: pytest.LogCaptureFixture) -> None:
    """They are cut; nothing is logged about it."""
    begin = time.monotonic()

    async def main() -> None:
        simulator = Simulator(World(faults={"stall": 1.0}))
        async with httpx.AsyncClient() as client:
            async with serving(simulator) as url:
                request = asyncio.create_task(client.post(url + CHAT, json=chat()))
                await asyncio.sleep(0.1)
                assert simulator.report()["in_flight"] == 1
            with pytest.raises(httpx.TransportError):
                await request
        assert simulator.report()["abandoned"] == 1

    asyncio.run(main())
    assert time.monotonic() - begin < 1.5
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


def test_a_large_body_is_refused_and_the_server_goes_on() -> None:
    """50 MB are 413, over HTTP as in process."""

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.post(CHAT, content=b" " * 50_000_000)).status_code == 413
        assert (await client.post(CHAT, json=chat())).status_code == 200

    served(World(), use)


def test_other_hosts_than_loopback_must_be_asked_for() -> None:
    """Whoever can reach it could use it."""
    with pytest.raises(ValueError, match=r"0\.0\.0\.0 is not a loopback address"):
        run(Simulator(World()), host="0.0.0.0")  # noqa: S104 - refused

    async def main() -> None:
        async with serving(World(), host="0.0.0.0", expose=True) as url:  # noqa: S104 - for a moment
            assert url.startswith("http://0.0.0.0:")

    asyncio.run(main())


def test_a_process_serves_until_it_is_told_to_stop() -> None:
    """It says when it is ready, answers, and prints nothing else."""
    program = (
        "from scheduler.simulator import Simulator, World, run\n"
        "run(Simulator(World()), ready=lambda url: print(url, flush=True))\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert httpx.post(url + CHAT, json=chat()).status_code == 200
        process.terminate()
        assert process.wait(timeout=10) != 1
        assert process.stdout.read() == process.stderr.read() == ""
