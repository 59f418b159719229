"""List the files of a folder: every regular file once, and what could not be read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "is_packed",
    "looks_like_dicom",
    "regular_files",
    "starts_as_dicom",
    "why_unreadable",
]

OnError = Callable[[Path, OSError], None]

_GZIP = b"\x1f\x8b"
_HEAD = 132  # preamble and mark


def regular_files(folder: Path, on_error: OnError) -> Iterator[Path]:
    """Give the regular files of a folder of any depth, in the order of their names.

    Hidden files and folders are skipped, and so are pipes, sockets and devices: reading them can block for
    ever. A link to a folder is followed, each folder is entered once, and a link to a folder above is not
    followed, so that links cannot make a loop or read a file twice.

    Args:
        folder: Where to look.
        on_error: Called with a file or folder that cannot be read, and why.
    """
    top = folder.resolve()
    above = {top, *top.parents}
    entered: set[Path] = set()
    for root, folders, names in os.walk(folder, onerror=_forward(folder, on_error), followlinks=True):
        here = Path(root).resolve()
        if here in entered or (here != top and here in above):
            folders.clear()
            continue
        entered.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and _is_regular(file, on_error):
                yield file


def _forward(folder: Path, on_error: OnError) -> Callable[[OSError], None]:
    return lambda error: on_error(Path(error.filename or folder), error)


def _is_regular(file: Path, on_error: OnError) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except FileNotFoundError:
        return False  # a link that leads nowhere
    except OSError as error:
        if error.errno != errno.ELOOP:  # nor does a link to itself lead anywhere
            on_error(file, error)
        return False


def looks_like_dicom(path: Path) -> bool:
    """Whether a file can be read and starts as DICOM; see :func:`starts_as_dicom`."""
    try:
        return starts_as_dicom(path)
    except OSError:
        return False


def starts_as_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM: by the mark at byte 128, or, without preamble, by its first element.

    Without preamble the file must begin with an element of group 0002 or 0008, little endian, with a value
    representation or a length that fits into the file.

    Raises:
        OSError: It cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        return False
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head[128:132] == b"DICM":
        return True
    if len(head) < _HEAD or head[:2] not in (b"\x02\0", b"\x08\0") or head[3] != 0:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") < min(found.st_size, 1024)


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, from its first bytes.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def why_unreadable(error: OSError) -> str:
    """Return in a few words why a file could not be read."""
    if isinstance(error, PermissionError):
        return "this user may not read it"
    return f"it cannot be read ({(error.strerror or 'input/output error').lower()})"
