"""What kill -9 of a batch or of its workers at random moments costs: the same command goes on and ends alike.

``hilum segment FOLDER --jobs 2 --resume`` runs on small scans in a process of its own. At a random moment the
program, or one of its workers, gets SIGKILL; the same command is started again until all kills are spent.
A round ends when all scans are done; the next one begins in an empty folder. At the end of each round are
compared with a run that nobody disturbed: all bytes but the times in run.json. Counted are results that were
whole before a kill and were made again (none may be), and files that are left.

    python benchmarks/kills_batch.py [--scans 40] [--kills 20] [--jobs 2] [--seed 0]

Prints a table and writes ``benchmarks/out/kills_batch.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from kills import Digest, Place, Task, digest_results  # noqa: E402

#: Seconds within which workers must be gone after the program was killed.
_GONE_S = 60.0


@dataclass
class Count:
    """What a number of kills did.

    Attributes:
        kills: How often the program, or a worker, was killed while it worked.
        rounds: How often all scans were done.
        twice: Results that were whole before a kill and were made again.
        others: Files that differ from those of the undisturbed run, over all rounds.
        left: Hidden files, and files in TMPDIR, at the ends of the rounds.
        orphans: Workers that outlived their program by more than a minute.
    """

    kills: dict[str, int] = field(default_factory=lambda: {"program": 0, "worker": 0})
    rounds: int = 0
    twice: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    orphans: int = 0

    @property
    def faultless(self) -> bool:
        return not (self.twice or self.others or self.left or self.orphans)


def make_scans(folder: Path, count: int) -> None:
    """Write small chests that differ."""
    from hilum.core.volume import Volume
    from hilum.io import write_volume
    from support.plain_chest import build_chest

    chest = build_chest(spacing=(5.0, 5.0, 6.0)).volume
    for number in range(count):
        hu = chest.hu + chest.hu.dtype.type(number % 16)
        write_volume(folder / f"p{number % 4}" / f"s{number:03d}.nii.gz", Volume(hu, chest.affine))


def whole(out: Path) -> dict[str, bytes]:
    """Return the manifests of the results that are there; each holds when it was made.

    Hidden folders are passed over: results that are being written lie there until they are whole.
    """
    found = {}
    for place, below, names in os.walk(out):  # which passes over folders that vanish while they are looked at
        below[:] = [name for name in below if not name.startswith(".")]
        if "run.json" in names:
            with suppress(FileNotFoundError):
                found[Path(place).relative_to(out).as_posix()] = (Path(place) / "run.json").read_bytes()
    return found


def made_again(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return the scans whose results are gone or were made again."""
    return [name for name, manifest in before.items() if after.get(name) != manifest]


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the workers of a program."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def kill(process: subprocess.Popen[str], rng: random.Random, count: Count) -> None:
    """Kill a program or one of its workers, and wait until what must end has ended."""
    crew = workers(process)
    if process.poll() is not None:
        return
    if crew and rng.random() < 0.5:
        rng.choice(crew).kill()
        count.kills["worker"] += 1
        return
    process.kill()
    process.wait()
    count.kills["program"] += 1
    _, alive = psutil.wait_procs(crew, timeout=_GONE_S)
    count.orphans += len(alive)


def trial(folder: Path, work: Path, *, kills: int, jobs: int, rng: random.Random) -> Count:
    """Spend all kills on batches of the scans in a folder."""
    words = ("segment", str(folder), "--model", "classic", "--jobs", str(jobs), "--resume", "-o")
    task, count = Task(words, digest_results, 1.0), Count()
    place = Place(work / "undisturbed")
    place.make()
    begin = time.monotonic()
    _, said = (process := place.start(task)).communicate()
    if process.returncode:
        raise RuntimeError(f"The undisturbed run failed: {said}")
    length, expected = time.monotonic() - begin, digest_results(place.out)
    place = Place(work / "disturbed")
    place.make()
    while sum(count.kills.values()) < kills:
        process = place.start(task)
        before: dict[str, bytes] = {}
        while process.poll() is None and sum(count.kills.values()) < kills:
            time.sleep(rng.uniform(0.1, 0.6) * length)  # short enough that some kills fall into each round
            before = {**whole(place.out), **before}  # of all kills of this process
            kill(process, rng, count)
        process.communicate()
        after = whole(place.out)
        count.twice += made_again(before, after)
        if len(after) == len(expected_scans(expected)):
            end_round(place, task, expected, count)
            place.make()
    end_round(place, task, expected, count)
    return count


def expected_scans(expected: Digest) -> list[str]:
    """Return the scans of a digest."""
    return [name for name in expected if name.endswith("run.json")]


def end_round(place: Place, task: Task, expected: Digest, count: Count) -> None:
    """Run the command to its end and look at all that is there."""
    before = whole(place.out)
    process = place.start(task)
    _, said = process.communicate()
    if process.returncode:
        count.others.append(f"exit {process.returncode}: {said.strip().splitlines()[-1]}")
    after, digest = whole(place.out), task.digest(place.out)
    count.rounds += 1
    count.twice += made_again(before, after)
    count.others += sorted(n for n in {*digest, *expected} if digest.get(n) != expected.get(n))
    count.left += place.hidden()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        make_scans(Path(name) / "scans", arguments.scans)
        rng = random.Random(arguments.seed)
        count = trial(
            Path(name) / "scans", Path(name) / "work", kills=arguments.kills, jobs=arguments.jobs, rng=rng
        )
    print(f"kills            {count.kills['program']} of the program, {count.kills['worker']} of a worker")
    print(f"rounds           {count.rounds} of {arguments.scans} scans")
    print(f"made twice       {count.twice or 0}")
    print(f"other bytes      {count.others or 0}")
    print(f"left             {count.left or 0}")
    print(f"orphans          {count.orphans}")
    out = HERE / "out" / "kills_batch.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({**vars(arguments), **vars(count)}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
