"""A pool of cases that are made while a network trains, in the training process or by worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
from typing import Any, Protocol

import numpy as np

from hilum.core.errors import HilumError, ModelError
from hilum.training.volumes.sources import CaseSource, VolumeCase

__all__ = ["CasePool", "LocalPool", "WorkerPool", "open_pool"]

#: Cases on their way from the workers: enough that none waits while a step is computed.
_QUEUE = 16
#: Cases in the pool before a training begins, unless the pool is full earlier.
_FIRST_CASES = 4
#: No case takes longer to make, s; a worker that sends nothing for this long has died.
_SILENCE_S = 600.0


class CasePool(Protocol):
    """Gives a case for each example of a training."""

    made: int

    def draw(self, example: int, rng: np.random.Generator) -> VolumeCase:
        """Return a case.

        Args:
            example: Number of the example in the training, from 0.
            rng: Source of the draw.
        """
        ...

    def close(self) -> None:
        """End what makes cases."""
        ...


class LocalPool:
    """Makes cases in the training process: which case an example gets is a function of its number.

    Every ``reuse``-th example takes a new case; the others one of the last ``size`` cases, the same again or
    made again where a training is resumed.

    Args:
        source: Makes the cases.
        size: Cases that are kept.
        reuse: How often a case is drawn on average.
    """

    def __init__(self, source: CaseSource, size: int, reuse: int) -> None:
        self.source, self.size, self.reuse = source, size, reuse
        self.made = 0
        self._kept: dict[int, VolumeCase] = {}

    def draw(self, example: int, rng: np.random.Generator) -> VolumeCase:
        """Return the case of an example."""
        newest = example // self.reuse
        oldest = max(0, newest - self.size + 1)
        index = newest if example % self.reuse == 0 else int(rng.integers(oldest, newest + 1))
        for old in [key for key in self._kept if key < oldest]:
            del self._kept[old]
        if index not in self._kept:
            self._kept[index] = self.source.make(index)
            self.made += 1
        return self._kept[index]

    def close(self) -> None:
        """Forget the cases."""
        self._kept.clear()


class WorkerPool:
    """Worker processes make cases while the network trains; the newest take the place of random older ones.

    Worker ``w`` of ``n`` makes the cases ``w``, ``w + n``, ``w + 2 n`` ..., each a function of its index.
    Which cases are in the pool at a step depends on the speed of the workers, so two trainings differ.

    Args:
        source: Makes the cases; goes to the workers.
        size: Cases that are kept.
        workers: Number of processes.
        first: Index of the first case, so that a resumed training makes new ones.
    """

    def __init__(self, source: CaseSource, size: int, workers: int, first: int = 0) -> None:
        self.size, self.made, self.failed = size, 0, 0
        self._cases: list[VolumeCase] = []
        self._lock = threading.Lock()
        self._rng = np.random.default_rng([29, first])
        context = multiprocessing.get_context("spawn")
        self._queue: Any = context.Queue(_QUEUE)
        self._stop: Any = context.Event()
        self._processes = [
            context.Process(
                target=_make_cases, args=(source, first + w, workers, self._queue, self._stop), daemon=True
            )
            for w in range(workers)
        ]
        for process in self._processes:
            process.start()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def draw(self, example: int, rng: np.random.Generator) -> VolumeCase:
        """Return a case of the pool; waits for the first ones.

        Raises:
            ModelError: The workers have died.
        """
        waited = 0.0
        while len(self._cases) < min(_FIRST_CASES, self.size):
            if not any(process.is_alive() for process in self._processes) or waited > _SILENCE_S:
                raise ModelError(
                    "The processes that make training cases have ended.",
                    "Set cases.workers=0, which makes the cases in the training process and shows the error.",
                )
            self._stop.wait(0.1)
            waited += 0.1
        with self._lock:
            return self._cases[int(rng.integers(len(self._cases)))]

    def close(self) -> None:
        """End the workers."""
        self._stop.set()
        with contextlib.suppress(queue.Empty):
            while True:  # a worker waits for its last case to be taken
                self._queue.get_nowait()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
        self._receiver.join(5)

    def _receive(self) -> None:
        while not self._stop.is_set():
            try:
                case = self._queue.get(timeout=0.5)
            except (queue.Empty, EOFError, OSError):
                continue
            if case is None:
                self.failed += 1
                continue
            with self._lock:
                self.made += 1
                if len(self._cases) < self.size:
                    self._cases.append(case)
                else:
                    self._cases[int(self._rng.integers(self.size))] = case


def open_pool(source: CaseSource, size: int, reuse: int, workers: int, first: int = 0) -> CasePool:
    """Return a :class:`LocalPool` where ``workers`` is 0, else a :class:`WorkerPool`."""
    if workers == 0:
        return LocalPool(source, size, reuse)
    return WorkerPool(source, size, workers, first)


def _make_cases(source: CaseSource, first: int, step: int, out: Any, stop: Any) -> None:
    """Run in a worker: make cases until stopped; one that cannot be made is skipped."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)  # the network goes first
    index, parent = first, os.getppid()

    def wanted() -> bool:  # a training that was killed does not set the event
        return not stop.is_set() and os.getppid() == parent

    while wanted():
        case: VolumeCase | None
        try:
            case = source.make(index)
        except (HilumError, ValueError):  # such as an injury that leaves no lung
            case = None
        index += step
        while wanted():
            with contextlib.suppress(queue.Full):
                out.put(case, timeout=0.5)
                break
    out.cancel_join_thread()
