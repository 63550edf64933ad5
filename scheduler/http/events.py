"""Server-sent events, looked at as they pass: what a stream says it used, whether it ended, and why it broke off.

**Naive**: parse every event. A stream has a hundred of them and more, of which one or two say anything: the openai SDK
spends 14 ms of CPU on a stream that way, and we would spend half of that again, to throw it all away.

**The idea**: most events cannot be of interest, and their bytes show it. Events in which none of a few words occurs are
let go unparsed; only what lies after a chunk's last blank line is kept, because that event goes on in the next chunk.
An event that has such a word is decoded by the adapter.

**What bounds it**: an event of more than ``LARGEST`` bytes is not kept and says nothing; what is compressed is let out
in pieces. Chunks are looked at, never held back and never joined for the consumer.

**The invariant**: what is told depends on the chunks' concatenation alone, wherever it was cut.
"""

import contextlib
import re
import zlib
from collections.abc import Callable
from typing import Any

from scheduler.providers.base import Outcome, Reading, Usage

LARGEST = 1 << 22
"""Bytes of one event that are kept: the last event of a Responses stream holds the whole answer."""

_PIECE = 1 << 18  # bytes that are decompressed at a time

_TELLING = re.compile(  # begins with one character, which is looked for ten times as fast as one of several
    rb'"(?:usage(?:Metadata)?"\s*:\s*\{'
    rb'|error"\s*:\s*[{"]'
    rb'|type"\s*:\s*"(?:error|response\.(?:completed|failed|incomplete)|message_stop)"'
    rb'|finish_?[rR]eason"\s*:\s*"'
    rb'|object"\s*:\s*"error"'
    rb'|message-end"|image_(?:generation|edit)\.completed")'
)
"""What shows that an event may be of interest. Within a JSON string its quotes would be escaped."""
_DONE = b"[DONE]"
_LAST = re.compile(
    rb'"(?:finish_?[rR]eason"\s*:\s*"|message_stop"|message-end"|type"\s*:\s*"response\.(?:completed|failed|incomplete)")'
)
"""What shows, beside ``_DONE`` alone, that a stream has come to its end."""
_WORDED = re.compile(rb'"chat\.completion\.chunk"|"response\.created"|"message_start"')
"""What begins the streams that say so when they end."""


class Listener:
    """Listens to one stream of events."""

    __slots__ = (
        "_ended",
        "_read",
        "_rest",
        "_return",
        "_skipping",
        "_unzip",
        "_worded",
        "failure",
        "usage",
    )

    def __init__(self, read: Callable[[bytes], Reading | None], encoding: str = "") -> None:
        """Begin to listen.

        Args:
            read: The adapter's ``read_event``.
            encoding: How the chunks are compressed; nothing is understood where it is neither "", gzip nor deflate.
        """
        self._read = read
        self._rest = bytearray()
        self._return = False  # a carriage return has come, and not yet what follows it
        self._skipping = False  # the rest of an event that is too large
        self._worded = False
        self._ended = False
        self._unzip = None if encoding in {"", "identity"} else zlib.decompressobj(wbits=47)
        self.usage: Usage | None = None
        """What it has told so far."""
        self.failure: Reading | None = None
        """The error that it told, if it did."""

    @property
    def whole(self) -> bool:
        """Whether it came to its end, as far as streams of its kind say so."""
        return self._ended or not self._worded

    def feed(self, chunk: bytes) -> None:
        """Listen to the next bytes. Never raises."""
        if self._unzip is None:
            self._listen(chunk)
        elif not self._unzip.eof:  # it would gather what lies behind its end
            with contextlib.suppress(zlib.error):
                self._decompress(chunk, self._unzip)

    def close(self) -> None:
        """Listen to what lies after the last blank line: there is no more."""
        self._hear(bytes(self._rest))
        self._rest.clear()

    def _decompress(self, chunk: bytes, unzip: Any) -> None:
        more = True
        while more:
            piece = unzip.decompress(chunk, _PIECE)
            chunk = unzip.unconsumed_tail
            more = len(piece) == _PIECE
            self._listen(piece)

    def _listen(self, chunk: bytes) -> None:
        if self._return or b"\r" in chunk:
            chunk = self._without_returns(chunk)
        if chunk.endswith(b"\n\n") and not self._rest:  # as most servers send them
            self._hear(chunk)
            return
        seen = max(0, len(self._rest) - 1)
        self._rest += chunk
        cut = self._rest.rfind(b"\n\n", seen)
        if cut >= 0:
            events = bytes(self._rest[:cut])
            del self._rest[: cut + 2]
            self._hear(events)
        if len(self._rest) > LARGEST + 2:  # and a newline before and behind it
            self._skipping = True
            del self._rest[:-1]

    def _without_returns(self, chunk: bytes) -> bytes:
        if self._return:
            chunk = b"\r" + chunk
        self._return = chunk.endswith(b"\r")
        return (chunk[:-1] if self._return else chunk).replace(b"\r\n", b"\n")

    def _hear(self, events: bytes) -> None:
        if self._skipping:
            self._skipping = False
            events = events.partition(b"\n\n")[2]
        if len(events) > LARGEST:
            events = b"\n\n".join(event for event in events.split(b"\n\n") if len(event.strip(b"\n")) <= LARGEST)
        self._worded = self._worded or _WORDED.search(events) is not None
        if not _tells(events):
            return
        for event in events.split(b"\n\n"):
            if _tells(event):
                self._understand(event)

    def _understand(self, event: bytes) -> None:
        lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        data = b"\n".join(lines)
        self._ended = self._ended or data.strip() == _DONE or _LAST.search(data) is not None
        reading = self._read(data)
        if reading is None:
            return
        if reading.usage is not None:
            self.usage = Usage(*map(max, reading.usage, self.usage or Usage()))
        if reading.outcome is not Outcome.SUCCESS and self.failure is None:
            self.failure = reading


def _tells(events: bytes) -> bool:
    """Whether something in events may be of interest."""
    if _DONE in events or b"event: error" in events or b"event:error" in events:
        return True
    return _TELLING.search(events) is not None
