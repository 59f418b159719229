"""Arteries beside airways in phantoms: diameter and ratio against the branches that were drawn.

The tree is built from the lumen that ``hilum`` finds, arteries are looked for among the vessels that it
finds; ``--true`` takes both from the phantom. The truth at the middle of a branch is the drawn airway that is
nearest in radii, and the drawn artery that is nearest to its wall among those that run parallel to it and are
at least half as wide as its lumen, which leaves twigs out.

    python benchmarks/airway_arteries.py FOLDER... [--true]      # folders of "hilum phantom --trees full"
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial import KDTree

from hilum import read
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS
from hilum.imaging.paths import arc_length
from hilum.tasks.airways.arteries import LUMENS_MM
from hilum.tasks.airways.calibre import measure_airway_tree
from hilum.tasks.airways.segment import segment_airways
from hilum.tasks.vessels.segment import segment_vessels

PARALLEL, NEAREST = 0.7, 200


class Drawn:
    """The drawn branches of a kind as points with radii and directions."""

    def __init__(self, table: Path, kind: str) -> None:
        points, radii, ways = [], [], []
        with table.open() as file:
            for row in csv.DictReader(file):
                if row["kind"] != kind:
                    continue
                start, end = (
                    np.array([float(row[f"{name}_{axis}"]) for axis in "xyz"]) for name in ("start", "end")
                )
                steps = np.linspace(0, 1, max(2, round(2 * float(row["length_mm"]))))[:, None]
                points.append(start + (end - start) * steps)
                radii += [float(row["diameter_mm"]) / 2] * len(steps)
                ways += [(end - start) / max(float(row["length_mm"]), 1e-6)] * len(steps)
        self.points, self.radii, self.ways = np.concatenate(points), np.array(radii), np.array(ways)
        self.tree = KDTree(self.points)

    def at(self, place: np.ndarray) -> float:
        """Diameter of the branch nearest to a place in radii."""
        away, near = self.tree.query(place, k=NEAREST)
        return float(2 * self.radii[near[np.argmin(away / self.radii[near])]])

    def along(self, place: np.ndarray, way: np.ndarray, least_mm: float) -> float:
        """Diameter of the parallel branch whose wall is nearest to a place; nan for none."""
        away, near = self.tree.query(place, k=NEAREST)
        good = (np.abs(self.ways[near] @ way) >= PARALLEL) & (2 * self.radii[near] >= least_mm)
        gap = (away - self.radii[near])[good]
        return float(2 * self.radii[near[good][np.argmin(gap)]]) if len(gap) else np.nan


def compare(folder: Path, true: bool) -> np.ndarray:
    """Rows of branches: lumen and artery found (nan for none), lumen and artery drawn, in mm."""
    (scan,) = folder.glob("*_ct.nii.gz")
    stem = str(scan).removesuffix("_ct.nii.gz")
    volume = read(scan)
    lungs, airways, vessels = (
        np.asarray(nib.load(f"{stem}_{kind}.nii.gz").dataobj).astype(np.uint8)
        for kind in ("lungs", "airways", "vessels")
    )
    lumen, found = airways == 1, vessels > 0
    if not true:
        lumen = segment_airways(volume, lungs).lumen
        found = segment_vessels(volume, LabelVolume.on_grid_of(volume, lungs, LUNGS)).labels.data > 0
    tree = measure_airway_tree(volume, lumen, lungs, vessels=found).tree
    drawn = {kind: Drawn(Path(f"{stem}_branches.csv"), kind) for kind in ("airway", "artery")}
    rows = []
    for branch in tree.branches:
        calibre = branch.calibre
        if calibre is None or not LUMENS_MM[0] <= (calibre.lumen_mm or 0) < LUMENS_MM[1]:
            continue
        along, middle = arc_length(branch.points), np.mean(calibre.middle_mm)
        place, before, after = (
            np.array([np.interp(at, along, branch.points[:, axis]) for axis in range(3)])
            for at in (middle, middle - 1.5, middle + 1.5)
        )
        way = (after - before) / max(float(np.linalg.norm(after - before)), 1e-6)
        lumen_mm = drawn["airway"].at(place)
        artery_mm = drawn["artery"].along(place, way, lumen_mm / 2)
        rows.append((calibre.lumen_mm, calibre.artery_mm or np.nan, lumen_mm, artery_mm))
    return np.array(rows, float)


def show(name: str, rows: np.ndarray) -> None:
    """Print errors by diameter of the lumen."""
    for low, high in ((2, 3), (3, 5), (5, 8), (2, 8)):
        mine = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
        both = mine[np.isfinite(mine).all(axis=1)]
        if not len(both):
            continue
        artery, ratio = both[:, 1] - both[:, 3], both[:, 0] / both[:, 1]
        true = both[:, 2] / both[:, 3]
        print(
            f"{name}, {low} to {high} mm: {len(both)} of {len(mine)} with an artery; artery off by "
            f"{np.median(np.abs(artery)):.2f} mm (median), bias {np.median(artery):+.2f} mm; ratio off by "
            f"{np.median(np.abs(ratio - true)):.3f}, bias {np.median(ratio - true):+.3f}, within 15 %: "
            f"{np.mean(np.abs(ratio / true - 1) <= 0.15):.2f}; median ratio {np.median(ratio):.3f}, drawn "
            f"{np.median(true):.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--true", action="store_true", help="lumen and vessels of the phantom")
    given = parser.parse_args()
    for folder in given.folders:
        show(folder.name, compare(folder, given.true))
