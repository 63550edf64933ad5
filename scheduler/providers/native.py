"""What the adapters of APIs have in common that do not speak OpenAI's language."""

from scheduler.core.growth import Growth
from scheduler.core.quota import Dimension
from scheduler.tokens.counter import TokenCounter


class Native:
    """An API in a language of its own. What is said here holds for all of them unless one says otherwise.

    Args:
        counter: Not asked: its encodings are those of another provider's models.
        base_url: Origin and path prefix, with or without the version that urls begin with; the provider's if None.
    """

    origin: str
    """The provider's own address."""
    versions: tuple[str, ...] = ()
    """What its urls begin with, and a base url may end with."""
    refusals_charged: frozenset[Dimension] = frozenset()
    growth: Growth | None = None
    """No number is published by any of them."""
    project_header: str | None = None
    idempotency_header: str | None = None
    """None of them documents one."""

    def __init__(
        self,
        counter: TokenCounter | None = None,  # noqa: ARG002 -- all providers are made alike
        base_url: str | None = None,
    ) -> None:
        address = (base_url or self.origin).rstrip("/")
        self.base_url: str = next(
            (address.removesuffix(each) for each in self.versions if address.endswith(each)), address
        )
