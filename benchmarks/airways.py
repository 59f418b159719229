"""Airways: trees found in phantoms against the truth, and in real scans against the rim of their walls.

    python benchmarks/airways.py --phantoms FOLDER...            # folders of "hilum phantom --trees full"
    python benchmarks/airways.py --phantoms FOLDER... --slices 1.5 2.5 5    # averaged to slices of so many mm
    python benchmarks/airways.py --scans SCAN:LUNGS...           # real scans with the lungs that hilum found

Phantoms: the reference is the lumen of all branches whose drawn diameter is at least 2 mm; thinner branches,
with 1.8 voxels round them, count neither as right nor as wrong. Where branches curve, the diameter of a voxel
is that of the branch whose straight axis is nearest in radii. Real scans have no truth: the share of the
length of the tree with a wall on at least 60 % of 16 rays, and the branches of the skeleton as ATM'22 counts
them, are given; a look must tell the rest. Prints one line a scan.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial import KDTree

import hilum
from hilum.anatomy.airway_rim import RIM, rim_share, tangents_of
from hilum.evaluation.trees import TreeScores, branch_labels, score_tree
from hilum.imaging.morphology import bounding_box, dilate
from hilum.imaging.skeleton import skeletonize
from hilum.tasks.airways.prepare import prepare
from hilum.tasks.airways.prune import tree_of
from hilum.tasks.airways.segment import AirwayMasks, segment_airways
from hilum.tasks.airways.tree import build_tree

FROM_MM = 2.0
NEAREST = 6  # branches among which the nearest in radii is chosen
ROUND_VOXELS = 1.8


def diameters(folder: Path, affine: np.ndarray, lumen: np.ndarray) -> np.ndarray:
    """Drawn diameter in mm at each voxel of the lumen of a phantom."""
    points, drawn = [], []
    (table,) = folder.glob("*_branches.csv")
    with table.open() as file:
        for row in csv.DictReader(file):
            if row["kind"] != "airway":
                continue
            ends = np.array([[float(row[f"{end}_{axis}"]) for axis in "xyz"] for end in ("start", "end")])
            steps = np.linspace(0, 1, max(2, round(2 * float(row["length_mm"]))))[:, None]
            points.append(ends[0] + (ends[1] - ends[0]) * steps)
            drawn += [float(row["diameter_mm"])] * len(steps)
    voxels = np.argwhere(lumen)
    places = voxels @ affine[:3, :3].T + affine[:3, 3]
    away, near = KDTree(np.concatenate(points)).query(places, k=NEAREST)
    wide = np.array(drawn)[near]
    best = np.argmin(away / (wide / 2), axis=1)
    out = np.zeros(lumen.shape, np.float32)
    out[tuple(voxels.T)] = wide[np.arange(len(best)), best]
    return out


def score(found: np.ndarray, lumen: np.ndarray, diameter: np.ndarray, spacing: tuple) -> TreeScores:
    """Metrics of a tree against the branches of at least 2 mm."""
    reference = lumen & (diameter >= FROM_MM)
    thin = dilate(lumen & ~reference, ROUND_VOXELS * max(spacing), spacing) & ~reference
    return score_tree(found, reference, spacing, diameter_mm=diameter, ignore=thin)


def timed(volume: hilum.Volume, lungs: np.ndarray) -> tuple[AirwayMasks, str]:
    """Airways of a scan, and the time they took in words."""
    begin, used = time.perf_counter(), time.process_time()
    masks = segment_airways(volume, lungs)
    took = f"{time.perf_counter() - begin:.0f} s, {time.process_time() - used:.0f} s of CPU"
    return masks, f"{took}, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB"


def averaged(array: np.ndarray, axis: int, factor: float) -> np.ndarray:
    """Mean over slices ``factor`` voxels thick; a voxel that two share counts for its part in each."""
    slices = np.moveaxis(array, axis, 0)
    out = np.zeros((int(len(slices) // factor), *slices.shape[1:]), np.float32)
    for index in range(len(out)):
        low, high = index * factor, (index + 1) * factor
        for n in range(int(low), min(int(np.ceil(high)), len(slices))):
            out[index] += slices[n] * np.float32((min(n + 1, high) - max(n, low)) / factor)
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def thicker(
    volume: hilum.Volume, labels: list[np.ndarray], mm: float
) -> tuple[hilum.Volume, list[np.ndarray]]:
    """A scan and label maps in axial slices of so many mm; a label is kept where it fills half a voxel."""
    axis = int(np.argmax(np.abs(volume.affine[2, :3])))
    factor = mm / volume.spacing[axis]
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (factor - 1) / 2
    affine[:3, axis] *= factor
    hu = averaged(volume.hu, axis, factor)
    maps = []
    for one in labels:
        out = np.zeros(hu.shape, np.uint8)
        for value in range(1, int(one.max()) + 1):
            out[averaged(one == value, axis, factor) >= 0.5] = value
        maps.append(out)
    meta = replace(volume.meta, slice_thickness=mm, stored_shape=hu.shape)
    return hilum.Volume(hu, affine, meta), maps


def on_phantom(folder: Path, mm: float | None = None) -> None:
    (scan,) = folder.glob("*_ct.nii.gz")
    stem = str(scan).removesuffix("_ct.nii.gz")
    volume = hilum.read(scan)
    lungs, airways = (np.asarray(nib.load(f"{stem}_{kind}.nii.gz").dataobj) for kind in ("lungs", "airways"))
    if mm is not None:
        volume, (lungs, airways) = thicker(volume, [lungs, airways], mm)
    masks, took = timed(volume, lungs)
    box = bounding_box((airways > 0) | masks.lumen, 5.0, volume.spacing)
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    lumen = airways[box] == 1
    diameter = diameters(folder, volume.affine @ shift, lumen)
    scores = score(masks.lumen[box], lumen, diameter, volume.spacing)
    whole, overlap = scores.whole, np.count_nonzero(masks.wall & (airways == 2))
    wall = 2 * overlap / max(1, np.count_nonzero(masks.wall) + np.count_nonzero(airways == 2))
    length = build_tree(masks.lumen, volume.affine, lungs).length_mm / 1000
    name = folder.name if mm is None else f"{folder.name}, {mm:g} mm"
    print(
        f"{name}: tree {length:.2f} m, TD {whole.td:.3f}, BD {whole.bd:.3f}, precision "
        f"{scores.precision:.3f}, centreline leakage {scores.centreline_leakage:.3f}; wall Dice {wall:.2f}; "
        f"{took}"
    )
    for part in scores.bins:
        if part.voxels:
            print(
                f"  {part.low_mm:g} to {part.high_mm:g} mm: TD {part.td:.3f}, "
                f"BD {part.bd or 0:.3f} ({part.branches})"
            )
    print("  flags:", ", ".join(str(flag.code) for flag in masks.flags) or "none")


def on_scan(pair: str) -> None:
    scan_path, lungs_path = pair.split(":")
    volume = hilum.read(scan_path)
    lungs = np.asarray(nib.load(lungs_path).dataobj) > 0
    masks, took = timed(volume, lungs)
    scan = prepare(volume, lungs)
    lumen = hilum.Volume(masks.lumen.astype(np.int16), volume.affine).canonical().hu[scan.box] > 0
    tree = tree_of(np.ascontiguousarray(lumen), lumen.astype(np.float32), scan)
    length = walled = 0.0
    for branch in tree.branches:
        share = rim_share(scan.smooth, scan.spacing, branch.points, tangents_of(branch.points), branch.radii)
        length += branch.length_mm
        walled += branch.length_mm * float(np.mean(share >= RIM.rays_share))
    pieces = branch_labels(skeletonize(lumen))[1]
    print(
        f"{Path(scan_path).name}: {pieces} branches as ATM'22 counts, {len(tree.branches)} of the graph, "
        f"generations to {max(branch.generation for branch in tree.branches)}, {length:.0f} mm, walled "
        f"{walled / length:.3f}, lumen {np.count_nonzero(masks.lumen) * volume.voxel_volume_ml:.1f} mL, "
        f"trunk {masks.facts['trunk_ml']:.1f} mL, removed {masks.facts['pruned_ml']:.2f} mL; {took}"
    )
    print("  flags:", ", ".join(str(flag.code) for flag in masks.flags) or "none")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phantoms", nargs="*", type=Path, default=[])
    parser.add_argument("--slices", nargs="*", type=float, default=[])
    parser.add_argument("--scans", nargs="*", default=[])
    given = parser.parse_args()
    for folder in given.phantoms:
        for mm in given.slices or [None]:
            on_phantom(folder, mm)
    for pair in given.scans:
        on_scan(pair)
