"""What an executor is: it takes jobs as it can do them, and gives what became of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hilum.core.errors import HilumError, InternalError

__all__ = ["Ended", "Executor", "attempt"]

Job = TypeVar("Job")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Ended(Generic[Job, Value]):
    """What became of a job.

    Attributes:
        job: The job.
        value: What the work returned; None where it failed.
        error: Why it failed; None where it did not.
        lost: Whether its process ended while it worked, so that its files are as that moment left them.
    """

    job: Job
    value: Value | None = None
    error: HilumError | None = None
    lost: bool = False


class Executor(Protocol):
    """Does jobs somewhere.

    It asks for a job only when it can begin it, so that the caller may have any number of them, and holds no
    more than it works on. It may be used again after it came to its end.
    """

    def run(
        self, work: Callable[[Job], Value], jobs: Iterable[Job]
    ) -> Generator[Ended[Job, Value], None, None]:
        """Do the jobs; close the iterator to stop those that are running.

        Args:
            work: What is done; a function that can be imported, or a :func:`functools.partial` of one.
            jobs: What it is called with.

        Yields:
            What became of each job, as they end.
        """
        ...


def attempt(work: Callable[[Job], Value], job: Job) -> Ended[Job, Value]:
    """Do a job; an exception becomes the error of this job.

    Raises:
        Exception: That of a bug, where the environment variable ``HILUM_DEBUG`` is set.
    """
    try:
        return Ended(job, work(job))
    except HilumError as error:
        return Ended(job, error=error)
    except Exception as error:
        if os.environ.get("HILUM_DEBUG"):
            raise
        return Ended(job, error=InternalError.of(error))
