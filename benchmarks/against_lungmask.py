"""hilum and lungmask on the same volume, by turns, in one run: seconds and peak memory.

lungmask (Hofmanninger 2020) is taken as it is on PyPI, with its R231 architecture and **random weights**:
its weights are not needed to take its time, and its result is not looked at. Its post-processing is left
out, since on the output of random weights its time would mean nothing; with it lungmask takes longer.

A round is hilum, lungmask, hilum, so that what else the machine does weighs on both; medians are given.

    pip install lungmask        # brings torch
    python benchmarks/against_lungmask.py [--slices 300] [--rounds 1]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from speed import make_volume

HERE = Path(__file__).parent
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
HILUM = """
from hilum.cli.app import run
code = run(["segment", {path!r}, "-o", {out!r}, "--no-report", "--quiet"])
assert code == 0
"""
LUNGMASK = """
import torch, tempfile, SimpleITK
from lungmask.resunet import UNet
from lungmask import LMInferer
torch.manual_seed(0)
network = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
with tempfile.NamedTemporaryFile(suffix=".pth") as file:
    torch.save(network.state_dict(), file.name)
    model = LMInferer(modelpath=file.name, force_cpu=True, volume_postprocessing=False, tqdm_disable=True)
image = SimpleITK.ReadImage({path!r})
mask = SimpleITK.GetImageFromArray(model.apply(image))
mask.CopyInformation(image)
SimpleITK.WriteImage(mask, {out!r} + "-lungmask.nii.gz")
"""


def run_once(script: str) -> tuple[float, float]:
    """Return seconds and peak memory in MB of a Python process of its own."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script + PEAK], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - begin
    return seconds, int(done.stdout.split()[-1]) / (1e6 if sys.platform == "darwin" else 1e3)


def median_and_peak(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of the seconds and the largest peak."""
    return statistics.median(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1, help="hilum, lungmask, hilum is one")
    arguments = parser.parse_args()
    if importlib.util.find_spec("lungmask") is None:
        sys.exit("lungmask is not installed in this environment: pip install lungmask")
    with tempfile.TemporaryDirectory() as name:
        path = make_volume(Path(name), arguments.slices)
        values = {"path": str(path), "out": str(Path(name) / "out")}
        runs: dict[str, list[tuple[float, float]]] = {"hilum": [], "lungmask R231, random weights": []}
        ours, theirs = runs
        run_once(HILUM.format(**values))  # reads the files of both from disk, not counted
        for _ in range(arguments.rounds):
            for who, script in ((ours, HILUM), (theirs, LUNGMASK), (ours, HILUM)):
                runs[who].append(run_once(script.format(**values)))
    rows = {key: median_and_peak(found) for key, found in runs.items()}
    ratio = rows[theirs][0] / rows[ours][0]
    print(f"512 x 512 x {arguments.slices}, file to files")
    for name, (seconds, peak) in rows.items():
        print(f"{name:32s} {seconds:8.1f} s {peak:8.0f} MB")
    print(f"hilum is {ratio:.0f} times as fast")
    out = {k: {"seconds": s, "peak_mb": p} for k, (s, p) in rows.items()}
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "lungmask.json").write_text(
        json.dumps({"slices": arguments.slices, **out, "ratio": ratio, "runs": runs}, indent=1), "utf-8"
    )


if __name__ == "__main__":
    main()
