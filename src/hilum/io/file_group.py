"""Files of one result in a folder that they share with other results: they appear together or not at all.

:class:`hilum.io.atomic.OutputFolder` swaps a whole folder. Where a layout prescribes that the results of
several scans lie in one folder, they are staged in a hidden folder inside it. That folder is renamed once
they are complete, and then they are moved. What a killed process staged is removed by the next one; what it
began to move is moved to the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hilum.core.disk import DISK_FULL
from hilum.core.errors import InputError, OutputError
from hilum.core.sentences import Sentence
from hilum.io.atomic import sync, writable
from hilum.io.partial_files import HIDDEN
from hilum.io.text import read_json

__all__ = ["finish_moves", "output_files", "recover"]

_DONE = ".done"
#: In the staging folder: names of former files that no new one replaces.
_STALE = ".stale.json"


@contextmanager
def output_files(folder: Path, key: str, former: Iterable[str] = ()) -> Iterator[Path]:
    """Give a staging folder for the files of a result; at the end of the block they move into ``folder``.

    Where the block ends with an exception nothing is changed, and a folder that was made for it is removed.

    Args:
        folder: Folder that the files will lie in, beside those of other results.
        key: Names the result among all of the folder.
        former: Names of the files of its former result. Those that are not written again are removed.

    Raises:
        OutputError: The files cannot be written, a file of that name belongs to something else, or another
            process writes the same result.
    """
    former = set(former)
    with writable(folder):
        made = _make(folder)
    staging = folder / f"{HIDDEN}{_digest(key)}.part"
    try:
        with _locked(folder, key):
            with writable(folder):
                _recover(folder, staging)
                staging.mkdir()
            try:
                yield staging
                with writable(folder):
                    _commit(folder, staging, former)
            except OutputError as error:
                raise _placed(error, staging, folder) from error
            except OSError as error:
                if error.errno in DISK_FULL:
                    with writable(folder):
                        raise
                raise
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    finally:
        for empty in made:
            with suppress(OSError):  # it holds the result, or that of another process
                empty.rmdir()


def recover(folder: Path, key: str) -> None:
    """Remove what a killed process left of a result; what it began to move is moved to the end.

    :func:`output_files` does so itself; this is for a result that is complete or is not written again. A
    folder that is empty then is removed.

    Args:
        folder: Folder of the result.
        key: Names the result among all of the folder.

    Raises:
        OutputError: Another process is writing it, or it cannot be written.
    """
    staging = folder / f"{HIDDEN}{_digest(key)}.part"
    if any(os.path.lexists(staging.with_suffix(suffix)) for suffix in (".part", _DONE, ".lock")):
        with _locked(folder, key), writable(folder):
            _recover(folder, staging)
    with suppress(OSError):  # it holds the result, or those of others
        folder.rmdir()


def finish_moves(root: Path) -> None:
    """Move to its end what killed processes began to move, anywhere below ``root``.

    Raises:
        OutputError: A file cannot be moved.
    """
    with writable(root):
        for done in sorted(root.rglob(f"{HIDDEN}*{_DONE}")):
            with suppress(Timeout), _lock_of(done.parent, done.name[len(HIDDEN) : -len(_DONE)]):
                _move(done.parent, done)


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that were made, the innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
    return missing


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@contextmanager
def _lock_of(folder: Path, digest: str) -> Iterator[None]:
    path = folder / f"{HIDDEN}{digest}.lock"
    lock = FileLock(path, timeout=0)
    lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: a process that has this file open notices that it is gone
            path.unlink()
        lock.release()


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    with ExitStack() as stack:
        with writable(folder):
            try:
                stack.enter_context(_lock_of(folder, _digest(key)))
            except Timeout as error:
                raise OutputError(
                    Sentence("Another process is writing the results of {scan:key}.", key=key),
                    "Wait until it is done, or give another folder.",
                ) from error
        yield


def _placed(error: OutputError, staging: Path, folder: Path) -> OutputError:
    """Name the place that the user knows in an error of a writer."""
    if error.where is None or not error.where.is_relative_to(staging):
        return error
    where = folder / error.where.relative_to(staging)
    message = error.message
    if isinstance(message, Sentence):
        message = message.having(where=str(where))
    return OutputError(message, error.hint, where)


def _recover(folder: Path, staging: Path) -> None:
    done = staging.with_suffix(_DONE)
    _move(folder, done)
    if staging.is_dir():
        shutil.rmtree(staging)


def _commit(folder: Path, staging: Path, former: set[str]) -> None:
    new = {path.name for path in staging.iterdir()}
    foreign = sorted(name for name in new - former if os.path.lexists(folder / name))
    if foreign:
        raise OutputError(
            f"{folder} holds a file that hilum did not write ({foreign[0]}), so it is not replaced.",
            Sentence("Move it away, or give another folder{with:out}."),
        )
    (staging / _STALE).write_text(json.dumps(sorted(former - new)), "utf-8")
    for file in staging.iterdir():
        sync(file)
    sync(staging)
    done = staging.with_suffix(_DONE)
    staging.rename(done)  # from here on the result is the new one, also for the next process
    try:
        _move(folder, done)
    except BaseException:  # a signal can come between two files
        _move(folder, done)
        raise


def _move(folder: Path, done: Path) -> None:
    """Put the files in their place. It can be done again after it was cut off anywhere."""
    if not done.is_dir():
        return
    with suppress(InputError):
        stale = read_json(done / _STALE)
        for name in stale if isinstance(stale, list) else ():
            (folder / Path(str(name)).name).unlink(missing_ok=True)
    for file in sorted(done.iterdir()):
        if file.name != _STALE:
            file.replace(folder / file.name)
    sync(folder)
    shutil.rmtree(done, ignore_errors=True)
