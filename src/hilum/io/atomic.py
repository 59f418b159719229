"""Files that appear whole or not at all.

:func:`atomic_file` does it for one file, :class:`OutputFolder` for a folder of results: everything is staged
in a hidden folder on the same file system, flushed to the disk, and swapped in by renaming.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from hilum.core.disk import DISK_FULL
from hilum.core.errors import InputError, OutputError
from hilum.core.sentences import Sentence
from hilum.io.partial_files import HIDDEN, partial_file
from hilum.io.text import read_json

__all__ = ["OutputFolder", "atomic_file", "recover", "sync", "writable"]

#: A folder with one of these files, made by hilum (they say so under the key ``hilum``), may be replaced.
MARKERS = ("run.json", "truth.json")
_FORBIDDEN = {errno.EACCES, errno.EPERM}
#: What operating systems put into folders unasked.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"}


#: By number of the operating system: what is wrong with an output, and what to do about it.
_ELSEWHERE = Sentence("Give another folder{with:out}.")
_SENTENCES: dict[int, tuple[str, str]] = {
    **dict.fromkeys(DISK_FULL, ("The disk of {where} is full; nothing was written.", "Free some space.")),
    errno.EROFS: ("{where} lies on a read-only disk.", _ELSEWHERE),
    **dict.fromkeys(_FORBIDDEN, ("{where} may not be written by this user.", _ELSEWHERE)),
    errno.ENAMETOOLONG: ("The name of the output {name}... is too long.", "Give a shorter name."),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        ("{where} cannot be made: a file is in the place of a folder.", _ELSEWHERE),
    ),
    **dict.fromkeys(
        (errno.EIO, errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ELOOP, errno.EBUSY),
        ("{where} cannot be written: {reason}.", _ELSEWHERE),
    ),
}


def _failure(error: OSError, where: Path) -> OutputError | None:
    """Say what an error of the operating system means for an output; None where it is not about outputs."""
    template, hint = _SENTENCES.get(error.errno or 0, ("", ""))
    if not template:
        return None
    message = Sentence(template, where=str(where), name=where.name[:40], reason=error.strerror)
    return OutputError(message, hint, where)


@contextmanager
def writable(where: Path) -> Iterator[None]:
    """Turn errors of the operating system met while ``where`` is written into :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        message = Sentence("{where} cannot be written: {reason}.", where=str(where), reason=error)
        raise _failure(error, where) or OutputError(message, "Give another place.", where) from error


@contextmanager
def atomic_file(path: Path | str, *, private: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it becomes ``path``, on any error it vanishes.

    What a killed process leaves is removed by the next one that writes ``path``.

    Args:
        path: File to make or to replace.
        private: Let only its owner read it.

    Examples:
        >>> with atomic_file("a.txt") as part:  # doctest: +SKIP
        ...     part.write_text("hello")

    Raises:
        OutputError: The file cannot be written (disk full, forbidden, name too long).
    """
    path = Path(path)
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_file(path, private=private) as part:
            yield part
            sync(part)
            part.replace(path)


class OutputFolder:
    """A folder of results that appears whole or not at all.

    Used as a context manager: the value is the staging folder to write into. When the block ends well, the
    staging folder takes the place of ``path``; when it ends with any exception, KeyboardInterrupt included,
    nothing remains, also no parent folder that was made for it. What a killed process leaves (one hidden
    folder) is removed by the next run with the same ``path``.

    A folder that is a mount point, a working directory or in a place that cannot be written itself cannot be
    swapped; there, the staging folder lies inside and its files are moved one by one, each whole.

    Args:
        path: Folder to make. It may exist if it is empty or holds a former result of hilum; that is replaced.

    Raises:
        OutputError: It cannot be written, holds files of others, or another process writes to it.

    Examples:
        >>> with OutputFolder("out/case-7") as folder:  # doctest: +SKIP
        ...     write_json(folder / "run.json", {"hilum": "0.1.0"})
    """

    def __init__(self, path: Path | str) -> None:
        self._given = Path(path)

    def __enter__(self) -> Path:
        with writable(self._given):
            # A link to a folder stays a link: its target is swapped.
            self.path = Path(os.path.realpath(self._given))
            self._made: list[Path] = []
            self._lock: FileLock | None = None
            try:
                self._check_kind()
                self._make_parents()
                self._choose_places()
                self._take_lock()
                self._recover()
                self._check_replaceable()
                self.staging.mkdir()
            except BaseException:
                self._clean()
                raise
        return self.staging

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with writable(self._given):
                    self._commit()
                self._made = []
        finally:
            self._clean()
        said = self._said(error)
        if said is not None:
            raise said from error

    def recover(self) -> None:
        """Do what :func:`recover` says."""
        self.path = Path(os.path.realpath(self._given))
        self._made, self._lock = [], None
        if not self.path.parent.is_dir():
            return
        with writable(self._given):
            self._choose_places()
            left = (self._lock_path, self._former, self.staging, self.path.parent / self.staging.name)
            if not any(os.path.lexists(place) for place in left):
                return
            try:
                self._take_lock()
                self._recover()
            finally:
                self._clean()

    # -- entering ---------------------------------------------------------------------------------------

    def _check_kind(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(
                f"{self._given} is a file, not a folder.", Sentence("Give another folder{with:out}.")
            )

    def _make_parents(self) -> None:
        missing = []
        parent = self.path.parent
        while not parent.exists():
            missing.append(parent)
            parent = parent.parent
        for folder in reversed(missing):
            with suppress(
                FileExistsError
            ):  # another process made it meanwhile, then it is not ours to remove
                folder.mkdir()
                self._made.append(folder)
        if not self.path.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")

    def _choose_places(self) -> None:
        parent, name = self.path.parent, self.path.name or "root"
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[
            :12
        ]  # names may be as long as the system allows
        outside = os.access(parent, os.W_OK) and parent != self.path
        base = parent if outside else self.path
        self._prefix = f"{HIDDEN}{digest}"
        self._lock_path = base / f"{self._prefix}.lock"
        self._inside = self.path.is_dir() and (not outside or self._cannot_be_renamed())
        home = self.path if self._inside else parent
        self.staging = home / f"{self._prefix}.part"
        self._former = parent / f"{self._prefix}.old"

    def _cannot_be_renamed(self) -> bool:
        with suppress(OSError):
            here = Path(os.path.realpath(Path.cwd()))
            if here == self.path or self.path in here.parents:
                return True
        return self.path.is_mount()

    def _take_lock(self) -> None:
        self._lock = FileLock(self._lock_path, timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"Another process is writing to {self._given}.",
                "Wait until it is done, or give another folder.",
            ) from error

    def _recover(self) -> None:
        """Put right what a killed process left: the former result comes back, half a new one goes."""
        if self._former.is_dir():
            if self.path.exists():
                shutil.rmtree(self._former)
            else:
                self._former.rename(self.path)
        for home in {self.path, self.path.parent}:
            stale = home / self.staging.name
            if stale.is_dir():
                shutil.rmtree(stale)

    def _check_replaceable(self) -> None:
        entries = self._entries()
        if not entries:
            return
        written = _written_by_hilum(self.path)
        if written is None:
            raise OutputError(
                f"{self._given} is not empty and holds no result of hilum, so it is not touched.",
                Sentence("Give another folder{with:out}."),
            )
        foreign = sorted(set(entries) - written) if written else []
        if foreign:
            raise OutputError(
                f"{self._given} holds a file that hilum did not write ({foreign[0]}), so it is not replaced.",
                Sentence("Move it away, or give another folder{with:out}."),
            )

    def _entries(self) -> list[str]:
        if not self.path.is_dir():
            return []
        names = [p.name for p in self.path.iterdir()]
        return [n for n in names if not n.startswith(HIDDEN) and n not in _LITTER]

    # -- leaving ----------------------------------------------------------------------------------------

    def _commit(self) -> None:
        for file in sorted(self.staging.rglob("*")):
            sync(file)
        sync(self.staging)
        if self._inside:
            self._move_in()
        else:
            self._swap()
        sync(self.path)
        sync(self.path.parent)

    def _swap(self) -> None:
        if self.path.is_dir():
            self.staging.chmod(self.path.stat().st_mode & 0o7777)
            try:
                self.path.rename(self._former)
                self.staging.rename(self.path)
            except BaseException:  # a signal can come right after either of them
                if self._former.is_dir() and not self.path.exists():
                    self._former.rename(self.path)
                raise
        else:
            self.staging.rename(self.path)

    def _move_in(self) -> None:
        """Move the files one by one, those that mark a result last, then drop the rest of a former one."""
        new = sorted(self.staging.iterdir(), key=lambda p: (p.name in MARKERS, p.name))
        former = set(self._entries())
        for entry in new:
            target = self.path / entry.name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            entry.replace(target)
        for name in former - {entry.name for entry in new}:
            stale = self.path / name
            if stale.is_dir() and not stale.is_symlink():
                shutil.rmtree(stale)
            else:
                stale.unlink()

    def _clean(self) -> None:
        """Remove what is not the result; once more where a signal came between."""
        try:
            self._clean_once()
        except BaseException:
            self._clean_once()
            raise

    def _clean_once(self) -> None:
        """Remove the staging folder, the former result, the lock and the parents that were made.

        Without the lock nothing is removed: the staging folder then belongs to the process that holds it.
        """
        if self._lock is not None and self._lock.is_locked:
            shutil.rmtree(self.staging, ignore_errors=True)
            if self.path.exists():
                shutil.rmtree(self._former, ignore_errors=True)
            with suppress(OSError):
                # While the lock is held: a process that has this file open notices that it is gone.
                self._lock_path.unlink()
            self._lock.release()
        for folder in reversed(self._made):
            with suppress(OSError):  # not empty: another process uses it
                folder.rmdir()
        self._made = []

    def _said(self, error: BaseException | None) -> OutputError | None:
        """Say what an error of the block means for the output, by the name the user gave."""
        if isinstance(error, OutputError):  # of a writer of ours
            if error.where is None or not error.where.is_relative_to(self.staging):
                return None
            if isinstance(error.__cause__, OSError) and (failure := _failure(error.__cause__, self._given)):
                return failure
            where = self._given / error.where.relative_to(self.staging)
            message = error.message
            if isinstance(message, Sentence):
                message = message.having(where=str(where))
            return OutputError(message, error.hint, where)
        if not isinstance(error, OSError):
            return None
        names = [
            Path(os.fsdecode(n)) for n in (error.filename, error.filename2) if isinstance(n, (str, bytes))
        ]
        within = any(self.staging == n or self.staging in n.parents for n in names)
        if within or error.errno in DISK_FULL or error.errno == errno.EROFS:
            return _failure(error, self._given)
        return None


def recover(path: Path | str) -> None:
    """Remove what a killed process left of a folder of results; a former result that it set aside comes back.

    :class:`OutputFolder` does so itself; this is for a folder that is complete or is not written again.

    Raises:
        OutputError: Another process is writing to it, or it cannot be written.
    """
    OutputFolder(path).recover()


def _written_by_hilum(folder: Path) -> set[str] | None:
    """Names that a former result lists as its files, empty where it lists none; None where there is none."""
    for marker in MARKERS:
        with suppress(InputError):
            content = read_json(folder / marker)
            if isinstance(content, dict) and "hilum" in content:
                files = content.get("files")
                return {marker, *(str(f).split("/")[0] for f in files)} if isinstance(files, list) else set()
    return None


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. Not every system can flush folders; that is not an error."""
    if path.is_symlink():
        return
    if path.is_dir():
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return
    with suppress(PermissionError), path.open("rb+") as file:  # a writer may have made it read-only
        os.fsync(file.fileno())
