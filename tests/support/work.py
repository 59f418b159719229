"""What a worker process of a test does with its job; jobs are words."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from hilum.core.cores import thread_count
from hilum.core.errors import InputError

if TYPE_CHECKING:
    from hilum.batch import Job, Outcome
    from hilum.datasets import job as subjects

_LONG_S = 600.0
_NAP_S = 0.5
_MUCH = 1 << 30


class _Odd(Exception):
    """An exception that can be pickled but not read again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def do(word: str) -> object:
    """Do as the word says."""
    if word == "hang":
        time.sleep(_LONG_S)
    if word == "grow":
        held = [bytearray(b"x" * (_MUCH // 16)) for _ in range(16)]
        time.sleep(_LONG_S)
        return len(held)
    if word == "crash":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(3)
    if word == "refuse":
        raise InputError("It is refused.", "Try another.")
    if word == "bug":
        raise ZeroDivisionError("of a test")
    if word == "odd":
        raise _Odd("one", "two")
    if word == "lambda":
        return lambda: None
    if word == "parent":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(_LONG_S)
    if word.startswith("nap"):
        time.sleep(_NAP_S)
    if word == "threads":
        return thread_count(), os.environ["OMP_NUM_THREADS"]
    return word.upper(), os.getpid()


def measured(number: int) -> dict[str, float]:
    """Give something of the size of the measures of a scan."""
    return {f"measure_{index}": number + index / 7 for index in range(200)}


def badly(job: Job) -> Outcome:
    """Segment a scan, unless its name says what shall happen instead."""
    from hilum.batch import segment_job  # here, since processes that need it not take seconds to load it

    name = job.source.name.split("-")[0]
    if name in ("hang", "grow", "crash"):
        do(name)
    return segment_job(job)


def slowly(job: Job) -> Outcome:
    """Segment a scan after a nap, so that a machine can be lost meanwhile."""
    from hilum.batch import segment_job

    time.sleep(_NAP_S)
    return segment_job(job)


def dying_subject(job: subjects.Job) -> subjects.Outcome:
    """Prepare a subject, but be killed by the second one."""
    from hilum.datasets.subject import make_subject

    if job.id == 1:
        do("killed")
    return make_subject(job)
