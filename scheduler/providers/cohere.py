"""Cohere: what its endpoints take, and what its answers mean.

Calls of a minute are limited by endpoint, those of chat by model, those of embed by inputs; a trial key has 1,000 calls
a month besides. No answer says what is left. A trial key's answers carry ``x-trial-endpoint-call-limit``, a limit
without a level, which proves nothing but in a refusal.

Sources: the pages on rate limits and errors (2026), and recorded bodies of 2023 to 2026.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from scheduler.core.quota import MINUTE, Charge, Dimension
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Call, Cause, Observation, Outcome, Reading, Settlement, Usage
from scheduler.providers.checks import sendable
from scheduler.providers.cohere_usage import usage_of
from scheduler.providers.delays import asked_delay
from scheduler.providers.headers import lowered
from scheduler.providers.native import Native
from scheduler.providers.native_errors import WINDOWS, cause_of_status, exhausted, json_of, text_at
from scheduler.providers.native_request import (
    endpoint_name,
    model_named,
    object_of,
    posted_path,
    require,
    unknown_path,
)
from scheduler.providers.native_size import Media, size_of
from scheduler.providers.openai_errors import outcome_of
from scheduler.providers.texts import MESSAGE, NAME, cleaned

BYTES_OF_TEN = 40
"""Bytes of text in ten tokens, as elsewhere; Cohere states none."""
MEDIA = Media(image=1_000, other=1_000)
"""What images come to; none is stated, and no limit but a trial's counts tokens."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "/v2/chat": ("messages", "documents"),
    "/v1/chat": ("message", "chat_history", "preamble", "documents"),
    "/v2/embed": ("texts", "inputs", "images"),
    "/v1/embed": ("texts", "images"),
    "/v2/rerank": ("query", "documents"),
    "/v1/rerank": ("query", "documents"),
    "/v1/classify": ("inputs",),
    "/v1/tokenize": ("text",),
}
"""Endpoints, and the fields that hold what is sent; the first must be there, but of embed any."""
_KNOWN = "known are " + ", ".join(_FIELDS)
_MODEL = 'name one, as in "model": "command-a-03-2025"'
_ENDPOINT = re.compile(r"/v[12]/([a-z-]+)(?=/|\Z)")
_SUCCESS = range(200, 300)

_MONTH = re.compile(r"/ ?month\b|\bper month\b", re.IGNORECASE)
_CALLS = re.compile(
    r"\blimited to ([0-9][0-9,]{0,20}) (?:API )?calls ?(?:/|per) ?(second|minute|hour|day)\b", re.IGNORECASE
)
_TOKENS = re.compile(r"\blimit is ([0-9][0-9,]{0,20}) tokens per (second|minute|hour|day)\b", re.IGNORECASE)
_PER_MINUTE = re.compile(r"\bper minute request limit\b", re.IGNORECASE)
_TRIAL_LIMIT = "x-trial-endpoint-call-limit"


class Cohere(Native):
    """The Cohere API.

    Nothing is documented of refused requests: they are taken not to be charged. What is limited are calls, and no
    usage corrects those, so charges are kept.
    """

    name: str = "cohere"
    endpoints: Collection[str] = frozenset(_FIELDS)
    key_variable: str = "CO_API_KEY"
    settlement: Settlement = Settlement.KEPT
    origin = "https://api.cohere.com"
    versions = ("/v2", "/v1")

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        path = posted_path(method, url, _KNOWN)
        if path not in _FIELDS:
            raise unknown_path(_KNOWN)
        body = object_of(body)
        model = model_named(body.get("model"), "body.model", _MODEL)
        fields = _FIELDS[path]
        if not path.endswith("/embed") or all(body.get(name) is None for name in fields):
            require(body, fields[0])
        size = size_of(MEDIA, *(body.get(name) for name in fields), verbatim=body.get("tools"))
        sent = max(1, size.tokens(BYTES_OF_TEN))
        return Call(
            "POST",
            path,
            model,
            Charge(_calls(path, body), tokens=sent, input_tokens=sent),
            input_tokens=sent,
            stream=body.get("stream") is True,
            pool=_pool(path, body),
        )

    def recognise(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],  # noqa: ARG002  # nothing in them decides whose limits it draws on
        body: Mapping[str, Any] | None,
        size: int = 0,
    ) -> Call:
        """Describe a request that somebody else has made: what cannot be described is charged one request."""
        found = _ENDPOINT.search(path)
        endpoint = path[found.start() :] if found else path
        try:
            return self.describe(method, endpoint, body or {})
        except InvalidRequest:
            pool = found[1] if found else endpoint_name(path)
            model = body.get("model") if body else None
            name = model if isinstance(model, str) and (endpoint in _FIELDS or pool == "chat") else ""
            sent = -(-10 * size // BYTES_OF_TEN) if name else 0
            charge = Charge(tokens=sent, input_tokens=sent)
            return Call(method, endpoint, name, charge, input_tokens=sent, pool="" if name and pool == "chat" else pool)

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read."""
        fields = lowered(headers)
        request_id = cleaned(fields.get("x-debug-trace-id", ""), NAME)
        if status in _SUCCESS:
            return Reading(Outcome.SUCCESS, usage=self.usage(url, body or b""), request_id=request_id)
        value = json_of(body)
        message = value if isinstance(value, str) else text_at(value, "message")
        refused = _refused(message, fields)
        cause = _cause_of(status, message)
        delay, ignored = asked_delay(fields, message)
        return Reading(
            outcome_of(cause),
            cause,
            message=cleaned(message, MESSAGE),
            refused=refused if cause is Cause.RATE else None,
            delay=delay,
            ignored=ignored,
            request_id=request_id or cleaned(text_at(value, "id"), NAME),
        )

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream. See ``Provider``. The last one tells the usage; none is known to be an error."""
        usage = self.usage(url, data)
        return None if usage is None else Reading(Outcome.SUCCESS, usage=usage)

    def usage(self, url: str, body: bytes) -> Usage | None:  # noqa: ARG002  # every endpoint says it alike
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(body)

    def counted(self, usage: Usage, model: str = "") -> Charge:  # noqa: ARG002  # every model alike
        """Return what limits on tokens would take for a usage: as tokens the input alone."""
        return Charge(0, usage.input_tokens, usage.input_tokens, usage.output_tokens)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:  # noqa: ARG002  # it has none
        """Return the headers that carry the key.

        Raises:
            ConfigurationError: If the key cannot stand in a header. It is not part of the words.
        """
        return {"Authorization": f"Bearer {sendable(key, self.key_variable)}"}


def _pool(path: str, body: Mapping[str, Any]) -> str:
    """Return whose limits a request draws on where those are not its model's."""
    endpoint = path.rpartition("/")[2]
    if endpoint == "chat":
        return ""
    return "embed-images" if endpoint == "embed" and body.get("images") else endpoint


def _calls(path: str, body: Mapping[str, Any]) -> int:
    """Return what a request counts: of embed its inputs ("2,000 inputs / min"), else one."""
    inputs = [body.get(name) for name in _FIELDS[path]] if path.endswith("/embed") else []
    return max(1, sum(len(each) for each in inputs if isinstance(each, list)))


def _cause_of(status: int, message: str) -> Cause:
    for pattern in (_CALLS, _TOKENS):
        named = pattern.search(message)
        if named and not named[1].replace(",", "").strip("0"):
            return Cause.LIMIT_ZERO
    cause = cause_of_status(status, message)
    # A month's calls come back next month: no queue waits for that.
    return Cause.BILLING if cause is Cause.RATE and _MONTH.search(message) else cause


def _refused(message: str, fields: Mapping[str, str]) -> Observation | None:
    if named := _CALLS.search(message):
        return exhausted(Dimension.REQUESTS, named[1], WINDOWS[named[2].lower()])
    if named := _TOKENS.search(message):
        return exhausted(Dimension.TOKENS, named[1], WINDOWS[named[2].lower()])
    if _PER_MINUTE.search(message):
        return exhausted(Dimension.REQUESTS, fields.get(_TRIAL_LIMIT, ""), MINUTE)
    return None
