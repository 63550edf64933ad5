"""Google: the Gemini API, and what Vertex AI's answers mean.

A model is part of the path, ``/v1beta/models/MODEL:generateContent``. No answer says what is left of a limit; refusals
name the quotas that were violated (see ``gemini_errors``).

Sources: the guides on rate limits, tokens and troubleshooting of 2026, and recorded bodies of 2024 to 2026.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Call, Cause, Outcome, Reading, Settlement, Usage
from scheduler.providers.checks import sendable
from scheduler.providers.delays import asked_delay
from scheduler.providers.gemini_errors import cause_of, delay_of, error_of
from scheduler.providers.gemini_usage import usage_of
from scheduler.providers.headers import lowered
from scheduler.providers.native import Native
from scheduler.providers.native_errors import json_of, within
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

BYTES_OF_TEN = 40
"""Bytes of text in ten tokens: "a token is equivalent to about 4 characters" (guide on tokens)."""
TILE = 258
"""Tokens of a small image, of each tile of 768 by 768 of a larger one, and of a page (guide on tokens)."""

_SMALL, _SIDE = 384, 768


def _image(width: int, height: int) -> int:
    if width <= _SMALL and height <= _SMALL:
        return TILE
    return TILE * -(-width // _SIDE) * -(-height // _SIDE)


MEDIA = Media(image=4 * TILE, other=10 * TILE, sized=_image)
"""What images and documents come to: of unknown size as one of four tiles, or as ten pages."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "generateContent": ("contents", "systemInstruction", "system_instruction"),
    "streamGenerateContent": ("contents", "systemInstruction", "system_instruction"),
    "embedContent": ("content",),
    "batchEmbedContents": ("requests",),
    "countTokens": ("contents", "generateContentRequest"),
}
"""Methods of a model, and the fields that hold what is sent; the first must be there."""
_EITHER = frozenset({"countTokens"})
"""Methods that need only one of their fields."""
_KNOWN = "known are /v1beta/models/MODEL:METHOD, with " + ", ".join(_FIELDS)
_PATH = re.compile(r"/v1(?:beta|alpha)?/models/([A-Za-z0-9._-]{1,200}):([A-Za-z]+)")
_ENDPOINT = re.compile(r"/(?:models|tunedModels)/([^/:]+):([A-Za-z]+)\Z")
_SUCCESS = range(200, 300)
_FAILED_STREAM = 500  # as which an error within a stream counts that says nothing better of itself


def _endpoint(verb: str) -> str:
    return f"/v1beta/models/MODEL:{verb}"


class Gemini(Native):
    """The Gemini API.

    Limits are on requests of a minute and of a day, and on the *input* tokens of a minute, which Google calls TPM: so
    they are charged as ``tokens`` and as ``input_tokens`` alike, and output is charged nowhere. Whether cached input
    counts is not said; it is taken to. A charge is corrected by the tokens that the answer counts.

    Whether refused requests are charged is not said either, and they are taken not to be. Requests of a day come back
    at midnight in California; those of a minute, as a forum of Google's has it, with each full minute.
    """

    name: str = "gemini"
    endpoints: Collection[str] = frozenset(map(_endpoint, _FIELDS))
    key_variable: str = "GEMINI_API_KEY"
    settlement: Settlement = Settlement.CORRECTED
    origin = "https://generativelanguage.googleapis.com"
    versions = ("/v1beta", "/v1")

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        path = posted_path(method, url, _KNOWN)
        found = _PATH.fullmatch(path)
        if found is None or found[2] not in _FIELDS:
            raise unknown_path(_KNOWN)
        body = object_of(body)
        fields = _FIELDS[found[2]]
        if found[2] not in _EITHER or not any(body.get(name) is not None for name in fields):
            require(body, fields[0])
        return _described(path, found[1], found[2], body)

    def recognise(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],  # noqa: ARG002  # the key alone decides the project
        body: Mapping[str, Any] | None,
        size: int = 0,
    ) -> Call:
        """Describe a request that somebody else has made: what cannot be described is charged one request."""
        found = _ENDPOINT.search(path)
        if found is None:
            return _imitating_openai(method, path, body or {}, size)
        model, verb = unquote(found[1]), found[2]
        if isinstance(body, Mapping):
            try:
                return _described(path, model, verb, body)
            except InvalidRequest:
                pass
        sent = 0 if verb in _EITHER else -(-10 * size // BYTES_OF_TEN)
        return Call(
            method, path, model, _charge(sent), input_tokens=sent, pool=_pool(model, verb), endpoint=_endpoint(verb)
        )

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read."""
        fields = lowered(headers)
        if status in _SUCCESS:
            return Reading(Outcome.SUCCESS, usage=self.usage(url, body or b""))
        error = error_of(body)
        cause = cause_of(status, error)
        asked, ignored = asked_delay(fields, error.message)
        return Reading(
            outcome_of(cause),
            cause,
            message=error.shown,
            code=error.name,
            refused=error.refused if cause is Cause.RATE else None,
            delay=delay_of(error, asked, fields.get("date")),
            ignored=ignored,
        )

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream. See ``Provider``."""
        usage = self.usage(url, data)
        if usage is not None:
            return Reading(Outcome.SUCCESS, usage=usage)
        if b'"error"' not in data or not isinstance(within(json_of(data), "error"), dict):
            return None
        return self.read(_FAILED_STREAM, {}, data, url=url)

    def usage(self, url: str, body: bytes) -> Usage | None:  # noqa: ARG002  # every endpoint says it alike
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(body)

    def counted(self, usage: Usage, model: str = "") -> Charge:  # noqa: ARG002  # every model alike
        """Return what the limiter takes for a usage: as tokens the input alone."""
        return _charge(usage.input_tokens, requests=0)._replace(output_tokens=usage.output_tokens)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:  # noqa: ARG002  # see below
        """Return the headers that carry the key. A project is named by none of them: its key is its own.

        Raises:
            ConfigurationError: If the key cannot stand in a header. It is not part of the words.
        """
        return {"x-goog-api-key": sendable(key, self.key_variable)}


def _described(path: str, model: str, verb: str, body: Mapping[str, Any]) -> Call:
    """Describe a request of a model's method.

    Raises:
        InvalidRequest: If a field that decides the charge is unusable.
    """
    model_named(model, "url", _KNOWN)
    if verb in _EITHER:  # free, and with a limit of requests of its own
        return Call("POST", path, model, Charge(), pool=_pool(model, verb), endpoint=_endpoint(verb))
    texts = [body.get(name) for name in _FIELDS.get(verb, ("contents", "instances"))]
    size = size_of(MEDIA, *texts, verbatim=body.get("tools"))
    sent = max(1, size.tokens(BYTES_OF_TEN))
    batch = body.get("requests")
    requests = len(batch) if verb == "batchEmbedContents" and isinstance(batch, list) else 1
    images = _pictures(body) if "image" in model else 0
    return Call(
        "POST",
        path,
        model,
        _charge(sent, requests=max(1, requests), images=images),
        input_tokens=sent,
        stream=verb == "streamGenerateContent",
        pool=_pool(model, verb),
        endpoint=_endpoint(verb),
    )


def _imitating_openai(method: str, path: str, body: Mapping[str, Any], size: int) -> Call:
    """Describe a request to a path without a model: of the endpoints that imitate OpenAI's, the body names it."""
    model = body.get("model")
    if "/openai/" not in path or not isinstance(model, str) or not model:
        return Call(method, path, "", Charge(), pool=endpoint_name(path))
    model = model.removeprefix("models/")
    measured = size_of(MEDIA, body.get("messages"), body.get("input"), verbatim=body.get("tools"))
    sent = measured.tokens(BYTES_OF_TEN) or -(-10 * size // BYTES_OF_TEN)
    return Call(method, path, model, _charge(sent), input_tokens=sent, stream=body.get("stream") is True)


def _charge(sent: int, *, requests: int = 1, images: int = 0) -> Charge:
    return Charge(requests, sent, sent, 0, images)


def _pool(model: str, verb: str) -> str:
    return f"{model}@{verb}" if verb in _EITHER else ""


def _pictures(body: Mapping[str, Any]) -> int:
    """Return the images that a request asks for; a model that makes images makes one."""
    for path in (("generationConfig", "candidateCount"), ("parameters", "sampleCount")):
        number = within(body, *path)
        if type(number) is int and number > 0:
            return min(number, 100)
    return 1
