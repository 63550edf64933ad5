"""One request's passage from the caller to its answer, without I/O: what is decided between waiting and sending.

Whoever sends (see ``courier``) asks for a turn, sends, tells what came, and is told what to do: hand the answer over,
wait and try again, or give up. Nothing here knows an HTTP library, or whether a task or a thread does the waiting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from scheduler.core.backoff import RetryBudget
from scheduler.core.quota import SECOND
from scheduler.engine.admission import Admission
from scheduler.engine.attempts import Attempts, RetryPolicy, Step
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.errors import DeadlineUnattainable
from scheduler.http.hints import NOTHING, Hints
from scheduler.priority import Priority
from scheduler.providers.base import Call, Outcome, Provider

_FAULTS = 500  # the first status of a fault at the provider
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Seam:
    """What all passages through one scheduler share.

    Attributes:
        admission: Lets requests through.
        provider: What requests and answers mean.
        policy: How often a request may be tried.
        budget: How much of the traffic may be tries.
        chance: Draws evenly from [0, 1), for jitter.
    """

    admission: Admission
    provider: Provider
    policy: RetryPolicy
    budget: RetryBudget
    chance: Callable[[], float]


class Passage:
    """One request, with all its attempts."""

    __slots__ = (
        "_arrival",
        "_began",
        "_deadline",
        "_hints",
        "_project",
        "attempts",
        "call",
        "on_flight",
        "once",
        "seam",
        "whole",
    )

    def __init__(
        self,
        seam: Seam,
        call: Call,
        hints: Hints = NOTHING,
        *,
        project: str | None = None,
        resumed: bool = False,
        once: bool = False,
        whole: bool = False,
        on_flight: Callable[[bool], None] | None = None,
    ) -> None:
        """Begin a request.

        Args:
            seam: What it shares with all others.
            call: The request as its provider sees it.
            hints: What the caller says of it.
            project: The project that it is sent in, unless the call names one.
            resumed: Whether its sender has tried before, after we had given up: then it is sent once.
            once: Whether its body cannot be sent again.
            whole: Whether nobody reads its answer as it comes, be it a stream.
            on_flight: Is told True when an attempt goes out, and False when it has to be made again.
        """
        self.seam = seam
        self.call = call if hints.tokens is None else _with_tokens(call, hints.tokens)
        self.on_flight = on_flight
        self.once = once
        self.whole = whole
        policy = replace(seam.policy, max_attempts=1) if resumed or once else seam.policy
        now = self._began = seam.admission.clock.now()
        self.attempts = Attempts(policy, seam.budget, seam.chance, now, hints.deadline)
        self._deadline = hints.deadline
        self._hints = hints
        self._project = call.project or project
        self._arrival = seam.admission.arrive()
        if resumed:
            seam.admission.tally.resumed += 1

    def turn(self) -> Waiter:
        """Return what waits for the turn of the next attempt.

        Raises:
            DeadlineUnattainable: If the deadline has passed.
        """
        admission, hints = self.seam.admission, self._hints
        now = admission.clock.now()
        if self._deadline is not None and now > self._deadline:
            raise DeadlineUnattainable((now - self._began) / SECOND, None)
        left = None if self._deadline is None else self._deadline - now
        return Waiter(
            admission,
            self._pool,
            self._project,
            self.call.charge,
            Priority.NORMAL if hints.priority is None else hints.priority,
            tenant=hints.tenant or "",
            timeout=left,
            arrival=self._arrival,
            endpoint=self.call.endpoint or self.call.url,
            candidates=self.call.candidates,
        )

    @property
    def _pool(self) -> str:
        """Whose limits it draws on: its model's, or those of its endpoint, which is told from a model by a slash."""
        call = self.call
        return (call.pool or call.model) if call.model else f"/{call.pool}"

    def goes(self, reservation: Reservation) -> None:
        """Note that an attempt is being sent."""
        reservation.mark_sent()
        if self.on_flight is not None:
            self.on_flight(True)

    def returns(self) -> None:
        """Note that the request has to be made again."""
        self.seam.admission.tally.retries += 1
        if self.on_flight is not None:
            self.on_flight(False)

    def never_sent(self, reservation: Reservation, words: str, *, hopeless: bool = False) -> Step:
        """Decide what follows where no connection was made; *hopeless* where none ever will."""
        reservation.cancel()
        return self.attempts.after_silence(words, self._now(), sent=False, repeatable=not hopeless)

    def unanswered(self, reservation: Reservation, words: str, *, hopeless: bool = False) -> Step:
        """Decide what follows where it was sent, and no whole answer came; *hopeless* where none ever will."""
        reservation.outcome = Outcome.UNKNOWN
        reservation.settle()
        repeatable = self.repeatable and not hopeless
        return self.attempts.after_silence(words, self._now(), sent=True, repeatable=repeatable)

    def refused(
        self, reservation: Reservation, status: int, headers: Mapping[str, str], body: bytes, came: int
    ) -> Step:
        """Decide what follows an answer that is no success."""
        reading = reservation.observe(headers, status, body, at=came)
        reservation.settle()
        return self.attempts.after(reading, status, self._now(), repeatable=self.repeatable)

    def tried(self, status: int) -> bool:
        """Whether an error of that status was tried as often as anyone may; else its sender may know better."""
        return not self.once and (self.repeatable or status < _FAULTS)

    @property
    def repeatable(self) -> bool:
        """Whether carrying it out twice makes nothing that was meant to be made once."""
        return not self.call.makes and (bool(self.call.model) or self.call.method in _HARMLESS)

    def _now(self) -> int:
        return self.seam.admission.clock.now()


def _with_tokens(call: Call, tokens: int) -> Call:
    """Return a call that is charged what its caller says."""
    return replace(call, charge=call.charge._replace(tokens=tokens), candidates=())
