"""What a request may hold, whatever its provider: paths that lead nowhere else, and values that a header can carry."""

from typing import Any

from scheduler.errors import ConfigurationError

_LATIN_1 = 0xFF  # the last character that a header can carry


def path_problem(url: Any, barred: str = "?#%\\") -> str:
    """Return why *url* is no plain relative path without the characters *barred*, or "" where it is one."""
    if not isinstance(url, str) or not url:
        return "the url is not a path"
    if not url.isprintable():
        return "the url has control characters"
    if "://" in url or url.startswith("//") or not url.startswith("/"):
        return "the url is not a relative path that begins with one slash"
    if set(url) & set(barred) or ".." in url:
        return "the url has a query, an escape or dots"
    return ""


def sendable(value: str, key: str) -> str:
    """Return *value* where it can stand in a header.

    Raises:
        ConfigurationError: If not; the value is no part of the words.
    """
    if not value:
        raise ConfigurationError("it is empty", key, "give it a value, or leave it out")
    if " " in value or not value.isprintable() or max(map(ord, value)) > _LATIN_1:
        raise ConfigurationError(
            "it holds spaces, control characters or letters that no header can carry",
            key,
            "copy it again, without line ends and quotes",
        )
    return value
