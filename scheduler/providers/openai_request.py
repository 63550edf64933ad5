"""Checks of a request to OpenAI before it is sent: where it goes, and the fields that decide its charge.

Nothing else is checked: what a field means is the provider's business, and new ones must pass.
"""

from collections.abc import Mapping
from typing import Any

from scheduler.errors import InvalidRequest
from scheduler.providers.checks import path_problem
from scheduler.providers.openai_charge import Endpoint

MODEL = 200
"""Most characters of a model's name."""
CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Fields that bound the output of one answer."""

_DIGITS = 10
_MOST = dict.fromkeys(CAPS, 10**9) | {"n": 128, "best_of": 128}
DESCRIBED = tuple(
    endpoint
    for endpoint in Endpoint
    if endpoint not in {Endpoint.VARIATIONS, Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS}
)
"""Endpoints whose body may be JSON: those of the batch format (batch guide, 2026), speech and compact. The others take
forms only."""

_KNOWN = "known are " + ", ".join(DESCRIBED)
_PATHS = {str(endpoint): endpoint for endpoint in DESCRIBED}


def endpoint_of(method: Any, url: Any) -> Endpoint:
    """Return the endpoint of a relative path.

    Raises:
        InvalidRequest: With field ``url`` or ``method``. What was given is never part of the words: an absolute URL may
            hold credentials.
    """
    endpoint = _PATHS.get(url) if isinstance(url, str) else None
    if endpoint is None:
        raise InvalidRequest(path_problem(url) or "the url is not a known path", "url", _KNOWN)
    if method != "POST":
        raise InvalidRequest(f"{endpoint} is not called in this way", "method", "write POST")
    return endpoint


def model_of(body: Any) -> str:
    """Return the model that a body names.

    Raises:
        InvalidRequest: With field ``body`` or ``body.model``.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("the body is not an object", "body", "write a JSON object")
    model = body.get("model")
    mend = 'name one, as in "model": "gpt-5-mini"'
    if model is None:
        raise InvalidRequest("no model is named", "body.model", mend)
    if not isinstance(model, str) or not model:
        raise InvalidRequest("the model is not a name", "body.model", mend)
    if len(model) > MODEL:
        raise InvalidRequest(f"the model's name has {len(model)} characters", "body.model", f"at most {MODEL}")
    if not model.isprintable():
        raise InvalidRequest("the model's name has control characters", "body.model", mend)
    return model


def require(body: Mapping[str, Any], name: str) -> None:
    """Insist that a field is there.

    Raises:
        InvalidRequest: With the field's name.
    """
    if body.get(name) is None:
        raise InvalidRequest(f"{name} is missing", f"body.{name}", "add it")


def counts_of(body: Mapping[str, Any]) -> dict[str, int]:
    """Return those of a body's counts (output caps, ``n``, ``best_of``) that are set.

    Raises:
        InvalidRequest: With the name of a count that is no whole number of a sane size.
    """
    counts = {}
    for name, most in _MOST.items():
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not int or not 1 <= value <= most:
            raise InvalidRequest(
                f"{name} is not a usable number", f"body.{name}", f"write 1 to {most}, or leave it out"
            )
        counts[name] = value
    return counts


def lenient_model(body: Mapping[str, Any]) -> str:
    """Return the model that a body or form names, or "" where it is no usable name."""
    model = body.get("model")
    return model if isinstance(model, str) and len(model) <= MODEL and model.isprintable() else ""


def lenient_counts(body: Mapping[str, Any]) -> dict[str, int]:
    """Return those of a body's or form's counts that are set, within what is sane; what is no number is left out."""
    counts = {}
    for name, most in _MOST.items():
        value = body.get(name)
        if value is None:
            continue
        if type(value) is str and value.isdecimal() and len(value) <= _DIGITS:
            value = int(value)
        if type(value) is int or (type(value) is float and value.is_integer()):
            counts[name] = min(most, max(1, int(value)))
    return counts
