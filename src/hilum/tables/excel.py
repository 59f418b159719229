"""The tables as a workbook for Excel and LibreOffice."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hilum.core.flag_codes import FlagCode
from hilum.io.atomic import atomic_file
from hilum.io.safe_text import utf8_safe
from hilum.tables.columns import Column, Kind
from hilum.tables.scans import Cell, LongRow, ScanTable

__all__ = ["MOST_ROWS", "WORKBOOK", "scans_xlsx"]

WORKBOOK = "scans.xlsx"
#: Rows of a sheet, the header among them, and characters of a cell: limits of the format, ECMA-376.
MOST_ROWS = 1_048_576
_MOST_CHARACTERS = 32_767
#: A workbook states when it was made; a fixed day keeps its bytes equal.
_MADE = dt.datetime(2000, 1, 1)
_WIDTH = {Kind.TEXT: 16, Kind.INTEGER: 9, Kind.NUMBER: 11}
_FORMAT = {Kind.INTEGER: "0", Kind.NUMBER: "0.###"}
_TEXTS = ("scan", "task", "region")


def scans_xlsx(path: Path, table: ScanTable, rows: Iterable[LongRow], *, most_rows: int = MOST_ROWS) -> None:
    """Write a workbook with the sheets scans, measures, flags, failures and definitions.

    All text is written as text, never as a formula or a link.

    Args:
        path: File to write.
        table: The table of scans.
        rows: The long table; the sheet ``measures`` has one row a scan and region, one column a measure.
        most_rows: Rows that a sheet may have; where there are more, the sheet ``definitions`` says so.

    Raises:
        ImportError: XlsxWriter is not installed.
        OutputError: It cannot be written.
    """
    import xlsxwriter

    with atomic_file(path) as part, tempfile.TemporaryDirectory(prefix="hilum-") as rest:
        # Rows go to the disk one by one: 5,000 scans have 100,000 rows of measures.
        book = xlsxwriter.Workbook(str(part), {"constant_memory": True, "tmpdir": rest})
        book.set_properties({"created": _MADE, "author": "hilum", "title": "hilum: table of scans"})
        sheets = _Sheets(book, most_rows)
        sheets.add("scans", table.columns, table.rows)
        sheets.add("measures", *_wide(table, rows))
        sheets.add("flags", *_flags(table))
        sheets.add("failures", *_failures(table))
        sheets.add("definitions", *_definitions(table, sheets.cut))
        book.close()


class _Sheets:
    """Adds sheets whose header is frozen; those that were too long are listed in ``cut``."""

    def __init__(self, book: Any, most_rows: int) -> None:
        self._book, self._most = book, most_rows
        self._head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._formats = {kind: book.add_format({"num_format": form}) for kind, form in _FORMAT.items()}
        self.cut: list[str] = []

    def add(self, name: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, max(_WIDTH[column.kind], min(40, _wanted(column))))
        self._texts(sheet, 0, [column.name for column in columns], self._head)
        number = 0
        for number, row in enumerate(rows, start=1):
            if number >= self._most:
                self.cut.append(name)
                number = self._most - 1
                break
            for place, (column, value) in enumerate(zip(columns, row, strict=True)):
                if isinstance(value, str):
                    sheet.write_string(number, place, _cell_text(value))
                elif value is not None:
                    sheet.write_number(number, place, value, self._formats[column.kind])
        if columns:
            sheet.autofilter(0, 0, max(number, 1), len(columns) - 1)

    def _texts(self, sheet: Any, row: int, texts: Sequence[str], form: Any) -> None:
        for place, text in enumerate(texts):
            sheet.write_string(row, place, _cell_text(text), form)


def _wanted(column: Column) -> int:
    """Width of a column in characters, by what it holds."""
    return {"scan": 28, "message": 40, "hint": 40, "meaning": 40, "flags": 24, "title": 36, "name": 34}.get(
        column.name, 0
    )


def _cell_text(text: str) -> str:
    return utf8_safe(text)[:_MOST_CHARACTERS]


def _text_columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, name, Kind.TEXT, "") for name in names)


def _wide(table: ScanTable, rows: Iterable[LongRow]) -> tuple[tuple[Column, ...], Iterator[list[Cell]]]:
    """Return the columns of the measures and one row a scan and region."""
    measured = {column.measure: column for column in table.columns if column.measure}
    columns = []
    for measure, column in measured.items():
        name = column.name.removeprefix(f"{column.region}_")
        columns.append(Column(name, measure, Kind.NUMBER, column.group, column.unit, column.meaning))

    def each() -> Iterator[list[Cell]]:
        for key, group in groupby(rows, key=lambda row: row[:3]):
            values = {row[3]: row[4] for row in group}
            yield [*key, *(values.get(measure) for measure in measured)]

    return (*_text_columns(*_TEXTS), *columns), each()


def _flags(table: ScanTable) -> tuple[tuple[Column, ...], Iterator[list[Cell]]]:
    columns = _text_columns("scan", "severity", "code", "regions", "message")
    return columns, (
        [flag.scan, flag.severity, flag.code, ";".join(flag.regions), flag.message] for flag in table.flags
    )


def _failures(table: ScanTable) -> tuple[tuple[Column, ...], Iterator[list[Cell]]]:
    code = Column("code", "code", Kind.INTEGER, "")
    scan, message, hint = _text_columns("scan", "message", "hint")
    return (scan, code, message, hint), ([f.scan, f.code, f.message, f.hint] for f in table.failures)


def _definitions(table: ScanTable, cut: Sequence[str]) -> tuple[tuple[Column, ...], Iterator[list[Cell]]]:
    """What each column holds and what each flag of these scans means."""

    def each() -> Iterator[list[Cell]]:
        for sheet in cut:
            words = "longer than a sheet can be: its end is left out, but not in the CSV files"
            yield ["sheet", sheet, sheet, None, words]
        for column in table.columns:
            yield ["column", column.name, column.title, column.unit or None, column.meaning or None]
        known = {str(code): code for code in FlagCode}
        for code in sorted({flag.code for flag in table.flags}):
            about = known.get(code)
            meaning = f"{about.meaning} {about.todo}" if about else None
            yield ["flag", code, about.heading if about else code, None, meaning]

    return _text_columns("kind", "name", "title", "unit", "meaning"), each()
