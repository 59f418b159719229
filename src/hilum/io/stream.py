"""Byte streams of plain and gzipped files, with read errors as sentences."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_threaded, isal_zlib

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence

__all__ = ["drain", "fill", "is_gzip", "open_regular", "open_stream", "read_head", "readable", "skip_bytes"]

_GZIP_MAGIC = b"\x1f\x8b"
#: A pipe or device that replaced a file after the check must not block the program.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_DRAIN_BYTES = 64 * 2**20
#: Asked for at once: in larger pieces a file comes more slowly.
_FILL_BYTES = 16 * 2**20
# The stubs of isal miss that its error is a class.
_GZIP_ERRORS: tuple[type[Exception], ...] = (gzip.BadGzipFile, cast(Any, isal_zlib.error), zlib.error)


@contextmanager
def readable(path: Path, name: str = "") -> Iterator[None]:
    """Turn what goes wrong while ``path`` is read into one sentence.

    Args:
        path: The file or folder.
        name: What to call it; its own name where this is empty.

    Raises:
        InputError: The file is missing, forbidden, truncated, corrupt or needs more memory than there is.
    """
    shown = name or path.name
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            Sentence("There is no file or folder {file:path}.", path=shown), "Check the path."
        ) from error
    except PermissionError as error:
        raise InputError(
            Sentence("{file:path} may not be read by this user.", path=shown),
            "Change its permissions, or copy it.",
        ) from error
    except EOFError as error:
        raise InputError(
            Sentence("{file:path} is truncated: it ends before the data do.", path=shown),
            "Get the file again.",
        ) from error
    except _GZIP_ERRORS as error:
        raise InputError(
            Sentence("{file:path} is corrupt: its gzip data or checksum are wrong.", path=shown),
            "Get the file again.",
        ) from error
    except MemoryError as error:
        raise InputError(
            Sentence("{file:path} needs more memory than is free.", path=shown),
            "Close other programs, or crop the scan.",
        ) from error
    except OSError as error:
        raise InputError(
            Sentence("{file:path} cannot be read: {reason}.", path=shown, reason=error.strerror or error),
            "Check the disk or copy the file again.",
        ) from error


def open_regular(path: Path, name: str = "") -> BinaryIO:
    """Open a regular file for reading in binary; nothing else is ever opened.

    A pipe without a writer would be waited for without end, and a device may do anything when it is opened.

    Args:
        path: The file.
        name: What to call it in a message; its own name where this is empty.

    Raises:
        InputError: What lies there is a folder, pipe, socket or device.
        OSError: It is missing or forbidden.
    """
    _check_regular(name or path.name, path.stat().st_mode)
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _check_regular(name or path.name, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise InputError(
            Sentence("{file:name} is {what}, not a file.", name=name, what=what),
            "Save it as a file, and give that.",
        )


def read_head(path: Path, count: int = 1024) -> bytes:
    """Return the first ``count`` bytes of a file as they lie on the disk."""
    with readable(path), open_regular(path) as file:
        return file.read(count)


def is_gzip(path: Path) -> bool:
    """Whether the content (not the name) is gzip."""
    return read_head(path, 2) == _GZIP_MAGIC


@contextmanager
def open_stream(path: Path, *, ahead: bool = True) -> Iterator[BinaryIO]:
    """Open a file for reading; gzip is recognised by its first bytes and undone on the way.

    Args:
        path: The file.
        ahead: Decompress in a second thread while the caller works; not worth it for a header.
    """
    with open_regular(path) as plain:
        packed = plain.read(2) == _GZIP_MAGIC
        plain.seek(0)
        if not packed:
            yield plain
        elif ahead:
            with igzip_threaded.open(plain, "rb", threads=1) as stream:
                yield cast(BinaryIO, stream)
        else:
            with igzip.open(plain, "rb") as stream:
                yield cast(BinaryIO, stream)


def fill(stream: BinaryIO, array: npt.NDArray[Any]) -> None:
    """Read exactly ``array.nbytes`` bytes straight into a contiguous array.

    Raises:
        EOFError: The stream ends before.
    """
    view = memoryview(cast(Any, array.view(np.uint8).reshape(-1)))
    done = 0
    while done < len(view):
        got = cast(Any, stream).readinto(view[done : done + _FILL_BYTES])
        if not got:
            raise EOFError
        done += got


def drain(stream: BinaryIO) -> None:
    """Read on to the end, which makes gzip compare its checksum; stop after 64 MiB of foreign data."""
    left = _DRAIN_BYTES
    while left > 0:
        block = stream.read(2**20)
        if not block:
            return
        left -= len(block)


def skip_bytes(stream: BinaryIO, count: int) -> None:
    """Read ``count`` bytes and forget them.

    Raises:
        EOFError: The stream ends before.
    """
    while count > 0:
        block = stream.read(min(count, 2**20))
        if not block:
            raise EOFError
        count -= len(block)
