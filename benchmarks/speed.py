"""Seconds and peak memory of ``hilum segment --no-report``, file in to files out, against volume size.

Each run is a process of its own, so that its peak memory is its own. The volumes are digital chests.
Prints a table and writes ``benchmarks/out/speed.json``.

    python benchmarks/speed.py [--slices 100,300,1000] [--repeat 3] [--model lungs]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
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


def run_once(path: Path, out: Path, model: str) -> tuple[float, float]:
    """Return seconds and peak memory in MB of one run of the program."""
    command = ["segment", str(path), "-o", str(out), "--model", model, "--no-report", "--quiet"]
    script = (
        "import resource, sys; from hilum.cli.app import run;"
        f"code = run({command!r});"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return seconds, int(done.stdout.split()[-1]) / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", default="50,100,300,600,1000")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model", default="lungs")
    arguments = parser.parse_args()
    rows = []
    print(f"{'slices':>7} {'file MB':>8} {'seconds':>8} {'s/100 slices':>13} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for slices in (int(part) for part in arguments.slices.split(",")):
            path = make_volume(folder, slices)
            runs = [run_once(path, folder / "out", arguments.model) for _ in range(arguments.repeat)]
            seconds = float(np.median([r[0] for r in runs]))
            peak = float(max(r[1] for r in runs))
            size = path.stat().st_size / 1e6
            rows.append({"slices": slices, "file_mb": size, "seconds": seconds, "peak_mb": peak})
            print(
                f"{slices:7d} {size:8.1f} {seconds:8.2f} {100 * seconds / slices:13.2f} {peak:8.0f}",
                flush=True,
            )
            path.unlink()
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "speed.json").write_text(
        json.dumps({"hilum": hilum.__version__, "model": arguments.model, "rows": rows}, indent=2)
    )


if __name__ == "__main__":
    main()
