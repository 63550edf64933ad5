"""One limit of one scope: its meter, its slice, its unseen tenants, and the counts of what it did."""

import copy
from collections import deque
from dataclasses import dataclass, field

from scheduler.simulator.meters import SECOND, Cells, Meter, Slice
from scheduler.simulator.parts import Tenant
from scheduler.simulator.windows import FixedWindow, Occupancy, SlidingWindow
from scheduler.simulator.world import World

WINDOWS = {"rpm": 60 * SECOND, "rpd": 86_400 * SECOND, "tpm": 60 * SECOND, "tpd": 86_400 * SECOND, "ipm": 60 * SECOND}
"""Nanoseconds of each limit's window; concurrency has none."""


@dataclass
class Spender:
    """A tenant at work on one limit.

    Attributes:
        tenant: The settings.
        next: Instant of the next use, in nanoseconds.
        owed: Part of a unit that the uses so far have not taken because a unit is whole.
    """

    tenant: Tenant
    next: int = field(init=False)
    owed: float = 0.0

    def __post_init__(self) -> None:
        self.next = round((self.tenant.begin + self.tenant.every) * SECOND)

    def due(self, now: int) -> bool:
        """Say whether a use has come due by *now*."""
        return self.next <= now and self.next <= self.tenant.end * SECOND

    def wanted(self, amount: int, window: int) -> int:
        """Return the whole units of the use that is due, and move on to the next."""
        self.next += round(self.tenant.every * SECOND)
        self.owed += self.tenant.share * amount * self.tenant.every * SECOND / window
        whole = int(self.owed)
        self.owed -= whole
        return whole


class Limit:
    """A limit as enforced. All methods take the instant in nanoseconds; it never goes back.

    Attributes:
        name: ``rpm``, ``tpd`` and so on.
        window: Nanoseconds; 0 for concurrency.
        charged: Units granted to requests, ``returned`` ones included.
        returned: Units that came back at completion.
        refused: Requests that this limit refused.
        start_level: Units that were there at the start.
        unseen: Units taken by tenants and by ``use``.
    """

    def __init__(self, world: World, name: str, amount: int, now: int, pool: str, *, project: bool = False) -> None:
        self.name, self.window = name, WINDOWS.get(name, 0)
        self.charged = self.returned = self.refused = self.unseen = 0
        self._start = world.start_of(name)
        self._burst = world.burst_of(name)
        self._stale = round(world.headers_stale * SECOND)
        self.meter = self._meter(world.refill_of(name), amount, now)
        self.start_level = self.meter.whole(now)
        length = world.slice_of(name)
        self.slice = (
            Slice(now, amount, self.window, round(length * SECOND)) if length and amount and self.window else None
        )
        self._past: deque[tuple[int, Meter]] = deque()
        mine = [
            tenant for tenant in world.tenants if tenant.limit == name and tenant.pool in {"", pool} and not project
        ]
        self.spenders = [Spender(tenant) for tenant in mine]
        self._remember(now)

    def _meter(self, refill: str, amount: int, now: int) -> Meter:
        if not self.window:
            return Occupancy(amount)
        kinds: dict[str, type[Cells | FixedWindow | SlidingWindow]] = {
            "continuous": Cells,
            "fixed": FixedWindow,
            "sliding": SlidingWindow,
        }
        return kinds[refill](now, amount, self.window, self.burst_for(amount), self._start)

    def burst_for(self, amount: int) -> int:
        """Return the whole units of the bucket of a limit of *amount*."""
        return round(amount * self._burst)

    @property
    def amount(self) -> int:
        """Units that one window brings."""
        return self.meter.amount

    def too_large(self, units: int) -> bool:
        """Say whether *units* can never fit."""
        return units > self.meter.burst

    def wait(self, now: int, units: int) -> int | None:
        """Return nanoseconds until *units* fit meter and slice (0: now), or None where nobody can tell."""
        wait = self.meter.wait(now, units)
        if self.slice is None or wait is None:
            return wait
        return max(wait, self.slice.wait(now, units))

    def take(self, now: int, units: int) -> int:
        """Charge *units* and return the receipt."""
        receipt = self.meter.take(now, units)
        if self.slice is not None:
            self.slice.take(now, units)
        self.charged += units
        self._remember(now)
        return receipt

    def give_back(self, now: int, units: int, receipt: int) -> None:
        """Give back *units* of what *receipt* stands for."""
        self.catch_up(now)
        self.returned += self.meter.give_back(now, units, receipt)
        if self.slice is not None:
            self.slice.give_back(units)
        self._remember(now)

    def drain(self, now: int, units: int) -> int:
        """Take *units* as far as they are there, without the slice, and return how many they were."""
        units = max(0, min(units, self.meter.whole(now)))
        if units:
            self.meter.take(now, units)
            self._remember(now)
        return units

    def catch_up(self, now: int) -> None:
        """Let the tenants have made all uses that came due by *now*, each at its own instant."""
        while self.spenders:
            first = min(self.spenders, key=lambda spender: spender.next if spender.due(now) else now + 1)
            if not first.due(now):
                return
            at = first.next
            self.unseen += self.drain(at, first.wanted(self.amount, self.window))

    def change(self, now: int, amount: int) -> None:
        """Change the limit; the level stays, cut to the new one."""
        self.catch_up(now)
        self.meter.change(now, amount, self.burst_for(amount) if self.window else amount)
        if self.slice is not None:
            self.slice.change(now, max(1, amount))
        self._remember(now)

    def _remember(self, now: int) -> None:
        if not self._stale:
            return
        meter = copy.copy(self.meter)
        if isinstance(meter, SlidingWindow):
            meter.log = deque([*entry] for entry in meter.log)
        self._past.append((now, meter))
        while len(self._past) > 1 and self._past[1][0] <= now - self._stale:
            self._past.popleft()

    def described(self, now: int) -> tuple[Meter, int]:
        """Return the meter that headers describe and the instant that they describe it at: both old if stale."""
        if not self._stale:
            return self.meter, now
        while len(self._past) > 1 and self._past[1][0] <= now - self._stale:
            self._past.popleft()
        at, meter = self._past[0]
        return meter, max(at, now - self._stale)

    def report(self, now: int) -> dict[str, object]:
        """Return the counts, as ``Simulator.report`` shows them."""
        self.catch_up(now)
        return {
            "limit": self.amount,
            "window": self.window / SECOND,
            "level": float(self.meter.level(now)),
            "start_level": self.start_level,
            "charged": self.charged,
            "returned": self.returned,
            "unseen": self.unseen,
            "refused": self.refused,
        }
