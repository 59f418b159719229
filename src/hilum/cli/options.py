"""Options that several verbs share, and how they speak to the user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hilum.quality.flags import Flag
    from hilum.segmentation.base import Progress

__all__ = [
    "Calibrate",
    "Json",
    "KeepUids",
    "Overwrite",
    "Quiet",
    "Resample",
    "Series",
    "progress_bar",
    "say",
    "say_flags",
]

Series = Annotated[
    str | None,
    typer.Option("--series", help="DICOM series to take: UID, a unique part of it, or its number (#3)."),
]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Go on across missing slices or a tilted gantry, by interpolation."),
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Correct HU linearly where air and soft tissue are off."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of another scan in the same folder.")
]
KeepUids = Annotated[
    bool,
    typer.Option("--keep-uids", help="Write the DICOM series UID into run.json instead of a salted hash."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def say(text: str, *, quiet: bool = False, to_stderr: bool = False) -> None:
    """Print a line for people; never in ``--quiet``, on stderr where stdout holds JSON."""
    if not quiet:
        print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)


def say_flags(flags: tuple[Flag, ...], *, quiet: bool = False, to_stderr: bool = False) -> None:
    """Print flags, one a line, worst first."""
    for flag in flags:
        say(f"  {flag.severity.value:<8}{flag.code}: {flag.message}", quiet=quiet, to_stderr=to_stderr)


@contextmanager
def progress_bar(title: str, quiet: bool) -> Iterator[Progress | None]:
    """Give a progress callback that draws a bar on a terminal, and None in a pipe or in ``--quiet``."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(title, total=1.0, what="")
        yield lambda fraction, what: bar.update(row, completed=fraction, what=what)
