"""Small text files from anywhere: JSON, TOML and CSV, read within bounds.

A file of a few kB can take hours or all memory: nesting ends Python's stack, a TOML key of many parts takes
time by its square, a number of many digits likewise, and a named pipe never ends. Everything that hilum reads
as text comes through here. Anything else is refused in one sentence, as the caller's kind of error.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hilum.core.errors import HilumError, InputError
from hilum.core.sentences import Sentence
from hilum.io.stream import open_regular, readable

__all__ = [
    "DEEPEST",
    "MOST_BYTES",
    "parse_rows",
    "parse_toml",
    "quoted",
    "read_json",
    "read_rows",
    "read_text",
    "read_toml",
    "sha256_of",
    "shown",
]

#: Bytes of a JSON or CSV file, unless its reader says otherwise: 100 times what a study of 1000 scans takes.
MOST_BYTES = 64 * 2**20
#: Bytes of a TOML file and characters of one of its lines. The time that a key takes grows with the square of
#: its parts, so a line has to be short; a configuration that hilum writes has 2 kB, its longest line 60.
MOST_TOML_BYTES, _LONGEST_TOML_LINE = 64 * 2**10, 2048
#: Levels of lists and tables in each other; what hilum writes has at most 8.
DEEPEST = 32
#: Digits of a whole number: 64 bits have 20, and 309 no longer fit into a float.
_MOST_DIGITS = 20
#: Escapes in JSON of what is not text: NUL and halves of surrogate pairs.
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_AGAIN = "Get the file again."


class _Unfit(ValueError):
    """Why a text cannot be used, as the second half of a sentence."""


def shown(value: object, most: int = 60) -> str:
    """Return a value from a file or an argument as short printable text, fit for a message."""
    text = value if isinstance(value, str) else _repr(value)
    text = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."


def quoted(value: object, most: int = 60) -> str:
    """Return a value as :func:`shown` does, text in quotes: to distinguish ``'1'`` from ``1``."""
    return f"'{shown(value, most)}'" if isinstance(value, str) else shown(value, most)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of too many digits
        return type(value).__name__


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        InputError: It is not a regular file or cannot be read.
    """
    digest = hashlib.sha256()
    with readable(path), open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_text(
    path: Path,
    *,
    most: int = MOST_BYTES,
    name: str = "",
    hint: str = _AGAIN,
    error: type[HilumError] = InputError,
) -> str:
    """Read a file of text in UTF-8, with or without a byte order mark; line ends stay as they are.

    Args:
        path: The file.
        most: Bytes that it may have.
        name: What to call it in a message; the file's name where it is empty.
        hint: What to do where it cannot be used.
        error: What is raised then.

    Raises:
        HilumError: Of the kind ``error``: it is missing, not a regular file, too large, or not text in UTF-8.
    """
    with _told(path, name, hint, error):
        return _text(path, most, name)


def read_json(
    path: Path,
    *,
    most: int = MOST_BYTES,
    name: str = "",
    hint: str = _AGAIN,
    error: type[HilumError] = InputError,
) -> Any:
    """Read a JSON file (RFC 8259): plain data without NaN, with whole numbers of at most 20 digits.

    Args:
        path: The file.
        most: Bytes that it may have.
        name: What to call it in a message; the file's name where it is empty.
        hint: What to do where it cannot be used.
        error: What is raised then.

    Raises:
        HilumError: Of the kind ``error``: as :func:`read_text`, or it is not JSON or nested too deeply.
    """
    with _told(path, name, hint, error):
        return _parse_json(_text(path, most, name))


def read_toml(
    path: Path, *, name: str = "", hint: str = _AGAIN, error: type[HilumError] = InputError
) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        name: What to call it in a message; the file's name where it is empty.
        hint: What to do where it cannot be used.
        error: What is raised then.

    Raises:
        HilumError: Of the kind ``error``: as :func:`read_text`, or it is not TOML or nested too deeply.
    """
    with _told(path, name, hint, error):
        return parse_toml(_text(path, MOST_TOML_BYTES, name))


def read_rows(
    path: Path,
    *,
    delimiters: str = ",",
    most: int = MOST_BYTES,
    name: str = "",
    hint: str = _AGAIN,
    error: type[HilumError] = InputError,
) -> list[tuple[int, list[str]]]:
    """Read a CSV file: the fields of each row that is not blank, with the number of its last line, from 1.

    Args:
        path: The file.
        delimiters: What may stand between fields; the one that the first line has most of.
        most: Bytes that it may have.
        name: What to call it in a message; the file's name where it is empty.
        hint: What to do where it cannot be used.
        error: What is raised then.

    Raises:
        HilumError: Of the kind ``error``: as :func:`read_text`, or it is not CSV, or a field has more than
            131072 characters.
    """
    with _told(path, name, hint, error):
        return list(parse_rows(_text(path, most, name), delimiters))


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML from a text.

    Raises:
        ValueError: It is not TOML, or beyond the bounds; the message is the second half of a sentence.
    """
    if any(len(line) > _LONGEST_TOML_LINE for line in text.split("\n")):
        raise _Unfit(f"it has a line of more than {_LONGEST_TOML_LINE} characters")
    try:
        data: dict[str, Any] = _toml().loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise _Unfit("it is not valid TOML; each line is key = value, with text in quotes") from error
    _check_values(data, finite=False)
    return data


def parse_rows(text: str, delimiters: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Give the rows of a CSV text; see :func:`read_rows`.

    Raises:
        ValueError: It is not CSV, or beyond the bounds; the message is the second half of a sentence.
    """
    if "\0" in text:
        raise _Unfit("it holds NUL bytes, so it is not text")
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(delimiters, key=head.count), strict=True)
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        what = (
            f"has a field of more than {csv.field_size_limit()} characters"
            if "limit" in str(error)
            else "is not CSV: its quotes do not match"
        )
        raise _Unfit(f"line {rows.line_num} {what}") from error


# -- within bounds --------------------------------------------------------------------------------------


@contextmanager
def _told(path: Path, name: str, hint: str, error: type[HilumError]) -> Iterator[None]:
    """Raise what goes wrong as ``error``, under the name that the user knows."""
    try:
        yield
    except _Unfit as unfit:
        message = Sentence("{file:name} cannot be read: {why}.", name=name or path.name, why=unfit)
        raise error(message, hint) from unfit
    except InputError as said:
        if error is InputError:
            raise
        raise error(said.message, said.hint) from said


def _text(path: Path, most: int, name: str) -> str:
    with readable(path, name), open_regular(path, name) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise _Unfit(f"it is larger than {_size(most)}")
        raw = file.read(most + 1)  # it may grow meanwhile
    if len(raw) > most:
        raise _Unfit(f"it is larger than {_size(most)}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unfit("it is not text in UTF-8") from error


def _size(count: int) -> str:
    return f"{count // 2**20} MB" if count >= 2**20 else f"{count // 2**10} kB"


def _parse_json(text: str) -> Any:
    try:
        data = json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        raise _Unfit(f"it is not valid JSON at line {error.lineno}, column {error.colno}") from error
    _check_values(data, finite=True)
    if _SUSPECT.search(text):
        _check_strings(data)
    return data


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _Unfit(f"it holds a number of more than {_MOST_DIGITS} digits")
    return int(digits)


def _check_values(data: Any, *, finite: bool) -> None:
    """Raise where lists and tables lie too deep in each other, or a number is not finite or too long."""
    level, depth = [data], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float):
                if finite and not math.isfinite(value):
                    raise _Unfit("it holds NaN or a number that is too large")
            elif isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
                raise _Unfit(f"it holds a number of more than {_MOST_DIGITS} digits")
        level = below


def _check_strings(data: Any) -> None:
    """Raise where a string holds NUL or half a surrogate pair: no file can be named so, and none written."""
    level = [data]
    while level:
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and ("\0" in value or not _encodes(value)):
                raise _Unfit("it holds characters that are not text")
        level = below


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _too_deep() -> _Unfit:
    return _Unfit(f"it is nested more than {DEEPEST} levels deep")


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    import tomli  # type: ignore[import-not-found]

    return tomli
