"""When things happen: latency, network, completion, concurrency; all on virtual time."""

from typing import Any

import anyio
import httpx
import pytest
import trio
from simulator_support import HandClock, asked, chat, client_of, on_virtual_time, problem, rates

from scheduler.simulator import Simulator, World

CHAT = "/v1/chat/completions"


def timed(simulator: Simulator, *bodies: dict[str, Any], apart: float = 0.0) -> list[tuple[float, httpx.Response]]:
    """Send bodies *apart* seconds from each other, and return when each was answered, and how."""
    answers: dict[int, tuple[float, httpx.Response]] = {}

    async def send(client: httpx.AsyncClient, number: int, body: dict[str, Any]) -> None:
        await anyio.sleep(apart * number)
        answer = await client.post(CHAT, json=body)
        answers[number] = anyio.current_time(), answer

    async def main() -> None:
        begin = anyio.current_time()
        async with client_of(simulator) as client, anyio.create_task_group() as group:
            for number, body in enumerate(bodies):
                group.start_soon(send, client, number, body)
        answers.update({number: (at - begin, answer) for number, (at, answer) in answers.items()})

    on_virtual_time(main)
    return [answers[number] for number in range(len(bodies))]


def test_an_answer_takes_its_latency_and_its_tokens() -> None:
    """Two seconds to the first byte and a hundredth for each of 40 tokens."""
    simulator = Simulator(World(latency=2.0, latency_per_token=0.01, output=40))
    ((at, answer),) = timed(simulator, chat())
    assert at == pytest.approx(2.4)
    assert answer.headers["openai-processing-ms"] == "2400"
    assert simulator.report()["shortest_latency"] == pytest.approx(2.4)


def test_the_network_takes_time_both_ways() -> None:
    """A request arrives half-way; the report's instants are the server's."""
    simulator = Simulator(World(network=0.5, latency=1.0))
    ((at, _),) = timed(simulator, chat(stream=True))
    report = simulator.report()
    assert at == pytest.approx(2.0)
    assert report["last_admission"] == report["first_arrival"]
    assert report["first_arrival"] == pytest.approx(float(str(report["started"])))


def test_at_a_narrow_door_who_comes_later_waits_on_his_way() -> None:
    """One at a time and half a second each, in the order in which they came; the limits are asked behind the door."""
    simulator = Simulator(World(limits={"*": {"rpm": 60}}, start={"rpm": 0.05}, door=0.5, latency=1.0))
    answers = timed(simulator, *[chat(f"question {number}") for number in range(4)], apart=0.1)
    assert [at for at, _ in answers] == pytest.approx([1.5, 2.0, 2.5, 3.0])
    assert [answer.headers["x-ratelimit-remaining-requests"] for _, answer in answers] == ["2", "2", "1", "1"]


def test_latency_is_lognormal_about_its_median() -> None:
    """Half of the answers take longer than the median, and the spread is the sigma that was set."""
    bodies = [chat(f"question {number}") for number in range(400)]
    times = sorted(at for at, _ in timed(Simulator(World(latency=2.0, latency_sigma=0.5)), *bodies))
    assert times[200] == pytest.approx(2.0, rel=0.15)
    assert times[336] / times[200] == pytest.approx(1.65, rel=0.2)


def test_the_same_seed_has_the_same_run() -> None:
    """Times, lengths, faults and headers repeat with the seed, and differ with another."""
    bodies = [chat(f"question {number}", max_tokens=300) for number in range(60)]

    def run(seed: int) -> list[tuple[float, int, str]]:
        world = World(
            limits={"*": {"tpm": 10_000}},
            faults={"server_error": 0.2, "overloaded": 0.1},
            headers_malformed=0.2,
            latency=1.0,
            latency_sigma=0.4,
            output_sigma=0.5,
            noise=0.1,
            seed=seed,
        )
        answers = timed(Simulator(world), *bodies, apart=0.1)
        return [(round(at, 9), answer.status_code, answer.text + str(rates(answer))) for at, answer in answers]

    assert run(1) == run(1) != run(2)


def test_the_luck_of_a_request_does_not_depend_on_the_others() -> None:
    """Sent in another order, each request meets the same fate; sent again, a new one."""
    world = World(faults={"server_error": 0.5})
    bodies = [chat(f"question {number}") for number in range(30)]
    fates = [answer.status_code for answer in asked(world, *bodies)]
    assert [answer.status_code for answer in asked(world, *reversed(bodies))] == fates[::-1]
    again = asked(world, *bodies, *bodies)[30:]
    assert [answer.status_code for answer in again] != fates


def test_concurrency_counts_who_is_inside() -> None:
    """The third at once is refused without a hint, and admitted when one has left."""
    simulator = Simulator(World(limits={"*": {"concurrency": 2}}, latency=1.0))
    answers = timed(simulator, chat("a"), chat("b"), chat("c"), chat("d"), apart=0.4)
    assert [answer.status_code for _, answer in answers] == [200, 200, 429, 200]
    message = problem(answers[2][1])["message"]
    assert "on concurrent requests: Limit 2, Used 2, Requested 1. Visit" in message
    assert "retry-after" not in answers[2][1].headers
    assert simulator.report()["peak_in_flight"] == 2


def test_headers_speak_of_admission_or_of_completion() -> None:
    """Between the two, 10 seconds at 10 a second have refilled 100 and another request has taken 300."""
    bodies = chat("a", max_tokens=200), chat("b", max_tokens=300)
    said = {}
    for instant in ("admission", "completion"):
        world = World(limits={"*": {"tpm": 600}}, headers_at=instant, latency=10.0)
        said[instant] = [rates(answer)["remaining-tokens"] for _, answer in timed(Simulator(world), *bodies, apart=1.0)]
    assert said == {"admission": ["400", "110"], "completion": ["200", "210"]}


def test_unused_tokens_come_back_at_completion() -> None:
    """What was reserved is there again when the answer is given, less its usage."""
    simulator = Simulator(World(limits={"*": {"tpm": 600}}, unused="returned", latency=1.0, headers_at="completion"))
    ((_, answer),) = timed(simulator, chat(max_tokens=500))
    used = answer.json()["usage"]["total_tokens"]
    assert int(rates(answer)["remaining-tokens"]) == 600 - used + 10
    limit = simulator.report()["scopes"][0]["limits"]["tpm"]  # type: ignore[index]  # JSON
    assert limit["returned"] == 500 - used


def test_a_client_that_goes_away_frees_its_place() -> None:
    """An abandoned request ends once and is not completed."""
    simulator = Simulator(World(limits={"*": {"concurrency": 1}}, latency=5.0))

    async def main() -> None:
        async with client_of(simulator) as client:
            with anyio.move_on_after(1):
                await client.post(CHAT, json=chat())
            assert (await client.post(CHAT, json=chat())).status_code == 200

    on_virtual_time(main)
    report = simulator.report()
    assert (report["abandoned"], report["completed"], report["in_flight"]) == (1, 1, 0)


def test_a_day_of_requests_never_exceeds_the_day() -> None:
    """A caller who always waits as it is told gets the day's quota and its refill, and not one request more."""
    simulator = Simulator(World(limits={"*": {"rpd": 100}}))

    async def main() -> None:
        async with client_of(simulator) as client:
            while trio.current_time() < 86_400:
                answer = await client.post(CHAT, json=chat())
                if answer.status_code == 429:
                    await anyio.sleep(float(answer.headers["retry-after"]))

    on_virtual_time(main)
    assert 198 <= int(str(simulator.report()["granted"])) <= 200


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_runs_on_both_event_loops(backend: str) -> None:
    """Clock and sleep are the running loop's."""
    simulator = Simulator(World(limits={"*": {"rpm": 60}}, latency=0.01))

    async def main() -> None:
        begin = anyio.current_time()
        async with client_of(simulator) as client:
            assert (await client.post(CHAT, json=chat())).status_code == 200
        assert anyio.current_time() - begin >= 0.01
        report = simulator.report()
        assert begin <= float(str(report["started"])) <= anyio.current_time()

    anyio.run(main, backend=backend)


def test_the_clock_may_be_given() -> None:
    """Instants are those of the clock, and the first request is the start unless it was begun before."""
    clock = HandClock(1000.0)
    simulator = Simulator(World(limits={"*": {"rpm": 60}}, start=0.0), clock=clock)
    simulator.begin()
    clock.instant = 1001.0
    assert [answer.status_code for answer in asked(simulator, chat(), chat())] == [200, 429]
    assert simulator.report()["started"] == 1000.0
    assert simulator.report()["first_arrival"] == 1001.0
