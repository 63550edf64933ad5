"""What stands in a request to OpenAI, endpoint by endpoint, and the facts of its charge."""

from collections.abc import Mapping
from typing import Any

from scheduler.providers.openai_charge import ChargeFacts, Endpoint
from scheduler.providers.openai_request import CAPS, require
from scheduler.tokens.content import Content, content_of
from scheduler.tokens.declared import declared_bytes, tools

FIELDS: Mapping[Endpoint, tuple[str, ...]] = {
    Endpoint.CHAT: ("messages",),
    Endpoint.RESPONSES: ("input", "instructions"),
    Endpoint.COMPACT: ("input", "instructions"),
    Endpoint.COMPLETIONS: ("prompt",),
    Endpoint.EMBEDDINGS: ("input",),
    Endpoint.MODERATIONS: ("input",),
    Endpoint.IMAGES: ("prompt",),
    Endpoint.EDITS: ("prompt",),
    Endpoint.VARIATIONS: (),
    Endpoint.SPEECH: ("input", "instructions"),
    Endpoint.TRANSCRIPTIONS: ("prompt",),
    Endpoint.TRANSLATIONS: ("prompt",),
    Endpoint.VIDEOS: ("prompt",),
}
"""Fields that hold what is sent."""

CONVERSATIONS = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPACT})
"""Endpoints of messages and tools."""
PAINTING = frozenset({Endpoint.IMAGES, Endpoint.EDITS, Endpoint.VARIATIONS})
"""Endpoints that make images: ``n`` of them, and these are what images per minute count."""

_OPTIONAL = frozenset({Endpoint.RESPONSES, Endpoint.COMPACT, Endpoint.COMPLETIONS})
"""Endpoints that have something to go on without content: a stored prompt, an earlier answer."""
_FORMS = frozenset(
    {Endpoint.EDITS, Endpoint.VARIATIONS, Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS, Endpoint.VIDEOS}
)
_ORGANIZATION = 100  # characters of its name


def require_content(endpoint: Endpoint, body: Mapping[str, Any]) -> None:
    """Insist that there is something to be sent.

    Raises:
        InvalidRequest: With the field's name.
    """
    if endpoint not in _OPTIONAL:
        require(body, FIELDS[endpoint][0])


def content_in(endpoint: Endpoint, body: Mapping[str, Any]) -> Content:
    """Take a body or form apart. Never raises."""
    content = content_of(*(body.get(name) for name in FIELDS[endpoint]))
    if endpoint is Endpoint.EDITS:
        fidelity = "high" if body.get("input_fidelity") == "high" else ""
        for given in (body.get("images"), body.get("image")):
            for picture in given if isinstance(given, list) else () if given is None else (given,):
                content.add_picture(picture, fidelity)
    return content


def facts_of(endpoint: Endpoint, content: Content, counts: Mapping[str, int], body: Mapping[str, Any]) -> ChargeFacts:
    """Return what the charge of a request is computed from."""
    talking = endpoint in CONVERSATIONS
    return ChargeFacts(
        endpoint,
        content.characters,
        messages=content.items,
        output_cap=max([counts[name] for name in CAPS if name in counts], default=0),
        n=max(counts.get("n", 1), counts.get("best_of", 1)),
        image_tokens=content.image_tokens,
        calls=sum(map(len, content.calls)),
        declared=declared_bytes(body) if talking else 0,
        tools=talking and any(True for _ in tools(body)),
    )


def is_form(endpoint: Endpoint, fields: Mapping[str, str]) -> bool:
    """Whether a body that nobody looked into is a form, whose size says nothing of its text."""
    kind = fields.get("content-type", "")
    return kind.startswith("multipart/") or (endpoint in _FORMS and "json" not in kind)


def organization_in(fields: Mapping[str, str]) -> str:
    """Return the organization that headers name, or ""."""
    name = fields.get("openai-organization", "")
    return name if len(name) <= _ORGANIZATION and name.isprintable() else ""
