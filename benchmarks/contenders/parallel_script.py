# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp==3.14.5", "tiktoken==0.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""The algorithm of `api_request_parallel_processor`, the script of OpenAI's cookbook that many have copied.

Written anew from what it does. A single loop holds one request in its hand. What may be sent of requests and of tokens
grows all the time, at the rate of the limit and up to a minute of it, and is full at the start; when both are enough
for what is in hand, it is sent, and what it is estimated to take is taken off. After each turn the loop sleeps for a
millisecond, and after a refusal until 15 s have passed since the last one. What fails is sent again, before what has
not been sent yet.

Its docs say to set its limits to 50 % or 75 % of the true ones, for headroom; the option is this share. What differs:

- It tries 5 times by default. Here as often as it takes, for what it gives up would compare nothing.
- It looks for the cap under its old name, and takes 15 tokens for a request without. Here it finds it.
- It has aiohttp's pool of 100 connections. Here there is no such limit.
- It writes each answer into a file. Here it does not.
- It knows one model's limits. Where there are several models, as many run side by side.
"""

import asyncio
import time
from collections import defaultdict, deque

import aiohttp
from counting import load, tokens_of
from race import Limits, Race, Request, start

PAUSE = 15.0
TURN = 0.001
MINUTE = 60.0


class Script:
    """One run of the script."""

    def __init__(self, race: Race, session: aiohttp.ClientSession, limits: Limits, requests: list[Request]) -> None:
        """It is told *limits*, the shares of the true ones."""
        self._race = race
        self._session = session
        self._most = limits
        self._left = {name: float(amount) for name, amount in limits.items()}
        self._looked = time.monotonic()
        self._fresh = deque(requests)
        self._again: deque[Request] = deque()
        self._refused = -PAUSE
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send all, until all are answered."""
        hand: Request | None = None
        takes: dict[str, float] = {}
        while hand or self._again or self._fresh or self._tasks:
            if hand is None and (queue := self._again or self._fresh):
                hand = queue.popleft()
                takes = {"rpm": 1, "tpm": tokens_of(hand)}
            self._refill()
            if hand and all(left >= takes[name] for name, left in self._left.items()):
                for name in self._left:
                    self._left[name] -= takes[name]
                task = asyncio.create_task(self._send(hand))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                hand = None
            await asyncio.sleep(TURN)
            await asyncio.sleep(self._refused + PAUSE - time.monotonic())

    def _refill(self) -> None:
        now = time.monotonic()
        for name, most in self._most.items():
            self._left[name] = min(most, self._left[name] + most * (now - self._looked) / MINUTE)
        self._looked = now

    async def _send(self, request: Request) -> None:
        headers = {"Authorization": "Bearer none"}
        try:
            async with self._session.post(
                f"{self._race.url}/{request.endpoint}", headers=headers, json=request.body
            ) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._race.errors[type(error).__name__] += 1
            self._again.append(request)
            return
        if "error" not in answer:
            self._race.answered(request)
            return
        if "rate limit" in answer["error"].get("message", "").lower():
            self._refused = time.monotonic()
        self._again.append(request)


async def main(race: Race) -> None:
    """Race; the option is the share of the true limits that it is told."""
    load()
    share = float(race.option)
    by_model = defaultdict(list)
    for request in race.requests:
        by_model[request.model].append(request)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        race.ready()
        await asyncio.gather(
            *(
                Script(
                    race,
                    session,
                    {name: int(share * amount) for name, amount in race.limits[model].items()},
                    requests,
                ).run()
                for model, requests in by_model.items()
            )
        )
    race.report()


if __name__ == "__main__":
    start(main)
