"""Cases in bounded processes: each worker is forked, works on a few dozen cases, and may die without harm.

A worker may take 2 GB more than it begins with and 20 s of processor time a case; the parent ends one that
only waits. The parent reads no input itself and starts no threads, so that forking it is safe.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fuzzing.mutate import mutate
from fuzzing.seeds import FAMILIES
from fuzzing.targets import TARGETS, kind_of, repair
from hilum.core.errors import HilumError

MEMORY_BYTES = 2 * 2**30
CPU_S = 20
#: A worker that waits for something uses no processor; on a busy machine 20 s of it take longer.
WALL_S = 120
#: Cases of one worker: forking costs time, and what a case leaves in memory must not count for later ones.
_CASES_A_WORKER = 40
_HARNESS = "could not be made"
CLASSES = ("refused", "accepted", "other exception", "hang", "crash", "left files")


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        family: Of the input.
        number: Of the case.
        kind: Name of the sound input that it was made from.
        result: One of :data:`CLASSES` but "left files".
        said: The sentence, or the exception with the line that raised it.
        changes: What the mutations did.
        lines: What libraries wrote to stdout and stderr meanwhile.
        left: Files that were there afterwards and not before.
    """

    family: str
    number: int
    kind: str = ""
    result: str = ""
    said: str = ""
    changes: tuple[str, ...] = ()
    lines: str = ""
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it is a fault of the program."""
        return self.result not in ("refused", "accepted") or bool(self.left)


def build(seeds: Path, family: str, seed: int, number: int, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Make the input of a case in a new folder: a function of seed, family and number alone."""
    rng = np.random.default_rng([seed, FAMILIES.index(family), number])
    kinds = sorted(p.name for p in (seeds / family).iterdir())
    kind = kinds[int(rng.integers(len(kinds)))]
    shutil.copytree(seeds / family / kind, folder)
    changes = tuple(mutate(folder, rng))
    if rng.random() < 0.8:
        repair(folder, kind_of(folder)[0])
    return kind, changes


def run_cases(
    seeds: Path,
    cases: Iterable[tuple[str, int]],
    seed: int,
    workers: int,
    found: Callable[[Outcome, Path], None],
) -> None:
    """Run cases, and give each outcome to ``found`` with the folder of its input, which is removed then."""
    waiting = deque(cases)
    with tempfile.TemporaryDirectory(prefix="hilum-fuzz-") as scratch:
        root = Path(scratch)
        active = [_Worker(root / str(n), seeds, seed) for n in range(workers)]
        while waiting or any(worker.busy for worker in active):
            for worker in active:
                if not worker.busy and waiting:
                    worker.start(waiting)
            ready, _, _ = select.select([w.pipe for w in active if w.busy], [], [], 1.0)
            for worker in active:
                if worker.busy:
                    worker.collect(worker.pipe in ready, found, waiting)


class _Worker:
    def __init__(self, home: Path, seeds: Path, seed: int) -> None:
        self.home, self.seeds, self.seed = home, seeds, seed
        self.busy = False
        self.pipe = -1
        self.pid = 0
        self.mine: deque[tuple[str, int]] = deque()
        self.since = 0.0
        self.rest = b""

    def start(self, waiting: deque[tuple[str, int]]) -> None:
        self.mine = deque(waiting.popleft() for _ in range(min(_CASES_A_WORKER, len(waiting))))
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self.pipe, end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            _work(end, self.home, self.seeds, self.seed, list(self.mine))
        os.close(end)
        self.busy, self.since, self.rest = True, time.monotonic(), b""

    def collect(
        self, ready: bool, found: Callable[[Outcome, Path], None], waiting: deque[tuple[str, int]]
    ) -> None:
        if not ready:
            if time.monotonic() - self.since > WALL_S:
                os.kill(self.pid, signal.SIGKILL)
                self._end(found, waiting, hung=True)
            return
        data = os.read(self.pipe, 2**16)
        if not data:
            self._end(found, waiting)
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            outcome = Outcome(**json.loads(line))
            if outcome.result == _HARNESS:
                raise RuntimeError(f"{outcome.family} {outcome.number} could not be made: {outcome.said}")
            self.mine.popleft()
            self.since = time.monotonic()
            folder = self.home / f"{outcome.family}-{outcome.number}"
            found(outcome, folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _end(
        self, found: Callable[[Outcome, Path], None], waiting: deque[tuple[str, int]], hung: bool = False
    ) -> None:
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pipe)
        self.busy = False
        if not self.mine:
            return
        family, number = self.mine.popleft()
        number_of = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        hung = hung or number_of == signal.SIGXCPU
        said = f"more than {CPU_S} s" if hung else f"ended by signal {number_of}, status {status}"
        folder = self.home / f"{family}-{number}"
        kind = kind_of(folder)[1] if (folder / ".kind").exists() else ""
        found(Outcome(family, number, kind, "hang" if hung else "crash", said), folder)
        waiting.extendleft(reversed(self.mine))


def _work(end: int, home: Path, seeds: Path, seed: int, cases: list[tuple[str, int]]) -> None:
    """Run cases in this forked process and write their outcomes into the pipe; never returns."""
    code = 1
    try:
        lines = home / "lines"
        temporary = home / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        sink = os.open(lines, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        _limit_memory()
        for family, number in cases:
            folder = home / f"{family}-{number}"
            try:
                kind, changes = build(seeds, family, seed, number, folder)
            except Exception as error:
                failed = Outcome(
                    family, number, result=_HARNESS, said=f"{type(error).__name__}: {error}"[:500]
                )
                os.write(end, json.dumps(asdict(failed)).encode() + b"\n")
                break
            outcome = Outcome(family, number, kind, changes=changes)
            before = {str(p.relative_to(folder)) for p in folder.rglob("*")}
            sys.stderr.flush()
            os.ftruncate(sink, 0)  # what pydicom said while the case was made is not hilum's
            _limit_time()
            run_case(outcome, folder)
            sys.stdout.flush()
            sys.stderr.flush()
            outcome.lines = lines.read_bytes()[:2000].decode("utf-8", "replace")
            after = {str(p.relative_to(folder)) for p in folder.rglob("*")} - before
            if kind_of(folder)[0] == "result":
                after = {name for name in after if ".hilum-" in name}
            outcome.left = tuple(sorted({*after, *(f"TMPDIR/{p.name}" for p in temporary.iterdir())}))
            for stale in temporary.iterdir():
                shutil.rmtree(stale, ignore_errors=True)
                stale.unlink(missing_ok=True)
            os.write(end, json.dumps(asdict(outcome)).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def run_case(outcome: Outcome, folder: Path) -> None:
    """Read an input and note what happened."""
    target = TARGETS[kind_of(folder)[0]]
    try:
        target(folder)
        outcome.result = "accepted"
    except HilumError as error:
        outcome.result, outcome.said = "refused", f"{type(error).__name__}: {error}"
        if "\n" in error.message or not error.message.endswith("."):
            outcome.result = "other exception"  # no sentence
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "hilum" in f.filename]
        where = f" at {'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}" if frames else ""
        outcome.result, outcome.said = "other exception", f"{type(error).__name__}{where}: {str(error)[:300]}"


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S + 1, hard))


def save(outcome: Outcome, folder: Path, out: Path, seed: int) -> Path:
    """Copy the input of a case, and what happened, to where it can be replayed from."""
    result = "left files" if outcome.left and outcome.result in ("refused", "accepted") else outcome.result
    place = out / result.replace(" ", "-")
    place /= f"{outcome.family}-{outcome.kind or 'unknown'}-{seed}-{outcome.number}"
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.copytree(folder, place, symlinks=True)
    else:
        place.mkdir()
    (place / "case.json").write_text(json.dumps({"seed": seed, **asdict(outcome)}, indent=2))
    return place


__all__ = ["CLASSES", "Outcome", "build", "run_case", "run_cases", "save"]
