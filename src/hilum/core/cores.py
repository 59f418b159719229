"""How many processors there are to work on."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

__all__ = ["THREADS", "core_count", "thread_count"]

#: The environment variable by which OpenMP, BLAS, OpenVINO, torch and hilum take their number of threads.
THREADS = "OMP_NUM_THREADS"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def core_count() -> int:
    """Return the number of cores that this process may use, by its affinity and its container."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_cores() or cores))


def thread_count(most: int = 4) -> int:
    """Return the number of threads to use: one a core, at most ``most`` and what ``OMP_NUM_THREADS`` says."""
    wanted = os.environ.get(THREADS, "")
    share = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else most
    return max(1, min(most, core_count(), share))


@lru_cache(maxsize=1)
def _container_cores() -> int | None:
    """Return the cores that a container (cgroup 2) may use, rounded up; None where there is no such limit."""
    try:
        quota, period = _QUOTA.read_text("ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # "max" where there is no limit
        return None
