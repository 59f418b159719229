"""The other side of :mod:`hilum.executors.pool`: a process that does one job after another."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from hilum.core.errors import HilumError, InternalError
from hilum.executors.children import end_with_parent, go_first_for_memory
from hilum.executors.executor import attempt

__all__ = ["READY", "serve"]

#: What a worker sends when it can take its first job.
READY = "ready"


def serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """Take jobs from a pipe and send back what became of each, until its other end is closed."""
    end_with_parent()
    go_first_for_memory()
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.dup2(2, 1)  # what a library prints must not come into the output of the program
    pipe.send(READY)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(_packed(*_done(work, job)))


def _done(work: Callable[[Any], Any], job: Any) -> tuple[Any, HilumError | None]:
    try:
        ended = attempt(work, job)
    except Exception as error:  # HILUM_DEBUG is set
        traceback.print_exc(file=sys.stderr)
        return None, InternalError.of(error)
    return ended.value, ended.error


def _packed(value: Any, error: HilumError | None) -> bytes:
    """Pickle an outcome; one that cannot be sent becomes the error of its job."""
    try:
        packed = pickle.dumps((value, error))
        if error is not None:
            pickle.loads(packed)  # exceptions may be written so that they cannot be read
    except Exception as failure:
        said = InternalError.of(failure) if error is None else type(error).__name__
        return pickle.dumps((None, InternalError(str(said))))
    return packed
