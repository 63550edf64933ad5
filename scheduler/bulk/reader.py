"""Reads a job: lines in the providers' batch format, checked before anything is sent.

    {"custom_id": "a-1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

with ``priority`` (a number or a name), ``tenant`` and ``project`` as additions of our own. The file is read twice. The
first pass checks every line and keeps only where it stands, what it will be charged and who goes first, so that a job
of a million lines fits into memory (0.4 kB a line) and goes in order of priority; the second reads a line's body when
its turn comes. A bad line is reported with its number, field and mend, and the rest goes on.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

from scheduler.bulk.lines import LONGEST_NAME, BadLine, InputLine, body_of, check_names, parse
from scheduler.core.quota import Charge
from scheduler.errors import ConfigurationError, InvalidRequest
from scheduler.priority import Priority, priority_of
from scheduler.providers.base import Call, Provider

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")

_Value = TypeVar("_Value", str | None, str, int, Charge)


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
        url: Relative path of the endpoint that it is sent to.
        model: Model that it names.
        pool: Name by which its limits are found; the model's own, unless it is of a service tier or long.
        charge: What it is expected to be charged.
        candidates: Tokens that it would be charged by each known rule; see ``Call``.
    """

    line: int
    offset: int
    length: int
    custom_id: str
    priority: int
    tenant: str | None
    project: str | None
    url: str
    model: str
    pool: str
    charge: Charge
    candidates: tuple[int, ...] = ()

    @property
    def call(self) -> Call:
        """The request as its provider sees it."""
        return Call("POST", self.url, self.model, self.charge, pool=self.pool, candidates=self.candidates)


class JobFile:
    """A job's input file, open for as long as the block lasts."""

    def __init__(self, path: Path, provider: Provider, priority: int = Priority.BATCH) -> None:
        """Read *path* for *provider*; lines without a priority have *priority*."""
        self.path = path
        self._provider = provider
        self._priority = priority
        self._file: BinaryIO
        self._kept: dict[object, object] = {}
        self._kept_candidates: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            ConfigurationError: If it cannot be read, or is not UTF-8 text.
        """
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                mend = "a job is read twice: save it in a file"
                raise ConfigurationError("is not a regular file", "", mend, str(self.path))
            self._file = self.path.open("rb")
            head = self._file.read(3)
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"cannot be read: {why}", file=str(self.path)) from None
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
                    parsed = parse(text)
                    custom_id = parsed.custom_id
                    _check_id(custom_id, seen, number)
                    yield self._item(parsed, number, offset, len(raw))
                except (InvalidRequest, ConfigurationError) as error:
                    yield BadLine.of(number, custom_id, error)
            offset += len(raw)

    def load(self, item: Item) -> bytes:
        """Return a line's body as it stands in the file.

        Raises:
            InvalidRequest: If the line is not there any more.
        """
        self._file.seek(item.offset)
        text = self._file.read(item.length).removeprefix(_BOM)
        try:
            parsed = parse(text)
        except InvalidRequest:
            parsed = None
        if parsed is None or parsed.custom_id != item.custom_id or parsed.url != item.url:
            mend = "leave the input alone while it runs"
            raise InvalidRequest(f"line {item.line} was changed while the job ran", "", mend)
        return bytes(parsed.body)

    def _item(self, parsed: InputLine, number: int, offset: int, length: int) -> Item:
        call = self._provider.describe(parsed.method, parsed.url, body_of(parsed))
        candidates = tuple(self._same(units) for units in call.candidates)
        priority = self._priority if parsed.priority is None else priority_of(parsed.priority)
        check_names(parsed)
        return Item(
            number,
            offset,
            length,
            parsed.custom_id,
            priority,
            self._same(parsed.tenant),
            self._same(parsed.project),
            self._same(call.url),
            self._same(call.model),
            self._same(call.pool or call.model),
            self._same(call.charge),
            self._kept_candidates.setdefault(candidates, candidates),
        )

    def _same(self, value: _Value) -> _Value:
        """Return the first value equal to *value*: lines have few models and charges, and many of the same."""
        return self._kept.setdefault(value, value)  # type: ignore[return-value]  # equal values are of one type


def _check_id(name: str, seen: dict[str, int], number: int) -> None:
    if not name or len(name) > LONGEST_NAME:
        mend = "give each line a short name"
        raise InvalidRequest(f"is empty or longer than {LONGEST_NAME} characters", "custom_id", mend)
    first = seen.setdefault(name, number)
    if first != number:
        raise InvalidRequest(f"{name!r} stands in line {first} already", "custom_id", "give each line its own name")
