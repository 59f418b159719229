"""``hilum inspect``: what lies in a file, a folder or a zip."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from hilum.cli.options import Json, Series

__all__ = ["command"]


def command(
    path: Annotated[str, typer.Argument(help="File, DICOM folder of any depth, or zip.", show_default=False)],
    series: Series = None,
    as_json: Json = False,
) -> int:
    """List the series or volumes that are there, and which one would be read."""
    import hilum

    found = hilum.inspect(path, series=series)
    if as_json:
        print(json.dumps([info.as_dict() for info in found], indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    titles = (
        "",
        "series or file",
        "format",
        "kind",
        "slices",
        "size",
        "spacing mm",
        "kernel",
        "plane",
        "problems",
    )
    for title in titles:
        table.add_column(title, overflow="fold")
    for info in found:
        table.add_row(*info.row())
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for info in found:
        if info.chosen and info.why:
            console.print(f"Taken: {info.why}", markup=False)
    return 0
