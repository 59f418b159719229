"""The private tables beside results: which folder belongs to which source, what failed, and covariates."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from hilum.core.errors import HilumError, InputError, OutputError
from hilum.core.sentences import NEUTRAL, UNNAMED, Sentence, worded
from hilum.datasets.pseudonyms import assign
from hilum.io.atomic import writable
from hilum.io.names import absolute, natural_key
from hilum.io.sources import Source
from hilum.io.text import read_rows, read_text
from hilum.io.write import write_csv, write_text
from hilum.tables.covariates import COVARIATES
from hilum.tables.failures import FAILED

__all__ = ["COVARIATES", "FAILED", "SALT", "SOURCES", "Ledger", "Salt"]

SOURCES = "sources.csv"
SALT = "salt.txt"
SOURCE_COLUMNS = ("scan", "path", "study_uid", "series_uid", "sha256")
FAILED_COLUMNS = ("scan", "code", "message", "hint", "path")
#: Seconds between two writes of the tables, which would otherwise dominate with thousands of scans.
_EVERY_S = 5.0
#: Seconds to wait for the last write: hundreds of parts of a batch may end at the same time.
_PATIENCE_S = 600.0
_MOST_SALT_BYTES = 1024
_SHORT = 8  # hexadecimal digits of a study's name; two of 10,000 studies are alike once in 100 folders

Table = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Salt:
    """What the hashes of UIDs in a folder of results are salted with. It is made at its first use.

    Attributes:
        out: The folder of results; None for a salt that nobody keeps.
        own: The salt for ``out=None``.
    """

    out: Path | None
    own: bytes = b""

    @classmethod
    def of(cls, out: Path | None) -> Salt:
        """Return the salt of a folder."""
        return cls(out, b"" if out is not None else secrets.token_bytes(16))

    def hash(self, text: str) -> str:
        """Return the salted hash of a text.

        Raises:
            OutputError: The salt cannot be written.
        """
        key = self.own if self.out is None else _stored_salt(self.out)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def portable(self) -> Salt:
        """Return it for processes that do not see the folder.

        Raises:
            OutputError: It cannot be written.
        """
        return self if self.out is None else Salt(None, _stored_salt(self.out))

    def label(self, study_uid: str) -> str:
        """Name a study that shares its folder with another one."""
        return f"study-{self.hash(study_uid)[:_SHORT]}"

    def series(self, uid: str, *, clear: bool) -> dict[str, str]:
        """Return what ``run.json`` says of a DICOM series: its UID or a salted hash of it."""
        if not uid:
            return {}
        return {"series_uid": uid} if clear else {"series_uid_hash": self.hash(uid)}


class Ledger:
    """Keeps ``sources.csv``, ``failed.csv``, ``covariates.csv`` and the salt in a folder of results.

    All are for its owner only. Rows of former runs stay; those of the same folder are replaced. A lone scan
    that fails leaves nothing. Several processes may keep one folder.

    Args:
        out: Folder of results; None keeps nothing.
        code_ids: Number the scans by the dictionary ``OUT.subjects.json`` beside the folder, which then holds
            the paths instead of the tables.

    Raises:
        OutputError: The folder or a table cannot be written.
        InputError: The dictionary is not valid.
    """

    def __init__(self, out: Path | None, *, code_ids: bool = False) -> None:
        self._out = None if out is None else absolute(out)
        self._code_ids = code_ids
        self.salt = Salt.of(self._out)
        self._had_salt = False
        self._numbers: dict[str, int] = {}
        self._known: Table = {}
        self._sources: Table = {}
        self._failed: Table = {}
        self._covariates: dict[str, Mapping[str, str]] = {}
        self._ended: set[str] = set()
        self._written = time.monotonic()

    def __enter__(self) -> Ledger:
        if self._out is not None:
            _check_place(self._out)
            # What is wrong with a table is said before hours of work, not after them.
            _read(self._out / FAILED, FAILED_COLUMNS)
            _read_covariates(self._out / COVARIATES)
            self._known = _read(self._out / SOURCES, SOURCE_COLUMNS)
            self._had_salt = (self._out / SALT).exists()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()
        if self._out is not None and not self._had_salt and not self._sources:
            with suppress(OSError):  # only where nothing else came to lie there
                if [p.name for p in self._out.iterdir()] == [SALT]:
                    (self._out / SALT).unlink()
                    self._out.rmdir()

    def coded(self, sources: Iterable[Source]) -> list[Source]:
        """Name sources by their numbers, where numbers are asked for."""
        named = list(sources)
        if not self._code_ids:
            return named
        keys = [_text(source) + (f"#{source.study_uid}" if source.study_uid else "") for source in named]
        if self._out is not None and not all(key in self._numbers for key in keys):
            self._numbers = assign(self._out.with_name(f"{self._out.name}.subjects.json"), keys)
        for key in keys:
            self._numbers.setdefault(key, len(self._numbers))
        return [
            replace(source, name=str(self._numbers[key]), coded=True)
            for key, source in zip(keys, named, strict=True)
        ]

    def knows(self, source: Source) -> bool:
        """Return whether the table holds the folder of a source."""
        return source.name in self._known

    def knows_path(self, source: Source) -> bool:
        """Return whether the results in the folder of a source are of the same path."""
        row = self._known.get(source.name, ("",) * len(SOURCE_COLUMNS))
        if source.coded:  # a path keeps its number
            return source.name in self._known
        return row[1:3] == (_text(source), source.study_uid)

    def done(self, source: Source, *, series_uid: str, fingerprint: str) -> None:
        """Note a scan that was measured."""
        known = () if source.coded else (_text(source), source.study_uid, series_uid)
        self._sources[source.name] = (source.name, *(known or ("", "", "")), fingerprint)
        self._end(source)

    def kept(self, source: Source) -> None:
        """Note a scan that is in the table and was not done again."""
        self._sources[source.name] = self._known[source.name]
        self._end(source)

    def failed(self, source: Source, error: HilumError) -> None:
        """Note a scan that failed, and why."""
        words = UNNAMED if source.coded else NEUTRAL
        message, hint = (_one_line(worded(text, words)) for text in (error.message, error.hint))
        path = "" if source.coded else _text(source)
        self._failed[source.name] = (source.name, str(error.exit_code), message, hint, path)
        self._end(source)

    def _end(self, source: Source) -> None:
        self._ended.add(source.name)
        if source.covariates:
            self._covariates[source.name] = dict(source.covariates)
        if time.monotonic() - self._written > _EVERY_S:
            self._written = time.monotonic()
            with suppress(_BusyError):  # another part is writing; the next time will do
                self._write(patience_s=0.0)

    def _write(self, patience_s: float = _PATIENCE_S) -> None:
        """Merge what is new into the tables on the disk."""
        out = self._out
        # The failure of a single scan is printed; a folder for it alone would be litter.
        worth = self._sources or len(self._ended) > 1 or (out is not None and (out / SOURCES).exists())
        if out is None or not self._ended or not worth:
            return
        with _locked(out, patience_s):
            sources = {**_read(out / SOURCES, SOURCE_COLUMNS), **self._sources}
            former = _read(out / FAILED, FAILED_COLUMNS)
            failed = {name: row for name, row in former.items() if name not in self._ended}
            failed |= {name: row for name, row in self._failed.items() if name not in self._sources}
            write_csv(out / SOURCES, SOURCE_COLUMNS, _in_order(sources), private=True)
            if failed:
                write_csv(out / FAILED, FAILED_COLUMNS, _in_order(failed), private=True)
            else:
                (out / FAILED).unlink(missing_ok=True)
            self._write_covariates(out / COVARIATES)

    def _write_covariates(self, path: Path) -> None:
        if not self._covariates:
            return
        rows = {**_read_covariates(path), **self._covariates}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        table = {scan: (scan, *(row.get(name, "") for name in columns)) for scan, row in rows.items()}
        write_csv(path, ("scan", *columns), _in_order(table), private=True)


class _BusyError(OutputError):
    """Another process holds the lock of the tables."""


def _stored_salt(out: Path) -> bytes:
    """Return the salt of a folder, which is made at its first use."""
    path = out / SALT
    with suppress(InputError, ValueError):
        return bytes.fromhex(read_text(path, most=_MOST_SALT_BYTES).strip())
    with _locked(out):
        with suppress(InputError, ValueError):
            return bytes.fromhex(read_text(path, most=_MOST_SALT_BYTES).strip())
        salt = secrets.token_bytes(16)
        write_text(path, salt.hex() + "\n", private=True)
    return salt


def _check_place(out: Path) -> None:
    """Refuse a place where nothing can be written, before any work is done."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file, not a folder.", Sentence("Give another folder{with:out}."))
    standing = next(place for place in (out, *out.parents) if place.exists())
    if not os.access(standing, os.W_OK):
        raise OutputError(
            f"{out} cannot be written: {standing} is read-only.", Sentence("Give another folder{with:out}.")
        )


@contextmanager
def _locked(out: Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Keep the tables of a folder to one process, and clear away what a killed one left of them."""
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        path = out / ".hilum-tables.lock"
        lock = FileLock(path, timeout=patience_s)
        try:
            lock.acquire()
        except Timeout as error:
            raise _BusyError(f"Another process keeps {path} locked.", "Wait until it is done.") from error
        try:
            for stale in out.glob(".hilum-*"):
                if stale.suffix in (".csv", ".txt") and stale.is_file():
                    stale.unlink()
            yield
        finally:
            with suppress(OSError):  # while it is held: a process that waits for it notices that it is gone
                path.unlink()
            lock.release()


def _read(path: Path, columns: tuple[str, ...]) -> Table:
    """Read a table of former runs by the name of the scan; empty where there is none."""
    if not path.exists():
        return {}
    try:
        header, *rows = [row for _, row in read_rows(path)] or [[]]
    except InputError:
        header, rows = [], []
    if tuple(header) != columns or any(len(row) != len(columns) for row in rows):
        raise _foreign(path)
    return {row[0]: tuple(row) for row in rows}


def _read_covariates(path: Path) -> dict[str, Mapping[str, str]]:
    """Read the covariates of former runs by the name of the scan; empty where there are none."""
    if not path.exists():
        return {}
    try:
        header, *rows = [row for _, row in read_rows(path)] or [[]]
    except InputError:
        header, rows = [], []
    if header[:1] != ["scan"] or any(len(row) != len(header) for row in rows):
        raise _foreign(path)
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def _foreign(path: Path) -> OutputError:
    return OutputError(
        f"{path.name} in {path.parent} is not a table of hilum, so it is not replaced.",
        Sentence("Move it away, or give another folder{with:out}."),
    )


def _in_order(table: Table) -> list[tuple[str, ...]]:
    """Return the rows by name, numbers in names by their value."""
    return sorted(table.values(), key=lambda row: natural_key(row[0]))


def _text(source: Source) -> str:
    """Write the URL or the whole path of a source; bytes that are not UTF-8 are escaped."""
    return source.url or os.fsencode(absolute(source.path)).decode("utf-8", "backslashreplace")


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
