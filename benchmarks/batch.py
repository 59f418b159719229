"""Throughput of batches: one job, several jobs, and as many separate processes; and the memory of the parent.

Phantoms of about 100 slices are made once; each scan is one of them with other noise. All scans are
segmented by ``hilum segment --jobs 1`` and ``--jobs N``, and by N processes of ``--jobs 1`` that share the
list (``--part``) and know nothing of each other: what the cores can give. Efficiency is the throughput of
``--jobs N`` over theirs. Each process uses as many threads as it would in the batch. The memory (RSS)
of the parent is looked at four times a second; growth is the last quarter over the second.

    python benchmarks/batch.py [--scans 300] [--phantoms 12] [--jobs 2] [--spacing 1.5 1.5 3.0]

Prints a table and writes ``benchmarks/out/batch.json``. A machine that does other work gives other figures;
the load at the beginning and at the end is written with them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

HERE = Path(__file__).parent
_LOOK_S = 0.25
_NOISE_HU = 5.0
MB = 1e6


def make_scans(
    folder: Path, scans: int, phantoms: int, spacing: tuple[float, float, float]
) -> tuple[int, ...]:
    """Write scans that differ by their noise; return the shape of one."""
    import hilum
    from hilum.io import write_volume

    chests = [hilum.phantom(seed=seed, spacing=spacing).volume for seed in range(1, min(phantoms, scans) + 1)]
    for number in range(scans):
        chest = chests[number % len(chests)]
        noise = np.random.default_rng(number).normal(0.0, _NOISE_HU, chest.shape)
        hu = (chest.hu + noise.round()).astype(chest.hu.dtype)
        write_volume(folder / f"s{number:04d}.nii.gz", hilum.Volume(hu, chest.affine))
    return chests[0].shape


def start(scans: Path, out: Path, *options: str, threads: int) -> subprocess.Popen[bytes]:
    """Start ``hilum segment`` on a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    words = ["segment", str(scans), "-o", str(out), "--quiet", *options]
    return subprocess.Popen([sys.executable, "-m", "hilum", *words], env=environment)


def watch(processes: list[subprocess.Popen[bytes]]) -> tuple[float, list[float]]:
    """Wait for processes; return seconds and the memory of the first over time, in MB.

    Raises:
        RuntimeError: One of them failed.
    """
    begin, memory = time.monotonic(), []
    while any(process.poll() is None for process in processes):
        with suppress(psutil.Error):
            memory.append(psutil.Process(processes[0].pid).memory_info().rss / MB)
        time.sleep(_LOOK_S)
    seconds = time.monotonic() - begin
    if any(process.returncode for process in processes):
        raise RuntimeError(f"exit codes {[process.returncode for process in processes]}")
    return seconds, memory


def growth(memory: list[float]) -> float:
    """Return how much more memory the last quarter takes than the second, in MB."""
    quarter = max(1, len(memory) // 4)
    return float(np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter] or memory))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=300)
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--spacing", type=float, nargs=3, default=(1.5, 1.5, 3.0), help="of the scans, mm")
    arguments = parser.parse_args()
    jobs = arguments.jobs
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // jobs)
    report: dict[str, object] = {**vars(arguments), "cores": cores, "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory() as name:
        scans, out = Path(name) / "scans", Path(name) / "out"
        report["shape"] = make_scans(scans, arguments.scans, arguments.phantoms, tuple(arguments.spacing))
        runs = {
            "jobs 1": [start_later("--jobs", "1", threads=cores)],
            f"jobs {jobs}": [start_later("--jobs", str(jobs), threads=share)],
            f"{jobs} separate": [
                start_later("--part", f"{part}/{jobs}", threads=share) for part in range(1, jobs + 1)
            ],
        }
        rates = {}
        for title, makers in runs.items():
            place = out / title.replace(" ", "-")
            seconds, memory = watch([make(scans, place) for make in makers])
            rates[title] = arguments.scans / seconds * 3600
            print(
                f"{title:<12} {seconds:8.1f} s {rates[title]:7.0f} scans an hour   "
                f"parent {max(memory):6.0f} MB, growth {growth(memory):+.1f} MB",
                flush=True,
            )
            report[title] = {"seconds": seconds, "parent_mb": max(memory), "growth_mb": growth(memory)}
    report["efficiency"] = rates[f"jobs {jobs}"] / rates[f"{jobs} separate"]
    report["load_after"] = os.getloadavg()
    print(f"efficiency of jobs {jobs} against {jobs} separate processes: {report['efficiency']:.2f}")
    print(f"load {report['load_before']} -> {report['load_after']}")
    target = HERE / "out" / "batch.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def start_later(*options: str, threads: int):  # type: ignore[no-untyped-def]
    """Return a function that starts the program on a folder of scans."""
    return lambda scans, out: start(scans, out, *options, threads=threads)


if __name__ == "__main__":
    main()
