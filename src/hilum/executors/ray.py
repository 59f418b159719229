"""Jobs on a cluster by Ray: workers on several machines, of which some may be lost on the way."""

from __future__ import annotations

import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hilum.core.errors import ResourceError, UsageError
from hilum.core.sentences import Sentence
from hilum.core.version import __version__
from hilum.executors.executor import Ended
from hilum.executors.limits import NEED, Limits, Share, check_positive
from hilum.executors.ray_cluster import Cluster, check_installed, connected
from hilum.executors.ray_worker import Order, Ready, Worker

__all__ = ["OnRay", "parse_on"]

#: Times that a job is begun before its workers were lost too often for it, and that workers fail to start.
_TRIES = 3
#: Seconds between two looks at the clock while nothing happens.
_LOOK_S = 1.0
#: Seconds without any worker after which a cluster counts as full; one that grows on demand takes minutes.
_PATIENCE_S = 600.0
#: Seconds that all workers together get to end what they do.
_STOP_S = 10.0
#: Threads beyond which a scan gets hardly faster, as :func:`hilum.core.cores.thread_count` has it.
_MOST_THREADS = 4

_NO_LIMITS = Limits()

Job = TypeVar("Job")
Value = TypeVar("Value")


def parse_on(on: str) -> str | None:
    """Read where jobs are done: the address of a cluster, None for ``ray`` alone.

    Raises:
        UsageError: It is neither ``ray`` nor ``ray://HOST:PORT``.
    """
    scheme, colon, rest = on.strip().partition("://")
    host, _, port = rest.rpartition(":")
    if scheme == "ray" and (not colon or (host and port.isdecimal())):
        return on.strip() if colon else None
    raise UsageError(Sentence("{option:on} is '{text}', expected ray or ray://HOST:PORT.", text=on))


class OnRay:
    """Does jobs in workers of Ray, one at a time in each.

    Files are named by paths that all machines must see alike. A worker that is lost with its machine costs
    nothing but time: its job begins again elsewhere.

    Args:
        address: ``ray://HOST:PORT`` of a cluster. None takes the connection that the program has, else the
            cluster that ``RAY_ADDRESS`` names, else starts one on this machine and ends it with the jobs.
        jobs: Number of workers; None for as many as the cluster has cores and memory for.
        limits: What each job may take.
        most: Number of jobs, where it is known: more workers are not started.
        shared: Folder that the jobs write to. It is made, and a worker that does not see it does nothing.
        anywhere: Whether jobs name no paths, so that workers can do without the working folder.
        notify: Called with one sentence on how the work is shared out.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: A number is not positive.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        jobs: int | None = None,
        limits: Limits = _NO_LIMITS,
        most: int | None = None,
        shared: Path | None = None,
        anywhere: bool = False,
        notify: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        check_positive(jobs, limits)
        check_installed()
        self._address, self._jobs, self._limits = address, jobs, limits
        self._most, self._shared, self._notify = most, shared, notify
        self._anywhere = anywhere

    def run(
        self, work: Callable[[Job], Value], jobs: Iterable[Job]
    ) -> Generator[Ended[Job, Value], None, None]:
        """Do the jobs; see :meth:`hilum.executors.Executor.run`.

        Raises:
            UsageError: No cluster can be reached, or its machines lack hilum, its version or a folder.
            ResourceError: The cluster has no place for any worker.
        """
        with ExitStack() as stack:
            cluster = stack.enter_context(connected(self._address, self._jobs))
            stack.enter_context(_made(self._shared))
            nodes = cluster.nodes()
            share = self._share(nodes)
            machines = "1 machine" if len(nodes) == 1 else f"{len(nodes)} machines"
            self._notify(f"Ray, {machines}: {share.described()}")
            one = Share(1, share.threads, share.limits)
            packed = pickle.dumps(work)
            order = Order(
                packed,
                tuple(sys.path),
                one,
                Path.cwd(),
                self._shared,
                cluster.environment,
                self._anywhere,
            )
            crew: _Crew[Job, Value] = _Crew(cluster, share, order, iter(jobs), reserve=self._reserved())
            stack.callback(crew.end)
            while crew.goes_on():
                yield from crew.wait()

    def _reserved(self) -> int:
        """Bytes of memory that Ray keeps for each worker."""
        return self._limits.memory or (NEED if self._jobs is None else 0)

    def _share(self, nodes: list[Any]) -> Share:
        """Share out the cores of all machines; the threads of a worker are on one of them."""
        most = self._most if self._most is not None else self._jobs or 0
        wanted = self._jobs

        def places(threads: int) -> int:
            room = self._reserved()
            fits = (
                min(int(n.get("CPU", 0)) // threads, int(n.get("memory", 0)) // room if room else 2**31)
                for n in nodes
            )
            return sum(fits)

        count = places(1) if wanted is None else wanted
        count = max(1, min(count, most) if most else count)
        threads = next((t for t in range(_MOST_THREADS, 1, -1) if places(t) >= count), 1)
        return Share(count, threads, self._limits)


@dataclass
class _Task(Generic[Job]):
    """A job, and how often it was begun."""

    job: Job
    tries: int = 0


@dataclass
class _Hand(Generic[Job]):
    """A worker, and the job that it does; None while it starts or waits for one."""

    actor: Any
    task: _Task[Job] | None = None
    began: bool = False


class _Crew(Generic[Job, Value]):
    """The workers of one run. It holds no more jobs than there are workers."""

    def __init__(
        self, cluster: Cluster, share: Share, order: Order, jobs: Iterator[Job], *, reserve: int
    ) -> None:
        self._ray, self._count, self._jobs = cluster.ray, share.jobs, jobs
        kind = self._ray.remote(Worker)
        self._kind = kind.options(
            num_cpus=share.threads,
            memory=reserve or None,
            max_restarts=0,
            max_concurrency=2,  # so that it can be stopped while it works
            scheduling_strategy="SPREAD",
        )
        self._order = self._ray.put(order)
        self._waiting: dict[Any, _Hand[Job]] = {}
        self._idle: list[_Hand[Job]] = []
        self._again: deque[_Task[Job]] = deque()
        self._more, self._failed_starts, self._heard = True, 0, time.monotonic()

    def goes_on(self) -> bool:
        """Give jobs to workers that are free, and start those that are missing; whether work is left."""
        while self._idle:
            task = self._next()
            if task is None:
                break
            self._give(self._idle.pop(), task)
        missing = self._count - len(self._waiting) - len(self._idle)
        for _ in range(missing if self._more else min(missing, len(self._again))):
            self._start()
        return self._more or bool(self._again) or any(hand.task for hand in self._waiting.values())

    def wait(self) -> list[Ended[Job, Value]]:
        """Wait until something happens; return the jobs that ended, with new ones begun."""
        done, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=_LOOK_S)
        out: list[Ended[Job, Value]] = []
        for ref in done:
            out += self._hear(ref, self._waiting.pop(ref))
            self._heard = time.monotonic()
        if not any(hand.task for hand in self._waiting.values()) and self._beyond_patience():
            raise ResourceError(
                f"Ray had no place for a worker within {_PATIENCE_S / 60:g} minutes.",
                "Look with `ray status` what else runs there.",
            )
        self.goes_on()  # before the caller looks at the outcome, so that no worker waits for that
        return out

    def end(self) -> None:
        """Stop what runs and end all workers."""
        hands = [*self._waiting.values(), *self._idle]
        with suppress(Exception):  # Ray itself may be gone
            said = [hand.actor.stop.remote() for hand in hands if hand.began]
            if said:
                self._ray.wait(said, num_returns=len(said), timeout=_STOP_S)
            for hand in hands:
                self._ray.kill(hand.actor)

    def _beyond_patience(self) -> bool:
        return time.monotonic() - self._heard > _PATIENCE_S

    def _next(self) -> _Task[Job] | None:
        if self._again:
            return self._again.popleft()
        for job in self._jobs:
            return _Task(job)
        self._more = False
        return None

    def _start(self) -> None:
        actor = self._kind.remote(self._order)
        self._waiting[actor.ready.remote()] = _Hand(actor)

    def _give(self, hand: _Hand[Job], task: _Task[Job]) -> None:
        hand.task = task
        task.tries += 1
        self._waiting[hand.actor.do.remote(task.job)] = hand

    def _hear(self, ref: Any, hand: _Hand[Job]) -> list[Ended[Job, Value]]:
        """Take what a worker says, or note that it is lost."""
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return self._lost(hand, error)
        task, hand.task = hand.task, None
        if isinstance(said, Ready):
            self._check(said)
            hand.began, self._failed_starts = True, 0
        self._idle.append(hand)
        if task is None:
            return []
        return [Ended(task.job, said.value, said.error, said.lost or task.tries > 1)]

    def _lost(self, hand: _Hand[Job], error: Exception) -> list[Ended[Job, Value]]:
        with suppress(Exception):  # it may be alive but out of reach
            self._ray.kill(hand.actor)
        task = hand.task
        if task is None:
            self._failed_starts += 1
            if self._failed_starts >= _TRIES * self._count:
                reason = (str(error).strip().splitlines() or ["?"])[-1].strip().rstrip(".")
                raise UsageError(
                    f"No worker of Ray can start: {reason}.",
                    f"Install hilum {__version__} on all machines of the cluster.",
                )
            return []
        if task.tries < _TRIES:
            self._again.append(task)
            return []
        gone = ResourceError(
            f"The worker of the scan, or its machine, was lost {_TRIES} times.",
            "Run it by itself; most likely memory ran out.",
        )
        return [Ended(task.job, error=gone, lost=True)]

    def _check(self, said: Ready) -> None:
        """Refuse a cluster that would give other results, or write them where nobody finds them."""
        if said.version != __version__:
            raise UsageError(
                f"The cluster has hilum {said.version}, this program is {__version__}.",
                "Install the same version on all machines.",
            )
        unseen = said.unseen
        if said.mark is not None:
            try:
                said.mark.unlink()
            except OSError:
                unseen = said.mark.parent
        if unseen is not None:
            raise UsageError(
                Sentence(
                    "A machine of the cluster does not have the folder {folder:path}.", path=str(unseen)
                ),
                "Use folders on a file system that all machines share under the same path.",
            )


@contextmanager
def _made(folder: Path | None) -> Iterator[None]:
    """Make a folder; where it is empty in the end, remove what was made."""
    made = [] if folder is None else [f for f in (folder, *folder.parents) if not f.exists()]
    if folder is not None:
        with suppress(OSError):  # the first job says why
            folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for place in made:
            with suppress(OSError):  # results are in it
                place.rmdir()
