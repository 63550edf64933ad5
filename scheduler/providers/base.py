"""What the engine asks of a provider adapter, in plain statuses, headers and bytes.

An adapter describes a request before it is sent (whose limits it draws on, what it will be charged) and reads
what came back (observations of the provider's buckets, the outcome and its cause, the delay that the server
asked for, the usage that it billed). It holds no state and does no I/O; it never raises on what a server sent.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from scheduler.core.growth import Growth
from scheduler.core.quota import Charge, Dimension
from scheduler.tokens.counter import TokenCounter

__all__ = [
    "Call",
    "Cause",
    "Growth",
    "Observation",
    "Outcome",
    "Provider",
    "Reading",
    "Settlement",
    "TokenCounter",
    "Usage",
]


class Outcome(Enum):
    """How an attempt ended."""

    SUCCESS = "success"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Cause(Enum):
    """Why an attempt did not succeed. Each has one documented behaviour."""

    RATE = "rate"  # a limit was reached: back to the queue
    TOO_LARGE = "too_large"  # larger than the limit will ever admit: never retried
    LIMIT_ZERO = "limit_zero"  # the account has no quota here: never retried
    BILLING = "billing"  # credit or spend limit: never retried
    RAMP = "ramp"  # traffic grew too fast: slow down, then ramp
    OVERLOAD = "overload"  # the provider is short of capacity: slow down, retry
    EDGE = "edge"  # a block before the provider itself, of the whole address: wait as told, or fail at once if too long
    AUTH = "auth"  # the key is missing, wrong or not allowed: never retried
    BAD_REQUEST = "bad_request"  # the request itself is wrong: never retried
    SERVER = "server"  # a fault at the provider: retried with backoff
    CONFLICT = "conflict"  # 409, or a lock at the provider: retried with backoff
    TIMEOUT = "timeout"  # 408 and 504, the provider gave up waiting: retried with backoff


class Settlement(Enum):
    """What the provider does with a reserved charge once it knows the usage."""

    KEPT = "kept"
    CORRECTED = "corrected"


class Usage(NamedTuple):
    """What the provider bills for one answer, in tokens and images."""

    input_tokens: int = 0
    cached_tokens: int = 0  # part of input_tokens
    output_tokens: int = 0
    images: int = 0

    @property
    def tokens(self) -> int:
        """All tokens of the answer, in and out."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Observation:
    """What one answer says about one bucket of the provider.

    Attributes:
        dimension: What is counted.
        limit: Units in a window, as the provider states it.
        remaining: Whole units left just after this request (for a refusal: without it), rounded down.
        window: Length of the window in nanoseconds, or None where the answer does not decide it.
        project: Whether the bucket is the project's rather than the organization's.
        requested: Units that the answer says this very request took, or for a refusal would have taken; or None.
        wait: Nanoseconds after which a refusal says that this request would have fit, or None.
    """

    dimension: Dimension
    limit: int
    remaining: int
    window: int | None = None
    project: bool = False
    requested: int | None = None
    wait: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer means.

    Attributes:
        outcome: How the attempt ended.
        cause: Why, unless it succeeded.
        message: The provider's own words, cleaned of control characters and cut to 500 characters.
        code: The provider's error code or type, or "".
        observations: What the answer's headers say about the provider's buckets, each at most once.
        refused: The observation that a refusal's body makes of the bucket that refused, or None. It is exact.
        delay: Nanoseconds that the server asks to wait at least, or None.
        usage: What the provider bills, where the body says it.
        ignored: Header fields that were malformed, absurd or negative, and so counted and not believed.
        request_id: The provider's name for the request, or "".
        final: Whether the provider says that trying again is of no use, whatever the cause.
    """

    outcome: Outcome
    cause: Cause | None = None
    message: str = ""
    code: str = ""
    observations: tuple[Observation, ...] = ()
    refused: Observation | None = None
    delay: int | None = None
    usage: Usage | None = None
    ignored: int = 0
    request_id: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A request as its provider sees it.

    Attributes:
        method: HTTP method in capitals.
        url: Relative path of a known endpoint, such as ``/v1/chat/completions``; of a request that was recognised and
            goes elsewhere the path from the version on, without the names of things: ``/v1/files/{id}``.
        model: Model that the body names, or "".
        charge: What the limiter is expected to take at admission.
        input_tokens: Tokens sent, estimated.
        stream: Whether the answer comes as server-sent events.
        pool: Name by which its limits are found, where that is not the model: a service tier, long context or another
            organization has limits of its own, ``MODEL@flex``, and what names no model those of its endpoint. See
            ``scheduler.providers.pools``.
        endpoint: One of the provider's ``endpoints``, where the url is not: it may hold the model's name.
        project: Project that its headers name, or None.
        makes: Whether it makes something that must not be made twice, though it names a model.
        candidates: Tokens that it would be charged by each rule that is known, the one of *charge* first; empty where
            there is nothing to choose from. By told charges the engine learns which to follow.
    """

    method: str
    url: str
    model: str
    charge: Charge
    input_tokens: int = 0
    stream: bool = False
    pool: str = ""
    endpoint: str = ""
    project: str | None = None
    makes: bool = False
    candidates: tuple[int, ...] = ()


class Provider(Protocol):
    """One provider's meaning of requests, headers, errors and charges."""

    name: str
    """Name in configuration and metrics."""
    endpoints: Collection[str]
    """Relative paths that it knows; the only ones that are labels in metrics."""
    base_url: str
    """Origin and path prefix that relative urls are joined to, without the ``/v1`` that they begin with."""
    key_variable: str
    """Environment variable that holds the key."""
    settlement: Settlement
    """What happens to a charge when its usage is known."""
    refusals_charged: frozenset[Dimension]
    """Dimensions in which a refused request is charged all the same."""
    growth: Growth | None
    """How fast traffic may grow whatever the limits, as the provider states it; None where it states nothing."""
    project_header: str | None
    """Header that names the project, where the provider has such a thing."""
    idempotency_header: str | None
    """Header that makes repeating a request harmless, where the provider takes one."""

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        ...

    def recognise(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, size: int = 0
    ) -> Call:
        """Describe a request that somebody else has made, as an SDK sends it. Never raises: the provider will judge it.

        Args:
            method: HTTP method.
            path: Path of its URL, with whatever prefix the base url has, without the query.
            headers: Its headers; names in any case.
            body: Its JSON object, or the text fields at the head of its form; None where it has neither, or is too big
                to be looked into.
            size: Bytes of its body, as far as known.
        """
        ...

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read."""
        ...

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream, its JSON: the usage that it tells so far, or the error that ends it, or None.

        Usages of successive events are joined by taking the larger of each number.
        """
        ...

    def usage(self, url: str, body: bytes) -> Usage | None:
        """Return what the body of a successful answer says was billed, or None."""
        ...

    def counted(self, usage: Usage, model: str = "") -> Charge:
        """Return what the limiter takes for a usage of *model*, where charges are corrected by it."""
        ...

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:
        """Return the headers that carry the key and, where the provider has such a thing, name the project."""
        ...
