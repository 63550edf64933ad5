"""The one timer of all that waits.

While anybody waits for an instant, one of those who wait leads: the timer runs on his loop, or in his thread. Nothing
runs when nobody waits. When the leader's host has no more waiters, or its loop is closed, leadership passes to the host
of another waiter; a loop that is closed without a word throws its timers away, which the alarm notices.
"""

from collections.abc import Callable
from functools import partial

from scheduler.engine.parking import Host, HostGone


class Timer:
    """Calls back at the earliest instant asked for. Every method is called under the admission's lock."""

    __slots__ = ("_callback", "_cancel", "_leader", "_lost", "_waiters", "instant")

    def __init__(self, callback: Callable[[], None], lost: Callable[[Host], None]) -> None:
        """Call *callback* when the instant comes, or *lost* with a host whose loop turns out to have ended."""
        self._callback = callback
        self._lost = lost
        self._waiters: dict[Host, int] = {}
        self._leader: Host | None = None
        self._cancel: Callable[[], None] | None = None
        self.instant: int | None = None
        """When it rings, or None."""

    def joined(self, host: Host) -> None:
        """One more waiter sleeps on a host."""
        self._waiters[host] = self._waiters.get(host, 0) + 1

    def left(self, host: Host, number: int = 1) -> None:
        """*number* waiters fewer sleep on a host; a leader without waiters leads no more."""
        waiters = self._waiters.get(host, 0) - number
        if waiters > 0:
            self._waiters[host] = waiters
        else:
            self._waiters.pop(host, None)
            if host is self._leader:
                self.stop()

    def gone(self, host: Host) -> None:
        """A host's loop has ended."""
        self._waiters.pop(host, None)
        if host is self._leader:
            self.stop()

    def stop(self) -> None:
        """Forget the instant."""
        if self._cancel is not None:
            self._cancel()
        self._cancel = self._leader = self.instant = None

    def rang(self) -> None:
        """The timer has called back: the present one, or an older one while another was being set."""
        self.stop()

    def at(self, instant: int, now: int) -> None:
        """Ring at *instant*, unless it already rings sooner: ringing early costs one look, and no timer is moved."""
        if self.instant is not None and self.instant <= instant:
            return
        self.stop()
        for host in list(self._waiters):
            try:
                self._cancel = host.call_after(max(0, instant - now), self._callback, partial(self._lost, host))
            except HostGone:
                del self._waiters[host]
                self._lost(host)
            else:
                self._leader = host
                self.instant = instant
                return
