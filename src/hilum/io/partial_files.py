"""Names for files that are not complete yet, such that a later run takes over what a killed one left.

The name follows from that of the complete file, and the process that writes it holds a lock on it. Whoever
writes the same file next finds the name taken: without a lock its writer is dead and the rest is removed,
with one the next name is used.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a killed process left stays
    fcntl = None  # type: ignore[assignment]

__all__ = ["HIDDEN", "partial_file"]

#: Start of the names of all files and folders that are not complete yet.
HIDDEN = ".hilum-"
_WRITERS = 4  # processes that write one file at a time; more get names that nobody takes over
_TRIES = 10  # a name can be taken in the moment between a look and a grip


@contextmanager
def partial_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Make an empty file beside ``path`` for what ``path`` will hold, and lock it while the block runs.

    ``private`` lets only its owner read it.

    The block gives it its final name; where it ends with an error the file is removed.

    Raises:
        OSError: It cannot be made.
    """
    mode = 0o600 if private else 0o666
    suffix = "".join(path.suffixes[-2:])[-20:]  # some writers choose the format by it
    stem = f"{HIDDEN}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}"
    for number in range(_WRITERS if fcntl is not None else 0):
        part = path.with_name(f"{stem}-{number}{suffix}")
        handle = _grip(part, mode)
        if handle is not None:
            break
    else:
        part, handle = path.with_name(f"{stem}-{secrets.token_hex(8)}{suffix}"), None
        part.touch(mode, exist_ok=False)
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _grip(part: Path, mode: int) -> int | None:
    """Make and lock a file; None where a living process has it or the file system has no locks."""
    for _ in range(_TRIES):
        try:
            handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        except FileExistsError:
            if not _remove_if_dead(part):
                return None
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(part, handle):
                return handle
        except BlockingIOError:  # somebody who looks whether its writer is alive; the name is then gone
            pass
        except OSError:
            part.unlink(missing_ok=True)
            os.close(handle)
            return None
        os.close(handle)
    return None


def _remove_if_dead(part: Path) -> bool:
    """Remove a file that nobody has locked; return whether the name is free now."""
    try:
        handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:  # a link, or of another user
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is(part, handle):
            part.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _is(part: Path, handle: int) -> bool:
    """Whether a name still means the file that is open."""
    with suppress(OSError):
        return os.path.samestat(os.lstat(part), os.fstat(handle))
    return False
