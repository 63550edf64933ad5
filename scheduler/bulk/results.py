"""Writes a job's results as they come, in the providers' batch output format, and reads them back to resume.

    {"id": "...", "custom_id": "a-1", "error": null,
     "response": {"status_code": 200, "request_id": "...", "body": {...}}}       (on one line)

What succeeded stands in the output, everything else in the error file. A result is one write of one whole line, so that
a crash can tear only the last; resuming drops a torn last line and keeps the rest.
"""

import os
import secrets
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from scheduler.bulk.reader import BadLine
from scheduler.errors import ConfigurationError, SchedulerError
from scheduler.http.driver import Answer

_MODE = 0o600  # results hold answers; they are nobody else's business


class _Done(msgspec.Struct):
    custom_id: str


class Results:
    """A job's output and error files, open for as long as the block lasts."""

    def __init__(self, output: Path, errors: Path, *, resume: bool) -> None:
        """Write to *output* and *errors*; unless *resume*, neither may exist."""
        self.output = output
        self.errors = errors
        self._resume = resume
        self.done: set[str] = set()
        """Names of the lines whose results the output held already."""
        self._output: BinaryIO
        self._errors: BinaryIO

    def __enter__(self) -> Self:
        """Open both files.

        Raises:
            ConfigurationError: If one exists and this is no resumption, or cannot be written, or the output is not
                one of ours.
        """
        if self._resume and self.output.exists():
            self._read_back()
        self._output = _open(self.output, os.O_APPEND if self._resume else os.O_EXCL)
        try:
            self._errors = _open(self.errors, os.O_TRUNC if self._resume else os.O_EXCL)
        except ConfigurationError:
            self._output.close()
            if not self._resume:
                self.output.unlink()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()
        self._errors.close()

    def success(self, custom_id: str, answer: Answer) -> None:
        """Write a success."""
        self._output.write(_line(custom_id, _response(answer), None))

    def failure(self, custom_id: str, answer: Answer, error: SchedulerError) -> None:
        """Write a failure, with the response if there was one."""
        code = _code(error)
        self._errors.write(_line(custom_id, _response(answer), {"code": code, "message": str(error)}))

    def bad_line(self, bad: BadLine) -> None:
        """Write a line of the input that cannot be sent."""
        error = {"code": "invalid_line", "message": str(bad), "param": bad.field or None, "line": bad.line}
        self._errors.write(_line(bad.custom_id, None, error))

    def _read_back(self) -> None:
        whole = 0  # bytes of whole lines
        try:
            with self.output.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    name = _name_in(raw)
                    if name is None:
                        if raw.endswith(b"\n"):
                            mend = "name another output, or mend that line"
                            raise ConfigurationError(f"line {number} is no result", "--output", mend, str(self.output))
                        break  # torn
                    self.done.add(name)
                    whole += len(raw)
            os.truncate(self.output, whole)
        except OSError as error:
            raise ConfigurationError(f"cannot be read: {error.strerror}", "--output", "", str(self.output)) from None


def _name_in(raw: bytes) -> str | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(raw, type=_Done).custom_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _open(path: Path, flag: int) -> BinaryIO:
    try:
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | flag, _MODE), "wb", buffering=0)  # noqa: PTH123 -- held open by the caller
    except FileExistsError:
        mend = "name another, remove it, or resume with --resume"
        raise ConfigurationError("exists already", "", mend, str(path)) from None
    except OSError as error:
        raise ConfigurationError(f"cannot be written: {error.strerror}", "", "", str(path)) from None


def _line(custom_id: str | None, response: Any, error: Any) -> bytes:
    name = f"batch_req_{secrets.token_hex(12)}"
    return msgspec.json.encode({"id": name, "custom_id": custom_id, "response": response, "error": error}) + b"\n"


def _response(answer: Answer) -> dict[str, Any] | None:
    response = answer.response
    if response is None:
        return None
    return {
        "status_code": response.status_code,
        "request_id": response.headers.get("x-request-id", ""),
        "body": _body(response.content),
    }


def _body(content: bytes) -> Any:
    """Return a body as JSON on one line, or as text where it is something else."""
    try:
        return msgspec.Raw(msgspec.json.format(content, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode("utf-8", "replace")


def _code(error: SchedulerError) -> str:
    name = type(error).__name__
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")
