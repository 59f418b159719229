"""``hilum explore``: the intensities of a dataset or of scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum import study
from hilum.cli.console import print_error, progress_bar, say
from hilum.cli.options import Quiet

__all__ = ["command"]


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET|CT...",
            help="A dataset of hilum prepare, or CT files and folders (lungs are then segmented by classic).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for explore.html and tables.", show_default=False)
    ],
    quiet: Quiet = False,
) -> int:
    """Describe the intensities in and around the lungs, before training on them.

    Writes explore.html (one file with figures) and its tables as CSV. No name of a subject or of a
    file is in them: scans are numbered in the order given.
    """
    with progress_bar("explore", quiet) as progress:
        found = hilum.explore(inputs, progress=progress)
    study.write_exploration(found, out)
    code = 0
    for name, error in found.failed:
        failure = print_error(error, about=name)
        code = code or failure
    if found.source == "scans":
        for one, name in zip(found.subjects, found.names, strict=True):
            say(f"scan {one.number}: {name}", quiet=quiet)
    if found.threshold is not None:
        best = f"best threshold {found.threshold.hu:.0f} HU, Dice {found.threshold.dice:.3f}"
        say(f"{len(found.subjects)} subjects, {best} -> {out / 'explore.html'}", quiet=quiet)
    off = found.hu_scale["off"]
    if off:
        say(f"HU scale off: {', '.join(map(str, off))}", quiet=quiet)
    odd = sorted({one.number for one in found.outliers})
    if odd:
        say(f"stand out: {', '.join(map(str, odd))}", quiet=quiet)
    return code
