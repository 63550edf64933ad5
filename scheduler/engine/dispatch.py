"""Who goes next, across lanes: the order of grants, decided synchronously.

**Naive**: on every change, try every waiter. A backlog of 20,000 costs a whole core (measured in five peers). Better:
try only the heads of lanes, on every change: right, but O(lanes), and it lets a small request of one lane pass a large
one of another for ever, since the small one always fits first.

**The idea**: a lane whose head must wait stands in the line of the account that holds it back, its *blocker*. The lines
are ordered by the heads' keys. Only the first lane of a line is tried when its account can pay again (one instant a
line, in one heap of instants); when it goes, or its head changes, the next is tried. A lane that comes to an account
where a better lane stands in line joins the line untried: the first holds its claim. So a grant costs O(log n), and
nobody is passed in a line.

A head can be held back by one account after another. When its blocker changes it leaves the line but keeps a *claim*:
others may draw on that account as long as it will still cover the claimant when its turn comes. Without claims two
streams of small requests on two accounts could starve a request that needs both.

A lane whose blocker nobody else draws on stands in a line of its own and holds back no one. A gate or a ramp is a
blocker like an account, without claims.

**The invariants**: every lane that has a head is tried or stands in exactly one line; the first lane of every line
either has an instant at which it is tried again, or waits for a release, an answer or a retune, which try it.
"""

import heapq
from collections.abc import Callable, Iterable
from itertools import count

from scheduler.core.bucket import NEVER
from scheduler.core.budget import NotUntil, decide
from scheduler.core.queue import Key
from scheduler.core.quota import Charge
from scheduler.core.reconcile import Account
from scheduler.core.reserves import BATCH
from scheduler.engine.lane import Blocker, Lane
from scheduler.engine.outlook import too_late
from scheduler.engine.waiter import Waiter

_Entry = tuple[Key, int, Lane]
"""Key of a lane's head, a number that keeps lanes from being compared, and the lane."""


class Dispatcher:
    """Decides who goes next. Not thread-safe; every method is called under the admission's lock."""

    __slots__ = ("_claims", "_doomed", "_grant", "_instants", "_lines", "_number", "_refine", "_scheduled")

    def __init__(
        self, grant: Callable[[Waiter, tuple[int, ...], int], None], refine: Callable[[Waiter, Lane], None]
    ) -> None:
        """Begin with nobody: *grant* is called with each who may go, what his tickets are made of, and the instant.

        He is charged by then. *refine* is called before with each whose charge is an estimate, and may change it.
        """
        self._grant = grant
        self._refine = refine
        self._lines: dict[Blocker, list[_Entry]] = {}
        self._claims: dict[Account, list[Lane]] = {}
        self._instants: list[tuple[int, int, Blocker]] = []
        self._scheduled: dict[Blocker, int] = {}
        self._number = count()
        self._doomed: list[Waiter] = []

    @property
    def busy(self) -> bool:
        """Whether any lane stands in a line."""
        return bool(self._lines)

    def serve(self, lanes: Iterable[Lane], now: int) -> None:
        """Try lanes, and every lane that thereby comes to the front of its line; grant what can be granted."""
        ready: list[_Entry] = []
        for lane in lanes:
            self._make_ready(lane, ready)
        self._try_all(ready, now)

    def moved(self, lane: Lane, now: int) -> None:
        """A waiter has another place in a lane's queue: others may now be the first where the lane waits."""
        ready: list[_Entry] = []
        self._make_ready(lane, ready)
        assert lane.blocker is not None  # where anyone waits, the lane stands in a line
        self._advance_lines([lane.blocker, *lane.claims], lane, ready)
        self._try_all(ready, now)

    def _try_all(self, ready: list[_Entry], now: int) -> None:
        while ready:
            self._try(heapq.heappop(ready)[2], now, ready)

    def changed(self, blockers: Iterable[Blocker], now: int) -> None:
        """Try the lanes at the front of the lines of *blockers*, which may be able to pay now."""
        if self._lines:
            fronts = [front for blocker in blockers if (front := self._front(blocker)) is not None]
            if fronts:
                self.serve(fronts, now)

    def tick(self, now: int) -> None:
        """Try the lanes whose instant has come."""
        due = []
        while self._instants and self._instants[0][0] <= now:
            instant, _, blocker = heapq.heappop(self._instants)
            if self._scheduled.get(blocker) == instant:
                del self._scheduled[blocker]
                due.append(blocker)
        self.changed(due, now)

    def next_instant(self) -> int | None:
        """Return the instant at which ``tick`` is next due, or None if only an event can free those who wait."""
        while self._instants:
            instant, _, blocker = self._instants[0]
            if self._scheduled.get(blocker) == instant and self._front(blocker) is not None:
                return instant
            heapq.heappop(self._instants)
            if self._scheduled.get(blocker) == instant:
                del self._scheduled[blocker]
        return None

    def left(self, lane: Lane, now: int) -> None:
        """A waiter has left the middle or the head of a lane's queue."""
        if lane.claimant is not None and lane.claimant.place is None:
            self.serve([lane], now)

    def anyone_at(self, lane: Lane) -> bool:
        """Whether any lane waits for, or holds a claim on, anything that *lane* draws on."""
        if any(self._front(stop) is not None for stop in lane.stops):
            return True
        return any(self._front(account) is not None or account in self._claims for account, _ in lane.draws)

    def outlook(self, lane: Lane, waiter: Waiter, now: int) -> tuple[int, Blocker | None]:
        """Return when a request could go if nobody stood before it, or ``NEVER``, and what holds it back."""
        blocker, instant = blocked(lane, waiter.charge, waiter.priority, now)
        return instant, blocker

    def pop_doomed(self) -> Waiter | None:
        """Return a head whose deadline cannot be met any more, if there is one."""
        self._doomed = [waiter for waiter in self._doomed if waiter.place is not None]
        return self._doomed.pop() if self._doomed else None

    # ---- one lane

    def _make_ready(self, lane: Lane, ready: list[_Entry]) -> None:
        if lane.queue:
            heapq.heappush(ready, (lane.queue.key(), next(self._number), lane))
        else:
            self._advance_lines(self._unclaim(lane), lane, ready)

    def _try(self, lane: Lane, now: int, ready: list[_Entry]) -> None:
        freed: list[Blocker] = []
        queue = lane.queue
        while (head := self._head(lane)) is not None:
            if lane.claimant is not None and lane.claimant is not head:
                freed += self._unclaim(lane)
            if ready and ready[0][0] < (key := queue.key()):  # a better lane is to be tried
                heapq.heappush(ready, (key, next(self._number), lane))
                break
            if self._lines and self._held_by_rival(lane, head, now, freed):
                break
            blocker, instant = blocked(lane, head.charge, head.priority, now)
            if blocker is not None:
                if head.deadline < instant and too_late(lane, head, now):
                    self._doomed.append(head)
                self._line_up(lane, head, blocker, instant, freed)
                break
            if lane.claimant is not None:
                freed += self._unclaim(lane)
            promoted = lane.pop(head)
            self._grant(head, lane.spend(head.charge, now), now)
            if promoted:
                self._look_again(lane, ready)
        else:
            freed += self._unclaim(lane)
        if freed:
            self._advance_lines(freed, lane, ready)

    def _head(self, lane: Lane) -> Waiter | None:
        """Return who is next in a lane, charged what he is expected to take now."""
        head = lane.queue.head()
        if head is not None and head.candidates:
            self._refine(head, lane)
        return head

    def _held_by_rival(self, lane: Lane, head: Waiter, now: int, freed: list[Blocker]) -> bool:
        """Join the line of an account, gate or ramp at which a better lane stands, if there is one."""
        key = lane.queue.key()
        for stop in lane.stops:
            front = self._front(stop)
            if front is not None and front is not lane and front.queue.key() < key:
                self._line_up(lane, head, stop, NEVER, freed)
                return True
        for account, position in lane.draws:
            front = self._front(account)
            if front is not None and front is not lane and front.queue.key() < key:
                self._line_up(lane, head, account, NEVER, freed)
                return True
            for rival in self._claims.get(account, ()):
                if rival is lane or rival.claimant is None or not rival.queue or rival.queue.key() > key:
                    continue
                theirs = rival.claimant.charge[position]
                until = rival.ready_at if rival.ready_at > now else NEVER  # it may not be first in its line now
                instant = account.spares_at(head.charge[position], theirs, until, now)
                if instant > now:
                    self._line_up(lane, head, account, instant, freed)
                    return True
        return False

    def _look_again(self, lane: Lane, ready: list[_Entry]) -> None:
        """The lowest class of the lane's scope has earned its turn: it may be the head of other lanes."""
        for other in lane.scopes[0].lanes if lane.scopes else ():
            if other is not lane and other.queue:
                self._make_ready(other, ready)

    # ---- lines and claims

    def _line_up(self, lane: Lane, head: Waiter, blocker: Blocker, instant: int, freed: list[Blocker]) -> None:
        before = lane.blocker
        if before is not blocker:
            if before is not None:
                freed.append(before)
                if isinstance(before, Account) and before not in lane.claims:
                    lane.claims.append(before)
                    self._claims.setdefault(before, []).append(lane)
            lane.blocker = blocker
            lane.claimant = None
        key = lane.queue.key()
        if lane.claimant is not head or key < lane.key:  # it has another priority, or has been promoted
            lane.claimant = head
            lane.key = key
            lane.standing = next(self._number)
            heapq.heappush(self._lines.setdefault(blocker, []), (key, lane.standing, lane))
        lane.ready_at = instant
        if instant < NEVER and self._scheduled.get(blocker, NEVER) > instant:
            self._scheduled[blocker] = instant
            heapq.heappush(self._instants, (instant, next(self._number), blocker))

    def _unclaim(self, lane: Lane) -> list[Blocker]:
        """Leave the line and give up all claims; return where others may now be better placed."""
        freed: list[Blocker] = [*lane.claims]
        for account in lane.claims:
            holders = self._claims[account]
            holders.remove(lane)
            if not holders:
                del self._claims[account]
        lane.claims = []
        lane.claimant = None
        if lane.blocker is not None:
            freed.append(lane.blocker)
            lane.blocker = None
        return freed

    def _advance_lines(self, freed: list[Blocker], lane: Lane, ready: list[_Entry]) -> None:
        for blocker in freed:
            front = self._front(blocker)
            if front is not None and front is not lane:
                heapq.heappush(ready, (front.queue.key(), next(self._number), front))

    def _front(self, blocker: Blocker) -> Lane | None:
        """Return the first lane in a line, dropping and mending entries that are no longer true."""
        line = self._lines.get(blocker)
        if line is None:
            return None
        while line:
            key, number, lane = line[0]
            if lane.blocker is not blocker or lane.standing != number or not lane.queue:
                heapq.heappop(line)
            elif (present := lane.queue.key()) != key:  # its tenant has been served in another lane
                heapq.heapreplace(line, (present, number, lane))
                lane.key = present
            else:
                return lane
        del self._lines[blocker]
        return None


def blocked(lane: Lane, charge: Charge, priority: int, now: int) -> tuple[Blocker | None, int]:
    """Return what holds a request back and until when, or None and now."""
    for gate in lane.gates:
        if gate.window and (instant := gate.ready_at(now)) > now:
            return gate, instant
    kept = lane.reserves.kept_from(priority) if lane.reserves.kept else 0
    decision = decide(lane.draws, charge, now, kept, spread=priority >= BATCH)
    blocker: Blocker | None = None
    latest = now
    if isinstance(decision, NotUntil):
        blocker, latest = decision.binding, NEVER if decision.instant is None else decision.instant
    for ramp in lane.ramps:
        if (instant := ramp.ready_at(charge, now)) > latest:
            blocker, latest = ramp, instant
    return blocker, latest
