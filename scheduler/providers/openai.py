"""OpenAI: what its endpoints take, and what its answers mean.

Sources: the rate limit guide, the error catalogue and the API reference of 2026, and recorded headers, bodies and
charges of 2022 to 2026; each rule names its own.
"""

from collections.abc import Collection, Mapping
from typing import Any

from scheduler.core.growth import Growth
from scheduler.core.quota import Charge, Dimension
from scheduler.errors import ConfigurationError
from scheduler.providers.base import Call, Outcome, Reading, Settlement, Usage
from scheduler.providers.delays import asked_delay
from scheduler.providers.headers import lowered, observations
from scheduler.providers.openai_charge import ChargeFacts, ChargeRule, Endpoint, candidates_of, documented
from scheduler.providers.openai_errors import cause_of, error_of, outcome_of
from scheduler.providers.openai_request import CAPS, counts_of, endpoint_of, model_of, require
from scheduler.providers.openai_usage import usage_of
from scheduler.providers.refusals import refusal_of
from scheduler.providers.texts import NAME, cleaned
from scheduler.tokens.chat import content_tokens
from scheduler.tokens.content import Content, content_of
from scheduler.tokens.counter import TokenCounter

_FIELDS: Mapping[Endpoint, tuple[str, ...]] = {
    Endpoint.CHAT: ("messages",),
    Endpoint.RESPONSES: ("input", "instructions"),
    Endpoint.COMPLETIONS: ("prompt",),
    Endpoint.EMBEDDINGS: ("input",),
    Endpoint.IMAGES: ("prompt",),
    Endpoint.MODERATIONS: ("input",),
}
"""Fields that hold what is sent."""
_OPTIONAL = frozenset({Endpoint.RESPONSES, Endpoint.COMPLETIONS})
"""Endpoints that have something to go on without them: a stored prompt, an earlier answer."""
_CONVERSATIONS = frozenset({Endpoint.CHAT, Endpoint.RESPONSES})
_SUCCESS = range(200, 300)
_LATIN_1 = 0xFF  # the last character that a header can carry


class OpenAI:
    """The OpenAI API, and servers that imitate it.

    A reserved charge is kept when the usage is known: a charge is an estimate from characters, headers are written at
    admission, and no recorded answer shows a correction. Refused requests count as requests (rate limit guide:
    "unsuccessful requests contribute to your per-minute limit").

    Args:
        counter: Counts input tokens for the expected cost; charges do without it.
        base_url: Origin and path prefix, without the ``/v1`` that urls begin with.
        charge_rule: What the limiter takes; ``CHARGE_RULES`` has the known ones by name.
    """

    name: str = "openai"
    endpoints: Collection[str] = frozenset(map(str, Endpoint))
    key_variable: str = "OPENAI_API_KEY"
    settlement: Settlement = Settlement.KEPT
    refusals_charged: frozenset[Dimension] = frozenset({Dimension.REQUESTS})
    growth: Growth | None = Growth(floor=1_000_000)
    """Error catalogue of 2026: ``slow_down`` above a million input tokens a minute, at 50 % more in 15 minutes."""

    def __init__(
        self,
        counter: TokenCounter,
        base_url: str | None = None,
        *,
        charge_rule: ChargeRule = documented,
    ) -> None:
        self.counter = counter
        self.base_url: str = (base_url or "https://api.openai.com").rstrip("/").removesuffix("/v1")
        self.charge_rule = charge_rule

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        endpoint = endpoint_of(method, url)
        model = model_of(body)
        counts = counts_of(body)
        fields = _FIELDS[endpoint]
        if endpoint not in _OPTIONAL:
            require(body, fields[0])
        content = content_of(*(body.get(name) for name in fields))
        charge, candidates = self._charge(endpoint, content, counts)
        return Call(
            method="POST",
            url=str(endpoint),
            model=model,
            charge=charge,
            input_tokens=content_tokens(content, model, self.counter, body, chat=endpoint in _CONVERSATIONS),
            stream=body.get("stream") is True,
            candidates=candidates,
        )

    def _charge(
        self, endpoint: Endpoint, content: Content, counts: Mapping[str, int]
    ) -> tuple[Charge, tuple[int, ...]]:
        n = max(counts.get("n", 1), counts.get("best_of", 1))
        facts = ChargeFacts(
            endpoint,
            content.characters,
            messages=content.items,
            output_cap=max(counts.get(name, 0) for name in CAPS),
            n=n,
            image_tokens=content.image_tokens,
        )
        images = n if endpoint is Endpoint.IMAGES else content.images
        candidates = candidates_of(facts, self.charge_rule)
        return Charge(tokens=candidates[0], images=images), candidates

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read.

        A body of a stream's error event is read as that of a refusal: with status 429 or 500 and no headers.
        """
        fields = lowered(headers)
        seen, ignored = observations(fields)
        request_id = cleaned(fields.get("x-request-id", ""), NAME)
        if status in _SUCCESS:
            usage = usage_of(url, body)
            return Reading(Outcome.SUCCESS, observations=seen, usage=usage, ignored=ignored, request_id=request_id)
        error = error_of(body)
        refusal = refusal_of(error.message, error.kind)
        cause = cause_of(status, error, refusal)
        delay, unusable = asked_delay(fields, error.message)
        return Reading(
            outcome_of(cause),
            cause,
            message=error.shown,
            code=error.name,
            observations=seen,
            refused=refusal.observation,
            delay=delay,
            ignored=ignored + unusable,
            request_id=request_id,
        )

    def usage(self, url: str, body: bytes) -> Usage | None:
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(url, body)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:
        """Return the headers that carry the key and name the project.

        Raises:
            ConfigurationError: If either cannot stand in a header. The key is not part of the words.
        """
        headers = {"Authorization": f"Bearer {_fit(key, self.key_variable)}"}
        if project is not None:
            headers["OpenAI-Project"] = _fit(project, "project")
        return headers


def _fit(value: str, key: str) -> str:
    """Return *value* if it can stand in a header."""
    if not value:
        raise ConfigurationError("it is empty", key, "give it a value, or leave it out")
    if " " in value or not value.isprintable() or max(map(ord, value)) > _LATIN_1:
        raise ConfigurationError(
            "it holds spaces, control characters or letters that no header can carry",
            key,
            "copy it again, without line ends and quotes",
        )
    return value
