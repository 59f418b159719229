"""The failures of a batch, from its private ``failed.csv``; what goes on from here holds no path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hilum.core.errors import InputError
from hilum.io.text import read_rows
from hilum.tables.folders import ResultsFolder
from hilum.tables.scans import Failure

__all__ = ["FAILED", "read_failures", "without_paths"]

#: The table of failures that a batch writes beside its results.
FAILED = "failed.csv"
_NEEDED = ("scan", "code", "message")
#: An absolute path, on any system: at least two parts. Its last part is kept, the folders are not.
_PATH = re.compile(r"(?<![\w/\\.])(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^\s/\\:*?\"<>|]+[\\/])+")


def read_failures(
    results: Sequence[ResultsFolder], *, prefixed: bool, done: set[str]
) -> tuple[list[Failure], list[str]]:
    """Read which scans failed, and why.

    Args:
        results: The folders of results.
        prefixed: Whether names of scans start with that of their folder of results.
        done: Names of scans that have results; one that was measured later has not failed.

    Returns:
        The failures, and one sentence on each table that cannot be read.
    """
    failures, problems = [], []
    for folder in results:
        path = folder.path / FAILED
        if not path.exists():
            continue
        try:
            for row in _rows(folder):
                name = f"{folder.label}/{row['scan']}" if prefixed else row["scan"]
                if name in done:
                    continue
                message, hint = (
                    _hidden(row.get(key, ""), row.get("path", "")) for key in ("message", "hint")
                )
                failures.append(Failure(name, int(row["code"]), message, hint))
        except (InputError, ValueError, KeyError) as error:
            said = str(error.message) if isinstance(error, InputError) else f"{FAILED} is damaged."
            problems.append(f"The failures of {folder.label} are not in the tables: {said}")
    return failures, problems


def _rows(folder: ResultsFolder) -> Iterator[dict[str, str]]:
    rows = read_rows(folder.path / FAILED)
    header = rows[0][1] if rows else []
    if not set(_NEEDED) <= set(header):
        raise InputError(f"{FAILED} has no columns {', '.join(_NEEDED)}.")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(f"{FAILED} is damaged at line {number}.")
        yield dict(zip(header, row, strict=True))


def _hidden(text: str, path: str) -> str:
    """Leave the folders out of a message, also those with spaces in their names."""
    parent = max(path.rfind("/"), path.rfind("\\")) + 1
    return without_paths(text.replace(path[:parent], "") if parent > 1 else text)


def without_paths(text: str) -> str:
    """Return a text in which absolute paths are shown by their last part.

    Examples:
        >>> without_paths("/home/ann/results/a holds the results of another scan.")
        'a holds the results of another scan.'
    """
    return _PATH.sub("", text)
