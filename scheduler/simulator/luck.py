"""All chance of one request: its faults, its times, the length of its answer. Seeded, so that runs repeat.

The seed of a request is made of the world's seed, the request, and how often the same request came before: its luck
does not depend on the order in which others come, and another try of it has luck of its own.
"""

import hashlib
import math
from random import Random

from scheduler.simulator.parts import FAULTS
from scheduler.simulator.world import World


def digest(path: str, project: str | None, body: bytes) -> bytes:
    """Return 16 bytes that stand for a request."""
    head = f"{path}\n{project or ''}\n".encode(errors="replace")
    return hashlib.blake2b(head + body, digest_size=16).digest()


class Luck:
    """One request's chance. Its parts are drawn in a fixed order, so that one switch does not disturb another.

    Attributes:
        name: Hexadecimal digits that name the request.
        there: Seconds over the network to the provider,
        back: and back.
        latency: Seconds from admission to the first byte.
        output: Tokens of output of a choice, before ``max_tokens`` cuts it.
        noise: Standard normal deviate of the charge's noise.
        headers: Chance of the headers.
    """

    def __init__(self, world: World, digest_: bytes, tries: int) -> None:
        key = hashlib.blake2b(digest_, digest_size=16, salt=tries.to_bytes(8), person=(world.seed % 2**64).to_bytes(8))
        self.name = key.hexdigest()
        chance = Random(int(self.name, 16))  # noqa: S311 - a simulation, not a secret
        self._fault = chance.random()
        self.there = _lognormal(chance, world.network, world.network_sigma)
        self.back = _lognormal(chance, world.network, world.network_sigma)
        self.latency = _lognormal(chance, world.latency, world.latency_sigma)
        self.output = max(1, round(_lognormal(chance, world.output, world.output_sigma)))
        self.noise = chance.gauss(0.0, 1.0)
        self.headers = chance

    def fault(self, world: World, seconds: float) -> str | None:
        """Return the fault that strikes *seconds* after the start, or None."""
        if any(begin <= seconds < end for begin, end in world.outages):
            return "overloaded"
        if not world.faults and not world.fault_windows:
            return None
        drawn = self._fault
        for kind in FAULTS:
            rate = world.faults.get(kind, 0.0)
            rate += sum(w.rate for w in world.fault_windows if w.kind == kind and w.begin <= seconds < w.end)
            if drawn < rate:
                return kind
            drawn -= rate
        return None


def _lognormal(chance: Random, median: float, sigma: float) -> float:
    drawn = chance.gauss(0.0, 1.0)
    return median * math.exp(sigma * drawn) if median else 0.0
