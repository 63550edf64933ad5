"""A slow and obvious model of budgets, for the engine's machine: what ever happened, replayed from the beginning."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scheduler.core.quota import SECOND

if TYPE_CHECKING:
    from scheduler.engine.reservation import Reservation
    from scheduler.engine.waiter import Waiter

FOREVER = 1 << 90
WINDOWS = {"s": SECOND, "m": 60 * SECOND, "d": 86_400 * SECOND}
COUNTED = {"r": "requests", "t": "tokens", "i": "images", "c": "concurrency"}


@dataclass(eq=False, repr=False)
class Ask:
    """A request, as its caller sees it."""

    number: int
    model: str
    project: str | None
    charge: dict[str, int]
    priority: int
    tenant: str
    deadline: int
    arrival: int
    waiter: "Waiter"
    aisle: "Aisle"
    held: bool = False
    """Not to be sent at all, so that it may be cancelled."""
    reservation: "Reservation | None" = None
    granted_at: int = -1
    found: "dict[Tap, int]" = field(default_factory=dict)
    """The levels that it found when it was granted."""
    refused: bool = False
    said: "list[Said] | None" = None
    """What the server's answer says, where it was sent and not answered yet."""

    def __repr__(self) -> str:
        return f"request {self.number}"


@dataclass(frozen=True)
class Said:
    """What an answer says about one tap."""

    tap: "Tap"
    remaining: int


class Tap:
    """A token bucket, in tokens divided by the nanoseconds of its window, and everything that ever happened to it."""

    def __init__(self, scope: str, name: str, amount: int, burst: int) -> None:
        self.scope, self.name = scope, name
        self.counted = COUNTED[name[0]]
        self.window = 0 if name == "concurrency" else WINDOWS[name[-1]]
        self.scale = self.window or 1
        self.amount, self.burst = amount, burst
        self.first = (amount, burst)
        self.events: list[tuple[int, str, int, int]] = []  # instant, what, units (or the new amount), whose (or burst)
        self.cancelled: dict[int, int] = {}  # number of the request -> when it had been charged
        self.retuned = False
        self.vague = False
        """Whether it is not known exactly what has come back."""
        self.total = 0  # of all that was ever granted, as it was settled
        self.flying = 0

    @property
    def capacity(self) -> int:
        return self.burst * self.scale

    def units(self, ask: Ask) -> int:
        return ask.charge.get(self.counted, 0)

    def charge(self, ask: Ask, now: int) -> None:
        self.total += self.units(ask)
        self.flying += 1
        self.events.append((now, "charge", self.units(ask), ask.number))

    def correct(self, ask: Ask, more: int, now: int) -> None:
        self.total += more
        self.events.append((now, "correct", more, ask.number))

    def cancel(self, ask: Ask, now: int) -> None:
        """Take a charge back: as it was, unless the bucket might have filled up without it, or others came back too."""
        level = ask.found[self] + (now - ask.granted_at) * self.amount
        others = bool(self.cancelled) or any(what == "correct" and units < 0 for _, what, units, _ in self.events)
        self.vague = self.vague or others or level > self.capacity
        self.cancelled[ask.number] = ask.granted_at

    def retune(self, amount: int, burst: int, now: int) -> None:
        self.vague = self.retuned = True
        self.amount, self.burst = amount, burst
        self.events.append((now, "retune", amount, burst))

    def replay(self, now: int, *, forgiving: bool) -> int:
        """Return the level; *forgiving* leaves out what was cancelled, as if it had never been charged."""
        if not self.window:
            return self.burst - self.flying
        amount, burst = self.first
        brim = level = burst * self.scale
        at = 0
        for instant, what, units, whose in [*self.events, (now, "look", 0, 0)]:
            level = min(brim, level + (instant - at) * amount)
            at = instant
            if what == "retune":
                amount = units
                spent, brim = brim - level, whose * self.scale
                level = max(brim - spent, min(0, level))
            elif not (forgiving and whose in self.cancelled):
                level = min(brim, level - units * self.scale)
        return level


class Aisle:
    """A lane: the taps of a model and a project that count the dimensions of a request, and who waits there."""

    def __init__(self, scope: str, taps: list[Tap]) -> None:
        self.scope = scope
        self.taps = taps
        self.waiting: list[Ask] = []

    def lacking(self, ask: Ask, levels: dict[Tap, int], kept: int) -> list[Tap]:
        """Return the taps that do not let a request go: it leaves a share to others, but waits for 98 % at most."""
        lacking = []
        for tap in self.taps:
            need = tap.units(ask) * tap.scale
            if levels[tap] < min(need + tap.capacity * kept // 1000, max(need, tap.capacity * 98 // 100)):
                lacking.append(tap)
        return lacking

    def nanoseconds(self, ask: Ask) -> int:
        """Return what a request costs: the time in which the scarcest limit brings it."""
        return max(tap.units(ask) * max(1, tap.window // tap.amount) for tap in self.taps if tap.window)
