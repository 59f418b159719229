"""What being killed at random moments leaves behind, and whether the same command then gives the same bytes.

Each trial starts ``hilum segment``, ``prepare`` or ``train`` on tiny inputs as a process of its own, sends it
SIGKILL, SIGINT, SIGTERM or SIGHUP at a random moment, runs the same command again and compares all files with
those of a run that nobody disturbed. What lies in the folder of results, beside it and in TMPDIR is looked at
twice: after the signal (a process that can put its things away must leave nothing hidden) and after the
second run (then nothing may be left at all). A third of the ``segment`` trials begins over a former result.

Compared are all bytes, but of ``segment`` not the times in run.json, the hash of the series UID and its salt,
and a DICOM SEG by its pixels; of ``train`` the model, the split and the choices.
A run that ended before its signal, or was hit before the program had begun, is counted apart.

    python benchmarks/kills.py [--kills 100] [--signals 20] [--seed 0] [--only segment-zip,train]

Prints a table and writes ``benchmarks/out/kills.json``. Batches are killed by ``kills_batch.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

ENDING = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
TRAIN = (
    *("--model", "fcnn", "--steps", "6", "--set", "size=[64,64]", "--set", "batch=2"),
    *("--set", "validate_every=2", "--set", "networks.fcnn_patch=5", "--set", "networks.fcnn_hidden=[8,8]"),
    *("--set", "threads=1", "--set", "test_share=0.2"),
)
#: Programs that start a signal's journey: nohup or a shell's background job may have set it to be ignored.
START = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "hilum", *sys.argv[1:]])
"""
Digest = dict[str, str]


@dataclass(frozen=True)
class Task:
    """A command, what it makes, and how that is compared.

    Attributes:
        words: Of the command line; the folder of results comes behind them.
        digest: Hash of each file in a folder of results.
        share: How many of all trials it gets.
        over: Whether some trials begin over a former result.
    """

    words: tuple[str, ...]
    digest: Callable[[Path], Digest]
    share: float
    over: bool = False


def make_inputs(folder: Path) -> None:
    """Write a scan as NIfTI and as a zip of DICOM, pairs for prepare and a data set for train."""
    from hilum.core.label_volume import LabelVolume
    from hilum.datasets.prepare import prepare
    from hilum.io import write_labels, write_volume
    from support.dicom_series import write_series
    from support.plain_chest import build_chest

    chest = build_chest(spacing=(4.0, 4.0, 5.0))
    write_volume(folder / "scan.nii.gz", chest.volume)
    write_series(folder / "dicom", chest.volume)
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        for file in sorted((folder / "dicom").iterdir()):
            archive.write(file, file.name)
    for number in range(6):
        small = build_chest(spacing=(6.0, 6.0, 8.0), lung_hu=-850.0 + number)
        write_volume(folder / "pairs" / f"s{number}_ct.nii.gz", small.volume)
        write_labels(
            folder / "pairs" / f"s{number}_lungs.nii.gz",
            LabelVolume.on_grid_of(small.volume, small.lungs),
            small.volume,
        )
    prepare(folder / "pairs", folder / "slices", plane="axial")


def tasks(inputs: Path) -> dict[str, Task]:
    """Return what is killed, by name."""
    zipped, scan, pairs = (str(inputs / name) for name in ("scan.zip", "scan.nii.gz", "pairs"))
    dicom = ("--model", "classic", "--format", "nifti,dicom-seg")
    return {
        "segment-zip": Task(("segment", zipped, *dicom[:2], "-o"), digest_results, 0.3, over=True),
        "segment-dicom": Task(
            ("segment", str(inputs / "dicom"), *dicom, "-o"), digest_results, 0.1, over=True
        ),
        "segment-nifti": Task(
            ("segment", scan, "--format", "nifti,nrrd", "-o"), digest_results, 0.2, over=True
        ),
        "prepare-1": Task(("prepare", pairs, "--jobs", "1", "-o"), digest_all, 0.1),
        "prepare-2": Task(("prepare", pairs, "--jobs", "2", "-o"), digest_all, 0.15),
        "train": Task(("train", str(inputs / "slices"), *TRAIN, "-o"), digest_run, 0.15),
    }


# -- comparing ----------------------------------------------------------------------------------------------


#: Tables and page of a batch: they show the seconds that each scan took.
_TIMED = ("scans.csv", "scans.parquet", "scans.xlsx", "index.html")


def digest_all(folder: Path) -> Digest:
    """Hash all files that are not hidden, and the dictionary of subjects beside them."""
    files = [
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    ]
    beside = folder.with_name(f"{folder.name}.subjects.json")
    out = {p.relative_to(folder).as_posix(): _hash(p.read_bytes()) for p in files}
    return out | ({"subjects": _hash(beside.read_bytes())} if beside.is_file() else {})


def digest_results(folder: Path) -> Digest:
    """Hash what ``segment`` wrote, without what no two runs have in common."""
    out = digest_all(folder)
    for name in list(out):
        file = folder / name
        if file.name == "salt.txt":
            out[name] = "there"
        elif file.name == "run.json":
            run = json.loads(file.read_text("utf-8"))
            for key in ("started", "timings_s", "series_uid_hash"):
                run.pop(key, None)
                run["input"].pop(key, None)
            out[name] = _hash(json.dumps(run, sort_keys=True).encode())
        elif file.name in _TIMED:
            out[name] = "there"
        elif file.suffix == ".dcm":
            import pydicom

            out[name] = _hash(pydicom.dcmread(file).PixelData)
    return out


def digest_run(folder: Path) -> Digest:
    """Hash the results of a training."""
    names = ("model.onnx", "split.json", "config.toml")
    out = {name: _hash((folder / name).read_bytes()) for name in names if (folder / name).is_file()}
    return out | {"card": "there" if (folder / "card.json").is_file() else "missing"}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- one trial ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a trial happens.

    Attributes:
        root: A new folder.
    """

    root: Path

    @property
    def out(self) -> Path:
        """The folder of results."""
        return self.root / "place" / "out"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the program."""
        return self.root / "tmp"

    def make(self) -> None:
        """Make the folders that are there before the program."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.out.parent.mkdir(parents=True)
        self.temporary.mkdir()

    def start(self, task: Task) -> subprocess.Popen[str]:
        """Start the program in a session of its own."""
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "TORCHINDUCTOR_CACHE_DIR": str(self.root / "torch"),
        }
        return subprocess.Popen(
            [sys.executable, "-c", START, *task.words, str(self.out)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hidden(self) -> list[str]:
        """List hidden files and folders in and beside the results, and all that lies in TMPDIR."""
        found = [*(self.root / "place").rglob(".*"), *self.temporary.iterdir()]
        return sorted(p.relative_to(self.root).as_posix() for p in found)


@dataclass(frozen=True)
class Trial:
    """What one signal did.

    Attributes:
        counted: Whether it hit the program at work.
        code: Of the process that was hit, negative where it died by the signal.
        faults: What went wrong, in words that are counted.
        left: Hidden files after the signal.
        stays: Hidden files after the second run.
        said: What the process that was hit printed on stderr.
    """

    counted: bool
    code: int
    faults: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    said: str = ""


def measure(task: Task, place: Place) -> tuple[Digest, float]:
    """Run a command that nobody disturbs; return the digest of its results and its seconds."""
    place.make()
    begin = time.monotonic()
    said = _finish(place.start(task))
    if said:
        raise RuntimeError(f"The undisturbed run failed: {said}")
    return task.digest(place.out), time.monotonic() - begin


def try_once(
    task: Task, place: Place, number: signal.Signals, after_s: float, expected: Digest, over: bool = False
) -> Trial:
    """Send one signal, look at what is left, run the same command again and look once more."""
    place.make()
    if over and (said := _finish(place.start(task))):
        raise RuntimeError(f"The run before failed: {said}")
    process = place.start(task)
    time.sleep(after_s)
    ended = process.poll() is not None
    if not ended:
        process.send_signal(number)
    _, said = process.communicate()
    code = process.returncode
    lines = said.strip().splitlines()
    # The interpreter itself was still starting: it knows nothing of the program's handlers.
    early = number != signal.SIGKILL and code == -number and "hilum/cli" not in said
    if ended or code == 0 or early:
        return Trial(False, code, said=said)
    faults = []
    left = place.hidden()
    if number != signal.SIGKILL:
        if code != 128 + number:
            faults.append("exit code")
        if lines != [f"hilum: {ENDING[number]}, nothing was left half-written."] and not _only_lines(
            lines, number
        ):
            faults.append("sentence")
        if left:
            faults.append("hidden after the signal")
    if task.digest is digest_results and place.out.exists():
        there = {k: v for k, v in task.digest(place.out).items() if "/" in k}
        if there and there != {k: v for k, v in expected.items() if "/" in k}:
            faults.append("half a result")
        if over and not there:
            faults.append("former result lost")
    elif over:
        faults.append("former result lost")
    if again := _finish(place.start(task)):
        faults.append(f"second run: {again.strip().splitlines()[-1]}")
    if task.digest(place.out) != expected:
        faults.append("other bytes")
    stays = place.hidden()
    if stays:
        faults.append("hidden after the second run")
    return Trial(True, code, tuple(faults), tuple(left), tuple(stays), said)


def _only_lines(lines: list[str], number: signal.Signals) -> bool:
    """Whether stderr holds what the program says while it works, and the sentence last."""
    progress = ("step ", "fcnn: ")
    return (
        bool(lines)
        and lines[-1].startswith(f"hilum: {ENDING[number]},")
        and all(line.startswith(progress) for line in lines[:-1])
    )


def _finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end; return what stderr said where the exit code is not 0."""
    _, said = process.communicate()
    return "" if process.returncode == 0 else f"exit {process.returncode}: {said}"


# -- all trials ---------------------------------------------------------------------------------------------


def run(
    name: str, task: Task, work: Path, counts: dict[str, int], rng: random.Random
) -> list[dict[str, object]]:
    """Run trials of one task until enough of each kind hit the running program; return one row a kind."""
    place = Place(work / name)
    expected, length = measure(task, place)
    length = min(length, measure(task, place)[1])  # without the first reading from the disk
    rows = []
    for kind, wanted in counts.items():
        trials: list[Trial] = []
        while sum(t.counted for t in trials) < wanted and len(trials) < 3 * wanted + 3:
            number = signal.SIGKILL if kind == "kill" else rng.choice(list(ENDING))
            over = task.over and rng.random() < 0.3
            trials.append(try_once(task, place, number, rng.uniform(0.1, 1.05) * length, expected, over))
        hits = [t for t in trials if t.counted]
        row = {
            "task": name,
            "kind": kind,
            "trials": len(trials),
            "hits": len(hits),
            "hidden_until_second_run": sum(bool(t.left) for t in hits),
            "faults": dict(Counter(fault for t in hits for fault in t.faults)),
            "stays": sorted({file for t in hits for file in t.stays}),
            "odd": [{"code": t.code, "said": t.said, "left": t.left} for t in hits if t.faults],
        }
        print(
            f"{name:<14} {kind:<7} {row['hits']:>4} {row['trials']:>7} {row['hidden_until_second_run']:>8}   "
            f"{row['faults'] or 'none'} {row['stays'] or ''}",
            flush=True,
        )
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of tasks, comma-separated")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        inputs, rng = Path(name) / "inputs", random.Random(arguments.seed)
        inputs.mkdir()
        make_inputs(inputs)
        print(f"{'task':<14} {'kind':<7} {'hits':>4} {'trials':>7} {'hidden*':>8}   faults")
        for task_name, task in tasks(inputs).items():
            if arguments.only and task_name not in arguments.only.split(","):
                continue
            counts = {
                "kill": round(arguments.kills * task.share),
                "signal": round(arguments.signals * task.share),
            }
            rows += run(task_name, task, Path(name), counts, rng)
    out = HERE / "out" / "kills.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"seed": arguments.seed, "rows": rows}, indent=2) + "\n", "utf-8")
    hits, bad = sum(int(str(row["hits"])) for row in rows), sum(bool(row["faults"]) for row in rows)
    print(f"* until the second run. {hits} hits, {bad} rows with faults -> {out}")


if __name__ == "__main__":
    main()
