"""Vessels of digital chests with full trees against their truth, and against the time that they take.

The lungs are those of the truth, so that nothing but the vessels is judged; ``--found-lungs`` takes those
that the task ``lungs`` finds. Wide means a radius of 1 mm or more. clDice of wide vessels: Ts is the share of
the skeleton of the wide true vessels within the mask; Tp the share of the skeleton of the mask, where the
area of the section is that of 1 mm or more, within true vessels of any width. The share of walls of airways,
and of fissures more than 1.5 mm from vessels and airways, that is called vessel is a share of the true
vessels. Prints a line a chest and writes ``benchmarks/out/vessels.json``.

    hilum phantom -o FOLDER --trees full --seed 200
    python benchmarks/vessels.py FOLDER... [--found-lungs] [--airways] [--nodules] [--block 1,1,1]

``--airways`` runs the task ``airways`` first, whose masks keep walls out. ``--nodules`` puts 24 solid nodules
of 6 to 24 mm into the lungs and tells how much of each is called vessel. ``--block 1,1,2`` averages voxels
first, as thicker slices do.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.core.segmentation import ModelInfo, Segmentation
from hilum.core.volume import ScanMeta, Volume
from hilum.imaging.morphology import distance_to
from hilum.imaging.skeleton import skeletonize
from hilum.pipeline import SegmentOptions, run
from hilum.tasks.registry import TASKS
from hilum.tasks.vessels.measures import collect_vessels, measure_vessels
from hilum.tasks.vessels.segment import LEFT_OUT, segment_vessels

HERE = Path(__file__).parent
WIDE_MM = 1.0
FISSURE_AWAY_MM = 1.5
#: Nodules: how many, radius and least distance between them in mm, HU, blur and noise of the chests.
NODULES, NODULE_RADIUS_MM, NODULES_APART_MM = 24, (3.0, 12.0), 15.0
NODULE_HU, BLUR_MM, NOISE_HU = 35.0, 0.65, 15.0
#: A nodule counts as left out where at most this share of it is called vessel.
LEFT_OUT_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Chest:
    """A digital chest and what is true of it, on one grid."""

    volume: Volume
    lungs: np.ndarray
    vessels: np.ndarray
    airways: np.ndarray
    lobes: np.ndarray
    wide: np.ndarray
    truth: dict[str, float]


def canonical(path: Path) -> nib.Nifti1Image:
    return nib.as_closest_canonical(nib.load(path))


def labels(path: Path) -> np.ndarray:
    return np.asarray(canonical(path).dataobj).astype(np.uint8)


def load(folder: Path) -> Chest:
    """Read a folder that ``hilum phantom --trees full`` wrote."""
    ct = next(folder.glob("*_ct.nii.gz"))
    stem = ct.name.removesuffix("_ct.nii.gz")
    image = canonical(ct)
    volume = Volume(np.asarray(image.dataobj).astype(np.int16), image.affine, ScanMeta(name=stem))
    maps = {
        what: labels(folder / f"{stem}_{what}.nii.gz") for what in ("lungs", "vessels", "airways", "lobes")
    }
    truth = json.loads((folder / "truth.json").read_text())["subjects"][stem]["trees"]["vessels"]
    vessels = (maps["vessels"] > 0) & (maps["lungs"] > 0)
    wide = wide_part(vessels, image.affine, folder / f"{stem}_branches.csv")
    return Chest(volume, maps["lungs"], vessels, maps["airways"], maps["lobes"], wide, truth)


def wide_part(vessels: np.ndarray, affine: np.ndarray, table: Path) -> np.ndarray:
    """Voxels of vessels whose nearest branch is wide; branches count as straight."""
    points, radii = [], []
    with table.open() as file:
        for row in csv.DictReader(file):
            if row["kind"] == "airway":
                continue
            start, end = (
                np.array([float(row[f"{which}_{axis}"]) for axis in "xyz"]) for which in ("start", "end")
            )
            count = max(2, int(float(row["length_mm"]) / 0.5))
            points.append(start + (end - start) * np.linspace(0, 1, count)[:, None])
            radii.append(np.full(count, float(row["diameter_mm"]) / 2))
    all_points, all_radii = np.concatenate(points), np.concatenate(radii)
    voxels = np.argwhere(vessels)
    distance, index = KDTree(all_points).query(voxels @ affine[:3, :3].T + affine[:3, 3], k=4, workers=-1)
    best = np.argmin(distance - all_radii[index], axis=1)
    out = np.zeros(vessels.shape, bool)
    out[tuple(voxels.T)] = all_radii[index[np.arange(len(voxels)), best]] >= WIDE_MM
    return out


def averaged(chest: Chest, block: tuple[int, int, int]) -> Volume:
    """Average blocks of voxels, as thick slices do."""
    hu = chest.volume.hu.astype(np.float32)
    for axis, size in enumerate(block):
        if size > 1:
            hu = np.stack(
                [np.take(hu, range(n, hu.shape[axis] - size + 1 + n, size), axis) for n in range(size)]
            ).mean(0)
    affine = chest.volume.affine @ np.diag([*block, 1.0])
    affine[:3, 3] = chest.volume.affine[:3] @ np.array([*((np.array(block) - 1) / 2), 1.0])
    return Volume(np.rint(hu).astype(np.int16), affine, chest.volume.meta)


def with_nodules(chest: Chest, seed: int) -> tuple[Volume, np.ndarray]:
    """Put uneven ellipsoids into the lungs, some on vessels and on the pleura; return their numbers."""
    rng, spacing = np.random.default_rng(seed), np.array(chest.volume.spacing)
    hu, numbers = chest.volume.hu.astype(np.float32), np.zeros(chest.lungs.shape, np.uint8)
    points, taken = np.argwhere(chest.lungs > 0), []
    while len(taken) < NODULES:
        centre, radius = points[rng.integers(len(points))] * spacing, rng.uniform(*NODULE_RADIUS_MM)
        if any(np.linalg.norm(centre - at) < radius + other + NODULES_APART_MM for at, other in taken):
            continue
        reach = 1.3 * radius + 4
        low = np.maximum(0, ((centre - reach) / spacing).astype(int))
        high = np.minimum(hu.shape, ((centre + reach) / spacing).astype(int) + 2)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        lines = [np.arange(a, b) * s - c for a, b, s, c in zip(low, high, spacing, centre, strict=True)]
        half = radius * rng.uniform(0.8, 1.2, 3)
        away = np.sqrt(sum((x / a) ** 2 for x, a in zip(np.ix_(*lines), half, strict=True)))
        bumps = ndimage.gaussian_filter(rng.normal(size=away.shape), 3 / spacing)
        edge = radius * (1 - away * (1 + 0.06 * bumps / bumps.std()))
        inside = (edge > 0) & (chest.lungs[box] > 0)
        weight = np.clip(edge + 0.5, 0, 1) * (chest.lungs[box] > 0)
        weight = ndimage.gaussian_filter(weight, BLUR_MM / spacing)
        hu[box] += weight * (NODULE_HU + rng.normal(0, NOISE_HU, away.shape) - hu[box])
        taken.append((centre, radius))
        numbers[box][inside] = len(taken)
    return Volume(np.rint(hu).astype(np.int16), chest.volume.affine, chest.volume.meta), numbers


def judged_nodules(chest: Chest, airways: bool) -> dict[str, float]:
    """How many nodules are left out of the vessels, and what else is, in mL of true vessels."""
    lungs = LabelVolume.on_grid_of(chest.volume, chest.lungs, LUNGS)
    volume, numbers = with_nodules(chest, seed=7)
    segmentation = segment_vessels(volume, lungs, airways=known_airways(volume, lungs, airways))
    mask, dense = segmentation.labels.data > 0, segmentation.beside[LEFT_OUT.name].data == 2
    shares = ndimage.mean(mask, numbers, np.arange(1, NODULES + 1))
    away = distance_to(numbers > 0, volume.spacing) > 5
    return {
        "left_out": float((shares <= LEFT_OUT_SHARE).sum()),
        "half_vessel": float((shares > 0.5).sum()),
        "vessels_lost_ml": float((dense & chest.vessels & away).sum()) * volume.voxel_volume_ml,
    }


def known_airways(volume: Volume, lungs: LabelVolume, wanted: bool) -> LabelVolume | None:
    """Lumen and wall by the task ``airways``, where they are wanted."""
    if not wanted:
        return None
    found = {"lungs": Segmentation(lungs, ModelInfo("truth", "1"))}
    return TASKS["airways"].load("", "auto")(volume, found, None).labels


def judged(chest: Chest, found_lungs: bool, with_airways: bool) -> dict[str, float]:
    """Find and measure the vessels of a chest, and compare them with the truth."""
    lungs = LabelVolume.on_grid_of(chest.volume, chest.lungs, LUNGS)
    if found_lungs:
        lungs = run(chest.volume, SegmentOptions()).segmentations["lungs"].labels
    airways = known_airways(chest.volume, lungs, with_airways)
    cpu, wall = time.process_time(), time.perf_counter()
    segmentation = segment_vessels(chest.volume, lungs, airways=airways)
    found = collect_vessels(chest.volume, segmentation)
    values = measure_vessels(chest.volume, segmentation, (), found)["vessels"]
    row = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    mask, spacing = segmentation.labels.data > 0, chest.volume.spacing
    skeleton = np.argwhere(skeletonize(mask))
    places = skeleton @ chest.volume.affine[:3, :3].T + chest.volume.affine[:3, 3]
    _, point = KDTree(found.pieces.points).query(places, workers=-1)
    wide = skeleton[found.pieces.area_mm2[found.pieces.piece[point]] >= np.pi * WIDE_MM**2]
    tp = chest.vessels[tuple(wide.T)].mean()
    ts = mask[skeletonize(chest.wide)].mean()
    size = chest.vessels.sum()
    fissures = np.zeros(mask.shape, bool)
    for axis in range(3):
        one, other = (np.take(chest.lobes, range(n, chest.lobes.shape[axis] - 1 + n), axis) for n in (0, 1))
        part = fissures[tuple(slice(0, -1) if n == axis else slice(None) for n in range(3))]
        # Both lobes of one lung: 1 and 2 are left, 3 to 5 right.
        part |= (one != other) & (one > 0) & (other > 0) & ((one < 3) == (other < 3))
    fissures &= distance_to(chest.vessels | (chest.airways > 0), spacing) > FISSURE_AWAY_MM
    row |= {
        "cl_dice_wide": 2 * tp * ts / (tp + ts),
        "tp_wide": tp,
        "ts_wide": ts,
        "wall_share_%": 100 * (mask & (chest.airways > 0)).sum() / size,
        "fissure_share_%": 100 * (mask & fissures).sum() / size,
    }
    for id_, key in (
        ("blood_volume", "total_ml"),
        ("bv5", "bv5_ml"),
        ("bv5_10", "bv5_10_ml"),
        ("bv10_plus", "bv10_plus_ml"),
    ):
        true, value = chest.truth[key], values[id_].value
        row[f"{id_}_ml"], row[f"{id_}_true_ml"] = value, true
        row[f"{id_}_%"] = None if value is None else 100 * (value / true - 1)
    for id_ in ("bv5_edt", "bv10_plus_edt", "mask_volume", "blood_hu"):
        row[id_] = values[id_].value
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--found-lungs", action="store_true")
    parser.add_argument("--airways", action="store_true")
    parser.add_argument("--nodules", action="store_true")
    parser.add_argument("--block", default="1,1,1")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "vessels.json")
    args = parser.parse_args()
    block = tuple(int(n) for n in args.block.split(","))
    rows = {}
    for folder in args.folders:
        chest = load(folder)
        if max(block) > 1:
            rows[folder.name] = thick(chest, block)
        elif args.nodules:
            rows[folder.name] = judged_nodules(chest, args.airways)
        else:
            rows[folder.name] = judged(chest, args.found_lungs, args.airways)
        shown = "  ".join(
            f"{key} {value:.3g}" for key, value in rows[folder.name].items() if value is not None
        )
        print(f"{folder.name}: {shown}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps({"peak_mb": peak, "rows": rows}, indent=1))
    print(f"peak {peak:.0f} MB")


def thick(chest: Chest, block: tuple[int, int, int]) -> dict[str, float]:
    """Volumes alone on thicker slices: the label maps of the truth have none."""
    volume = averaged(chest, block)
    counts = tuple(slice(0, size * n, n) for size, n in zip(volume.shape, block, strict=True))
    lungs = LabelVolume.on_grid_of(volume, np.ascontiguousarray(chest.lungs[counts]), LUNGS)
    segmentation = segment_vessels(volume, lungs)
    pieces = collect_vessels(volume, segmentation).pieces
    thin = pieces.volume_ml[pieces.area_mm2 < 5].sum()
    return {
        "blood_volume_%": 100 * (pieces.volume_ml.sum() / chest.truth["total_ml"] - 1),
        "bv5_%": 100 * (thin / chest.truth["bv5_ml"] - 1),
    }


if __name__ == "__main__":
    main()
