"""Promises 1 to 5 and 9 to 13 of the whole engine, against a slow and obvious model. No loop, no thread, no sleep.

The machine does to a real scheduler what programs, providers and clocks do to it, in any order. After each step the
model (``machine_model``, ``machine_turns``, ``machine_server``), which shares no code with ``core``, has to agree with
what was decided (``machine_judge``):

- every unit is conserved: what is charged is what was granted, on every tap of a lane, and nothing for who waits;
- a level is that of an integer token bucket, exactly, where nothing is learned; it is never above the capacity, and
  where a truthful server answers never above the server's, which never refuses what was granted;
- whoever goes is covered by every tap of his lane, and whoever could go is held back by somebody before him: so every
  wait is sufficient and minimal. Asserted where the scheduler is *trusting* (no cushion, doubt or slow start);
- nobody in a lane is passed by who comes after him by priority, start-time fair queueing, deadline and arrival, and in
  other lanes nobody passes a more important one that could have gone or is the first to claim a shared tap;
- deadlines, sizes and the queue's bound are refused when they must be and not when they need not;
- in the end everybody who fits has gone, in a bounded number of steps, and nothing is left.

The floor of the lowest class is 0 here; it has tests of its own. More examples than by default: MACHINE_EXAMPLES=100000
and ``pytest -m slow tests/property/test_engine_machine.py`` (about a minute for 3,000).
"""

import os
from typing import Any, TypeVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from machine_judge import TICKS, Judge
from machine_model import Ask
from machine_world import Shape
from quiet import is_quiet

from scheduler.core.quota import SECOND
from scheduler.errors import DeadlineUnattainable, QueueFull, RequestTooLarge, ReservationClosed

T = TypeVar("T")

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "2000"))

PRIORITIES = st.sampled_from([0, 10, 50, 100])
WAITS = st.none() | st.none() | st.integers(0, 90)
WHICH = st.integers(0, 20)


def amounts(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, 3) | st.integers(1, most)


@st.composite
def limits(draw: st.DrawFn, names: list[str], least: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=least, max_size=3, unique=True)):
        amount = draw(amounts(100 if name[0] == "t" else 12))
        burst = draw(st.just(amount) | st.integers(1, 2 * amount))
        found[name] = {"amount": amount, "burst": burst}
    return found


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    kind = draw(st.sampled_from(["exact", "exact", "told and trusting", "told"]))
    names = ["tpm", "ipm", "rps", "tpd"]
    return Shape(
        limits={model: {"rpm": draw(amounts(12)), **draw(limits(names))} for model in ("a", "b")},
        project=draw(st.just({}) | limits(["rpm", "tpm", "ipm"], 1)),
        concurrency=draw(st.none() | st.integers(1, 4)),
        max_queued=draw(st.none() | st.integers(1, 8)),
        trusting=kind != "told",
        told=kind != "exact",
        corrected=draw(st.booleans()),
        weights=draw(st.sampled_from([{}, {"x": 2.0}, {"x": 0.5, "y": 3.0}])),
        reserved=draw(st.sampled_from([{}, {0: 0.2}, {0: 0.1, 50: 0.3}])),
    )


def pick(choices: list[T], which: int) -> T:
    return choices[which % len(choices)]


def nanoseconds(wait: int | None) -> int | None:
    return None if wait is None else wait * SECOND


class EngineMachine(RuleBasedStateMachine):
    """What happens to a scheduler."""

    world: Judge

    @initialize(shape=shapes())
    def begin(self, shape: Shape) -> None:
        self.sound = True
        self.world = Judge(shape)

    def step(self) -> Judge:
        """Begin a step: a world in which one has failed is not looked at again."""
        self.sound = False
        return self.world

    def done(self) -> None:
        self.world.check()
        self.sound = True

    # ---- requests come

    @rule(
        model=st.sampled_from("aab"),
        project=st.sampled_from([None, "p"]),
        requests=st.sampled_from([1, 1, 1, 2]),
        tokens=st.integers(0, 60),
        images=st.sampled_from([0, 0, 1, 3]),
        priority=PRIORITIES,
        tenant=st.sampled_from(["", "x", "y"]),
        wait=WAITS,
        times=st.sampled_from([1, 1, 3]),
        how=st.sampled_from(["send", "send", "hold", "nowait"]),
    )
    def reserve(
        self,
        model: str,
        project: str | None,
        requests: int,
        tokens: int,
        images: int,
        priority: int,
        tenant: str,
        wait: int | None,
        times: int,
        how: str,
    ) -> None:
        world = self.step()
        charge = {"requests": requests, "tokens": tokens, "images": images, "concurrency": 1}
        for _ in range(times):
            ask = world.describe(model, project, charge, priority, tenant, nanoseconds(wait))
            ask.held = how == "hold"
            self.submit(ask, nowait=how == "nowait")
            world.check()
        self.done()

    def submit(self, ask: Ask, *, nowait: bool = False) -> None:
        world = self.world
        queued = len(world.waiting)
        try:
            (world.try_now if nowait else world.enter)(ask)
        except RequestTooLarge as error:
            world.too_large(ask, error)
            return
        except QueueFull as error:
            seen = error
        except DeadlineUnattainable as error:
            late = error.waited == 0 and (nowait or ask.deadline >= world.now)
            assert late
            if not nowait:
                world.hopeless(ask)
            return
        else:
            assert all(tap.units(ask) <= tap.burst for tap in ask.aisle.taps), "what can never go is refused at once"
            return
        assert (seen.queued, seen.limit) == (queued, queued) == (queued, world.shape.max_queued)
        assert seen.expected_wait is None or seen.expected_wait > 0

    @precondition(lambda self: self.world.refused)
    @rule(which=WHICH, wait=WAITS)
    def try_again(self, which: int, wait: int | None) -> None:
        """Whom the server refused comes back with the arrival that he had."""
        world = self.step()
        old = world.refused.pop(which % len(world.refused))
        ask = world.describe(old.model, old.project, old.charge, old.priority, old.tenant, nanoseconds(wait))
        ask.waiter.arrival = old.arrival
        self.submit(ask)
        self.done()

    # ---- while they wait

    @precondition(lambda self: self.world.waiting)
    @rule(which=WHICH, priority=PRIORITIES)
    def reprioritise(self, which: int, priority: int) -> None:
        world = self.step()
        ask = pick(world.waiting, which)
        world.turns.leave(ask)
        ask.priority = priority
        world.turns.enter(ask)
        assert ask.waiter.reprioritise(priority)
        self.done()

    @precondition(lambda self: self.world.waiting)
    @rule(which=WHICH)
    def withdraw(self, which: int) -> None:
        ask = pick(self.step().waiting, which)
        assert ask.waiter.withdraw()
        assert not ask.waiter.withdraw()
        self.done()

    @precondition(lambda self: self.world.waiting)
    @rule(which=WHICH)
    def abandon(self, which: int) -> None:
        """The task of one that waits is cancelled."""
        world = self.step()
        ask = pick(world.waiting, which)
        world.leave(ask)
        world.admission.abandon(ask.waiter)
        self.done()

    # ---- answers and ends

    @precondition(lambda self: self.world.flying)
    @rule(which=WHICH, used=st.none() | st.integers(0, 80), how=st.sampled_from(["settle", "cancel", "expire"]))
    def end(self, which: int, used: int | None, how: str) -> None:
        self.finish(pick(self.step().flying, which), used, how)
        self.done()

    def finish(self, ask: Ask, used: int | None = None, how: str = "settle") -> None:
        world = self.world
        if how == "cancel" and not ask.held:
            how = "settle"
        if how != "settle" or ask.refused:
            used = None
        reservation, ask.reservation = ask.reservation, None
        assert reservation is not None
        world.end(ask, how, used)
        if how == "expire":
            del reservation  # collected at once, or `check` misses it
            return
        if how == "cancel":
            reservation.cancel()
        else:
            reservation.settle(used)
        for again in (reservation.cancel, reservation.settle):
            with pytest.raises(ReservationClosed):
                again()

    @precondition(lambda self: any(ask.said for ask in self.world.flying))
    @rule(which=WHICH, silent=st.sampled_from([2, 3, 99]))
    def answer(self, which: int, silent: int) -> None:
        world = self.step()
        self.hear(pick([ask for ask in world.flying if ask.said], which), silent)
        self.done()

    def hear(self, ask: Ask, silent: int) -> None:
        assert ask.reservation is not None
        ask.reservation.learn(self.world.server.answer(ask, silent, self.world.now))
        if ask.refused:
            self.world.refused.append(ask)

    @precondition(lambda self: self.world.shape.told)
    @rule(which=WHICH, units=st.integers(1, 50))
    def others_spend(self, which: int, units: int) -> None:
        world = self.step()
        world.server.spend(pick([tap for tap in world.accounts if tap.window], which), units, world.now)
        self.done()

    # ---- settings

    @precondition(lambda self: not self.world.shape.told)
    @rule(which=WHICH, share=st.sampled_from([0.1, 0.5, 0.9, 1.5, 3]))
    def change_a_limit(self, which: int, share: float) -> None:
        world = self.step()
        tap = pick([tap for tap in world.accounts if tap.window], which)
        amount, burst = max(1, int(tap.amount * share)), max(1, int(tap.burst * share))
        of_scope = world.shape.project if tap.scope == "p/a" else world.shape.limits[tap.scope]
        of_scope[tap.name] = {"amount": amount, "burst": burst}
        tap.retune(amount, burst, world.now)
        world.scheduler.configure(limits=world.shape.limits, project_limits=world.project_limits)
        self.done()

    @rule(weights=st.sampled_from([{}, {"x": 2.0}, {"y": 0.1}]), reserved=st.sampled_from([{}, {0: 0.3}, {10: 0.5}]))
    def change_shares(self, weights: dict[str, float], reserved: dict[int | str, float]) -> None:
        world = self.step()
        world.scheduler.configure(weights=weights, reserved=reserved)
        world.turns.weights, world.reserved = weights, reserved
        self.done()

    # ---- time

    @rule(how=st.sampled_from(["next", "next", "just before", "far", "late"]), seconds=st.integers(0, 100))
    def advance(self, how: str, seconds: int) -> None:
        world = self.step()
        instant = world.next_instant()
        if how == "late":
            world.jump(world.now + seconds * SECOND)
        elif how == "far" or instant is None:
            world.pass_time(world.now + seconds * SECOND)
        else:
            world.pass_time(max(world.now, instant - (how == "just before")))
        self.done()

    # ---- the end

    def teardown(self) -> None:
        if not getattr(self, "sound", False):
            return
        world = self.step()
        for left in reversed(range(TICKS * (len(world.waiting) + 1))):
            if not world.waiting:
                break
            instant = world.admission._timer.instant
            if instant is not None and (left % 2 or not world.flying):
                world.pass_time(instant)
            else:
                assert world.flying, "deadlock: nothing flies, no instant is named, and somebody waits"
                self.finish_first()
        assert not world.waiting, "starved"
        while world.flying:
            self.finish_first()
        assert is_quiet(world.scheduler)

    def finish_first(self) -> None:
        ask = self.world.flying[0]
        if ask.said:
            self.hear(ask, 99)
            self.world.check()
        self.finish(ask)
        self.world.check()


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(EngineMachine, settings=settings(max_examples=examples, stateful_step_count=steps))


def test_the_engine_agrees_with_the_model() -> None:
    """Whatever happens, in any order, in a few worlds."""
    play(150, 30)


@pytest.mark.slow
@pytest.mark.timeout(600 if EXAMPLES <= 2_000 else 0)
def test_the_engine_agrees_with_the_model_in_many_worlds() -> None:
    """Whatever happens, in any order, in 2,000 worlds or MACHINE_EXAMPLES."""
    play(EXAMPLES, 40)
