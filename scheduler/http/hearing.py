"""An answer that is handed over while it still comes: its reservation lives until its body has ended.

It ends in one of three ways: the body came to its end, it broke off, or whoever read it had enough. What was told of
usage up to then is settled. Nothing is sent again from here: somebody has read a part of it.
"""

from scheduler.engine.reservation import Reservation
from scheduler.http.events import Listener
from scheduler.providers.base import Outcome


class Hearing:
    """What is heard of one answer's body."""

    __slots__ = ("_listener", "_over", "_reservation")

    def __init__(self, reservation: Reservation, listener: Listener | None) -> None:
        """Begin; without a *listener*, only the body's end counts."""
        self._reservation = reservation
        self._listener = listener
        self._over = False

    def heard(self, chunk: bytes) -> None:
        """A chunk has come."""
        if self._listener is not None:
            self._listener.feed(chunk)

    def ended(self) -> None:
        """The body has come to its end."""
        if self._listener is not None:
            self._listener.close()
        self._end(broken=self._listener is not None and not self._listener.whole)

    def broke(self) -> None:
        """The body has broken off."""
        self._end(broken=True)

    def left(self) -> None:
        """Nobody reads on."""
        self._end(broken=False)

    def _end(self, *, broken: bool) -> None:
        if self._over:
            return
        self._over = True
        reservation, listener = self._reservation, self._listener
        if listener is not None and listener.failure is not None:
            reservation.learn(listener.failure)
        elif broken:
            reservation.outcome = Outcome.FAILED
        reservation.settle(usage=None if listener is None else listener.usage)
