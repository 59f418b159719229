"""Temporary folders, such as that of an unpacked zip: for their owner only, and always removed.

A process that is killed cannot remove its folder, which may hold a patient's files, so every later run does:
each folder has a lock beside it that the system lets go of when its process ends, however it ends.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hilum.core.errors import OutputError

__all__ = ["folder_until_exit", "remove_open", "sweep", "temporary_folder"]

_NAME = re.compile(r"hilum-tmp-[0-9a-f]{16}")
_LOCK = ".lock"
#: What this process has open: a generator that holds one may not have come to its end when the process does.
_OPEN: dict[Path, tuple[FileLock, int]] = {}
_TRIES = 10  # names that are tried for a folder


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that only this user may look into; it is removed with all that is in it.

    Raises:
        OutputError: There is no place for temporary files.
    """
    sweep()
    folder = folder_until_exit()
    try:
        yield folder
    finally:
        if folder in _OPEN:
            _remove(folder, _OPEN[folder][0])


def folder_until_exit() -> Path:
    """Make such a folder, which stays until this process ends.

    Raises:
        OutputError: There is no place for temporary files.
    """
    try:
        home = Path(tempfile.gettempdir())
        for _ in range(_TRIES):
            folder = home / f"hilum-tmp-{secrets.token_hex(8)}"
            lock = FileLock(f"{folder}{_LOCK}", timeout=0, mode=0o600)
            _OPEN[folder] = lock, os.getpid()
            try:
                lock.acquire()
                folder.mkdir(mode=0o700)
            except Timeout:
                # Another process is just sweeping, and took the lock for one that was left behind.
                _OPEN.pop(folder, None)
            except BaseException:
                _remove(folder, lock)
                raise
            else:
                return folder
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    except OSError as error:
        raise OutputError(
            f"The folder of temporary files cannot be written: {error.strerror or error}.",
            "Set TMPDIR to a folder that can.",
        ) from error


def sweep() -> None:
    """Remove the temporary folders of this user whose processes are gone; never fails."""
    with suppress(OSError):
        home = Path(tempfile.gettempdir())
        with os.scandir(home) as entries:
            found = {Path(e.path) for e in entries if _NAME.fullmatch(e.name.removesuffix(_LOCK)) and _own(e)}
        for folder in {path.with_name(path.name.removesuffix(_LOCK)) for path in found}:
            _remove_if_dead(folder)


def _own(entry: os.DirEntry[str]) -> bool:
    """Whether a folder or lock is this user's; links are nobody's."""
    try:
        kind = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return not entry.is_symlink() and (os.name != "posix" or kind.st_uid == os.geteuid())


def _remove_if_dead(folder: Path) -> None:
    lock = FileLock(f"{folder}{_LOCK}", timeout=0, mode=0o600)
    with suppress(OSError, Timeout):  # a living process holds it, or another one is sweeping
        lock.acquire()
        _remove(folder, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    """Remove a folder and, if it is held, its lock; once more where a signal came between."""
    try:
        _remove_once(folder, lock)
    except BaseException:
        _remove_once(folder, lock)
        raise


def _remove_once(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock.is_locked:
        with suppress(OSError):  # before it is let go, so that nobody takes it meanwhile; not so on Windows
            Path(lock.lock_file).unlink()
        lock.release()
    _OPEN.pop(folder, None)


@atexit.register
def remove_open() -> None:
    """Remove the folders that this process still has."""
    for folder, (lock, process) in list(_OPEN.items()):
        if process == os.getpid():  # not what a child that was forked knows of its parent
            _remove(folder, lock)
