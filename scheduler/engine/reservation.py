"""A reservation: a charge that is held for one attempt, and ends exactly once."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scheduler.core.budget import Draw, tickets_of
from scheduler.core.quota import Charge
from scheduler.core.reconcile import Ticket
from scheduler.errors import ReservationClosed
from scheduler.providers.base import Outcome, Reading, Usage

if TYPE_CHECKING:
    from scheduler.engine.admission import Admission
    from scheduler.engine.lane import Lane


_NOT_BEGUN = ""


class Reservation:
    """The right to send one request now.

    It ends by ``settle`` (it was sent), by ``cancel`` (it never was; the charge comes back), or, when nobody can end
    it any more because it was forgotten, by expiry (the charge stays). Ending it twice raises ``ReservationClosed``.
    """

    __slots__ = (
        "_admission",
        "_open",
        "_tickets",
        "answered",
        "at",
        "candidates",
        "charge",
        "draws",
        "ended_by",
        "endpoint",
        "estimated",
        "lane",
        "model",
        "notes",
        "outcome",
        "sent",
        "waited",
    )

    lane: "Lane"
    waited: int
    """Nanoseconds that the request waited for its turn."""
    outcome: Outcome | None
    answered: bool
    """Whether it has been told what the provider answered."""
    draws: tuple[Draw, ...]
    notes: tuple[int, ...]
    at: int
    sent: int
    estimated: int
    """Version of the estimates by which it was last estimated, where it has candidates."""
    _tickets: list[Ticket] | None

    def __init__(
        self, admission: "Admission", model: str, charge: Charge, endpoint: str, candidates: tuple[int, ...] = ()
    ) -> None:
        """Describe what is to be reserved; the admission begins it."""
        self._admission = admission
        self.model = model
        self.charge = charge
        self.endpoint = endpoint
        """Path that it is sent to, or "" where nobody said."""
        self.candidates = candidates
        """Tokens that it would be charged by each known rule; see ``Call``. Empty where its charge is what it is."""
        self.ended_by: str | None = _NOT_BEGUN

    def begin(self, lane: "Lane", notes: tuple[int, ...], now: int, waited: int) -> None:
        """Begin it: *lane* has been charged, and *notes* say what."""
        self.lane = lane
        self.draws = lane.draws
        self.notes = notes
        self._tickets = None
        self.at = self.sent = now
        self.waited = waited
        self.outcome = None
        self.answered = False
        self.ended_by = None
        self._open = True  # deleted by whoever ends it: of two threads, one

    @property
    def begun(self) -> bool:
        """Whether it has been granted, be it that it has ended since."""
        return self.ended_by != _NOT_BEGUN

    @property
    def tickets(self) -> list[Ticket]:
        """What it was charged in each account, for those who learn from its answer."""
        if self._tickets is None:
            self._tickets = tickets_of(self.draws, self.charge, self.at, self.notes)
        return self._tickets

    def mark_sent(self) -> None:
        """Say that the request is sent only now: where something lies between the grant and the sending."""
        self.sent = self._admission.clock.now()

    def observe(
        self, headers: Mapping[str, str], status: int = 200, body: bytes | None = None, *, at: int | None = None
    ) -> Reading:
        """Tell what the provider answered, and return what it means.

        Args:
            headers: The answer's headers; names in any case.
            status: Its HTTP status.
            body: Its body where it is at hand; refusals say the most there.
            at: When the headers came, in nanoseconds of the scheduler's clock; now by default.

        Raises:
            ReservationClosed: If the reservation has ended.
        """
        self._still_open()
        reading = self._admission.provider.read(status, headers, body)
        self._admission.learn(self, reading, at)
        return reading

    def learn(self, reading: Reading, at: int | None = None) -> None:
        """Tell what an answer meant that was read elsewhere. See ``observe``."""
        self._still_open()
        self._admission.learn(self, reading, at)

    def settle(self, tokens: int | None = None, *, usage: Usage | None = None) -> None:
        """End it: the request was sent.

        Args:
            tokens: Tokens that the provider billed, where nothing more is known.
            usage: What the provider billed.

        Raises:
            ReservationClosed: If the reservation has ended.
        """
        if usage is None and tokens is not None:
            usage = Usage(input_tokens=tokens)
        self._end("settle", usage)

    def cancel(self) -> None:
        """End it: the request was never sent, and the charge comes back. What was answered was sent: it stays so.

        Raises:
            ReservationClosed: If the reservation has ended.
        """
        self._end("settle" if self.begun and self.answered else "cancel", None)

    def _still_open(self) -> None:
        if self.ended_by is not None:
            raise self._closed(self.ended_by)

    def _end(self, how: str, usage: Usage | None) -> None:
        try:
            del self._open
        except AttributeError:
            raise self._closed(how if self.ended_by is None else self.ended_by) from None
        self.ended_by = how
        self._admission.ended(self, usage)

    def _closed(self, ended_by: str) -> Exception:
        if ended_by == _NOT_BEGUN:
            return RuntimeError("nothing is reserved yet: enter it first, with `async with` or `with`")
        return ReservationClosed(ended_by)

    def leave(self, error: BaseException | None) -> None:
        """End it if nobody has: an error makes the outcome unknown. The charge is kept either way."""
        if self.ended_by is None:
            if error is not None and self.outcome is None:
                self.outcome = Outcome.UNKNOWN
            self._end("settle", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    def __del__(self) -> None:
        if getattr(self, "ended_by", _NOT_BEGUN) is None:
            self.outcome = self.outcome or Outcome.UNKNOWN
            self._end("expiry", None)
