"""Orientation: is a scan flagged whose header is wrong about an axis, and is a correct one not flagged?

Each real scan is taken in its eight mirror images, by turning the voxels and keeping the header. The lungs
are segmented again in each image. Training scans are predicted with weights learned without their
patient. Prints counts and writes benchmarks/out/orientation.json, summed over scans.

    python benchmarks/orientation.py DATA [--model lungs] [--work FOLDER] [--few 8]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

import hilum
from hilum.core.errors import NotAChestError
from hilum.core.flags import Severity
from hilum.quality.coverage import coverage_flags
from hilum.quality.geometry import few_slices
from hilum.quality.orientation import Weights, orientation_flags, shipped_weights
from hilum.quality.plausibility import Sampled
from hilum.tasks.registry import load_model

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "recipes" / "orientation"))
CODES = {"left_right_suspect": 0, "front_back_suspect": 1, "head_foot_suspect": 2}
NAMES = "right-left", "front-back", "head-foot"


def scans(data: Path) -> Iterator[tuple[str, Path]]:
    """Give all scans of several slices; abdomens and a neck, which hold no lungs to look at, among them."""
    files = sorted([*(data / "volumes").glob("*.[nm]*"), *(data / "tumour").glob("*.nii.gz")])
    for file in files:
        name = file.name.split(".")[0]
        if not name.endswith(("_lungs", "_lobes", "_effusion")):
            yield name, file
    yield "cip-ct", data / "cip" / "ct.nii.gz"
    for series in ("2", "3"):
        yield f"lungdx-{series}", data / "dicom" / "lungdx-a0002" / series
    yield "abdomen-ts-dicom", data / "dicom" / "abdomen-ts"


def lungs_of(volume: hilum.Volume, model: str, file: Path) -> npt.NDArray[np.uint8] | None:
    """Return the lungs that a model finds; they are found once."""
    if not file.exists():
        try:
            labels = load_model(model)(volume).labels.data
        except NotAChestError:
            labels = np.zeros(0, np.uint8)
        np.savez_compressed(file, labels=labels)
    with np.load(file) as stored:
        labels = stored["labels"]
    return labels if labels.size else None


def flagged(volume: hilum.Volume, labels: npt.NDArray[np.uint8], weights: Weights) -> set[int]:
    """Return the axes that are doubted."""
    few = Sampled.of(volume, labels)
    cut = {flag.code for flag in coverage_flags(volume, labels)}
    flags = orientation_flags(
        few.hu, few.labels, few.spacing, few=few_slices(volume), cut=cut, weights=weights
    )
    return {CODES[flag.code] for flag in flags}


def kind_of(volume: hilum.Volume, labels: npt.NDArray[np.uint8] | None) -> str:
    """Say whether the scan, unmirrored, holds both lungs from tip to base."""
    if labels is None or len(np.unique(labels)) < 3:
        return "part"
    ends = {"cut_top", "cut_bottom"}
    cut = any(f.code in ends and f.severity is Severity.ERROR for f in coverage_flags(volume, labels))
    return "part" if cut else "whole"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--work", type=Path, default=Path("orientation-work"))
    parser.add_argument("--few", type=int, default=8, help="how many of the eight images, unmirrored first")
    args = parser.parse_args()
    from fit import learnable, without
    from samples import SCANS, canonical, patient_of

    samples = learnable(args.data, args.work)
    weights = {patient: without(samples, patient) for patient in {patient_of(name) for name in SCANS}}
    images = [axes for n in range(4) for axes in itertools.combinations(range(3), n)][: args.few]
    count: Counter[str] = Counter()
    for name, file in scans(args.data):
        scan = canonical(hilum.read(file))
        own = weights.get(patient_of(name)) or shipped_weights()
        kind = ""
        for axes in images:
            hu = np.ascontiguousarray(np.flip(scan.hu, axes))
            volume = hilum.Volume(hu, scan.affine, scan.meta)
            labels = lungs_of(volume, args.model, args.work / f"{name}-{args.model}-{axes}.npz")
            kind = kind or kind_of(volume, labels)
            key = "+".join(NAMES[axis] for axis in axes) or "as it is"
            if labels is None:
                count[f"{key} | {kind} | refused"] += 1
                continue
            count[f"{key} | {kind} | evaluated"] += 1
            found = flagged(volume, labels, own)
            for axis in found:
                right = "caught" if axis in axes else "false"
                count[f"{key} | {kind} | {NAMES[axis]} {right}"] += 1
            count[f"{key} | {kind} | all axes flagged"] += int(found == set(axes))
    for line in count:
        print(f"{line}: {count[line]}")
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "orientation.json").write_text(json.dumps(count, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
