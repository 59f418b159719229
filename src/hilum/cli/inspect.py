"""``hilum inspect``: what lies in a file, a folder or a zip."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import hilum
from hilum.cli.console import on_terminal, plain, say, say_json
from hilum.cli.options import Json, Series

__all__ = ["command"]

_TITLES = (
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


def command(
    path: Annotated[str, typer.Argument(help="File, DICOM folder of any depth, or zip.", show_default=False)],
    series: Series = None,
    as_json: Json = False,
) -> int:
    """List the series or volumes that are there, and which one would be read."""
    found = hilum.inspect(path, series=series)
    if as_json:
        say_json([info.as_dict() for info in found])
        return 0
    for line in _table([info.row() for info in found]):
        say(line)
    for info in found:
        if info.chosen and info.why:
            say(f"Taken: {info.why}")
    return 0


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Draw rows as the lines of a table, as wide as the terminal; what a header says stays text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in _TITLES:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console = Console(width=None if on_terminal(sys.stdout) else 200, color_system=None)
    with console.capture() as drawn:
        console.print(table)
    return [line.rstrip() for line in drawn.get().splitlines()]
