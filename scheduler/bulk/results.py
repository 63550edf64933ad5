"""Writes a job's results as they come, in the providers' batch output format.

    {"id": "...", "custom_id": "a-1", "error": null,
     "response": {"status_code": 200, "request_id": "...", "body": {...}}}       (on one line)

What succeeded stands in the output, everything else in the error file. A result is one write of one whole line, so that
a crash can tear only the last, and a full disk tears none: what was written of a line is taken back.
"""

import contextlib
import itertools
import os
import secrets
from pathlib import Path
from typing import Any, Self

import msgspec

from scheduler.bulk.lines import BadLine
from scheduler.bulk.resume import read_back
from scheduler.errors import ConfigurationError, SchedulerError
from scheduler.http.driver import Answer
from scheduler.http.letters import Received

_MODE = 0o600  # results hold answers; they are nobody else's business
_SECRET = 8  # characters of the shortest key that is one; "test" and its like are words, and stay
_STRUCK = "[key]"


class Results:
    """A job's output and error files, open for as long as the block lasts.

    Attributes:
        output: Where successes go.
        errors: Where everything else goes.
        done: Names of the lines whose results the output held already.
    """

    def __init__(self, output: Path, errors: Path, *, resume: bool, key: str | None = None) -> None:
        """Write to *output* and *errors*; unless *resume*, neither may exist.

        Servers may repeat a *key* in what they say is wrong with it: there it is struck out.
        """
        self.output = output
        self.errors = errors
        self.done: set[str] = set()
        self._resume = resume
        self._key = key if key and len(key) >= _SECRET else None
        self._run = secrets.token_hex(6)
        self._numbers = itertools.count(1)  # a run and a number name a result: drawing each costs a system call
        self._output: _File
        self._errors: _File

    def __enter__(self) -> Self:
        """Open both files.

        Raises:
            ConfigurationError: If one exists and this is no resumption, or cannot be written, or is not one of ours.
        """
        kept = None
        if self._resume:
            kept = read_back(self.output, self.done)
            read_back(self.errors, set())
        self._output = _File(self.output, kept, resume=self._resume)
        try:
            self._errors = _File(self.errors, 0, resume=self._resume)
        except ConfigurationError:
            self._output.close(keep=False)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close both; where the job did not come to its end, files that hold nothing are taken away again."""
        self._output.close(keep=kind is None)
        self._errors.close(keep=kind is None)

    def success(self, custom_id: str, answer: Answer) -> None:
        """Write a success.

        Raises:
            OSError: If it cannot be written. What was written before is whole.
        """
        self._output.write(self._line(custom_id, _response(answer.received, None), None))

    def failure(self, custom_id: str, answer: Answer, error: SchedulerError) -> None:
        """Write a failure, with the response if there was one. Raises as ``success`` does."""
        message = str(error) if self._key is None else str(error).replace(self._key, _STRUCK)
        said = {"code": _code(error), "message": message}
        self._errors.write(self._line(custom_id, _response(answer.received, self._key), said))

    def bad_line(self, bad: BadLine) -> None:
        """Write a line of the input that cannot be sent. Raises as ``success`` does."""
        error = {"code": "invalid_line", "message": str(bad), "param": bad.field or None, "line": bad.line}
        self._errors.write(self._line(bad.custom_id, None, error))

    def _line(self, custom_id: str | None, response: Any, error: Any) -> bytes:
        name = f"batch_req_{self._run}{next(self._numbers):012x}"
        return msgspec.json.encode({"id": name, "custom_id": custom_id, "response": response, "error": error}) + b"\n"


class _File:
    """A file of whole lines."""

    def __init__(self, path: Path, size: int | None, *, resume: bool) -> None:
        """Open *path*, new, or to go on after its first *size* bytes."""
        self._path = path
        self._made = not path.exists()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | (0 if resume else os.O_EXCL), _MODE)
        except FileExistsError:
            mend = "name another, remove it, or resume with --resume"
            raise ConfigurationError("exists already", "", mend, str(path)) from None
        except OSError as error:
            raise ConfigurationError(f"cannot be written: {error.strerror}", "", "", str(path)) from None
        self._size = size or 0
        os.fchmod(self._descriptor, _MODE)
        self._take_back()

    def write(self, line: bytes) -> None:
        """Add a line, or nothing."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._take_back()
            error.filename = str(self._path)
            raise
        self._size += len(line)

    def close(self, *, keep: bool) -> None:
        """Close it; unless *keep*, remove it if it is new and empty."""
        os.close(self._descriptor)
        if not keep and self._made and not self._size:
            self._path.unlink(missing_ok=True)

    def _take_back(self) -> None:
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)


def _response(received: Received | None, key: str | None) -> dict[str, Any] | None:
    if received is None:
        return None
    text = received.content.decode("utf-8", "replace")
    return {
        "status_code": received.status,
        "request_id": received.request_id,
        "body": _body(text if key is None else text.replace(key, _STRUCK)),
    }


def _body(text: str) -> Any:
    """Return a body as JSON on one line, or as text where it is something else."""
    try:
        return msgspec.Raw(msgspec.json.format(text, indent=-1).encode())
    except (msgspec.DecodeError, RecursionError):
        return text


def _code(error: SchedulerError) -> str:
    name = type(error).__name__
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
