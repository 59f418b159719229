"""How many processors there are to work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

from threadpoolctl import threadpool_limits

__all__ = ["THREADS", "core_count", "one_blas_thread", "thread_count"]

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


class _Blas:
    """The limit on the threads of BLAS, which is one for the process, and how many ask for it now."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.users = 0
        self.limit: threadpool_limits | None = None


_blas = _Blas()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread.

    Matrix products of hilum are small: more threads spend their time waiting for one another, most of all
    where other programs use the cores. With one the sums are also in one order on any number of cores. May be
    entered by several threads; the limit ends when the last one leaves.
    """
    with _blas.lock:
        if _blas.users == 0:
            _blas.limit = threadpool_limits(1, user_api="blas")
        _blas.users += 1
    try:
        yield
    finally:
        with _blas.lock:
            _blas.users -= 1
            if _blas.users == 0 and _blas.limit is not None:
                _blas.limit.restore_original_limits()
                _blas.limit = None


@lru_cache(maxsize=1)
def _container_cores() -> int | None:
    """Return the cores that a container (cgroup 2) may use, rounded up; None where there is no such limit."""
    try:
        quota, period = _QUOTA.read_text("ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):  # "max" where there is no limit
        return None
