"""``hilum table``: the tables and the page of many scans, made again from their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.console import say
from hilum.cli.options import Quiet
from hilum.core.errors import UsageError
from hilum.io.remote import is_url

__all__ = ["command"]


def command(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS",
            help="Folders made by hilum segment, of any depth, or their URLs.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for the tables, or its URL; needed where several folders are put together.",
            show_default="RESULTS",
        ),
    ] = None,
    join: Annotated[
        Path | None, typer.Option(help="CSV with further columns, such as age or diagnosis, one row a scan.")
    ] = None,
    on: Annotated[str, typer.Option(help="Its column with the names of the scans.")] = "scan",
    quiet: Quiet = False,
) -> int:
    """Write scans.csv, measures_long.csv, scans.parquet, scans.xlsx and index.html from folders of results.

    One row a scan, all measures by side. Several folders are put together in one table; where they hold scans
    of the same name, names start with that of their folder.
    """
    # It brings pydantic and templates, which the help of a command does without.
    from hilum.tables import write_tables

    if out is None:
        if len(results) > 1:
            raise UsageError("Several folders were named, but no folder for their table.", "Add -o FOLDER.")
        out = results[0]
    table = write_tables(
        out, results, join_with=join, on=on, notify=lambda sentence: say(sentence, to_stderr=True)
    )
    where = f"{out.rstrip('/')}/index.html" if is_url(out) else Path(out) / "index.html"
    failed = f", {len(table.failures)} failed" if table.failures else ""
    say(f"{len(table)} scan{'s' if len(table) != 1 else ''}{failed} -> {where}", quiet=quiet)
    return 0
