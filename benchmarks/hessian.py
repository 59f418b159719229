"""CPU seconds of the filters for tubes and plates, a scale, over the box of both lungs.

The box is of noise, 27 million voxels of 0.69 x 0.69 x 1.0 mm; a mask of two ellipsoids marks 30 % of it, as
the lungs do. CPU seconds of all threads are given beside wall time, since a busy machine spoils the latter;
the load of the machine is printed, and CPU seconds under load are good to perhaps a quarter. Each row is the
smallest of some repeats. Prints a table and writes ``benchmarks/out/hessian.json``.

    python benchmarks/hessian.py [--shape 376,255,278] [--scales 0.7,1,1.5,2.2,3.2,4.5] [--repeat 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hilum.core.cores import thread_count
from hilum.imaging.hessian import eigenvalues_3x3
from hilum.imaging.shape_filters import plateness, tubeness

HERE = Path(__file__).parent
SPACING = (0.69, 0.69, 1.0)


def two_ellipsoids(shape: tuple[int, int, int]) -> np.ndarray:
    """Mask of two ellipsoids side by side, 30 % of the box."""
    x, y, z = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    out = np.empty(shape, bool)
    for plane, place in zip(out, x, strict=True):  # one by one: the peak memory is that of the filters
        left = 1 - ((abs(place) - 0.5) / 0.46) ** 2
        plane[:] = (y[:, None] / 0.8) ** 2 + (z / 0.8) ** 2 <= left
    return out


def smallest(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Return the smallest CPU seconds of some runs, and the wall time of that run."""
    runs = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        runs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(runs)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="376,255,278")
    parser.add_argument("--scales", default="0.7,1,1.5,2.2,3.2,4.5")
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    i, j, k = map(int, arguments.shape.split(","))
    scales = [float(scale) for scale in arguments.scales.split(",")]
    rng = np.random.default_rng(0)
    image = rng.integers(-1000, 100, (i, j, k), np.int16)
    mask = two_ellipsoids(image.shape)
    million, marked = image.size / 1e6, mask.sum() / 1e6
    base = peak_mb()
    load = os.getloadavg()[0]
    print(f"{i} x {j} x {k}: {million:.1f} M voxels, {marked:.1f} M in the mask; {thread_count()} threads")
    print(f"load of the machine {load:.1f} on {os.cpu_count()} cores\n")
    print(f"{'filter':<20} {'scale mm':>8} {'CPU s':>7} {'CPU s/M':>8} {'wall s':>7}")
    rows = []
    runs = [("tubeness, mask", tubeness, mask, [scale]) for scale in scales]
    runs += [
        ("tubeness, whole box", tubeness, None, [1.0]),
        ("plateness, mask", plateness, mask, [1.0]),
        ("tubeness, mask, all", tubeness, mask, scales),
    ]
    for name, filtered, where, wanted in runs:
        cpu, wall = smallest(
            lambda f=filtered, s=wanted, m=where: f(image, SPACING, s, mask=m), arguments.repeat
        )
        shown = f"{wanted[0]:g}" if len(wanted) == 1 else f"{len(wanted)} scales"
        print(f"{name:<20} {shown:>8} {cpu:>7.2f} {cpu / million:>8.3f} {wall:>7.2f}", flush=True)
        rows.append({"filter": name, "scales_mm": wanted, "cpu_s": cpu, "wall_s": wall})
    parts = [rng.normal(size=2**17).astype(np.float32) for _ in range(6)]
    cpu, _ = smallest(lambda: eigenvalues_3x3(parts), 10 * arguments.repeat)
    print(f"\neigenvalues alone: {cpu / 2**17 * 1e6:.3f} CPU s/M")
    print(f"peak memory above image and mask: {peak_mb() - base:.0f} MB")
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    record = {
        "shape": [i, j, k],
        "load": load,
        "cores": os.cpu_count(),
        "rows": rows,
        "eigenvalues_cpu_s_per_million": cpu / 2**17 * 1e6,
        "peak_mb": peak_mb() - base,
    }
    (out / "hessian.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
