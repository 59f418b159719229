"""What a user names as input: paths and patterns, lists of them, and tables with a column ``scan``."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.io.remote import is_url
from hilum.io.sources import Input
from hilum.io.text import read_rows, read_text

__all__ = ["SCAN", "read_inputs"]

#: The column of a table that names the scans.
SCAN = "scan"
_COMMENT = "#"
_HINT = "Save it as text in UTF-8; in Excel that is 'CSV UTF-8'."


def read_inputs(inputs: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[Input]:
    """Open lists and tables among inputs.

    ``@list.txt`` is a text file with one path or pattern a line; empty lines and lines that begin with ``#``
    are skipped. A file that ends with ``.csv``, with or without ``@``, is a table with a column ``scan``; its
    further columns are kept with each scan. Its fields are separated by commas, semicolons or tabs. Paths are
    relative to the folder of the list; URLs, such as ``s3://bucket/ct.nii.gz``, stay as they are.

    Args:
        inputs: Files, folders, zips, patterns, URLs, lists and tables; or one of them.

    Raises:
        InputError: A list or table cannot be read; the message names the line.
        UsageError: There is no input.
    """
    given = [inputs] if isinstance(inputs, (str, PathLike)) else inputs
    out: list[Input] = []
    for text in (fspath(entry) for entry in given):
        if is_url(text):
            out.append(Input(text))
            continue
        path = Path(text[1:] if text.startswith("@") and not os.path.lexists(text) else text)
        is_list = text != str(path) and text.startswith("@")
        if path.name.lower().endswith(".csv"):
            out += _table(path)
        elif is_list:
            out += _list(path)
        else:
            out.append(Input(text))
    if not out:
        raise UsageError(
            "There is no scan to work on.", "Name a file, a folder or a list with at least one scan."
        )
    return out


def _list(path: Path) -> list[Input]:
    lines = enumerate(read_text(path, hint=_HINT).splitlines(), 1)
    stripped = ((number, line.strip()) for number, line in lines)
    return [_entry(path, line, number) for number, line in stripped if line and not line.startswith(_COMMENT)]


def _table(path: Path) -> list[Input]:
    rows = read_rows(path, delimiters=",;\t", hint=_HINT)
    (_, header), *rest = rows or [(1, [])]
    names = [name.strip() for name in header]
    hint = "Its first line names the columns; one of them is called 'scan' and holds the paths."
    if names.count(SCAN) != 1:
        raise InputError(
            Sentence(
                "{file:name} has {count} columns called 'scan'.",
                name=path.name,
                count=names.count(SCAN) or "no",
            ),
            hint,
        )
    if "" in names or len(set(names)) < len(names):
        message = Sentence(
            "Line 1 of {file:name}: a column has no name, or two have the same.", name=path.name
        )
        raise InputError(message, hint)
    return [_row(path, names, row, number) for number, row in rest if any(field.strip() for field in row)]


def _row(path: Path, names: list[str], row: list[str], line: int) -> Input:
    if len(row) != len(names):
        raise InputError(
            Sentence(
                "Line {line} of {file:name} has {count} fields, but there are {columns} columns.",
                line=line,
                name=path.name,
                count=len(row),
                columns=len(names),
            ),
            "Put fields that hold a separator into double quotes.",
        )
    values = dict(zip(names, (field.strip() for field in row), strict=True))
    scan = values.pop(SCAN)
    if not scan:
        raise InputError(
            Sentence("Line {line} of {file:name} names no scan.", line=line, name=path.name),
            "Give its path in the column 'scan', or remove the line.",
        )
    return _entry(path, scan, line, tuple(values.items()))


def _entry(path: Path, text: str, line: int, covariates: tuple[tuple[str, str], ...] = ()) -> Input:
    if is_url(text):
        return Input(text, covariates, f"line {line} of {path.name}")
    folder = str(path.parent)
    if glob.has_magic(text) and not os.path.lexists(path.parent / text):
        folder = glob.escape(folder)
    return Input(os.path.join(folder, text), covariates, f"line {line} of {path.name}")  # noqa: PTH118
