"""OpenAI: what its endpoints take, and what its answers mean.

Sources: the rate limit guide, the error catalogue and the API reference of 2026, and recorded headers, bodies and
charges of 2022 to 2026; each rule names its own.
"""

from collections.abc import Collection, Mapping
from typing import Any

from scheduler.core.quota import Charge
from scheduler.providers.answers import read_answer, read_stream_event
from scheduler.providers.base import Call, Reading, Usage
from scheduler.providers.catalogue import long_context_over
from scheduler.providers.checks import sendable
from scheduler.providers.compatible import OPENAI
from scheduler.providers.dialect import Dialect
from scheduler.providers.headers import lowered
from scheduler.providers.openai_charge import ChargeFacts, ChargeRule, Endpoint, candidates_of
from scheduler.providers.openai_content import (
    CONVERSATIONS,
    PAINTING,
    content_in,
    facts_of,
    is_form,
    organization_in,
    require_content,
)
from scheduler.providers.openai_paths import route_of
from scheduler.providers.openai_request import counts_of, endpoint_of, lenient_counts, lenient_model, model_of
from scheduler.providers.openai_usage import usage_of
from scheduler.providers.pools import pool_of
from scheduler.tokens.chat import content_tokens, estimated_tokens
from scheduler.tokens.counter import TokenCounter

_NEVER_LONG = 100_000  # input tokens up to which no model's request is long
_DENSEST = 4  # tokens that there may be for each that is estimated: every byte one
_STREAMED: tuple[Any, ...] = (True, "true")  # the latter in a form
_LATIN_1 = 0xFF  # the last character that a header can carry


class OpenAI:
    """The OpenAI API, and servers that imitate it.

    A reserved charge is kept when the usage is known: a charge is an estimate from characters, headers are written at
    admission, and no recorded answer shows a correction. Refused requests count as requests (rate limit guide:
    "unsuccessful requests contribute to your per-minute limit").

    Args:
        counter: Counts the input tokens of requests that may be long ones to the provider; charges do without it.
        base_url: Origin and path prefix, without the ``/v1`` that urls begin with.
        charge_rule: What the limiter takes, if not what the dialect says; ``CHARGE_RULES`` has the known ones by name.
        dialect: What its answers mean, and what it is called.
    """

    def __init__(
        self,
        counter: TokenCounter,
        base_url: str | None = None,
        *,
        charge_rule: ChargeRule | None = None,
        dialect: Dialect = OPENAI,
    ) -> None:
        self.counter = counter
        self.dialect = dialect
        self.charge_rule = charge_rule or dialect.charge_rule
        self.name = dialect.name
        self.base_url = (base_url or dialect.base_url).rstrip("/").removesuffix(dialect.prefix)
        self.endpoints: Collection[str] = frozenset(
            dialect.prefix + endpoint.removeprefix("/v1") for endpoint in dialect.endpoints
        )
        self.key_variable = dialect.key_variable
        self.settlement = dialect.settlement
        self.refusals_charged = dialect.refusals_charged
        self.growth = dialect.growth
        self.project_header = dialect.project_header
        self.idempotency_header = dialect.idempotency_header

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Input tokens are estimated by bytes, and counted where that may decide which limits it draws on.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        endpoint = endpoint_of(method, url)
        model = model_of(body)
        counts = counts_of(body)
        require_content(endpoint, body)
        content = content_in(endpoint, body)
        facts = facts_of(endpoint, content, counts, body)
        tokens = estimated_tokens(content, model, facts.declared)
        if tokens > _NEVER_LONG // _DENSEST:  # which pool it draws on may hang on a token
            tokens = content_tokens(content, model, self.counter, body, chat=endpoint in CONVERSATIONS)
        charge, candidates = self._charge(facts, content.images)
        return Call(
            method="POST",
            url=str(endpoint),
            model=model,
            charge=charge,
            input_tokens=tokens,
            stream=body.get("stream") is True,
            pool=self._pool(model, "", body.get("service_tier"), tokens, ""),
            makes=endpoint is Endpoint.VIDEOS or body.get("background") is True,
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
            makes=endpoint is Endpoint.VIDEOS or known.get("background") is True,
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
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read."""
        return read_answer(self.dialect, status, headers, body, url)

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:  # noqa: ARG002 -- events say what they are
        """Read one event of a stream. See ``Provider``."""
        return read_stream_event(self.dialect, data)

    def usage(self, url: str, body: bytes) -> Usage | None:
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(url, body)

    def counted(self, usage: Usage, model: str = "") -> Charge:  # noqa: ARG002 -- every model alike
        """Return what the limiter takes for a usage."""
        sent = usage.input_tokens - usage.cached_tokens if self.dialect.cached_free else usage.input_tokens
        return Charge(0, sent + usage.output_tokens, sent, usage.output_tokens, usage.images)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:
        """Return the headers that carry the key and, where the provider knows projects, name the project.

        Raises:
            ConfigurationError: If either cannot stand in a header. The key is not part of the words.
        """
        headers = {self.dialect.key_header: self.dialect.key_prefix + sendable(key, self.key_variable)}
        if project is not None and self.dialect.project_header is not None:
            headers[self.dialect.project_header] = sendable(project, "project")
        return headers
