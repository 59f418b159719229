"""Slices a second and peak memory of ``hilum prepare``, and what being killed does to its bytes.

The pairs are digital chests, by default of the size of clinical scans: 18 subjects of 500 coronal slices of
300 x 512 pixels. Speed counts from the start of the program to its end, with reading, hashing, the quality
gate and the index. Memory is that of the program and all processes it starts, twenty times a second.

Then the program is killed (SIGKILL to it alone, as the out-of-memory killer does) at random moments on a
smaller set, started again each time with the same command, and all files are compared with those of a run
that was not. Where a run was faster than its killer, the data set is begun anew.

    python benchmarks/prepare.py [--subjects 18] [--shape 512,500,300] [--workers 2] [--kills 10]

Prints a table and writes ``benchmarks/out/prepare.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil

import hilum

HERE = Path(__file__).parent
POLL_S = 0.05


def make_pairs(folder: Path, subjects: int, shape: Sequence[int]) -> None:
    """Write chests of ``shape``; three anatomies, each subject with noise of its own."""
    folder.mkdir(parents=True)
    chests = [hilum.phantom(seed=seed, spacing=(2.5, 2.5, 2.5), noise_hu=0) for seed in range(3)]
    for number in range(subjects):
        chest = chests[number % 3]
        hu, labels, affine = chest.volume.hu, chest.labels, chest.volume.affine.copy()
        index = [
            np.minimum((np.arange(n) * (m / n)).astype(int), m - 1)
            for n, m in zip(shape, hu.shape, strict=True)
        ]
        for axis in range(3):
            affine[:3, axis] *= hu.shape[axis] / shape[axis]
        rng = np.random.default_rng(number)
        tile = rng.normal(0, 20, (shape[0] + 64, shape[1] + 64)).astype(np.int16)
        image = np.empty(shape, np.int16, order="F")
        for k, z in enumerate(index[2]):
            dx, dy = rng.integers(0, 64, 2)
            image[:, :, k] = hu[:, :, z][np.ix_(*index[:2])]
            image[:, :, k] += tile[dx : dx + shape[0], dy : dy + shape[1]]
        mask = np.asfortranarray(labels[np.ix_(*index)].astype(np.uint8))
        for name, data in (("ct", image), ("lungs", mask)):
            nib.save(nib.Nifti1Image(data, affine), folder / f"subject-{number:02d}_{name}.nii.gz")


def command(pairs: Path, out: Path, workers: int) -> list[str]:
    words = ["prepare", str(pairs), "-o", str(out), "--jobs", str(workers), "--quiet"]
    return [sys.executable, "-c", "from hilum.cli import main; main()", *words]


def tree_memory(process: psutil.Process) -> tuple[int, int]:
    """Bytes of a process and its children: resident, and with shared pages counted once (Linux)."""
    resident = proportional = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            info = one.memory_full_info()
        except psutil.Error:
            continue
        resident += info.rss
        proportional += getattr(info, "pss", info.rss)
    return resident, proportional


def timed(words: list[str]) -> dict[str, float]:
    """Run a command and return seconds and peaks of memory in MB."""
    begin = time.perf_counter()
    running = subprocess.Popen(words)
    process, peak, fair = psutil.Process(running.pid), 0, 0
    while running.poll() is None:
        try:
            resident, proportional = tree_memory(process)
        except psutil.Error:
            break
        peak, fair = max(peak, resident), max(fair, proportional)
        time.sleep(POLL_S)
    if running.wait():
        raise SystemExit(f"hilum prepare ended with {running.returncode}")
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "peak_mb": peak / 1e6, "peak_shared_once_mb": fair / 1e6}


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kill_again_and_again(pairs: Path, folder: Path, workers: int, kills: int, seed: int) -> dict[str, object]:
    """Kill a run ``kills`` times; return whether its bytes equal those of an uninterrupted run."""
    begin = time.monotonic()
    subprocess.run(command(pairs, folder / "whole", workers), check=True)
    length = time.monotonic() - begin
    rng, out, moments, anew = random.Random(seed), folder / "killed", [], 0
    while len(moments) < kills:
        running = subprocess.Popen(command(pairs, out, workers), stderr=subprocess.DEVNULL)
        moment = rng.uniform(0.05, 0.9) * length
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            moments.append(round(moment, 2))
            continue
        shutil.rmtree(out)
        anew += 1
    complete = (out / "dataset.json").exists()
    subprocess.run(command(pairs, out, workers), check=True)
    return {
        "kills": len(moments),
        "moments_s": moments,
        "length_s": length,
        "begun_anew": anew,
        "complete_before_last_run": complete,
        "files": len(hashes(out)),
        "identical": hashes(out) == hashes(folder / "whole"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=18)
    parser.add_argument("--shape", default="512,500,300", help="x, y, z; coronal slices are y")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where the pairs are kept for the next time")
    arguments = parser.parse_args()
    shape = [int(part) for part in arguments.shape.split(",")]
    out: dict[str, object] = {"hilum": hilum.__version__, "workers": arguments.workers, "shape": shape}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        work = Path(name)
        pairs = (arguments.folder or work) / f"pairs-{arguments.subjects}-{arguments.shape.replace(',', 'x')}"
        few = (arguments.folder or work) / "pairs-few"
        if not pairs.exists():
            make_pairs(pairs, arguments.subjects, shape)
        if not few.exists():
            make_pairs(few, 6, (200, 160, 120))
        if arguments.subjects:
            speed = timed(command(pairs, work / "dataset", arguments.workers))
            slices = len(list((work / "dataset" / "images").iterdir()))
            speed |= {
                "subjects": arguments.subjects,
                "slices": slices,
                "slices_per_s": slices / speed["seconds"],
            }
            out["speed"] = speed
            print(
                f"{slices} slices of {arguments.subjects} subjects in {speed['seconds']:.1f} s: "
                f"{speed['slices_per_s']:.0f} slices/s; peak {speed['peak_mb']:.0f} MB, "
                f"{speed['peak_shared_once_mb']:.0f} MB with shared pages counted once",
                flush=True,
            )
        if arguments.kills:
            killed = kill_again_and_again(few, work, arguments.workers, arguments.kills, seed=1)
            out["killed"] = killed
            word = "the same bytes" if killed["identical"] else "OTHER BYTES"
            print(f"killed {killed['kills']} times at random: {killed['files']} files, {word}")
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "prepare.json").write_text(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
