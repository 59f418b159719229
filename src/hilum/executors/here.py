"""Jobs one after another in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from hilum.executors.executor import Ended, attempt

__all__ = ["Here"]

Job = TypeVar("Job")
Value = TypeVar("Value")


class Here:
    """Does each job in this process, with all its threads and without limits."""

    def run(
        self, work: Callable[[Job], Value], jobs: Iterable[Job]
    ) -> Generator[Ended[Job, Value], None, None]:
        """Do the jobs in order; see :meth:`hilum.executors.Executor.run`."""
        for job in jobs:
            yield attempt(work, job)
