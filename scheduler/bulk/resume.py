"""Reads results back: what an interrupted job has done already.

Whole lines must be results, or the file is somebody else's and is left alone. Of the last line a crash may have left
only a part; it counts as nothing, if it begins as our lines do.
"""

import stat
from pathlib import Path
from typing import BinaryIO

import msgspec

from scheduler.errors import ConfigurationError

_BEGINNING = b'{"id":"batch_req_'


class _Result(msgspec.Struct):
    id: str
    custom_id: str | None
    response: msgspec.Raw
    error: msgspec.Raw


def read_back(path: Path, done: set[str]) -> int:
    """Add the names of those lines to *done* that succeeded.

    Args:
        path: A file of results, which need not exist.
        done: Gets the names.

    Returns:
        The bytes of its whole lines.

    Raises:
        ConfigurationError: If it is no file of results, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError("is not a regular file", "", "name another", str(path))
        with path.open("rb") as file:
            return _read(file, path, done)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", file=str(path)) from None


def _read(file: BinaryIO, path: Path, done: set[str]) -> int:
    whole = 0
    for number, raw in enumerate(file, 1):
        if not raw.endswith(b"\n") and (raw.startswith(_BEGINNING) or _BEGINNING.startswith(raw)):
            break  # torn
        result = _result_in(raw) if raw.endswith(b"\n") else None
        if result is None:
            mend = "name another file, or take that line out"
            raise ConfigurationError(f"line {number} is no result", "", mend, str(path))
        if result.custom_id is not None and bytes(result.error) == b"null":
            done.add(result.custom_id)
        whole += len(raw)
    return whole


def _result_in(raw: bytes) -> _Result | None:
    try:
        return msgspec.json.decode(raw, type=_Result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
