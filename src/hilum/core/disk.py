"""The error numbers of a full disk."""

from __future__ import annotations

import errno

__all__ = ["DISK_FULL"]

#: Error numbers of a full disk: no space, no quota, and a file beyond the limit of the file system.
DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
