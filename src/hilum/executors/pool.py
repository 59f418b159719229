"""Jobs in several processes that are watched: one that hangs, grows or dies costs its own job only.

Why not :mod:`concurrent.futures`: there a process that dies breaks the whole pool, and no job has a limit of
its time or memory.
"""

from __future__ import annotations

import pickle
import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from multiprocessing import connection, get_context
from typing import Any, Generic, TypeVar

import psutil

from hilum.core.errors import HilumError, ResourceError, UsageError
from hilum.core.sentences import Sentence
from hilum.executors.children import born_deaf, threads_of_children
from hilum.executors.executor import Ended
from hilum.executors.limits import GIB, Limits, Share
from hilum.executors.worker import READY, serve

__all__ = ["Crew", "Pool"]

#: Seconds between two looks at the limits. Memory that grows by more than what is free in this time is left
#: to the system, which ends the process itself.
_LOOK_S = 0.2
#: Seconds that a process gets to end after it was killed.
_PATIENCE_S = 10.0
#: Times that a process which was killed before it could begin is started again for the same job.
_TRIES = 3
_SIGKILL = 9  # Windows, which has no such signal, has no name for it either

Job = TypeVar("Job")
Value = TypeVar("Value")


class Pool:
    """Does jobs in fresh processes, which are kept for the jobs that follow.

    Programs that use it need ``if __name__ == "__main__":`` around their main part, as with
    :mod:`multiprocessing`.

    Args:
        share: How many processes, their threads, and what each job may take.
    """

    def __init__(self, share: Share) -> None:
        self._share = share

    def run(
        self, work: Callable[[Job], Value], jobs: Iterable[Job]
    ) -> Generator[Ended[Job, Value], None, None]:
        """Do the jobs; see :meth:`hilum.executors.Executor.run`.

        Raises:
            ResourceError: No process can be started.
            UsageError: The main part of the program is not guarded.
        """
        crew: Crew[Job, Value] = Crew(self._share, work, iter(jobs))
        try:
            crew.fill()
            while crew.busy():
                ended = crew.wait()
                crew.fill()  # before the caller looks at the outcome, so that no process waits for that
                yield from ended
        finally:
            crew.kill()


class Crew(Generic[Job, Value]):
    """The processes of one run; those that are kept do further jobs.

    Args:
        share: As in :class:`Pool`.
        work: As in :meth:`Pool.run`.
        jobs: What :meth:`fill` takes from.
    """

    def __init__(self, share: Share, work: Callable[[Job], Value], jobs: Iterable[Job] = ()) -> None:
        self._share, self._work, self._jobs = share, work, iter(jobs)
        self._workers: list[_Worker] = []

    def do(self, job: Job) -> Ended[Job, Value]:
        """Do one job, and keep the process for the next one."""
        self._jobs = iter((job,))
        self.fill()
        while True:
            for ended in self.wait():
                return ended

    def busy(self) -> list[_Worker]:
        """Return the processes that work on a job."""
        return [worker for worker in self._workers if worker.job is not None]

    def fill(self) -> None:
        """Give each process that is free a job, and start those that are missing."""
        self._workers = [w for w in self._workers if w.job is not None or w.alive()]
        free = [w for w in self._workers if w.job is None]
        for _ in range(self._share.jobs - len(self.busy())):
            for job in self._jobs:  # the next one, if there is one
                if free:
                    free.pop().give(job)
                else:
                    self._start(job)
                break

    def wait(self) -> list[Ended[Job, Value]]:
        """Wait until something happens; return the jobs that ended."""
        handles: dict[Any, _Worker] = {}
        for worker in self.busy():
            handles |= {worker.pipe: worker, worker.process.sentinel: worker}
        touched = connection.wait(list(handles), timeout=_LOOK_S)
        out: list[Ended[Job, Value]] = []
        for worker in dict.fromkeys(handles[handle] for handle in touched):
            out += self._hear(worker)
        for worker in self.busy():
            error = worker.beyond(self._share.limits)
            if error is not None:
                out.append(self._lost(worker, error))
        return out

    def kill(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.kill()

    def _start(self, job: Job, tries: int = 1) -> None:
        try:
            worker = _Worker(self._work, self._share.threads, tries)
        except OSError as error:
            if not self._workers:
                raise ResourceError(
                    f"No process can be started: {error.strerror or error}.",
                    Sentence("Use {set:jobs=1}, which needs none."),
                ) from error
            raise
        worker.job = (job,)
        self._workers.append(worker)

    def _hear(self, worker: _Worker) -> list[Ended[Job, Value]]:
        """Take what a process says, or note that it is gone."""
        message = worker.receive()
        if message == READY:
            worker.begin()
            return []
        if message is None:
            return self._gone(worker)
        job = worker.take()
        value, error = message
        return [Ended(job, value, error)]

    def _gone(self, worker: _Worker) -> list[Ended[Job, Value]]:
        worker.process.join(_PATIENCE_S)  # its pipe is closed before it has ended, and its code would be lost
        worker.kill()
        code = worker.process.exitcode or 0
        if not worker.began and code >= 0:
            raise UsageError(
                f"A process ended with code {code} before it could begin.",
                "In a script, put the call below if __name__ == '__main__':.",
            )
        if not worker.began and worker.tries < _TRIES:
            self._workers.remove(worker)
            self._start(worker.take(), worker.tries + 1)
            return []
        return [self._lost(worker, _died(code))]

    def _lost(self, worker: _Worker, error: HilumError) -> Ended[Job, Value]:
        worker.kill()
        self._workers.remove(worker)
        return Ended(worker.take(), error=error, lost=True)


class _Worker:
    """One process, seen from its parent."""

    def __init__(self, work: Callable[[Any], Any], threads: int, tries: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, work), daemon=True, name="hilum")
        with born_deaf(), threads_of_children(threads):
            self.process.start()
        theirs.close()
        self.began, self.tries = False, tries
        self.job: tuple[Any] | None = None  # in a tuple, since a job may be None
        self._since = time.monotonic()

    def alive(self) -> bool:
        return self.process.is_alive()

    def begin(self) -> None:
        """Send the job that was waiting for the process to come up."""
        self.began = True
        if self.job is not None:
            self.give(self.job[0])

    def give(self, job: Any) -> None:
        self.job, self._since = (job,), time.monotonic()
        with suppress(OSError):  # it just died, which is noticed when it is waited for
            self.pipe.send(job)

    def take(self) -> Any:
        """Return the job and be free."""
        (job,), self.job = self.job or (None,), None
        return job

    def receive(self) -> Any:
        """Return what it sent, None where it is gone."""
        try:
            if self.pipe.poll():
                return pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            pass
        return None

    def beyond(self, limits: Limits) -> HilumError | None:
        """Return which limit the job is beyond."""
        if not self.began:
            return None
        if limits.time_s is not None and time.monotonic() - self._since > limits.time_s:
            return ResourceError(
                f"The scan took longer than {limits.time_s:g} s.",
                Sentence("Set a higher {option:time_limit}."),
            )
        if limits.memory is not None and self._memory() > limits.memory:
            return ResourceError(
                f"The scan took more than {limits.memory / GIB:.1f} GB of memory.",
                Sentence("Set a higher {option:memory_limit}, or fewer {option:jobs}."),
            )
        return None

    def _memory(self) -> int:
        with suppress(psutil.Error):
            return int(psutil.Process(self.process.pid).memory_info().rss)
        return 0

    def kill(self) -> None:
        """End the process and what it started, however busy it is."""
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
        with suppress(OSError):
            self.process.kill()
        self.process.join(_PATIENCE_S)
        self.pipe.close()


def _died(code: int) -> HilumError:
    """Say how a process ended while it worked on a job."""
    hint = Sentence("Run it by itself; if it happens again, please report it.")
    if code == -_SIGKILL:
        return ResourceError("The process of the scan was killed, most likely because memory ran out.",
                             Sentence("Use fewer {option:jobs}, or a larger machine."))  # fmt: skip
    if code < 0:
        with suppress(ValueError):
            return ResourceError(f"The process of the scan crashed ({signal.Signals(-code).name}).", hint)
    return ResourceError(f"The process of the scan ended by itself with code {code}.", hint)
