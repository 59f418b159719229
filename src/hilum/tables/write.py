"""Reading folders of results, and writing all tables of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

from hilum.core.errors import InputError, OutputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.atomic import writable
from hilum.io.remote import is_url
from hilum.io.write import write_text
from hilum.tables.covariates import COVARIATES, join
from hilum.tables.excel import WORKBOOK, scans_xlsx
from hilum.tables.failures import FAILED, read_failures
from hilum.tables.files import LONG, PARQUET, SCANS, long_csv, read_long, scans_csv, scans_parquet
from hilum.tables.folders import (
    ResultsFolder,
    read_scan,
    scan_folders,
    tell_damage,
)
from hilum.tables.page import INDEX, render_index
from hilum.tables.remote import results_here, tables_at
from hilum.tables.scans import LONG_COLUMNS, LongRow, ScanTable, TableMaker, long_rows

__all__ = ["INDEX", "read_results", "write_tables"]

#: Start of each file that is replaced; a file that starts otherwise is somebody else's.
_STARTS = {
    SCANS: ("scan,format,size_x_voxels,", "scan,results,format,size_x_voxels,"),
    LONG: (",".join(LONG_COLUMNS),),
    INDEX: ("<!DOCTYPE html>\n<!-- hilum: scans -->",),
}
_HEAD_BYTES = 200

Results = str | PathLike[str] | Sequence[str | PathLike[str]]


def read_results(
    results: Results, *, join_with: str | PathLike[str] | None = None, on: str = "scan"
) -> ScanTable:
    """Read the results of many scans into one table; nothing is written.

    Args:
        results: A folder of results, its URL, or several.
        join_with: A CSV of covariates; a ``covariates.csv`` beside the results is joined unasked.
        on: Its column with the names of the scans.

    Returns:
        One row a scan, sorted by name. What is damaged or does not fit is listed in ``problems``.

    Raises:
        UsageError: A folder is missing, holds no results, or holds some of another version's layout.
        InputError: The covariates or a URL cannot be read.
    """
    with results_here(_listed(results)) as folders:
        reader = _Reader(folders)
        for _ in reader.rows():
            pass
        return reader.table(join_with, on)


def write_tables(
    out: str | PathLike[str],
    results: Results | None = None,
    *,
    join_with: str | PathLike[str] | None = None,
    on: str = "scan",
    notify: Callable[[str], None] = lambda sentence: None,
) -> ScanTable:
    """Write ``scans.csv``, ``measures_long.csv``, ``scans.parquet``, ``scans.xlsx`` and ``index.html``.

    Each file appears whole or not at all. Without pyarrow or XlsxWriter (extra ``tables``) that one file is
    not written, and ``notify`` is called.

    Args:
        out: Folder for the tables, or its URL.
        results: A folder of results, its URL, or several; ``out`` where it is None. The page has no links to
            reports at another URL than its own.
        join_with: A CSV of covariates; a ``covariates.csv`` beside the results is joined unasked.
        on: Its column with the names of the scans.
        notify: Called with one sentence on each thing that was left out.

    Returns:
        The table of scans.

    Raises:
        UsageError: A folder is missing, holds no results, or holds some of another version's layout.
        InputError: The covariates or a URL cannot be read.
        OutputError: A file cannot be written, or is not hilum's.
    """
    sources, place = _listed(out if results is None else results), os.fspath(out)
    write = partial(_write, join_with=join_with, on=on, notify=notify)
    if not is_url(place):
        with results_here(sources) as folders:
            return write(Path(place), folders)
    own = [one.rstrip("/") for one in sources] == [place.rstrip("/")]
    with tables_at(place, with_results=own) as work, results_here([str(work)] if own else sources) as folders:
        return write(work, folders, linked=own)


def _write(
    out: Path,
    results: Sequence[ResultsFolder],
    *,
    join_with: str | PathLike[str] | None,
    on: str,
    notify: Callable[[str], None],
    linked: bool = True,
) -> ScanTable:
    reader = _Reader(results)
    _check_own(out)
    long_csv(out / LONG, reader.rows())
    table = reader.table(join_with, on)
    for sentence in table.problems:
        notify(sentence)
    scans_csv(out / SCANS, table)
    _write_optional(out, table, notify)
    write_text(out / INDEX, render_index(table, out, linked=linked))
    return table


def _write_optional(out: Path, table: ScanTable, notify: Callable[[str], None]) -> None:
    for name, package in ((PARQUET, "pyarrow"), (WORKBOOK, "XlsxWriter")):
        try:
            if name == PARQUET:
                scans_parquet(out / name, table)
            else:
                scans_xlsx(out / name, table, read_long(out / LONG))
        except ImportError:
            with writable(out / name):
                (out / name).unlink(missing_ok=True)  # an old one beside new tables would mislead
            notify(f"{name} was not written: it needs {package}. Run: pip install 'hilum[tables]'")


class _Reader:
    """Reads each scan once: its long rows are handed on, its row of the table is kept."""

    def __init__(self, results: Sequence[ResultsFolder]) -> None:
        self._results = results
        self._scans, self._prefixed = scan_folders(results)
        self._maker = TableMaker(merged=len(results) > 1)
        self._problems: list[str] = []
        if not self._scans and not any((folder.path / FAILED).exists() for folder in results):
            names = ", ".join(str(folder.path) for folder in results)
            raise UsageError(f"No results were found in {names}.", Sentence("Make some with {verb:segment}."))

    def rows(self) -> Iterator[LongRow]:
        """Give the long rows of all scans; a damaged folder costs a sentence."""
        for place in self._scans:
            try:
                scan = read_scan(place)
            except InputError as error:
                self._problems.append(tell_damage(place, error))
                continue
            self._maker.add(scan)
            yield from long_rows(place.scan, scan.measures)

    def table(self, join_with: str | PathLike[str] | None, on: str) -> ScanTable:
        """Return the table of all scans that were read."""
        done = {place.scan for place in self._scans}
        failures, unread = read_failures(self._results, prefixed=self._prefixed, done=done)
        problems = [*self._problems, *unread]
        table = self._maker.table(failures, problems)
        table = replace(table, problems=(*problems, *_alike(table)))
        kept = [
            (folder.path / COVARIATES, f"{folder.label}/" if self._prefixed else "")
            for folder in self._results
            if (folder.path / COVARIATES).exists()
        ]
        if join_with is not None:
            given = Path(join_with)
            kept = [(path, label) for path, label in kept if not _same(path, given)]
        table = join(table, kept) if kept else table
        return table if join_with is None else join(table, [(Path(join_with), "")], on=on)


def _listed(results: Results) -> list[str]:
    several = [results] if isinstance(results, (str, PathLike)) else list(results)
    if not several:
        raise UsageError("No folder of results was named.", "Name one.")
    return [os.fspath(one) for one in several]


def _alike(table: ScanTable) -> list[str]:
    """Say which scans are the same one under several names: a study would count it twice."""
    prints = table.column("fingerprint")
    often = Counter(prints)
    names: dict[object, list[str]] = {}
    for name, found in zip(table.column("scan"), prints, strict=True):
        if found and often[found] > 1:
            names.setdefault(found, []).append(str(name))
    return [f"{', '.join(same[:4])}{' ...' if len(same) > 4 else ''} are one scan: same voxels, same place."
            for same in names.values()]  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - either may be missing
    except OSError:
        return False


def _check_own(out: Path) -> None:
    """Refuse a place where files of others have the names of tables."""
    for name, starts in _STARTS.items():
        path = out / name
        if path.exists() and not _head(path).startswith(starts):
            raise OutputError(
                f"{path} is not a file of hilum, so it is not replaced.",
                Sentence("Move it away, or give another folder{with:out}."),
            )


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
