"""Where a request goes, by its method and path: which endpoint it is, and what names its limits if no model does.

Compatible servers put all kinds of prefixes before the path (``/openai/v1``, ``/api/v1``, ``/v1beta/openai``), and some
have no version; Azure names the model in it. So an endpoint is known by how a path ends, and a resource by the first
known word.
"""

from functools import lru_cache
from typing import NamedTuple

from scheduler.providers.openai_charge import Endpoint
from scheduler.providers.openai_request import MODEL

_ENDPOINTS = {endpoint.removeprefix("/v1/"): endpoint for endpoint in Endpoint}
_RESOURCE_WORDS = (
    "agents assistants audio batches chat chatkit completions containers content_provenance_checks conversations edits "
    "embeddings evals files fine_tuning images live models moderations organization projects realtime responses safety "
    "skills threads uploads vector_stores videos"
)
_RESOURCES = frozenset(_RESOURCE_WORDS.split())
"""First words of the paths of openai-python 3.54.0."""
_FURTHER_WORDS = (
    "accept artifacts attach automations calls cancel characters checkpoints client_secrets compact complete content "
    "edits environments events extensions file_batches fork generations graders hangup input_items input_tokens "
    "invocations items jobs messages model_limits output_items parts pause permissions refer reject remix resume run "
    "runs search sessions speech steps submit_tool_outputs subagents templates traces transcription_sessions "
    "transcriptions translations turns validate variations versions voice_consents voices"
)
_WORDS = _RESOURCES | frozenset(_FURTHER_WORDS.split())
"""Words of paths that are no names of things; what is not among them is shown as ``{id}``."""
_NAMING = frozenset({"deployments", "engines"})
"""Words that a model's name follows, at Azure and in the old API."""
_INGESTION = frozenset({"files", "file_batches"})
_LONGEST = 1_000  # characters of a path that are looked at
_METHOD = 20  # characters of a method
_DEEPEST = 8  # words of a path that are shown


class Route(NamedTuple):
    """Where a request goes.

    Attributes:
        endpoint: What makes something of a body; None for everything else.
        url: The path as it is shown: from the version on, without the names of things.
        model: Model that the path names, or "".
        pool: What names its limits if no model does.
        managed: Whether it is known to draw on no model's limits.
    """

    endpoint: Endpoint | None
    url: str
    model: str
    pool: str
    managed: bool


def route_of(method: str, path: str) -> Route:
    """Return where a request goes; never raises.

    Args:
        method: HTTP method.
        path: Path of its URL with any prefix, without the query.
    """
    return _route_of(method[:_METHOD].upper(), path[:_LONGEST])


@lru_cache(maxsize=1024)
def _route_of(method: str, path: str) -> Route:
    words = [word for word in path.split("/") if word]
    model = ""
    for place, word in enumerate(words[:-2]):
        if word in _NAMING:
            model, words = _name(words[place + 1]), words[place + 2 :]
            break
    endpoint = _ending(words) if method == "POST" else None
    if endpoint is not None:
        return Route(endpoint, str(endpoint), model, endpoint.split("/")[2], managed=False)
    words = _from_resource(words)
    pool = _name(words[0]) if words else ""
    if pool == "vector_stores" and len(words) > 2 and words[2] in _INGESTION:  # noqa: PLR2004 -- /ID/files
        pool = f"vector_stores/{_name(words[1])}"  # 300 requests a minute for each store, of both (rate limit guide)
    shown = "/v1/" + "/".join(word if word in _WORDS else "{id}" for word in words[:_DEEPEST])
    managed = method != "POST" or pool in _RESOURCES or pool.startswith("vector_stores/")
    return Route(None, shown, model, pool, managed=managed)


def _name(word: str) -> str:
    return word[:MODEL] if word.isprintable() else ""


def _ending(words: list[str]) -> Endpoint | None:
    """Return the endpoint whose path *words* end with."""
    return _ENDPOINTS.get("/".join(words[-2:])) or (_ENDPOINTS.get(words[-1]) if words else None)


def _from_resource(words: list[str]) -> list[str]:
    """Return *words* without what stands before the resource: a known word, or the one after the version."""
    begin = words.index("v1") + 1 if "v1" in words else 0
    known = next((place for place in range(begin, len(words)) if words[place] in _RESOURCES), begin)
    return words[known:]
