"""Byte streams of plain and gzipped files, with the sentences for the ways in which they break."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_threaded, isal_zlib

from hilum.errors import InputError

__all__ = ["drain", "fill", "is_gzip", "open_stream", "read_head", "readable"]

_GZIP_MAGIC = b"\x1f\x8b"
_DRAIN_BYTES = 64 * 2**20
# The stubs of isal miss that its error is a class.
_GZIP_ERRORS: tuple[type[Exception], ...] = (gzip.BadGzipFile, cast(Any, isal_zlib.error), zlib.error)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is read into one sentence.

    Raises:
        InputError: The file is missing, forbidden, truncated, corrupt or needs more memory than there is.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"There is no file or folder {path.name}.", "Check the path.") from error
    except PermissionError as error:
        raise InputError(
            f"{path.name} may not be read by this user.", "Change its permissions, or copy it."
        ) from error
    except EOFError as error:
        raise InputError(
            f"{path.name} is truncated: it ends before the data do.", "Get the file again."
        ) from error
    except _GZIP_ERRORS as error:
        raise InputError(
            f"{path.name} is corrupt: its gzip data or checksum are wrong.", "Get the file again."
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path.name} needs more memory than is free.", "Close other programs, or crop the scan."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror or error}.",
            "Check the disk or copy the file again.",
        ) from error


def read_head(path: Path, count: int = 1024) -> bytes:
    """Return the first ``count`` bytes of a file as they lie on the disk."""
    with readable(path), path.open("rb") as file:
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
    if not is_gzip(path):
        with path.open("rb") as plain:
            yield plain
    elif ahead:
        with igzip_threaded.open(path, "rb", threads=1) as stream:
            yield cast(BinaryIO, stream)
    else:
        with igzip.open(path, "rb") as stream:
            yield cast(BinaryIO, stream)


def fill(stream: BinaryIO, array: npt.NDArray[Any]) -> None:
    """Read exactly ``array.nbytes`` bytes straight into a contiguous array.

    Raises:
        EOFError: The stream ends before.
    """
    view = memoryview(cast(Any, array.view(np.uint8).reshape(-1)))
    done = 0
    while done < len(view):
        got = cast(Any, stream).readinto(view[done:])
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
