"""The commands put together, and what happens when one fails.

Exit codes: 0 done, 2 usage, 3 input cannot be read, 4 geometry cannot be trusted, 5 not a chest CT,
6 output cannot be written, 1 a bug, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps

import typer

import hilum
from hilum.cli import (
    check,
    compare,
    demo,
    evaluate,
    explore,
    inspect,
    measure,
    phantom,
    prepare,
    segment,
    train,
)
from hilum.errors import HilumError

__all__ = ["app", "run"]

app = typer.Typer(
    name="hilum",
    help="Chest CT in; lungs in litres, grams and millilitres of air out.\n\n"
    "Not a medical device, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _verb(function: Callable[..., int]) -> Callable[..., None]:
    """Turn the exit code that a command returns into typer's way of saying it."""

    @wraps(function)
    def run_verb(*args: object, **kwargs: object) -> None:
        raise typer.Exit(function(*args, **kwargs))

    return run_verb


for _name, _module in (
    ("segment", segment),
    ("measure", measure),
    ("check", check),
    ("inspect", inspect),
    ("demo", demo),
    ("prepare", prepare),
    ("explore", explore),
    ("train", train),
    ("evaluate", evaluate),
    ("compare", compare),
    ("phantom", phantom),
):
    app.command(_name)(_verb(_module.command))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hilum {hilum.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """Chest CT in; lungs in litres, grams and millilitres of air out.

    Not a medical device, not for diagnosis.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; no traceback reaches the user.

    Set the environment variable ``HILUM_DEBUG`` to see the traceback of a bug.
    """
    try:
        app(list(arguments))
    except SystemExit as end:
        return int(end.code or 0) if not isinstance(end.code, str) else 1
    except HilumError as error:
        return complain(error)
    except KeyboardInterrupt:
        print("hilum: interrupted, nothing was left half-written.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("HILUM_DEBUG"):
            raise
        print(
            f"hilum: error: this is a bug in hilum ({type(error).__name__}: {error}). "
            "Please report it; HILUM_DEBUG=1 shows where it happened.",
            file=sys.stderr,
        )
        return 1
    return 0


def complain(error: HilumError, about: str = "") -> int:
    """Print one error as one sentence and a hint; return its exit code."""
    where = f"{about}: " if about else ""
    print(f"hilum: error: {where}{error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return error.exit_code
