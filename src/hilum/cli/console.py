"""Output of the program: text, JSON, errors, a progress bar.

All text goes through this module. File names, DICOM tags and model cards may hold control characters, the
streams may be closed, full or unable to show a character; neither may garble the terminal or end the work.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from hilum.cli import signals
from hilum.core.errors import HilumError, OutputError
from hilum.core.sentences import Words, worded

if TYPE_CHECKING:
    from hilum.core.flags import Flag
    from hilum.core.segmentation import Progress

__all__ = [
    "COMMAND_LINE",
    "flush",
    "on_terminal",
    "open_streams",
    "plain",
    "print_error",
    "progress_bar",
    "say",
    "say_block",
    "say_error",
    "say_flags",
    "say_json",
]

#: Control characters (C0, DEL, C1), line and paragraph separators, marks that turn the direction of writing,
#: and the surrogate halves that stand for bytes which are not text.
_BEYOND_C0 = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(f"[\x00-\x1f{_BEYOND_C0}]")
_UNSAFE_IN_JSON = re.compile(f"[{_BEYOND_C0}]")  # the others are escaped by JSON itself
_NOT_ASCII = re.compile("[^\x00-\x7e]")


def plain(text: str) -> str:
    r"""Return text as one line that a terminal shows and does not obey: what is unsafe is escaped.

    Examples:
        >>> plain("a\x1b[31m\nb")
        'a\\x1b[31m\\nb'
    """
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's encoding of a byte of a file name that is not text
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode("ascii")


# -- words of the command line ------------------------------------------------------------------------------

#: Parameters whose option is not called as they are.
_OPTIONS = {"out": "-o", "initial": "--init"}


class _CommandLine(Words):
    """Parameters are options, functions are verbs of the program."""

    def with_option(self, name: str) -> str:
        return f" with {self.option(name)}"

    def setting(self, name: str, value: str | None) -> str:
        return self.option(name) if value is None else f"{self.option(name)} {value}"

    def option(self, name: str) -> str:
        return _OPTIONS.get(name, f"--{name.replace('_', '-')}")

    def verb(self, name: str) -> str:
        return f"hilum {name}"


COMMAND_LINE: Words = _CommandLine()


# -- lines for people ---------------------------------------------------------------------------------------


def say(text: str, *, quiet: bool = False, to_stderr: bool = False) -> None:
    """Print a line for people; never in ``--quiet``, on stderr where stdout holds JSON.

    Raises:
        OutputError: stdout cannot be written.
    """
    if not quiet:
        say_block(plain(text), to_stderr=to_stderr)


def say_flags(flags: tuple[Flag, ...], *, quiet: bool = False, to_stderr: bool = False) -> None:
    """Print flags, one per line, worst first."""
    for flag in flags:
        message = worded(flag.message, COMMAND_LINE)
        say(f"  {flag.severity.value:<8}{flag.code}: {message}", quiet=quiet, to_stderr=to_stderr)


def say_error(sentence: str, hint: str = "") -> None:
    """Print one sentence on what went wrong, and a hint; never fails."""
    say(f"hilum: {worded(sentence, COMMAND_LINE)}", to_stderr=True)
    if hint:
        say(f"  {worded(hint, COMMAND_LINE)}", to_stderr=True)


def print_error(error: HilumError, about: str = "") -> int:
    """Print one error as one sentence and a hint; return its exit code.

    Raises:
        Stopped: A signal came, and native code made this error of it: the work must stop here.
    """
    number = signals.received()
    if number is not None:
        raise signals.Stopped(number)
    message = worded(error.message, COMMAND_LINE)
    say_error(f"error: {f'{about}: ' if about else ''}{message}", error.hint)
    return error.exit_code


def say_block(text: str, *, to_stderr: bool = False) -> None:
    """Print lines as they are; what they hold of others has gone through :func:`plain` before.

    Raises:
        OutputError: stdout cannot be written.
    """
    if to_stderr:
        with suppress(OSError, ValueError):  # there is no other place to say so
            _put(f"{text}\n", sys.stderr)
    else:
        _to_stdout(f"{text}\n")


def say_json(data: Any) -> None:
    """Print data as JSON on stdout, in letters that stdout can hold and no terminal obeys.

    Raises:
        OutputError: stdout cannot be written.
    """
    text = _UNSAFE_IN_JSON.sub(_json_escape, json.dumps(data, indent=2, ensure_ascii=False))
    try:
        text.encode(_encoding(sys.stdout))
    except UnicodeEncodeError:
        text = _NOT_ASCII.sub(_json_escape, text)
    _to_stdout(f"{text}\n")


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


# -- the streams --------------------------------------------------------------------------------------------


def open_streams() -> None:
    """Put the null device where the caller closed stdin, stdout or stderr, and let no letter be fatal.

    Without this the next file that is opened, a result perhaps, takes the place of stderr, and libraries
    write their warnings into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
                if null != number:
                    os.dup2(null, number)
                    os.close(null)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            with suppress(OSError):
                setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def on_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is open and shows on a terminal."""
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def flush() -> None:
    """Bring out what is still held back for stdout.

    Raises:
        OutputError: stdout cannot be written.
    """
    _to_stdout("")


def _encoding(stream: TextIO | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _put(text: str, stream: TextIO | None) -> None:
    if stream is not None:
        encoding = _encoding(stream)
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def _to_stdout(text: str) -> None:
    try:
        _put(text, sys.stdout)
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does: not an error
        _drop_stdout()
    except OSError as error:
        _drop_stdout()
        raise OutputError(
            f"stdout cannot be written: {error.strerror or error}.", "Send it to another place."
        ) from error
    except ValueError:  # closed by who calls
        return


def _drop_stdout() -> None:
    """Send what still comes for stdout to the null device, or the interpreter complains when it ends."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


@contextmanager
def progress_bar(title: str, quiet: bool) -> Iterator[Progress | None]:
    """Give a progress callback that draws a bar on a terminal, and None in a pipe or in ``--quiet``."""
    if quiet or not on_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(plain(title), total=1.0, what="")
        yield lambda fraction, what: bar.update(row, completed=fraction, what=plain(what))
