"""Reads a job: lines in the providers' batch format, checked before anything is sent.

    {"custom_id": "a-1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

with ``priority`` (a number or a name), ``tenant`` and ``project`` as additions of our own. The file is read twice. The
first pass checks every line and keeps only where it stands, what it will be charged and who goes first, so that a job
of a million lines fits into memory and goes in order of priority; the second reads a line's body when its turn comes. A
bad line is reported with its number, field and mend, and the rest goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from scheduler.core.quota import Charge
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.providers.base import Call, Provider

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_ID = 512


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
class Item:
    """A good line of a job.

    Attributes:
        line: Its number, from 1.
        offset: Where it begins in the file.
        length: Its bytes.
        custom_id: Its name.
        priority: Who goes first; the lowest.
        tenant: On whose behalf it is sent, or None.
        project: In which project it is sent, or None.
        model: Model that it names.
        charge: What it is expected to be charged.
    """

    line: int
    offset: int
    length: int
    custom_id: str
    priority: int
    tenant: str | None
    project: str | None
    model: str
    charge: Charge


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

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.field}" if self.field else "")
        return f"{place}: {self.problem}" + (f" ({self.mend})" if self.mend else "")


class _BadField(Exception):
    def __init__(self, problem: str, field: str = "", mend: str = "") -> None:
        super().__init__(problem)
        self.problem, self.field, self.mend = problem, field, mend


class JobFile:
    """A job's input file, open for as long as the block lasts."""

    def __init__(self, path: Path, provider: Provider, priority_of: Callable[[int | str], int], priority: int) -> None:
        """Read *path* for *provider*; lines without a priority have *priority*."""
        self.path = path
        self._provider = provider
        self._priority_of = priority_of
        self._priority = priority
        self._file: BinaryIO

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            ConfigurationError: If it cannot be read, or is not UTF-8 text.
        """
        try:
            self._file = self.path.open("rb")
            head = self._file.read(3)
        except OSError as error:
            raise ConfigurationError(f"cannot be read: {error.strerror}", file=str(self.path)) from None
        if head[:2] in _WIDE_BOMS:
            self._file.close()
            raise ConfigurationError("is UTF-16 text, not UTF-8", "", "save it as UTF-8", str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def scan(self) -> Iterator[Item | BadLine]:
        """Yield every line that is not blank, good or bad, in order."""
        self._file.seek(0)
        seen: dict[str, int] = {}
        offset = 0
        for number, raw in enumerate(self._file, 1):
            text = raw.removeprefix(_BOM) if number == 1 else raw
            if text.strip():
                custom_id: str | None = None
                try:
                    parsed = _parse(text)
                    custom_id = _id_of(parsed, seen, number)
                    yield self._item(parsed, number, offset, len(raw))
                except (_BadField, InvalidRequest) as error:
                    yield BadLine(number, custom_id, error.problem, error.field, error.mend)
                except ConfigurationError as error:
                    yield BadLine(number, custom_id, error.problem, error.key, error.mend)
            offset += len(raw)

    def load(self, item: Item) -> tuple[Call, bytes]:
        """Return a line's call, and its body as it stands in the file."""
        self._file.seek(item.offset)
        parsed = _parse(self._file.read(item.length).removeprefix(_BOM))
        return self._call(parsed), bytes(parsed.body)

    def _item(self, parsed: InputLine, number: int, offset: int, length: int) -> Item:
        call = self._call(parsed)
        priority = self._priority if parsed.priority is None else self._priority_of(parsed.priority)
        for field, value in (("tenant", parsed.tenant), ("project", parsed.project)):
            if value is not None and not (value and value.isprintable() and len(value) <= _LONGEST_ID):
                raise _BadField("is empty, too long or holds control characters", field, "write a short name")
        return Item(
            number, offset, length, parsed.custom_id, priority, parsed.tenant, parsed.project, call.model, call.charge
        )

    def _call(self, parsed: InputLine) -> Call:
        body = _body_of(parsed)
        if body.get("stream") is True:
            raise _BadField("a stream cannot be written as one result", "body.stream", "leave it out")
        return self._provider.describe(parsed.method, parsed.url, body)


def _parse(text: bytes) -> InputLine:
    try:
        return msgspec.json.decode(text, type=InputLine)
    except msgspec.ValidationError as error:
        words, _, field = str(error).partition(" - at `$.")
        missing = words.removeprefix("Object missing required field `").removesuffix("`")
        if missing != words:
            raise _BadField("is missing", missing, "every line has custom_id, method, url and body") from None
        raise _BadField(words, field.rstrip("`"), "write a line of the batch format") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _BadField(f"is not JSON in UTF-8: {error}", "", "write one object a line") from None
    except RecursionError:
        raise _BadField("is nested too deeply", "", "flatten it") from None


def _id_of(parsed: InputLine, seen: dict[str, int], number: int) -> str:
    name = parsed.custom_id
    if not name or len(name) > _LONGEST_ID:
        raise _BadField(f"is empty or longer than {_LONGEST_ID} characters", "custom_id", "give each line a short name")
    first = seen.setdefault(name, number)
    if first != number:
        raise _BadField(f"{name!r} stands in line {first} already", "custom_id", "give each line a name of its own")
    return name


def _body_of(parsed: InputLine) -> dict[str, object]:
    try:
        return msgspec.json.decode(parsed.body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _BadField(f"is not an object: {error}", "body", "write the request's body") from None
    except RecursionError:
        raise _BadField("is nested too deeply", "body", "flatten it") from None
