"""The command line: ``scheduler run`` and ``scheduler simulate``."""

import os
import sys

import typer

from scheduler.cli.run import run
from scheduler.cli.screen import say
from scheduler.cli.simulate import simulate
from scheduler.errors import SchedulerError

BAD_INPUT = 2
INTERRUPTED = 130
INTERNAL = 70

app = typer.Typer(
    name="scheduler",
    help="Get the most out of a rate-limited LLM API while almost never being refused by it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run)
app.command()(simulate)


@app.callback()
def _commands() -> None:
    """Get the most out of a rate-limited LLM API while almost never being refused by it."""


def main() -> None:
    """Run the command; whatever happens, a user sees one clear line and an exit code, and no traceback."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # the last place where a traceback could reach a user
        cause = _first(error)
        if isinstance(cause, SchedulerError):
            say(f"error: {cause}")
            sys.exit(BAD_INPUT)
        if os.environ.get("SCHEDULER_DEBUG"):
            raise
        say(f"error: {_reason(cause)}")
        sys.exit(INTERNAL)


def _first(error: BaseException) -> BaseException:
    """Return the first of the errors that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"internal: {type(error).__name__}; SCHEDULER_DEBUG=1 shows where"
