"""Whose turn it is: weighted fair shares between tenants, and a floor for those who would never have one.

**Naive**: serve in order of arrival. A tenant that submits a million requests at midnight owns the quota until it is
through. **Round robin** over tenants is fair by requests, and unfair by a factor of a hundred where one tenant's
requests are a hundred times as large; and it forgets at once who has just had a large one.

**The idea** is start-time fair queueing (Goyal, Vin and Cheng, 1996). Every tenant has a *start*: where on a common
virtual time its next request begins. The smallest start goes; it moves on by what the request costs, over the tenant's
weight. The virtual time is the start of whoever went last, and a tenant that comes back after a pause begins there: it
has saved up nothing and owes nothing. When nobody waits any more, all is forgotten. With the costs of two tenants at
most c1 and c2 their shares over any interval in which both wait differ by at most c1/w1 + c2/w2, whatever the sizes.

The cost of a request is time: the nanoseconds in which the scarcest of its quotas brings its charge. So requests that
draw on different dimensions of one scope compare.

The tenants of a scope share one account of this in all of its lanes, since those compete for the same buckets; what a
tenant has of other models does not count. Virtual time is one for all scopes, so that any two lanes compare. But scopes
run at different speeds, each as its own limits allow; one that has fallen behind by more than ``HORIZON`` is moved up
as a whole, which changes nothing between its tenants: it may claim what it missed for that long and no longer. And a
tenant that comes to a lane begins where that lane is, which a project's limit may have held back.

**The floor.** Strict priorities starve the lowest class for as long as the others keep the quota busy. So all that is
served while several classes wait earns the lowest of them a credit, 2 % of its cost. While there is credit the lowest
class goes before all but interactive work, and pays with it. It begins in debt by one request, so that a class has to
have been passed fifty times before it is let past others.

**The invariants**: a start never falls while its tenant waits; a tenant that waits is served before any other has had
more than its share and one request; nothing here depends on how many wait.
"""

from collections.abc import Mapping

UNIT = 1_000
"""Weights are counted in thousandths."""
HORIZON = 10_000_000_000
"""Virtual nanoseconds that a scope may lag behind others, and catch up."""
FLOOR = 0.02
"""Share of what is served that the lowest class is credited."""
INTERACTIVE = 0
"""The lowest class goes before no request of this priority, or of a lower number."""
PROMOTED = INTERACTIVE + 1
"""The priority at which credit lets the lowest class go."""

_SMALL = 64


class Weights:
    """The weights of tenants, of which those not named have 1, the floor of the lowest class, and the virtual time."""

    __slots__ = ("floor", "now", "of_named")

    def __init__(self, weights: Mapping[str, float] | None = None, floor: float = FLOOR) -> None:
        """Begin with *weights*, all above 0, and a *floor* from 0 to 1."""
        self.of_named: dict[str, int] = {}
        self.floor = round(1000 * floor)
        self.now = 0
        self.change(weights or {})

    def change(self, weights: Mapping[str, float]) -> None:
        """Go on with other weights; they count from the next request on."""
        self.of_named = {tenant: max(1, round(weight * UNIT)) for tenant, weight in weights.items()}

    def of(self, tenant: str) -> int:
        """Return a tenant's weight in thousandths."""
        return self.of_named.get(tenant, UNIT)


class Tenant:
    """A tenant's place on the virtual time of one priority."""

    __slots__ = ("lanes", "name", "start")

    def __init__(self, name: str, start: int) -> None:
        self.name = name
        self.start = start
        self.lanes = 0  # in which it waits


class Turns:
    """The tenants of one priority in one scope. Starts count from an offset on the virtual time of all."""

    __slots__ = ("_latest", "_sweep", "_tenants", "_waiting", "_weights", "now", "offset")

    def __init__(self, weights: Weights) -> None:
        self.now = 0  # start of whoever went last
        self.offset = weights.now
        self._weights = weights
        self._latest = 0  # start of all tenants
        self._waiting = 0  # tenants
        self._tenants: dict[str, Tenant] = {}
        self._sweep = _SMALL

    def __len__(self) -> int:
        return len(self._tenants)

    def enter(self, name: str, now: int) -> Tenant:
        """Return a tenant that begins to wait in a lane where whoever went last started at *now*."""
        if not self._waiting:
            self._catch_up()
        tenant = self._tenants.get(name)
        if tenant is None:
            if len(self._tenants) >= self._sweep:
                self._forget()
            tenant = self._tenants[name] = Tenant(name, now)
        elif not tenant.lanes and tenant.start < now:
            tenant.start = now
        self._waiting += not tenant.lanes
        tenant.lanes += 1
        return tenant

    def leave(self, tenant: Tenant) -> None:
        """Note that a tenant waits no more in a lane."""
        tenant.lanes -= 1
        self._waiting -= not tenant.lanes
        if not self._waiting:
            self.now = self._latest
            self._tenants.clear()

    def served(self, tenant: Tenant, cost: int) -> None:
        """Move a tenant on that has been served *cost* nanoseconds."""
        weights = self._weights
        start = tenant.start
        if start > self.now:  # noqa: PLR1730 -- every request comes by here: a call costs more than this line
            self.now = start
        tenant.start = start = start + cost * UNIT // weights.of_named.get(tenant.name, UNIT)
        if start > self._latest:  # noqa: PLR1730 -- as above
            self._latest = start
        now, least = self.now, weights.now - HORIZON
        if now + self.offset < least:
            self.offset = least - now
        elif now + self.offset > weights.now:
            weights.now = now + self.offset

    def _catch_up(self) -> None:
        """Move all up together to the virtual time, if they have fallen behind."""
        self.offset = max(self.offset, self._weights.now - self.now)

    def _forget(self) -> None:
        """Forget the tenants that would begin anew anyway."""
        self._tenants = {
            name: tenant for name, tenant in self._tenants.items() if tenant.lanes or tenant.start > self.now
        }
        self._sweep = 2 * len(self._tenants) + _SMALL


class Fairness:
    """The turns of all priorities in one scope, and the credit of the lowest."""

    __slots__ = ("_lowest", "_turns", "_waiting", "credit", "promoted", "weights")

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.credit: int | None = None  # thousandths of nanoseconds; None while nobody is above anybody
        self.promoted: int | None = None
        """The priority whose requests may go before all but interactive ones, or None."""
        self._turns: dict[int, Turns] = {}
        self._lowest = 0  # of the priorities that wait
        self._waiting: dict[int, int] = {}  # lanes in which anyone waits, by priority

    def turns(self, priority: int) -> Turns:
        """Return the turns of a priority."""
        turns = self._turns.get(priority)
        if turns is None:
            if len(self._turns) >= _SMALL:  # priorities are any integers
                self._turns = {key: each for key, each in self._turns.items() if key in self._waiting}
            turns = self._turns[priority] = Turns(self.weights)
        return turns

    def came(self, priority: int) -> None:
        """Requests of a priority wait in one more lane."""
        self._waiting[priority] = self._waiting.get(priority, 0) + 1
        self._lowest = max(self._waiting)
        self._see_promoted()

    def left(self, priority: int) -> None:
        """Requests of a priority wait in one lane fewer."""
        number = self._waiting[priority] - 1
        if number:
            self._waiting[priority] = number
        else:
            del self._waiting[priority]
            self._lowest = max(self._waiting, default=0)
            if len(self._waiting) < 2:  # noqa: PLR2004 -- nobody is above anybody
                self.credit = None
            self._see_promoted()

    def served(self, priority: int, cost: int) -> bool:
        """Account for a request of *cost* nanoseconds, and return whether the lowest class may go now and might not.

        Called while the request still counts as waiting.
        """
        if len(self._waiting) == 1:  # nobody is above anybody
            return False
        before = -1000 * cost if self.credit is None else self.credit
        credit = before + cost * self.weights.floor
        if priority == self._lowest:
            credit -= 1000 * cost
        self.credit = credit = min(credit, HORIZON * self.weights.floor)
        self._see_promoted()
        return before <= 0 < credit

    def _see_promoted(self) -> None:
        owed = self.credit is not None and self.credit > 0
        self.promoted = self._lowest if owed and self._lowest > PROMOTED else None
