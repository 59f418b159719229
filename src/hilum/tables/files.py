"""The tables as CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hilum.io.atomic import atomic_file
from hilum.io.safe_text import utf8_safe
from hilum.io.write import write_csv
from hilum.tables.columns import Kind
from hilum.tables.scans import LONG_COLUMNS, Cell, LongRow, ScanTable

__all__ = [
    "LONG",
    "PARQUET",
    "SCANS",
    "guarded",
    "long_csv",
    "read_long",
    "scans_csv",
    "scans_parquet",
    "unguarded",
]

SCANS = "scans.csv"
LONG = "measures_long.csv"
PARQUET = "scans.parquet"
#: A spreadsheet takes a field that starts so for a formula, which may fetch or send data.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(value: Cell) -> Cell:
    """Put an apostrophe before text that a spreadsheet would take for a formula; numbers stay.

    Rule: OWASP, CSV Injection. A lone sign is no formula.

    Examples:
        >>> guarded("=1+1"), guarded("-"), guarded(-5.0)
        ("'=1+1", '-', -5.0)
    """
    dangerous = isinstance(value, str) and len(value) > 1 and value.startswith(_FORMULA)
    return f"'{value}" if dangerous else value


def unguarded(text: str) -> str:
    """Take the apostrophe of :func:`guarded` away."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def scans_csv(path: Path, table: ScanTable) -> None:
    """Write the table of scans.

    Raises:
        OutputError: It cannot be written.
    """
    write_csv(path, table.names, ([guarded(value) for value in row] for row in table.rows))


def long_csv(path: Path, rows: Iterable[LongRow]) -> None:
    """Write the long table of all measures; rows are taken one by one.

    Raises:
        OutputError: It cannot be written.
    """
    write_csv(path, LONG_COLUMNS, ([guarded(value) for value in row] for row in rows))


def read_long(path: Path) -> Iterable[LongRow]:
    """Give the rows of a long table that :func:`long_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for scan, task, region, measure, value, unit, formula, reason in rows:
            number = float(value) if value else None
            yield unguarded(scan), task, region, measure, number, unit, formula, unguarded(reason) or None


def scans_parquet(path: Path, table: ScanTable) -> None:
    """Write the table of scans as Parquet, with title and unit of each column in the metadata of its field.

    Raises:
        ImportError: pyarrow is not installed.
        OutputError: It cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types: dict[Kind, Any] = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64()}
    fields, arrays = [], []
    for index, column in enumerate(table.columns):
        about = {"title": column.title, "unit": column.unit, "meaning": column.meaning}
        safe = {key: utf8_safe(text) for key, text in about.items()}
        fields.append(pa.field(utf8_safe(column.name), types[column.kind], metadata=safe))
        values = [row[index] for row in table.rows]
        safe_values = [utf8_safe(value) if isinstance(value, str) else value for value in values]
        arrays.append(pa.array(safe_values, types[column.kind]))
    written = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    with atomic_file(path) as part:
        pq.write_table(written, part, compression="zstd")
