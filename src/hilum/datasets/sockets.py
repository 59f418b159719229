"""The place for the sockets of data loader processes."""

from __future__ import annotations

import os
import tempfile

from hilum.core.errors import UsageError
from hilum.core.sentences import Sentence

__all__ = ["check_socket_paths"]

#: Longest path of a Unix socket in bytes: 108 with the terminating NUL on Linux, 104 on macOS.
_SOCKET_PATH_BYTES = 103
#: Bytes that Python adds to the temporary folder: /pymp-xxxxxxxx/listener-xxxxxxxx.
_SOCKET_NAME_BYTES = 32


def check_socket_paths() -> None:
    """Refuse a temporary folder whose path is too long for the sockets of data loader processes.

    torch passes slices through sockets there. If their names are too long, it silently drops the slices
    and the training waits forever.

    Raises:
        UsageError: The path is too long.
    """
    length = len(os.fsencode(tempfile.gettempdir())) + _SOCKET_NAME_BYTES
    if os.name == "posix" and length > _SOCKET_PATH_BYTES:
        raise UsageError(
            "The path of the temporary folder is too long for data loader processes.",
            Sentence("Set TMPDIR to a shorter one, or {set:set=workers=0}."),
        )
