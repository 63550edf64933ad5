"""The command line: ``scheduler run`` and ``scheduler simulate``."""

import os
import sys

import typer

from scheduler.cli.run import run
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
    except SchedulerError as error:
        sys.exit(_say(str(error), BAD_INPUT))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last place where a traceback could reach a user
        if os.environ.get("SCHEDULER_DEBUG"):
            raise
        sys.exit(_say(f"internal error: {type(error).__name__}; SCHEDULER_DEBUG=1 shows where", INTERNAL))


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
