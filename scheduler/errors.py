"""Every error that the scheduler raises, and what to do about each.

SchedulerError
 ├─ ConfigurationError      a setting is unusable: correct the key that it names
 ├─ InvalidRequest          a request cannot be sent as it is: correct the field that it names
 ├─ RequestTooLarge         larger than a limit will ever admit: make the request smaller
 ├─ QueueFull               too many are waiting: come back after the expected wait, or raise ``max_queued``
 ├─ DeadlineUnattainable    its turn does not come in time: allow more time, or send less
 ├─ RequestWithdrawn        somebody took it out of the queue: submit it again if it is wanted
 ├─ RateLimited             refused too often: another program spends the same quota, or the limits are wrong
 ├─ QuotaExhausted          credit or spend limit at the provider: add credit or raise the limit there
 ├─ ProviderOverloaded      the provider is short of capacity: try later
 ├─ RequestFailed           the provider rejected the request, or no answer came
 ├─ ReservationClosed       a reservation was ended twice: end it once
 └─ StoreUnavailable        the shared store cannot be reached

Every error carries fields as well as words. Keys, prompts and answers are in neither.
"""

from dataclasses import dataclass


class SchedulerError(Exception):
    """Above all errors of this package."""


@dataclass(eq=False)
class ConfigurationError(SchedulerError):
    """A setting is unusable.

    Attributes:
        problem: What is wrong, in one sentence.
        key: The setting, such as ``limits.gpt-5-mini.rpm``, or "".
        mend: What to write instead, or "".
        file: The file that it was read from, or "".
    """

    problem: str
    key: str = ""
    mend: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.key) if part)
        return (f"{place}: " if place else "") + self.problem + (f" ({self.mend})" if self.mend else "")


@dataclass(eq=False)
class InvalidRequest(SchedulerError):
    """A request cannot be sent as it is.

    Attributes:
        problem: What is wrong, in one sentence.
        field: The field, such as ``body.model``, or "".
        mend: What to write instead, or "".
    """

    problem: str
    field: str = ""
    mend: str = ""

    def __str__(self) -> str:
        return (f"{self.field}: " if self.field else "") + self.problem + (f" ({self.mend})" if self.mend else "")


@dataclass(eq=False)
class RequestTooLarge(SchedulerError):
    """A request is larger than a limit will ever admit.

    Attributes:
        scope: Whose limit it is.
        quota: Short name of the limit, such as ``tpm``.
        requested: Units that the request would take.
        largest: Units of the largest request that would fit.
    """

    scope: str
    quota: str
    requested: int
    largest: int

    def __str__(self) -> str:
        return (
            f"a request of {self.requested} can never fit the {self.quota} limit of {self.scope}, which admits at "
            f"most {self.largest}; make the request smaller or correct the limit"
        )


@dataclass(eq=False)
class QueueFull(SchedulerError):
    """Too many requests are waiting.

    Attributes:
        queued: Requests that are waiting.
        limit: The most that may wait (``max_queued``).
        expected_wait: Seconds until the whole queue would be through, or None where it is not known.
    """

    queued: int
    limit: int
    expected_wait: float | None = None

    def __str__(self) -> str:
        hint = "" if self.expected_wait is None else f"; expected wait {self.expected_wait:.1f} s"
        return f"{self.queued} requests are waiting and max_queued is {self.limit}{hint}; come back later"


@dataclass(eq=False)
class DeadlineUnattainable(SchedulerError, TimeoutError):
    """A request's turn does not come in time.

    Attributes:
        waited: Seconds that it has waited.
        expected_wait: Seconds until it could go, from now on, or None where only another's end can free it.
        scope: Whose limit holds it back.
        quota: Short name of that limit.
    """

    waited: float
    expected_wait: float | None
    scope: str = ""
    quota: str = ""

    def __str__(self) -> str:
        when = "when another ends" if self.expected_wait is None else f"in {self.expected_wait:.3f} s at the earliest"
        place = f", held back by {self.quota} of {self.scope}" if self.quota else ""
        return (
            f"not admitted in time after {self.waited:.3f} s{place}; it could go {when}: allow more time or send less"
        )


@dataclass(eq=False)
class RequestWithdrawn(SchedulerError):
    """Somebody took the request out of the queue.

    Attributes:
        waited: Seconds that it had waited.
    """

    waited: float

    def __str__(self) -> str:
        return f"withdrawn after waiting {self.waited:.3f} s: submit it again if it is wanted after all"


@dataclass(eq=False)
class RateLimited(SchedulerError):
    """Refused too often; the scheduler gave up.

    Attributes:
        attempts: Times that it was sent.
        message: The provider's last words.
        retry_after: Seconds that the provider asked to wait, or None.
    """

    attempts: int
    message: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        return (
            f"refused {self.attempts} times ({self.message or 'no reason given'}); correct the limits, raise "
            f"max_attempts, or find who else spends this quota"
        )


@dataclass(eq=False)
class QuotaExhausted(SchedulerError):
    """The provider refuses for want of credit or because of a spend limit.

    Attributes:
        message: The provider's words.
        code: The provider's code.
    """

    message: str = ""
    code: str = ""

    def __str__(self) -> str:
        return (
            f"the account has no credit or has met a spend limit ({self.code or self.message}); mend it at the provider"
        )


@dataclass(eq=False)
class ProviderOverloaded(SchedulerError):
    """The provider is short of capacity; the scheduler gave up.

    Attributes:
        attempts: Times that it was sent.
        message: The provider's last words.
        retry_after: Seconds that the provider asked to wait, or None.
    """

    attempts: int
    message: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"the provider was overloaded {self.attempts} times ({self.message or 'no reason given'}); try later"


@dataclass(eq=False)
class RequestFailed(SchedulerError):
    """The provider rejected a request, or no answer came.

    Attributes:
        cause: Why, in one word.
        attempts: Times that it was sent.
        status: HTTP status of the last answer, or None where none came.
        message: The provider's last words, or the transport's.
        unknown: Whether it may have been carried out at the provider all the same.
    """

    cause: str
    attempts: int
    status: int | None = None
    message: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else f"status {self.status}"
        doubt = "; it may have been carried out all the same" if self.unknown else ""
        return f"{self.cause} after {self.attempts} attempts, {answer} ({self.message or 'no reason given'}){doubt}"


@dataclass(eq=False)
class ReservationClosed(SchedulerError):
    """A reservation was ended twice.

    Attributes:
        ended_by: How it ended the first time: ``settle``, ``cancel`` or ``expiry``.
    """

    ended_by: str

    def __str__(self) -> str:
        return f"this reservation has already ended by {self.ended_by}; a reservation ends exactly once"


@dataclass(eq=False)
class StoreUnavailable(SchedulerError):
    """The shared store cannot be reached.

    Attributes:
        store: Its url, without credentials.
        problem: What happened.
    """

    store: str
    problem: str = ""

    def __str__(self) -> str:
        return f"the store {self.store} cannot be reached ({self.problem}); each process goes on with its last share"
