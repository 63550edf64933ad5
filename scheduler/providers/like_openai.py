"""APIs that speak OpenAI's language at paths of their own: requests are OpenAI's, and only their urls differ."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Call
from scheduler.providers.dialect import Dialect
from scheduler.providers.openai import OpenAI
from scheduler.providers.openai_request import CAPS, endpoint_of, lenient_counts
from scheduler.tokens.counter import TokenCounter

_V1 = "/v1"


class LikeOpenAI(OpenAI):
    """An API that a row of ``compatible`` describes.

    A request may be written with OpenAI's path (``/v1/chat/completions``) or with the provider's own; it is sent to the
    latter.

    Args:
        dialect: What tells it from OpenAI.
        counter: Counts input tokens for the expected cost.
        base_url: Where it is, if not at its own address; with or without what its paths begin with.
    """

    def __init__(self, dialect: Dialect, counter: TokenCounter, base_url: str | None = None) -> None:
        super().__init__(counter, base_url, dialect=dialect)
        self._known = {
            prefix + endpoint.removeprefix(_V1): str(endpoint)
            for endpoint in dialect.endpoints
            for prefix in (_V1, dialect.prefix)
        }

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent. See ``Provider``.

        Raises:
            InvalidRequest: If the endpoint is unknown here or a field that decides the charge is unusable.
        """
        known = self._openai_path(url)
        if known is None:
            endpoint_of(method, url)  # says what is wrong with a url that is nobody's
            raise InvalidRequest(
                f"{self.name} has no such endpoint", "url", "known are " + ", ".join(sorted(self.endpoints))
            )
        call = super().describe(method, known, body)
        return replace(call, url=self._own(known), charge=_split(call, body))

    def recognise(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, size: int = 0
    ) -> Call:
        """Describe a request that somebody else has made. See ``Provider``."""
        call = super().recognise(method, path, headers, body, size)
        known = self._openai_path(call.url)
        url = call.url if known is None else self._own(known)
        return replace(call, url=url, charge=_split(call, body or {}))

    def _own(self, known: str) -> str:
        """Return the provider's path for OpenAI's."""
        return self.dialect.prefix + known.removeprefix(_V1)

    def _openai_path(self, url: Any) -> str | None:
        """Return OpenAI's path for one that is known here, or None; *url* may be anything that a line held."""
        return self._known.get(url) if isinstance(url, str) else None


def _split(call: Call, body: Mapping[str, Any]) -> Charge:
    """Return the charge, with tokens of input and of output each by itself as well, for who is limited so."""
    counts = lenient_counts(body)
    cap = max(counts.get(name, 0) for name in CAPS)
    return call.charge._replace(input_tokens=call.input_tokens, output_tokens=cap)
