"""One line of a job, as it stands in the file: what it must hold, and what is wrong with it."""

import re
from dataclasses import dataclass

import msgspec

from scheduler.errors import ConfigurationError, InvalidRequest

_MISSING = re.compile("Object missing required field `(.*)`")  # msgspec's words
LONGEST_NAME = 512
"""Most characters of a custom_id, tenant or project."""


class InputLine(msgspec.Struct):
    """One line, its body not decoded."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw
    priority: int | str | None = None
    tenant: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be sent.

    Attributes:
        line: Its number, from 1.
        custom_id: Its name, where it could be read.
        problem: What is wrong, in one sentence.
        field: The field, or "".
        mend: What to write instead, or "".
    """

    line: int
    custom_id: str | None
    problem: str
    field: str
    mend: str

    @classmethod
    def of(cls, line: int, custom_id: str | None, error: InvalidRequest | ConfigurationError) -> "BadLine":
        """Say what *error* says, of a line."""
        field = error.field if isinstance(error, InvalidRequest) else error.key
        return cls(line, custom_id, error.problem, field, error.mend)

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.field}" if self.field else "")
        return f"{place}: {self.problem}" + (f" ({self.mend})" if self.mend else "")


def parse(text: bytes) -> InputLine:
    """Read a line; what stands in its body is not looked at.

    Raises:
        InvalidRequest: If it is no line of the batch format.
    """
    try:
        return msgspec.json.decode(text, type=InputLine)
    except msgspec.ValidationError as error:
        words, _, field = str(error).partition(" - at `$.")
        if missing := _MISSING.fullmatch(words):
            raise InvalidRequest("is missing", missing[1], "every line has custom_id, method, url and body") from None
        raise InvalidRequest(words, field.rstrip("`"), "write a line of the batch format") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"is not JSON in UTF-8: {error}", "", "write one object a line") from None
    except RecursionError:
        raise InvalidRequest("is nested too deeply", "", "flatten it") from None


def body_of(line: InputLine) -> dict[str, object]:
    """Return a line's body, decoded.

    Raises:
        InvalidRequest: If it is no object, or asks for a stream.
    """
    try:
        body = msgspec.json.decode(line.body, type=dict[str, object])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"cannot be sent: {error}", "body", "write the request's body, an object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"is not JSON in UTF-8: {error}", "body", "write the request's body") from None
    except RecursionError:
        raise InvalidRequest("is nested too deeply", "body", "flatten it") from None
    if body.get("stream") is True:
        raise InvalidRequest("a stream cannot be written as one result", "body.stream", "leave it out")
    return body


def check_names(line: InputLine) -> None:
    """Insist that a line's names are short, and that its project can stand in a header.

    Raises:
        InvalidRequest: With the field's name.
    """
    for field, value in (("tenant", line.tenant), ("project", line.project)):
        if value is not None and not (value and value.isprintable() and len(value) <= LONGEST_NAME):
            raise InvalidRequest("is empty, too long or holds control characters", field, "write a short name")
    if line.project is not None and not (line.project.isascii() and " " not in line.project):
        raise InvalidRequest("holds letters that no header can carry", "project", "write it as the provider does")
