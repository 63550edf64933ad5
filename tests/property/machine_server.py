"""A truthful server for the engine's machine: it charges what it was asked for when a request arrives, and says so."""

from collections.abc import Iterable

from machine_model import Ask, Said, Tap

from scheduler.core.quota import Dimension
from scheduler.providers.base import Cause, Observation, Outcome, Reading


class Server:
    """Levels of its own, and answers."""

    def __init__(self, taps: Iterable[Tap]) -> None:
        self._levels = {tap: (tap.capacity, 0) for tap in taps if tap.window}
        self.disturbed = False
        """Whether somebody else spends here as well."""

    def level(self, tap: Tap, now: int) -> int:
        level, at = self._levels[tap]
        level = min(tap.capacity, level + (now - at) * tap.amount)
        self._levels[tap] = level, now
        return level

    def _take(self, tap: Tap, units: int, now: int) -> None:
        self._levels[tap] = min(tap.capacity, self.level(tap, now) - units * tap.scale), now

    def arrive(self, ask: Ask, now: int) -> None:
        """Charge all taps, or refuse by the first that lacks."""
        taps = [tap for tap in ask.aisle.taps if tap.window]
        short = next((tap for tap in taps if self.level(tap, now) < tap.units(ask) * tap.scale), None)
        if short is not None:
            assert self.disturbed, "what was granted is never refused"
            ask.refused = True
            ask.said = [Said(short, max(0, self.level(short, now) // short.scale))]
            return
        for tap in taps:
            self._take(tap, tap.units(ask), now)
        ask.said = [Said(tap, self.level(tap, now) // tap.scale) for tap in taps]

    def answer(self, ask: Ask, silent: int, now: int) -> Reading:
        """Say what a request found; every *silent*-th tap is not spoken of."""
        assert ask.said is not None
        said, ask.said = ask.said, None
        if ask.refused:
            for tap in ask.aisle.taps:
                if tap.counted == "requests":
                    self._take(tap, tap.units(ask), now)  # refused requests count as requests
            return Reading(Outcome.THROTTLED, Cause.RATE, refused=_observation(ask, said[0]))
        told = [_observation(ask, each) for index, each in enumerate(said, 1) if index % silent]
        return Reading(Outcome.SUCCESS, observations=tuple(told))

    def correct(self, ask: Ask, tap: Tap, more: int, now: int) -> None:
        """Change a charge when the usage is known."""
        if not ask.held and not ask.refused:
            self._take(tap, more, now)

    def spend(self, tap: Tap, units: int, now: int) -> None:
        """Let somebody else spend what there is of some units."""
        self.disturbed = True
        self._take(tap, min(units, max(0, self.level(tap, now) // tap.scale)), now)


def _observation(ask: Ask, said: Said) -> Observation:
    tap = said.tap
    requested = tap.units(ask) if ask.refused else None
    return Observation(Dimension(tap.counted), tap.amount, said.remaining, tap.window, tap.scope == "p/a", requested)
