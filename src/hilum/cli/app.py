"""The command-line application and its error handling.

Exit codes: 0 done, 2 usage, 3 input cannot be read, 4 geometry cannot be trusted, 5 not a chest CT,
6 output cannot be written, 7 too much time or memory, 1 a bug, 129 hung up, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from functools import wraps

import typer

from hilum import io
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
    signals,
    table,
    train,
)
from hilum.cli.console import flush, print_error, say_block, say_error
from hilum.core.disk import DISK_FULL
from hilum.core.errors import HilumError, InternalError, OutputError
from hilum.core.version import __version__

__all__ = ["app", "print_error", "run", "settle"]

#: What typer raises where a command line is wrong; it shows it itself, with file names as they are.
_WrongUsage = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="hilum",
    help="Chest CT in; lungs in litres, grams and millilitres of air out.\n\n"
    "Not a medical device, not for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _verb(function: Callable[..., int]) -> Callable[..., None]:
    """Turn the exit code that a command returns into typer's way of saying it."""

    @wraps(function)
    def run_verb(*args: object, **kwargs: object) -> None:
        try:
            _make_ready()
            code = function(*args, **kwargs)
        except BaseException as error:  # here, because typer has ideas of its own about some
            code = settle(error)
        raise typer.Exit(code)

    return run_verb


def _make_ready() -> None:
    """Do what each verb needs but ``--help`` does not."""
    io.sweep()


for _name, _module in (
    ("segment", segment),
    ("measure", measure),
    ("table", table),
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
        say_block(f"hilum {__version__}")
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
        code = app(list(arguments), prog_name="hilum", standalone_mode=False)
    except BaseException as error:
        code = settle(error)
    code = code if isinstance(code, int) else 0
    try:
        flush()
    except OutputError as error:
        return code or print_error(error)
    return code


def settle(error: BaseException) -> int:
    """Say what ended a command and return the exit code.

    Raises:
        Exception: ``error`` itself, where it is a bug and the environment variable ``HILUM_DEBUG`` is set.
    """
    if isinstance(error, SystemExit):
        return _code_of(error)
    if isinstance(error, KeyboardInterrupt):  # where nobody has installed hilum's handlers
        return _stopped(signal.SIGINT)
    number = error.number if isinstance(error, signals.Stopped) else signals.received()
    if number is not None:  # native code may have made another error of it
        return _stopped(number, error.hint if isinstance(error, signals.Stopped) else "")
    if isinstance(error, HilumError):
        return print_error(error)
    if isinstance(error, _WrongUsage):
        return _wrong_usage(error)
    if isinstance(error, BrokenPipeError):  # the reader of a pipe went away, as `head` does
        return 0
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return print_error(
            OutputError(f"{error.filename or 'The output'} cannot be written: {error.strerror}.")
        )
    if os.environ.get("HILUM_DEBUG"):
        raise error
    return print_error(InternalError.of(error))


def _stopped(number: int, hint: str = "") -> int:
    """Say that a signal ended the program, once where several processes train together."""
    if not signals.is_helper():
        say_error(signals.sentence(number), hint)
    return 128 + number


def _code_of(end: SystemExit) -> int:
    if isinstance(end.__context__, OSError) and end.__context__.errno == errno.EPIPE:
        return 0  # typer and rich end with 1 where the reader of a pipe went away
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _wrong_usage(error: BaseException) -> int:
    """Say what is wrong with a command line in the way of all other errors."""
    if type(error).__name__ != "NoArgsIsHelpError":  # then the help stands there already
        context = getattr(error, "ctx", None)
        hint = f"'{context.command_path} --help' shows what there is." if context is not None else ""
        sentence = error.format_message()  # type: ignore[attr-defined]
        say_error(f"error: {sentence}", hint)
    return int(getattr(error, "exit_code", 2))
