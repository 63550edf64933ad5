"""A slow and obvious model of whose turn it is: start-time fair queueing, told in dictionaries."""

from dataclasses import dataclass, field

from machine_model import Ask


@dataclass
class Stage:
    """The tenants of one priority in one scope, by start-time fair queueing."""

    latest_served: int = 0  # the virtual time: start of whoever went last
    farthest: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    present: dict[tuple[int, str], int] = field(default_factory=dict)  # (aisle, tenant) -> how many wait
    aisles: dict[int, int] = field(default_factory=dict)  # aisle in which anyone waits -> start of who went last there


class Turns:
    """Whose turn it is, for all scopes and priorities."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.weights = weights
        self.stages: dict[tuple[str, int], Stage] = {}

    def stage(self, ask: Ask) -> Stage:
        return self.stages.setdefault((ask.aisle.scope, ask.priority), Stage())

    def start(self, ask: Ask) -> int:
        return self.stage(ask).starts[ask.tenant]

    def enter(self, ask: Ask) -> None:
        stage, aisle = self.stage(ask), id(ask.aisle)
        here = stage.aisles.setdefault(aisle, stage.latest_served)
        if (aisle, ask.tenant) not in stage.present:
            waits = any(tenant == ask.tenant for _, tenant in stage.present)
            start = stage.starts.get(ask.tenant, here)
            stage.starts[ask.tenant] = start if waits else max(start, here)
            stage.present[aisle, ask.tenant] = 0
        stage.present[aisle, ask.tenant] += 1

    def serve(self, ask: Ask) -> None:
        stage, aisle = self.stage(ask), id(ask.aisle)
        start = stage.starts[ask.tenant]
        stage.aisles[aisle] = max(stage.aisles[aisle], start)
        stage.latest_served = max(stage.latest_served, start)
        weight = round(1000 * self.weights.get(ask.tenant, 1.0))
        stage.starts[ask.tenant] = start + ask.aisle.nanoseconds(ask) * 1000 // weight
        stage.farthest = max(stage.farthest, stage.starts[ask.tenant])
        self.leave(ask)

    def leave(self, ask: Ask) -> None:
        stage, aisle = self.stage(ask), id(ask.aisle)
        stage.present[aisle, ask.tenant] -= 1
        if not stage.present[aisle, ask.tenant]:
            del stage.present[aisle, ask.tenant]
        if not any(each == aisle for each, _ in stage.present):
            del stage.aisles[aisle]
        if not stage.present:
            stage.latest_served = stage.farthest
            stage.starts.clear()

    def surely_before(self, one: Ask, other: Ask) -> bool:
        """Whether one of two requests of one lane goes before the other. Tenants whose turns are equal tie."""
        mine, theirs = (one.priority, self.start(one)), (other.priority, self.start(other))
        if mine != theirs or one.tenant != other.tenant:
            return mine < theirs
        return (one.deadline, one.arrival) < (other.deadline, other.arrival)

    def maybe_before(self, one: Ask, other: Ask) -> bool:
        """Whether one of two requests of different lanes may go before the other."""
        if one.aisle.scope != other.aisle.scope:
            return one.priority <= other.priority
        mine, theirs = (one.priority, self.start(one)), (other.priority, self.start(other))
        return (*mine, one.deadline, one.arrival) < (*theirs, other.deadline, other.arrival)
