"""Seconds and peak memory of ``hilum segment --no-report``, file in to files out, against volume size.

Each run is a process of its own, so that its peak memory is its own. The volumes are digital chests. Before
each run nibabel reads the same file (``np.asanyarray(nib.load(path).dataobj)``, without the start of Python
and imports), so that the ratio of the two hangs less on what else the machine does; CPU seconds (user and
system, all threads) hang least on it. Prints a table and writes ``benchmarks/out/speed.json``.

    python benchmarks/speed.py [--slices 50,300,1000,1500] [--repeat 3] [--model lungs]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

import hilum

HERE = Path(__file__).parent


def make_volume(folder: Path, slices: int) -> Path:
    """Write a chest of 512 x 512 x ``slices``; the same chest is sampled more or less densely."""
    coarse = hilum.phantom(seed=3, spacing=(1.6, 1.6, 2.0)).volume
    hu, shape = coarse.hu, (512, 512, slices)
    index = [
        np.minimum((np.arange(n) * (m / n)).astype(int), m - 1) for n, m in zip(shape, hu.shape, strict=True)
    ]
    rng = np.random.default_rng(0)
    out = np.empty(shape, np.int16, order="F")
    for k, z in enumerate(index[2]):
        plane = hu[:, :, z][np.ix_(index[0], index[1])]
        out[:, :, k] = plane + rng.normal(0, 20, plane.shape)
    affine = coarse.affine.copy()
    for axis in range(3):
        affine[:3, axis] *= hu.shape[axis] / shape[axis]
    path = folder / f"chest-{slices}.nii.gz"
    nib.save(nib.Nifti1Image(out, affine), path)
    return path


@dataclass(frozen=True)
class Run:
    """One run of the program: its seconds, CPU seconds and peak memory, and nibabel's seconds before it."""

    seconds: float
    cpu: float
    peak_mb: float
    nibabel: float


def read_once(path: Path) -> float:
    """Return the seconds in which nibabel reads a volume, in a process of its own."""
    script = (
        "import time, numpy as np, nibabel as nib; begin = time.perf_counter();"
        f"np.asanyarray(nib.load({str(path)!r}).dataobj); print(time.perf_counter() - begin)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(done.stdout)


def run_once(path: Path, out: Path, model: str) -> Run:
    """Let nibabel read the volume, then run the program on it."""
    nibabel = read_once(path)
    command = ["segment", str(path), "-o", str(out), "--model", model, "--no-report", "--quiet"]
    script = (
        "import resource, sys; from hilum.cli.app import run;"
        f"code = run({command!r}); used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(used.ru_maxrss, used.ru_utime + used.ru_stime); sys.exit(code)"
    )
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak, cpu = done.stdout.split()[-2:]
    return Run(seconds, float(cpu), int(peak) / unit, nibabel)


def summary(path: Path, slices: int, runs: list[Run]) -> dict[str, float]:
    """Return medians over the runs, and the highest peak."""
    return {
        "slices": slices,
        "file_mb": path.stat().st_size / 1e6,
        "seconds": float(np.median([run.seconds for run in runs])),
        "cpu_seconds": float(np.median([run.cpu for run in runs])),
        "nibabel_seconds": float(np.median([run.nibabel for run in runs])),
        "ratio": float(np.median([run.seconds / run.nibabel for run in runs])),
        "peak_mb": max(run.peak_mb for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", default="50,300,1000,1500")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", default="lungs")
    arguments = parser.parse_args()
    rows = []
    names = ("slices", "file MB", "seconds", "CPU s", "nibabel s", "ratio", "peak MB")
    print(" ".join(f"{name:>9}" for name in names))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for slices in (int(part) for part in arguments.slices.split(",")):
            path = make_volume(folder, slices)
            runs = [run_once(path, folder / "out", arguments.model) for _ in range(arguments.repeat)]
            rows.append(summary(path, slices, runs))
            print(" ".join(f"{value:9.4g}" for value in rows[-1].values()), flush=True)
            path.unlink()
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "speed.json").write_text(
        json.dumps({"hilum": hilum.__version__, "model": arguments.model, "rows": rows}, indent=2)
    )


if __name__ == "__main__":
    main()
