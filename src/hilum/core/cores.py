"""How many processors there are to work on."""

from __future__ import annotations

import os

__all__ = ["thread_count"]


def thread_count(most: int = 4) -> int:
    """Return the number of threads to use: the cores this process may run on, at most ``most``."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(most, cores))
