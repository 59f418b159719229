"""The folder of a training: ownership, locks, and files that a killed run left in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hilum.core.errors import OutputError
from hilum.core.sentences import Sentence
from hilum.io.partial_files import HIDDEN

__all__ = ["alone", "begin", "setting_up", "tidy"]

_LOCK = ".lock"
_SETUP_LOCK = ".setup.lock"


def begin(folder: Path) -> None:
    """Create the folder, unless it holds other files.

    Raises:
        OutputError: It holds other files.
    """
    checkpoints = folder / "checkpoints"
    if folder.is_dir() and not (folder / "config.toml").is_file():
        names = {p.name for p in folder.iterdir() if not p.name.startswith(HIDDEN)} - {_LOCK, _SETUP_LOCK}
        if checkpoints.is_dir() and not any(checkpoints.iterdir()):  # of a run that was killed here
            names.discard(checkpoints.name)
        if names:
            raise OutputError(
                f"{folder.name} holds other files and no training of hilum.",
                Sentence("Give a new folder{with:out}."),
            )
    checkpoints.mkdir(parents=True, exist_ok=True)


def setting_up(folder: Path) -> AbstractContextManager[None]:
    """Let the processes of one training set it up one after the other."""
    return _locked(folder / _SETUP_LOCK)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second command out of the run; helpers of the same command (ranks above 0) pass.

    Raises:
        OutputError: Another process is training.
    """
    if any(int(os.environ.get(name, "0") or 0) > 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        yield
        return
    try:
        with _locked(folder / _LOCK, timeout=0):
            _clear_parts(folder)
            yield
    except Timeout as error:
        raise OutputError(
            f"Another process is training in {folder.name}.",
            Sentence("Wait for it, or give another folder{with:out}."),
        ) from error


def tidy(folder: Path) -> None:
    """Remove what only a training needs, unless another process is at it; never fails."""
    with suppress(OSError, Timeout), _locked(folder / _LOCK, timeout=0):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        _clear_parts(folder)
        with suppress(OSError):
            (folder / _SETUP_LOCK).unlink()


def _clear_parts(folder: Path) -> None:
    """Remove files that a killed run did not complete."""
    for home in (folder, folder / "checkpoints"):
        for part in home.glob(f"{HIDDEN}*"):
            part.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock whose file goes with it; ``timeout`` in s, below 0 for ever.

    Raises:
        Timeout: Another process holds it.
    """
    lock = FileLock(path, timeout=timeout)
    try:
        lock.acquire()
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # before it is let go, so that nobody takes it meanwhile
                path.unlink()
            lock.release()
