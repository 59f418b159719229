"""Worker processes that end with their parent, be it finished, interrupted or killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from hilum.core.errors import HilumError, OutputError, UsageError
from hilum.core.sentences import Sentence
from hilum.executors.children import born_deaf, end_with_parent

__all__ = ["NoProcessesError", "check_socket_paths", "run_in_processes"]

#: Longest path of a Unix socket in bytes: 108 with the terminating NUL on Linux, 104 on macOS.
_SOCKET_PATH_BYTES = 103
#: Bytes that Python adds to the temporary folder: /pymp-xxxxxxxx/listener-xxxxxxxx.
_SOCKET_NAME_BYTES = 32

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class NoProcessesError(Exception):
    """The system cannot start a process pool; jobs without a noted outcome are not done."""


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


def run_in_processes(
    work: Callable[[Job], Outcome], jobs: Iterable[Job], workers: int, note: Callable[[Outcome], None]
) -> None:
    """Run jobs in several processes, which end at once if this one is interrupted.

    Args:
        work: A function that can be imported.
        jobs: What it is called with.
        workers: Number of processes.
        note: Called with each outcome, in the order in which they come.

    Raises:
        OutputError: A process was killed.
        NoProcessesError: There are no semaphores, as where /dev/shm is missing, or no more processes.
    """
    before = set(active_children())
    try:
        with born_deaf():
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)
    except (OSError, ImportError, NotImplementedError) as error:
        raise NoProcessesError from error
    try:
        waiting = iter(jobs)
        running: set[Future[Outcome]] = set()
        while True:
            for job in waiting:
                running.add(_submit(pool, work, job))
                if len(running) >= workers + 1:
                    break
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                note(future.result())
    except BrokenProcessPool as error:
        raise OutputError(
            "A worker process was killed, most likely because memory ran out.",
            Sentence("Run it again with {set:workers=1}: it resumes where it stopped."),
        ) from error
    except (HilumError, NoProcessesError):  # running jobs are allowed to finish
        raise
    except BaseException:
        for child in set(active_children()) - before:
            child.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Callable[[Job], Outcome], job: Job) -> Future[Outcome]:
    """Hand a job to the pool, which may start a process for it.

    Raises:
        NoProcessesError: No process can be started.
    """
    try:
        with born_deaf():
            return pool.submit(work, job)
    except OSError as error:
        raise NoProcessesError from error
