"""Checks, before they are sent, of requests to APIs that do not speak OpenAI's language.

Nothing but what decides whose limits a request draws on and what it takes is checked; what else a field means is the
provider's business, and new ones must pass. What was given is never part of an error's words: an absolute URL may hold
credentials.
"""

import re
from collections.abc import Mapping
from typing import Any

from scheduler.errors import InvalidRequest
from scheduler.providers.checks import path_problem

MODEL = 200
"""Most characters of a model's name."""
_VERSION = re.compile(r"/v[0-9](?:beta[0-9]*|alpha)?/")
_MOST = 10**9  # a cap beyond is no number of tokens
_LATIN_1 = 0xFF  # the last character that a header can carry


def posted_path(method: Any, url: Any, known: str) -> str:
    """Return *url* where it is a clean relative path that is called with POST.

    Args:
        method: HTTP method.
        url: Relative path.
        known: What may be written instead, for the mend.

    Raises:
        InvalidRequest: With field ``url`` or ``method``.
    """
    problem = path_problem(url, "?#\\")
    if problem:
        raise InvalidRequest(problem, "url", known)
    if method != "POST":
        raise InvalidRequest("it is not called in this way", "method", "write POST")
    assert isinstance(url, str)
    return url


def unknown_path(known: str) -> InvalidRequest:
    """Return the error of a path that is clean and not known."""
    return InvalidRequest("the url is not a known path", "url", known)


def endpoint_name(path: str) -> str:
    """Return what a path begins with after its version, as the name of an endpoint that is not known."""
    found = _VERSION.search(path)
    return (path[found.end() :] if found else path.lstrip("/")).split("/")[0]


def object_of(body: Any) -> Mapping[str, Any]:
    """Return *body* where it is an object.

    Raises:
        InvalidRequest: With field ``body``.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest("the body is not an object", "body", "write a JSON object")
    return body


def model_named(model: Any, field: str, mend: str) -> str:
    """Return *model* where it is a usable name.

    Raises:
        InvalidRequest: With *field* and *mend*.
    """
    if model is None:
        raise InvalidRequest("no model is named", field, mend)
    if not isinstance(model, str) or not model or not model.isprintable():
        raise InvalidRequest("the model is not a name", field, mend)
    if len(model) > MODEL:
        raise InvalidRequest(f"the model's name has {len(model)} characters", field, f"at most {MODEL}")
    return model


def require(body: Mapping[str, Any], name: str) -> None:
    """Insist that a field is there.

    Raises:
        InvalidRequest: With the field's name.
    """
    if body.get(name) is None:
        raise InvalidRequest(f"{name} is missing", f"body.{name}", "add it")


def cap_of(body: Mapping[str, Any], *path: str) -> int | None:
    """Return the most output tokens that the field at *path* allows, or None where it is not set.

    Raises:
        InvalidRequest: With the field's name, if it is no whole number of a sane size.
    """
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= _MOST:
        field = ".".join(("body", *path))
        raise InvalidRequest(f"{path[-1]} is not a usable number", field, f"write 1 to {_MOST}, or leave it out")
    return value
