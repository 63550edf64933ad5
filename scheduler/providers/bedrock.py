"""Amazon Bedrock's runtime: Converse and InvokeModel, and what their answers mean.

A model is part of the path, ``/model/ID/converse``; its id may be an inference profile's, which has quotas of its own.
Quotas are on the requests and the tokens of a minute and on the tokens of a day, by model and region. No answer says
what they are or what is left: a refusal is ``ThrottlingException`` with "Too many tokens, please wait before trying
again." and no number, no delay.

Requests are sent with a Bedrock API key as a bearer token; signatures (SigV4) are the business of who has them.

Sources: the API reference and the guides on quotas, token burndown and error codes of 2026, and recorded refusals.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Call, Outcome, Reading, Settlement, Usage
from scheduler.providers.bedrock_answers import burndown, cause_of, error_of, usage_of, usage_of_headers
from scheduler.providers.checks import sendable
from scheduler.providers.delays import asked_delay
from scheduler.providers.headers import lowered
from scheduler.providers.native import Native
from scheduler.providers.native_request import cap_of, model_named, object_of, posted_path, unknown_path
from scheduler.providers.native_size import Media, size_of
from scheduler.providers.openai_errors import outcome_of
from scheduler.providers.texts import MESSAGE, NAME, cleaned

BYTES_OF_TEN = 35
"""Bytes of text in ten tokens: those of Claude, the smallest number that a provider states."""
OUTPUT = 4_096
"""Output tokens that are reserved where a request sets no cap. Bedrock reserves the most that the model can say."""
MEDIA = Media(image=1_600, other=3_000)
"""What images and documents come to, as at Anthropic."""

_VERBS = ("converse", "converse-stream", "invoke", "invoke-with-response-stream")
_KNOWN = "known are /model/ID/VERB, with " + ", ".join(_VERBS)
_PATH = re.compile(r"/model/((?:[A-Za-z0-9._:-]|%3A|%2F){1,200})/([a-z-]+)")
_ENDPOINT = re.compile(r"/model/(.+)/([a-z-]+)\Z")
_CAPS = (
    ("inferenceConfig", "maxTokens"),
    ("max_tokens",),
    ("max_gen_len",),
    ("textGenerationConfig", "maxTokenCount"),
)
"""Where Converse and the bodies of Anthropic, Meta and Amazon put the cap on output."""
_SIDE = frozenset({"modelId", "inferenceConfig", "additionalModelRequestFields", "toolConfig", "anthropic_version"})
"""Fields that hold nothing that is sent to the model, or are measured by themselves."""
_SUCCESS = range(200, 300)


def _endpoint(verb: str) -> str:
    return f"/model/ID/{verb}"


class Bedrock(Native):
    """Amazon Bedrock.

    At the start a request takes its input and ``max_tokens``. At its end that is corrected to the input without what
    was read from the cache, and the output times a rate of the model's: 5 to 15 for Claude since 3.7, else 1.

    Nothing is documented of refused requests: they are taken not to be charged.
    """

    name: str = "bedrock"
    endpoints: Collection[str] = frozenset(map(_endpoint, _VERBS))
    key_variable: str = "AWS_BEARER_TOKEN_BEDROCK"
    settlement: Settlement = Settlement.CORRECTED
    origin = "https://bedrock-runtime.us-east-1.amazonaws.com"

    def describe(self, method: str, url: str, body: Mapping[str, Any]) -> Call:
        """Describe a request before it is sent; linear in the body's pieces, whatever their size and depth.

        Raises:
            InvalidRequest: If the endpoint is unknown or a field that decides the charge is unusable; it carries
                the field and the mend.
        """
        path = posted_path(method, url, _KNOWN)
        found = _PATH.fullmatch(path)
        if found is None or found[2] not in _VERBS:
            raise unknown_path(_KNOWN)
        body = object_of(body)
        field = "messages" if found[2].startswith("converse") else ""
        if not (body.get(field) if field else body):  # what an invocation's body holds is each model's own
            raise InvalidRequest("nothing is said", f"body.{field}".rstrip("."), "write what the model is to read")
        return _described(path, unquote(found[1]), found[2], body)

    def recognise(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],  # noqa: ARG002  # the signature is not looked at
        body: Mapping[str, Any] | None,
        size: int = 0,
    ) -> Call:
        """Describe a request that somebody else has made: what cannot be described is charged one request."""
        found = _ENDPOINT.search(path)
        if found is None:
            return Call(method, path, "", Charge(), pool=path.strip("/").split("/")[0])
        model, verb = unquote(found[1]), found[2]
        if verb not in _VERBS:
            return Call(method, path, model, Charge(), pool=f"{model}@{verb}")
        if isinstance(body, Mapping):
            try:
                return _described(path, model, verb, body)
            except InvalidRequest:
                pass
        sent = -(-10 * size // BYTES_OF_TEN)
        return Call(
            method,
            path,
            model,
            _charge(sent, OUTPUT),
            input_tokens=sent,
            stream=verb.endswith("stream"),
            endpoint=_endpoint(verb),
        )

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. *headers* may have names in any case; *body* is None where it was not read."""
        fields = lowered(headers)
        request_id = cleaned(fields.get("x-amzn-requestid", ""), NAME)
        if status in _SUCCESS:
            usage = self.usage(url, body or b"") or usage_of_headers(fields)
            return Reading(Outcome.SUCCESS, usage=usage, request_id=request_id)
        code, message = error_of(fields, body)
        cause = cause_of(status, code, message)
        delay, ignored = asked_delay(fields, message)
        return Reading(
            outcome_of(cause),
            cause,
            message=cleaned(message, MESSAGE),
            code=cleaned(code, NAME),
            delay=delay,
            ignored=ignored,
            request_id=request_id,
        )

    def read_event(self, data: bytes, *, url: str = "") -> Reading | None:
        """Read one event of a stream that somebody has decoded: Bedrock's own are binary. See ``Provider``."""
        usage = self.usage(url, data)
        return None if usage is None else Reading(Outcome.SUCCESS, usage=usage)

    def usage(self, url: str, body: bytes) -> Usage | None:  # noqa: ARG002  # the bodies tell themselves apart
        """Return what the body of a successful answer says was billed, or None."""
        return usage_of(body)

    def counted(self, usage: Usage, model: str = "") -> Charge:
        """Return what the limiter takes for a usage of *model*, or of one that is not known: output as it is."""
        return _charge(usage.input_tokens - usage.cached_tokens, usage.output_tokens * burndown(model), requests=0)

    def authorize(self, key: str, *, project: str | None = None) -> dict[str, str]:  # noqa: ARG002  # it has none
        """Return the headers that carry the key.

        Raises:
            ConfigurationError: If the key cannot stand in a header. It is not part of the words.
        """
        return {"Authorization": f"Bearer {sendable(key, self.key_variable)}"}


def _described(path: str, model: str, verb: str, body: Mapping[str, Any]) -> Call:
    """Describe an invocation.

    Raises:
        InvalidRequest: If a field that decides the charge is unusable.
    """
    model_named(model, "url", _KNOWN)
    caps = [cap for cap in (cap_of(body, *where) for where in _CAPS) if cap is not None]
    said = [value for name, value in body.items() if name not in _SIDE]
    size = size_of(MEDIA, *said, verbatim=body.get("toolConfig"))
    sent = max(1, size.tokens(BYTES_OF_TEN))
    output = max(caps, default=OUTPUT)
    return Call(
        "POST",
        path,
        model,
        _charge(sent, output),
        input_tokens=sent,
        stream=verb.endswith("stream"),
        endpoint=_endpoint(verb),
    )


def _charge(sent: int, output: int, *, requests: int = 1) -> Charge:
    return Charge(requests, sent + output, sent, output)
