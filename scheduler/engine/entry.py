"""The way in, for tasks and for threads: ``async with`` or ``with`` around one attempt."""

from types import TracebackType

from scheduler.core.quota import Charge
from scheduler.engine.admission import Admission
from scheduler.engine.lane import Waiter
from scheduler.engine.parking import ThreadHost
from scheduler.engine.reservation import Reservation


class Entry:
    """Waits for a request's turn, and holds its reservation while the block lasts.

    Where nothing waits, entering is not a checkpoint: it neither yields to other tasks nor notices a cancellation,
    which is delivered at the next await inside the block. Where something waits, a cancelled task leaves the queue, and
    what it may have been granted meanwhile goes to the next.
    """

    __slots__ = ("_admission", "_arguments", "_arrival", "_reservation", "_timeout")

    def __init__(
        self,
        admission: Admission,
        model: str,
        project: str | None,
        charge: Charge,
        priority: int,
        *,
        timeout: int | None = None,
        arrival: int | None = None,
    ) -> None:
        """See ``Admission.enter``."""
        self._admission = admission
        self._arguments = (model, project, charge, priority)
        self._timeout = timeout
        self._arrival = arrival
        self._reservation: Reservation | None = None

    async def __aenter__(self) -> Reservation:
        entered = self._enter(blocking=False)
        if isinstance(entered, Reservation):
            return entered
        host = entered.host
        assert not isinstance(host, ThreadHost)
        if entered.reservation is None and entered.error is None:
            try:
                await host.sleep(entered)
            except BaseException:
                self._admission.abandon(entered)
                raise
        return self._admitted(entered)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._reservation is not None
        self._reservation.close(error)

    def __enter__(self) -> Reservation:
        entered = self._enter(blocking=True)
        if isinstance(entered, Reservation):
            return entered
        host = entered.host
        assert isinstance(host, ThreadHost)
        try:
            host.sleep(entered)
        except BaseException:
            self._admission.abandon(entered)
            raise
        return self._admitted(entered)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._reservation is not None
        self._reservation.close(error)

    def _enter(self, *, blocking: bool) -> Reservation | Waiter:
        if self._reservation is not None:
            raise RuntimeError("one reserve() is for one attempt: call it again for the next")
        entered = self._admission.enter(
            *self._arguments, timeout=self._timeout, arrival=self._arrival, blocking=blocking
        )
        if isinstance(entered, Reservation):
            self._reservation = entered
        return entered

    def _admitted(self, waiter: Waiter) -> Reservation:
        if waiter.error is not None:
            raise waiter.error
        # Only this entry holds it from here on, so that it expires when this is forgotten.
        reservation, waiter.reservation = waiter.reservation, None
        assert reservation is not None
        self._reservation = reservation
        return reservation
