"""Anthropic: what its endpoints take, and what its answers mean.

Sources: the guides on rate limits, errors, vision, tool use and fast mode of 2026, and recorded headers and bodies of
2024 to 2026; each rule names its own.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.anthropic_errors import cause_of, error_of, is_error, refused
from scheduler.providers.anthropic_headers import observations
from scheduler.providers.anthropic_usage import usage_of
from scheduler.providers.base import Call, Cause, Outcome, Reading, Settlement, Usage
from scheduler.providers.checks import sendable
from scheduler.providers.delays import asked_delay
from scheduler.providers.headers import lowered
from scheduler.providers.native import Native
from scheduler.providers.native_request import (
    cap_of,
    endpoint_name,
    model_named,
    object_of,
    posted_path,
    require,
    unknown_path,
)
from scheduler.providers.native_size import Media, size_of
from scheduler.providers.openai_errors import outcome_of
from scheduler.providers.texts import NAME, cleaned

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
BATCHES = "/v1/messages/batches"

OUTPUT = 512
"""Output tokens that are reserved where ``max_tokens`` allows more. The limiter counts what is produced, as it is
produced, and ``max_tokens`` "does not factor in" (rate limit guide, 2026), so this is our own caution: nine answers in
ten of an hour of production had less than 424 tokens, the longest 1,000 (19,366 recorded answers). In simulation twice
as much costs a few per cent where answers are short, and half as much is refused a little more where they are long."""
BYTES_OF_TEN = 35
"""Bytes of text in ten tokens: "a token approximately represents 3.5 English characters" (glossary)."""
TOOLS = 346
"""Tokens of the system prompt that makes tools usable (tool use guide, for Claude 4)."""
IMAGE = 1_600
"""Tokens of an image of unknown size: the most that one takes at 1.15 megapixels (vision guide)."""
DOCUMENT = 3_000
"""Tokens of a document of unknown length: those of a page (1,500 to 3,000; guide on PDF)."""

_MODEL = 'name one, as in "model": "claude-sonnet-5-5"'
_KNOWN = f"known are {MESSAGES}, {COUNT_TOKENS}"
_ENDPOINT = re.compile(r"/v1/(messages/count_tokens|messages/batches|messages|models|files|complete)(?=/|\Z)")
_TALKING = frozenset({"messages", "complete", "chat"})
"""Endpoints that draw on the limits of the model that they name; chat is what imitates OpenAI's."""
_CACHE_COUNTS = re.compile(r"claude-3-5-haiku|claude-haiku-3-5")
_PASSING = frozenset({Cause.RATE, Cause.RAMP})
"""Causes that pass, whatever ``x-should-retry`` says of trying again at once."""
_SUCCESS = range(200, 300)
_FAILED_STREAM = 500  # as which an error within a stream counts that says nothing better of itself


def _image(width: int, height: int) -> int:
    return min(IMAGE, -(-width * height // 750))


MEDIA = Media(IMAGE, DOCUMENT, _image)
"""What images and documents come to."""


class Anthropic(Native):
    """The Anthropic API.

    Input tokens are estimated at the start and corrected while the request runs; output tokens are counted as they are
    produced (rate limit guide). So a charge is corrected by the usage: input without what was read from the cache,
    which does not count but for Claude Haiku 3.5, and output.

    Nothing is documented of refused requests, and in the recorded refusal ``remaining`` stands at 0 and not below: they
    are taken not to be charged.
    """

    name: str = "anthropic"
    endpoints: Collection[str] = frozenset({MESSAGES, COUNT_TOKENS, BATCHES, "/v1/models", "/v1/files"})
    key_variable: str = "ANTHROPIC_API_KEY"
    settlement: Settlement = Settlement.CORRECTED
    origin = "https://api.anthropic.com"
    versions = ("/v1",)
    # There are "acceleration limits" on sharp growth; no number of theirs is published.

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        path = posted_path(method, url, _KNOWN)
        if path not in (MESSAGES, COUNT_TOKENS):
            raise unknown_path(_KNOWN)
        body = object_of(body)
        model = model_named(body.get("model"), "body.model", _MODEL)
        require(body, "messages")
        if path == COUNT_TOKENS:  # free, and with a limit of requests of its own
            return Call("POST", path, model, Charge(), pool="messages/count_tokens")
        require(body, "max_tokens")
        cap = cap_of(body, "max_tokens")
        return _message(path, model, body, OUTPUT if cap is None else min(cap, OUTPUT))

    def recognise(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],  # noqa: ARG002  # the key alone decides the workspace
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
            model = body.get("model") if body and pool in _TALKING else None
            if not isinstance(model, str) or not model:
                return Call(method, endpoint, "", Charge(), pool=pool)
            sent = -(-10 * size // BYTES_OF_TEN)
            return Call(method, endpoint, model, _charge(sent, OUTPUT), input_tokens=sent)

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read.

        ``retry-after`` is also recorded on successes, where it asks for nothing.
        """
        fields = lowered(headers)
        seen, ignored = observations(fields)
        request_id = cleaned(fields.get("request-id", ""), NAME)
        if status in _SUCCESS:
            usage = self.usage(url, body or b"")
            return Reading(Outcome.SUCCESS, observations=seen, usage=usage, ignored=ignored, request_id=request_id)
        error = error_of(body)
        cause = cause_of(status, error)
        delay, unusable = asked_delay(fields, error.message)
        return Reading(
            outcome_of(cause),
            cause,
            message=error.shown,
            code=error.name,
            observations=seen,
            refused=refused(error.message, seen) if cause is Cause.RATE else None,
            delay=delay,
            ignored=ignored + unusable,
            request_id=request_id or cleaned(error.request_id, NAME),
            final=fields.get("x-should-retry") == "false" and cause not in _PASSING,
        )

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream. See ``Provider``."""
        usage = usage_of(data)
        if usage is not None:
            return Reading(Outcome.SUCCESS, usage=usage)
        if b'"error"' not in data:
            return None
        return self.read(_FAILED_STREAM, {}, data, url=url) if is_error(data) else None

    def usage(self, url: str, body: bytes) -> Usage | None:  # noqa: ARG002  # every endpoint says it alike
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(body)

    def counted(self, usage: Usage, model: str = "") -> Charge:
        """Return what the limiter takes for a usage: input without what was read from the cache, and output.

        Args:
            usage: What was billed.
            model: The model, or "" where it is not known: Claude Haiku 3.5 counts reads of the cache too.
        """
        free = 0 if _CACHE_COUNTS.search(model) else usage.cached_tokens
        return _charge(max(0, usage.input_tokens - free), usage.output_tokens, requests=0)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:  # noqa: ARG002  # see below
        """Return the headers that carry the key. A workspace is named by none of them: its key is its own.

        Raises:
            ConfigurationError: If the key cannot stand in a header. It is not part of the words.
        """
        return {"x-api-key": sendable(key, self.key_variable), "anthropic-version": "2023-06-01"}


def _message(path: str, model: str, body: Mapping[str, Any], output: int) -> Call:
    tools = body.get("tools")
    size = size_of(MEDIA, body.get("system"), body.get("messages"), verbatim=tools)
    sent = max(1, size.tokens(BYTES_OF_TEN) + (TOOLS if tools else 0))
    return Call(
        "POST",
        path,
        model,
        _charge(sent, output),
        input_tokens=sent,
        stream=body.get("stream") is True,
        pool=f"{model}@fast" if body.get("speed") == "fast" else "",
    )


def _charge(sent: int, output: int, *, requests: int = 1) -> Charge:
    """Return a charge in each dimension that Anthropic has limited: in 2024 input and output were one."""
    return Charge(requests, sent + output, sent, output)
