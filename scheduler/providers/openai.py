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
from scheduler.providers.catalogue import long_context_over
from scheduler.providers.delays import asked_delay
from scheduler.providers.headers import lowered, observations
from scheduler.providers.openai_charge import ChargeFacts, ChargeRule, Endpoint, candidates_of, documented
from scheduler.providers.openai_content import (
    CONVERSATIONS,
    PAINTING,
    content_in,
    facts_of,
    is_form,
    organization_in,
    require_content,
)
from scheduler.providers.openai_errors import cause_of, error_of, outcome_of
from scheduler.providers.openai_paths import route_of
from scheduler.providers.openai_request import counts_of, endpoint_of, lenient_counts, lenient_model, model_of
from scheduler.providers.openai_usage import usage_of
from scheduler.providers.pools import pool_of
from scheduler.providers.refusals import refusal_of
from scheduler.providers.texts import NAME, cleaned
from scheduler.tokens.chat import content_tokens, estimated_tokens
from scheduler.tokens.counter import TokenCounter

_NEVER_LONG = 100_000  # input tokens up to which no model's request is long
_STREAMED: tuple[Any, ...] = (True, "true")  # the latter in a form
_SUCCESS = range(200, 300)
_FAILED_STREAM = 500  # as which an error within a stream counts that says nothing better of itself
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

    idempotency_header: str | None = None

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
        require_content(endpoint, body)
        content = content_in(endpoint, body)
        tokens = content_tokens(content, model, self.counter, body, chat=endpoint in CONVERSATIONS)
        charge, candidates = self._charge(facts_of(endpoint, content, counts, body), content.images)
        return Call(
            method="POST",
            url=str(endpoint),
            model=model,
            charge=charge,
            input_tokens=tokens,
            stream=body.get("stream") is True,
            pool=self._pool(model, "", body.get("service_tier"), tokens, ""),
            candidates=candidates,
        )

    def recognise(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, size: int = 0
    ) -> Call:
        """Describe a request that somebody else has made; in microseconds, so input tokens are estimated by bytes.

        A request of which nothing is known but its size is charged as if that were its characters, unless it is a form.
        What does not go to a model (files, batches, an answer that is fetched again) is charged one request.
        """
        fields = lowered(headers)
        project = fields.get("openai-project") or None
        organization = organization_in(fields)
        route = route_of(method, path)
        known = body or {}
        method = method.upper()
        model = "" if route.managed else route.model or lenient_model(known)
        if route.endpoint is None:
            charge = Charge(tokens=max(0, size) // 4 if model else 0)
            pool = self._pool(model, route.pool, None, 0, organization)
            return Call(method, route.url, model, charge, pool=pool, project=project)
        endpoint = route.endpoint
        content = content_in(endpoint, known)
        facts = facts_of(endpoint, content, lenient_counts(known), known)
        tokens = estimated_tokens(content, model, facts.declared)
        if not known and not is_form(endpoint, fields):
            tokens = max(0, size) // 4
            facts = facts._replace(characters=max(0, size))
        charge, candidates = self._charge(facts, content.images)
        return Call(
            method=method,
            url=route.url,
            model=model,
            charge=charge,
            input_tokens=tokens,
            stream=known.get("stream") in _STREAMED,
            pool=self._pool(model, route.pool, known.get("service_tier"), tokens, organization),
            project=project,
            candidates=candidates,
        )

    def _charge(self, facts: ChargeFacts, images: int) -> tuple[Charge, tuple[int, ...]]:
        """Return what the limiter takes, of images those that are made or else those that are shown; and candidates."""
        candidates = candidates_of(facts, self.charge_rule)
        return Charge(tokens=candidates[0], images=facts.n if facts.endpoint in PAINTING else images), candidates

    def _pool(self, model: str, other: str, tier: object, tokens: int, organization: str) -> str:
        """Return the name of the pool, or "" where that is the model's."""
        over = long_context_over(self.name, model) if tokens > _NEVER_LONG else None
        pool = pool_of(model or other, tier=tier, long=over is not None and tokens > over, organization=organization)
        return "" if pool == model else pool

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

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream. See ``Provider``."""
        usage = usage_of(url, data)
        if usage is not None:
            return Reading(Outcome.SUCCESS, usage=usage)
        if b'"error"' not in data:
            return None
        error = error_of(data)
        return self.read(_FAILED_STREAM, {}, data, url=url) if error.shown or error.name else None

    def usage(self, url: str, body: bytes) -> Usage | None:
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(url, body)

    def counted(self, usage: Usage) -> Charge:
        """Return what the limiter takes for a usage."""
        return Charge(0, usage.tokens, usage.input_tokens, usage.output_tokens, usage.images)

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
