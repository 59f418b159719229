"""Processes that leave Ctrl-C to their parent, and end with it, be it finished, interrupted or killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from pathlib import Path

from hilum.core.cores import THREADS

__all__ = ["born_deaf", "end_with_parent", "go_first_for_memory", "threads_of_children"]

#: What libraries read the number of their threads from when they are loaded.
_VARIABLES = (
    THREADS,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: Where Linux reads whom to end first when memory runs out, and a number that is above that of most programs.
_OOM_SCORE, _FIRST = Path("/proc/self/oom_score_adj"), "500"


@contextmanager
def born_deaf() -> Iterator[None]:
    """Start processes that ignore Ctrl-C and hang-up: their parent handles these and ends them."""
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
    if mask is None:
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


@contextmanager
def threads_of_children(count: int) -> Iterator[None]:
    """Start processes whose libraries use ``count`` threads, or fewer where the user wants fewer."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    wanted = before[THREADS] or ""
    share = min(count, int(wanted)) if wanted.isdecimal() and int(wanted) else count
    os.environ.update(dict.fromkeys(_VARIABLES, str(share)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def end_with_parent() -> None:
    """End this process when its parent is killed, so that two runs never write at the same time."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def go_first_for_memory() -> None:
    """Let the system end this process, not its parent or others, where memory runs out."""
    with suppress(OSError):
        _OOM_SCORE.write_text(_FIRST, "ascii")
