"""A provider that enforces rate limits by its own code: the judge of everything else in this package.

It imports nothing of the rest of ``scheduler``, since an oracle that shares code proves nothing; both only read the
same catalogue of tiers.
"""

from scheduler.simulator.app import Simulator
from scheduler.simulator.parts import Change, FaultWindow, Growth, Tenant
from scheduler.simulator.server import run, serving
from scheduler.simulator.tiers import world_for_tier
from scheduler.simulator.wire import ConnectionDropped
from scheduler.simulator.world import World

__all__ = [
    "Change",
    "ConnectionDropped",
    "FaultWindow",
    "Growth",
    "Simulator",
    "Tenant",
    "World",
    "run",
    "serving",
    "world_for_tier",
]
