"""The other side of :mod:`hilum.executors.ray`: an actor that has one watched process do its jobs.

The process is that of :class:`hilum.executors.Pool`, so a job that hangs, grows or crashes costs the same
here as on one machine, and models stay loaded from job to job. It ends with the actor.
"""

from __future__ import annotations

import os
import pickle
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.core.errors import HilumError, InternalError
from hilum.core.version import __version__
from hilum.executors.executor import Ended
from hilum.executors.limits import Share
from hilum.executors.pool import Crew
from hilum.io.partial_files import HIDDEN

__all__ = ["Order", "Ready", "Worker"]


@dataclass(frozen=True)
class Order:
    """What a worker is told when it starts.

    Attributes:
        work: What is done with each job, pickled: a function that can be imported on its machine.
        path: Where the program looks for modules.
        share: One job at a time, its threads and limits.
        folder: Working folder of the program, to which paths of jobs may be relative.
        shared: Folder that the jobs write to; None where they write nothing.
        environment: Variables to set.
        anywhere: Whether jobs name no paths, so that it can do without the working folder.
    """

    work: bytes
    path: tuple[str, ...]
    share: Share
    folder: Path
    shared: Path | None
    environment: Mapping[str, str]
    anywhere: bool = False


@dataclass(frozen=True)
class Ready:
    """What a worker says when it can take jobs.

    Attributes:
        version: Its version of hilum.
        mark: An empty file that it made in the shared folder, so that the program can see whether both have
            the same folder before them; None where there is no shared folder.
        unseen: A folder that its machine lacks or may not write to; None where there is none.
    """

    version: str
    mark: Path | None = None
    unseen: Path | None = None


class Worker:
    """Does one job at a time; an actor of Ray, whose methods never raise."""

    def __init__(self, order: Order) -> None:
        os.environ.update(order.environment)
        sys.path += [place for place in order.path if place not in sys.path]
        # Or each process would run the main part of Ray's worker again, and load Ray, before it begins.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._order = order
        self._crew: Crew[Any, Any] = Crew(order.share, pickle.loads(order.work))
        self._mark: Path | None = None

    def ready(self) -> Ready:
        """Look whether this machine sees the folders of the program."""
        order = self._order
        try:
            os.chdir(order.folder)
        except OSError:
            if not order.anywhere:
                return Ready(__version__, unseen=order.folder)
        if order.shared is None:
            return Ready(__version__)
        mark = order.shared.resolve() / f"{HIDDEN}seen-{secrets.token_hex(8)}"
        try:
            mark.touch(exist_ok=False)
        except OSError:
            return Ready(__version__, unseen=order.shared)
        self._mark = mark
        return Ready(__version__, mark)

    def do(self, job: Any) -> Ended[None, Any]:
        """Do a job; say what became of it, without the job itself."""
        try:
            ended = self._crew.do(job)
        except HilumError as error:
            return Ended(None, error=error)
        except Exception as error:
            return Ended(None, error=InternalError.of(error))
        return Ended(None, ended.value, ended.error, ended.lost)

    def stop(self) -> None:
        """End the process that works; returns when it is gone."""
        with suppress(Exception):  # the job that runs in the other thread notices at the same moment
            self._crew.kill()
        if self._mark is not None:  # the program removes it, unless it has another folder before it
            with suppress(OSError):
                self._mark.unlink(missing_ok=True)
