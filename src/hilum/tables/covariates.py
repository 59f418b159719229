"""Columns from elsewhere, such as age or diagnosis, joined to the table of scans by the name of the scan."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hilum.core.errors import InputError
from hilum.io.names import scan_name
from hilum.io.text import read_rows, shown
from hilum.tables.columns import Column, Kind
from hilum.tables.scans import Cell, ScanTable

__all__ = ["COVARIATES", "join"]

#: Covariates that a batch keeps beside its results; they are joined unasked.
COVARIATES = "covariates.csv"
_MOST_NAMED = 3
_INTEGER = re.compile(r"[+-]?\d{1,15}")
#: A decimal number; not "nan", "1_000" or "0x10", which Python or C would read as numbers too.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
#: What people and programs write where a value is missing.
_MISSING = {"", "na", "n/a", "nan", "null", "none"}


def join(table: ScanTable, files: Sequence[tuple[Path, str]], *, on: str = "scan") -> ScanTable:
    """Add the columns of CSV files to the scans that they name.

    Args:
        table: The table of scans.
        files: Each CSV, parted by commas, semicolons or tabs, with a header; and the first part of the names
            of its scans where several folders of results are put together, such as ``hospital-a/``.
        on: The column with the names of the scans: as in the table, or as the files were called.

    Returns:
        The table with further columns, typed by their values, and with sentences on what did not match.

    Raises:
        InputError: A CSV cannot be read, lacks the column ``on``, or names a scan twice.
    """
    scans = {str(name): place for place, name in enumerate(table.column("scan"))}
    found: dict[str, list[str]] = {}  # the texts of each column, one a scan
    problems: list[str] = []
    for path, label in files:
        header, rows = _read(path, on)
        matched, strange = _matched(scans, path.name, label, [(row[header.index(on)], row) for row in rows])
        for index, name in enumerate(header):
            if name != on:
                texts = found.setdefault(name, [""] * len(table))
                for place, row in matched.items():
                    texts[place] = row[index]
        missing = [name for name, place in scans.items() if place not in matched and name.startswith(label)]
        problems += _told(path.name, missing, strange, {failure.scan for failure in table.failures})
    taken, columns, values = set(table.names), [], []
    for name, texts in found.items():
        column, cells = _typed(name, texts)
        columns.append(_renamed(column, taken))
        values.append(cells)
    joined = tuple((*row, *(cells[n] for cells in values)) for n, row in enumerate(table.rows))
    return replace(
        table, columns=(*table.columns, *columns), rows=joined, problems=(*table.problems, *problems)
    )


def _matched(
    scans: dict[str, int], file: str, label: str, rows: Sequence[tuple[str, list[str]]]
) -> tuple[dict[int, list[str]], list[str]]:
    """Return the row of the CSV for each scan that has one, and the names that are no scan's."""
    matched: dict[int, list[str]] = {}
    strange = []
    for name, row in rows:
        place = _find(scans, name, label)
        if place is None:
            strange.append(name)
        elif place in matched:
            raise InputError(f"{file} names the scan {shown(name)} twice.", "Leave one row for each scan.")
        else:
            matched[place] = row
    return matched, strange


def _read(path: Path, on: str) -> tuple[list[str], list[list[str]]]:
    (_, header), *rest = read_rows(path, delimiters=",;\t") or [(0, [])]
    header = [name.strip() for name in header]
    if on not in header:
        raise InputError(
            f"{path.name} has no column {shown(on)}; it has {shown(', '.join(header), 200) or 'none'}.",
            "Say which column holds the names of the scans.",
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path.name} has two columns {shown(twice[0])}.", "Give each column its own name.")
    for number, row in rest:
        if len(row) != len(header):
            raise InputError(
                f"Line {number} of {path.name} has {len(row)} fields, its header {len(header)}.",
                "Write text that holds a comma in quotes.",
            )
    return header, [[field.strip() for field in row] for _, row in rest]


def _find(scans: dict[str, int], name: str, label: str) -> int | None:
    """Return the row of a scan by its name, or by that of its file."""
    for tried in (name, f"{label}{name}", f"{label}{scan_name(name)}"):
        if tried in scans:
            return scans[tried]
    return None


def _typed(name: str, texts: Sequence[str]) -> tuple[Column, list[Cell]]:
    """Return a column with its values as whole numbers, numbers or text, whichever fits all of them."""
    present = [text for text in texts if text.lower() not in _MISSING]
    cells: list[Cell]
    if present and all(_INTEGER.fullmatch(text) for text in present):
        kind = Kind.INTEGER
        cells = [int(text) if text.lower() not in _MISSING else None for text in texts]
    elif present and all(_NUMBER.fullmatch(text) and math.isfinite(float(text)) for text in present):
        kind = Kind.NUMBER
        cells = [float(text) if text.lower() not in _MISSING else None for text in texts]
    else:
        kind = Kind.TEXT
        cells = [text or None for text in texts]
    return Column(name, name, kind, "covariates", meaning="from the CSV of covariates"), cells


def _renamed(column: Column, taken: set[str]) -> Column:
    """Return the column under a name that no other has."""
    name = column.name or "column"
    if name in taken:
        name = f"covariate_{name}"
    base, number = name, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return replace(column, name=name, title=name)


def _told(name: str, missing: Sequence[str], strange: Sequence[str], failed: set[str]) -> list[str]:
    out = []
    strange = [scan for scan in strange if scan not in failed and scan_name(scan) not in failed]
    if missing:
        out.append(f"{_count(len(missing), 'scan')} without a row in {name}: {_some(missing)}.")
    if strange:
        out.append(f"{_count(len(strange), 'row')} of {name} without a scan: {_some(strange)}.")
    return out


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    first = ", ".join(shown(name) for name in names[:_MOST_NAMED])
    return f"{first} and {more} more" if more > 0 else first
