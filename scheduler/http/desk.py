"""Where requests of SDKs come in: what each is, what its caller said of it, and whether it may go out as it is.

The desk knows nothing of waiting or sending. It makes of a request a passage, or turns it away with an error.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scheduler.errors import ConfigurationError, InvalidRequest, SchedulerError
from scheduler.http.bodies import LOOKED_INTO, form_fields, json_object
from scheduler.http.hints import PREFIX, Hints, current, hints_in
from scheduler.http.origins import is_loopback
from scheduler.http.passage import Passage, Seam
from scheduler.http.wires import fields_of, with_headers

_KEYS = frozenset(
    [
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "ocp-apim-subscription-key",
        "cf-aig-authorization",
    ]
)
"""Headers that carry a secret."""
_SEEN_BY_HTTP = frozenset({"authorization", "cookie"})  # those that httpx takes off where a redirect leaves the origin
_PARAMETERS = ("key", "api_key", "api-key", "access_token")
"""Parameters of an address that carry one."""
_RETRY_COUNT = "x-stainless-retry-count"
_REDIRECTS = range(301, 309)


class Desk:
    """Receives requests for one transport."""

    def __init__(self, seam: Callable[[], Seam], defaults: Hints, *, allow_plain_http: bool) -> None:
        """Receive requests.

        Args:
            seam: Returns that through which they go now; in a forked child, another than before.
            defaults: Hold where neither headers nor context say anything.
            allow_plain_http: Whether a key may go over plain http to another machine.
        """
        self._seam = seam
        self._defaults = defaults
        self._allow_plain_http = allow_plain_http
        self._keys = _KEYS | {name.lower() for name in seam().provider.authorize("key")}

    def receive(self, module: Any, request: Any) -> tuple[Passage, Any]:
        """Return a request's passage, and the request as it is to be sent.

        Args:
            module: The HTTP library that the request is of.
            request: The request, untouched by this.

        Raises:
            SchedulerError: If it is turned away: it carries a hint that is none, or its key would go in the clear.
        """
        seam, fields = self._seam(), fields_of(request.headers.raw)
        self._check_origin(request)
        hints = current().over(self._defaults)
        if any(name.startswith(PREFIX) for name in fields):
            own = [(name, value) for name, value in request.headers.items() if name.startswith(PREFIX)]
            hints = hints_in(own, seam.admission.clock.now()).over(hints)
            request = _without(module, request)
        body, size = _looked_into(module, request, fields)
        call = seam.provider.recognise(request.method, request.url.path, fields, body, size)
        again = fields.get(_RETRY_COUNT, "0") != "0"
        return Passage(seam, call, hints, resumed=again, once=not _replayable(module, request.stream)), request

    def check_redirect(self, module: Any, request: Any, response: Any) -> SchedulerError | None:
        """Return why an answer is not handed over: it would have the client take a key to another origin."""
        if response.status_code not in _REDIRECTS or "location" not in response.headers:
            return None
        if not any(name in request.headers for name in self._keys - _SEEN_BY_HTTP):
            return None
        try:
            target = request.url.join(response.headers["location"])
        except module.InvalidURL:
            return InvalidRequest("the provider redirects to what is no url", "base_url", "correct it")
        if (target.scheme, target.host, target.port) == (request.url.scheme, request.url.host, request.url.port):
            return None
        problem = "the provider redirects to another origin, and a key goes to none but its own"
        return InvalidRequest(problem, "base_url", "write the origin that answers itself")

    def _check_origin(self, request: Any) -> None:
        url = request.url
        if url.scheme != "http" or self._allow_plain_http or is_loopback(url.host):
            return
        if any(name in request.headers for name in self._keys) or url.userinfo or any(map(url.params.get, _PARAMETERS)):
            raise ConfigurationError(
                "the key would travel over plain http", "base_url", "use https, or allow plain http explicitly"
            )


def _without(module: Any, request: Any) -> Any:
    """Return a request without the headers that are meant for the scheduler."""
    kept = [(name, value) for name, value in request.headers.raw if not name.lower().startswith(PREFIX.encode())]
    return with_headers(module, request, kept)


def _looked_into(module: Any, request: Any, fields: Mapping[str, str]) -> tuple[Mapping[str, Any] | None, int]:
    """Return what of a request's body is understood, and its size where that is known."""
    kind = fields.get("content-type", "")
    length = fields.get("content-length", "")
    size = int(length) if length.isdecimal() and len(length) < len(str(LOOKED_INTO**2)) else 0
    if "content-encoding" in fields:
        return None, size
    if isinstance(request.stream, module.ByteStream):
        content = b"".join(request.stream)
        if "json" in kind.lower() or not kind:
            return json_object(content), len(content)
        return form_fields(kind, [content]), len(content)
    if "form" in kind.lower() and _replayable(module, request.stream):
        return form_fields(kind, request.stream), size
    return None, size


def _replayable(module: Any, stream: Any) -> bool:
    """Whether a body can be sent again: it is at hand, or a form of what can be read again."""
    if isinstance(stream, module.ByteStream):
        return True
    fields: Iterable[Any] | None = getattr(stream, "fields", None)
    if fields is None:
        return False
    files = [field.file for field in fields if hasattr(field, "file")]
    return all(isinstance(file, (bytes, str)) or _seekable(file) for file in files)


def _seekable(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if callable(seekable) else hasattr(file, "seek")
