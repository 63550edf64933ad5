"""A request that wants its turn: ``async with`` or ``with`` around one attempt.

**Naive**: a coroutine that asks the admission and sleeps on a future. A queue of 100,000 is then a million objects (the
coroutine and its frame, the context manager, its arguments, the waiter, ...), which the garbage collector visits again
and again while the queue grows: parking a waiter of 100,000 took 23 microseconds, of 1,000 it took 10.

**The idea**: one object. The context manager is what stands in the queue, it is its own awaitable, passing on what the
bare future, or trio's own trap, asks of the event loop, and when its turn has come it is the reservation: nothing is
made then that the garbage collector would look at. That is 1.7 kB a waiter with its task, of which a bare future and
its task are 1.3; parking one of 100,000 takes 22 microseconds, of which a bare future takes 9, and deciding to release
it 8, as of 1,000.
"""

from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from scheduler.core.bucket import NEVER
from scheduler.core.quota import Charge
from scheduler.engine.parking import AsyncHost, ThreadHost
from scheduler.engine.reservation import Reservation
from scheduler.priority import priority_of

if TYPE_CHECKING:
    from scheduler.engine.admission import Admission
    from scheduler.engine.lane import Lane
    from scheduler.engine.outlook import Outlook
    from scheduler.errors import SchedulerError


class Waiter(Reservation, Generator[Any, Any, Reservation]):
    """Waits for a request's turn, and is its reservation then.

    Where nothing waits, entering is not a checkpoint: it neither yields to other tasks nor notices a cancellation,
    which is delivered at the next await inside the block. Where something waits, a cancelled task leaves the queue, and
    what it may have been granted meanwhile goes to the next.
    """

    __slots__ = (
        "_asleep",
        "_sleeps",
        "arrival",
        "deadline",
        "due",
        "entered",
        "error",
        "host",
        "place",
        "priority",
        "project",
        "slot",
        "submitted",
        "tenant",
        "timeout",
    )

    host: AsyncHost | ThreadHost
    submitted: int
    slot: Any

    def __init__(
        self,
        admission: "Admission",
        model: str,
        project: str | None,
        charge: Charge,
        priority: int,
        *,
        tenant: str = "",
        timeout: int | None = None,
        arrival: int = 0,
        endpoint: str = "",
        candidates: tuple[int, ...] = (),
    ) -> None:
        """Describe a request.

        Args:
            admission: Who lets it through.
            model: Model that the request names, or "".
            project: Project that it is sent in, or None.
            charge: What it is expected to be charged.
            priority: The lowest goes first.
            tenant: On whose behalf it is sent, or "".
            timeout: Nanoseconds that it may wait, or None.
            arrival: Its place in the order of arrival, if it has one already, or 0.
            endpoint: Path that it is sent to, or "".
            candidates: Tokens that it would be charged by each known rule (see ``Call``): by what was told of others
                its *charge* is estimated anew until it is admitted. Empty, and *charge* stays as it is.
        """
        super().__init__(admission, model, charge, endpoint, candidates)
        if candidates:
            self.estimated = _NEVER
        self.project = project
        self.priority = priority
        self.tenant = tenant
        self.timeout = timeout
        self.arrival = arrival
        self.entered = False
        self._sleeps = False  # in a task
        self.place: Any = None  # in the queue

    def queue(self, lane: "Lane", arrival: int, now: int) -> None:
        """Become one of those who wait in *lane*, from *now* on."""
        self.lane = lane
        self.arrival = arrival
        self.submitted = now
        self.deadline = NEVER if self.timeout is None else now + self.timeout
        self.due: list[Any] | None = None  # among the deadlines
        self.error: SchedulerError | None = None
        self._asleep: Generator[Any, Any, None] | None = None

    # ---- while it waits

    def outlook(self) -> "Outlook | None":
        """Return why it waits, behind how many, and until when; None if it does not wait."""
        return self._admission.outlook(self)

    def reprioritise(self, priority: int | str) -> bool:
        """Give it another priority, in its place by arrival; return whether it waited."""
        return self._admission.reprioritise(self, priority_of(priority))

    def withdraw(self) -> bool:
        """Have it fail with ``RequestWithdrawn`` if it waits; return whether it did."""
        return self._admission.withdraw(self)

    # ---- in a task

    def __aenter__(self) -> Awaitable[Reservation]:
        if self._given() or self._enter(blocking=False):
            return _at_once(self)
        self._sleeps = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    def __await__(self) -> Generator[Any, Any, Reservation]:
        return self

    def send(self, value: Any) -> Any:
        """Go on with what the event loop says; how trio drives what its tasks await."""
        if not self._sleeps:
            raise RuntimeError("a reservation is entered, with `async with`, and not awaited")
        try:
            if self._asleep is None:
                assert not isinstance(self.host, ThreadHost)
                self._asleep = self.host.sleep(self).__await__()
            return self._asleep.send(value)
        except StopIteration:
            pass  # woken
        except BaseException:
            self._admission.abandon(self)
            raise
        raise StopIteration(self._decided())

    def throw(self, *error: Any) -> Any:
        """Leave the queue: the task was cancelled, or is thrown away."""
        if not self._sleeps:
            return super().throw(*error)
        try:
            if self._asleep is not None:
                return self._asleep.throw(*error)
            return super().throw(*error)
        except BaseException:
            self._admission.abandon(self)
            raise

    # ---- in a thread

    def __enter__(self) -> Self:
        if self._given() or self._enter(blocking=True):
            return super().__enter__()
        assert isinstance(self.host, ThreadHost)
        try:
            self.host.sleep(self)
        except BaseException:
            self._admission.abandon(self)
            raise
        return self._decided()

    def _given(self) -> bool:
        """Whether it was given without being entered, and is entered now."""
        given = self.begun and not self.entered
        self.entered = self.entered or given
        return given

    def _enter(self, *, blocking: bool) -> bool:
        if self.entered:
            raise RuntimeError("one reserve() is for one attempt: call it again for the next")
        self.entered = True
        return self._admission.enter(self, blocking=blocking)

    def _decided(self) -> Self:
        self._asleep = None
        self._sleeps = False
        if self.error is not None:
            raise self.error
        return self


_NEVER = -1


async def _at_once(reservation: Reservation) -> Reservation:
    return reservation
