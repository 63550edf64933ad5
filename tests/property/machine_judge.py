"""What the engine's machine asserts of everything that the scheduler does."""

from machine_model import FOREVER, Ask, Tap
from machine_world import World

from scheduler.core.quota import SECOND
from scheduler.errors import DeadlineUnattainable, RequestTooLarge, RequestWithdrawn

TICKS = 40
"""How often the timer may ring, and requests may end, for one that waits, before it counts as starved."""

LATE = SECOND // 1000
"""How late the timer may ring for a turn that comes with a deadline."""


class Judge(World):
    """Follows what the scheduler decides, and sees that it is right."""

    def pass_time(self, until: int) -> None:
        """Let time pass as it does: the timer rings at its instants."""
        rings = 0
        while (instant := self.admission._timer.instant) is not None and instant <= until:
            self.clock.instant = max(self.now, instant)
            self.ring()
            rings += 1
            assert rings <= TICKS * (len(self.asks) + 1), "starved, or called again and again"
            self.check()
        self.clock.instant = max(self.now, until)

    def jump(self, until: int) -> None:
        """Let time pass while the leader's thread is busy: the timer rings late."""
        self.clock.instant = until
        rings = 0
        while (instant := self.admission._timer.instant) is not None and instant <= until:
            self.ring()
            rings += 1
            assert rings <= TICKS * (len(self.asks) + 1), "the timer is called again and again"
        self.check()

    def check(self) -> None:
        """Follow what the scheduler has done since the last look."""
        levels = self.levels()  # as they are after all of it: what was granted comes on top
        granted = [self.asks[waiter] for waiter in self.woken if waiter.begun]
        for ask in [*granted, *([self.at_once] if self.at_once else [])]:
            for tap in ask.aisle.taps:
                levels[tap] += tap.units(ask) * tap.scale
        if self.at_once is not None:
            ask, self.at_once = self.at_once, None
            assert not ask.aisle.waiting, "nobody is let through at once where others wait"
            self._granted(ask, levels)
        for waiter in self.woken:
            ask = self.asks[waiter]
            if not waiter.begun:
                self.leave(ask)
                self._failed(ask)
                continue
            for other in ask.aisle.waiting:
                assert not self.turns.surely_before(other, ask), "nobody in a lane is passed by who comes after him"
            ask.aisle.waiting.remove(ask)
            del self.asks[waiter]
            self._granted(ask, levels)
            self.turns.serve(ask)
        self.woken.clear()
        self._conserved()
        if self.shape.trusting:
            self._nobody_waits_for_nothing()

    # ---- grants

    def _granted(self, ask: Ask, levels: dict[Tap, int]) -> None:
        assert self.now <= ask.deadline + LATE, "nobody is granted after his deadline"
        if self.shape.trusting:
            assert not self.lacking(ask, levels), "a grant is covered by every tap of its lane"
            self._nobody_better(ask, levels)
        ask.reservation = ask.waiter
        del ask.waiter  # or it would never expire
        ask.granted_at = self.now
        ask.found = {tap: levels[tap] for tap in ask.aisle.taps}
        self.flying.append(ask)
        for tap in ask.aisle.taps:
            tap.charge(ask, self.now)
            levels[tap] -= tap.units(ask) * tap.scale
        if self.shape.told and not ask.held:
            self.server.arrive(ask, self.now)

    def _first(self, waiting: list[Ask]) -> list[Ask]:
        """Return who may go first in a lane: several only where turns are equal."""
        return [ask for ask in waiting if not any(self.turns.surely_before(other, ask) for other in waiting)]

    def _nobody_better(self, ask: Ask, levels: dict[Tap, int]) -> None:
        """Of the heads of other lanes, none that is more important could have gone, or was the first to claim a tap."""
        firsts = [self._first(aisle.waiting) for aisle in self.aisles.values() if aisle is not ask.aisle]
        heads = [one for first in firsts for one in first]
        for other in heads:
            if other.priority >= ask.priority or not _meet(other, ask) or len(self._first(other.aisle.waiting)) > 1:
                continue
            rivals = [each for each in heads if each.aisle is not other.aisle and self.turns.maybe_before(each, other)]
            lacking = self.lacking(other, levels)
            if not lacking:
                held = any(self._claimed(tap, other, rivals, levels) for tap in other.aisle.taps)
                assert held, "who is more important goes first"
            elif not any(_meet(each, other) for each in rivals):
                assert len(lacking) > 1 or lacking[0] not in ask.aisle.taps, "the first in line holds his claim"

    def _nobody_waits_for_nothing(self) -> None:
        """Who could go is held back by somebody before him, on something that both draw on."""
        levels = self.levels()
        heads = []
        for aisle in self.aisles.values():
            if aisle.waiting:
                head = aisle.waiting[0].waiter.lane.queue.head()
                assert head is not None
                heads.append(self.asks[head])
                assert self.asks[head] in self._first(aisle.waiting), "the head of a lane is whose turn it is"
        for ask in heads:
            if self.lacking(ask, levels):
                continue
            rivals = [each for each in heads if each is not ask and self.turns.maybe_before(each, ask)]
            assert any(self._claimed(tap, ask, rivals, levels) for tap in ask.aisle.taps), "no wait is too long"

    def _claimed(self, tap: Tap, ask: Ask, rivals: list[Ask], levels: dict[Tap, int]) -> bool:
        """Whether a tap lacks for one of those who go before, or would not be enough for all of them."""
        before = [each for each in rivals if tap in each.aisle.taps]
        need = sum(tap.units(each) for each in [ask, *before]) * tap.scale
        return bool(before) and (levels[tap] < need or any(tap in self.lacking(each, levels) for each in before))

    # ---- failures

    def _failed(self, ask: Ask) -> None:
        error = ask.waiter.error
        if isinstance(error, RequestTooLarge):
            self.too_large(ask, error)
        elif not isinstance(error, RequestWithdrawn):
            assert isinstance(error, DeadlineUnattainable)
            assert ask.deadline < FOREVER
            if self.now < ask.deadline:
                self.hopeless(ask)

    def too_large(self, ask: Ask, error: RequestTooLarge) -> None:
        """See that a request does not fit, and that the error says what would."""
        (tap,) = (tap for tap in ask.aisle.taps if (tap.scope, tap.name) == (error.scope, error.quota))
        assert (error.requested, error.largest) == (tap.units(ask), tap.burst)
        assert tap.units(ask) > tap.burst, "who fits is not turned away"

    def hopeless(self, ask: Ask) -> None:
        """See that a deadline could not be met: there is not enough for what surely goes before, and for itself."""
        if self.shape.told:
            return
        before = [each for each in ask.aisle.waiting if each is not ask and _cannot_but_precede(each, ask)]
        for tap, level in self.levels().items():
            if tap in ask.aisle.taps and tap.window:
                need = sum(tap.units(each) for each in [ask, *before]) * tap.scale
                if level + (ask.deadline - self.now) * tap.amount < need:
                    return
        raise AssertionError("a deadline that could be met is not refused")

    # ---- conservation

    def _conserved(self) -> None:
        levels = self.levels()
        for tap, account in self.accounts.items():
            assert account.total == tap.total, "what is charged is what was granted, on every tap of its lane"
            assert levels[tap] <= tap.capacity == account.bucket.capacity, "no level is above the capacity"
            if not self.shape.told or not tap.window:
                self._exact(tap, levels[tap])
            elif not self.server.disturbed:
                assert levels[tap] <= self.server.level(tap, self.now), "no level is above the server's"
        waiting, admission = self.waiting, self.admission
        assert admission.tally.in_flight == len(self.flying)
        assert admission.queued == len(waiting) == len(self.asks) == sum(len(lane.queue) for lane in admission.lanes)
        assert admission.max_queued is None or len(waiting) <= admission.max_queued

    def _exact(self, tap: Tap, level: int) -> None:
        """Without cancellations a level is exact; what was cancelled comes back as far as it must be missing still."""
        least, most = tap.replay(self.now, forgiving=False), tap.replay(self.now, forgiving=True)
        assert least <= level
        if not tap.cancelled or not tap.vague:
            assert level == most, "the level is that of an exact bucket"
        elif not tap.retuned:  # a lowered limit forgives debts, and may do so of what comes back later
            assert level <= most, "no more comes back than was missing"


def _meet(one: Ask, other: Ask) -> bool:
    return bool(set(one.aisle.taps) & set(other.aisle.taps))


def _cannot_but_precede(one: Ask, other: Ask) -> bool:
    if one.priority != other.priority:
        return one.priority < other.priority
    return one.tenant == other.tenant and (one.deadline, one.arrival) < (other.deadline, other.arrival or FOREVER)
