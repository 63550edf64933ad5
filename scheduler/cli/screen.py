"""What a user of ``scheduler run`` sees while it runs: the live view, warnings, metrics."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console
from rich.text import Text

from scheduler.engine.statistics import Statistics
from scheduler.errors import ConfigurationError
from scheduler.telemetry.live import Position, live_view
from scheduler.telemetry.texts import printable


class _Warnings(logging.Handler):
    """Writes to what standard error is at the moment, so that a line stands above the live view and not in it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line: no traceback, and nothing that a terminal obeys."""
        with contextlib.suppress(OSError):
            say(f"{record.levelname.lower()}: {record.getMessage()}")


def say(line: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(printable(line) + "\n")


def show_warnings() -> None:
    """Show the warnings of all libraries."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Warnings()])


def console(*, wanted: bool) -> Console | None:
    """Return the terminal to draw on, or None where there is none, or none is wanted."""
    return Console(stderr=True) if wanted and sys.stderr.isatty() else None


@contextlib.contextmanager
def reading(terminal: Console | None, name: str) -> Iterator[None]:
    """Say that a file is being read, while the block lasts."""
    if terminal is None:
        yield
        return
    with terminal.status(Text(f"reading {printable(name)}")):
        yield


@contextlib.contextmanager
def view(
    terminal: Console | None, position: Callable[[], Position], statistics: Callable[[], Statistics]
) -> Iterator[None]:
    """Show how far a run is, while the block lasts."""
    if terminal is None:
        yield
        return
    with live_view(terminal, position, statistics):
        yield


@contextlib.contextmanager
def metrics(port: int | None, registry: CollectorRegistry) -> Iterator[None]:
    """Serve metrics on a port of this machine, while the block lasts.

    Raises:
        ConfigurationError: If the port cannot be listened on.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        mend = "name a free port"
        raise ConfigurationError(f"port {port} cannot be listened on: {why}", "--metrics-port", mend) from None
    try:
        say(f"metrics: http://127.0.0.1:{server.server_port}/metrics")
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def print_result(text: str) -> None:
    """Write to standard output; it is no failure if nobody reads it any more, since results are in files."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
