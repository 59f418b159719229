"""Lumen and wall of the airways against the truth of digital chests with full trees.

Each folder is one that ``hilum phantom --trees full`` made: CT, lungs, airways and a table of branches. The
tree is built from the true lumen mask, so that the figures are those of the measuring alone; with
``--segment`` from the lumen that the task ``airways`` finds. A measured branch is compared with the true one
whose ends lie nearest and whose length is alike; branches that span several true ones are left out, and how
many are compared is printed. ``--kernel soft`` blurs and ``--kernel sharp`` sharpens the slices of a chest
that was made with the standard kernel, as the phantom's own kernels do (its noise is blurred or sharpened,
too).

    python benchmarks/airway_calibre.py FOLDER... [--segment] [--kernel soft|sharp]

Prints a table for each folder and writes ``benchmarks/out/airway_calibre.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from hilum.core.volume import Volume
from hilum.io import read
from hilum.tasks.airways.calibre import MeasuredAirways, measure_airway_tree
from hilum.tasks.airways.segment import segment_airways
from hilum.tasks.airways.tree import AirwayTree

HERE = Path(__file__).parent
#: Bins of the true lumen in mm; the last two are those of the bars.
BINS = ((1.0, 1.5), (1.5, 2.0), (2.0, 3.0), (3.0, 99.0))
#: Ends of a measured and a true branch lie within this many mm and one lumen of the parent (of the branch).
NEAR_MM = 2.0
#: Lengths differ by less than this factor.
ALIKE = 1.6


def true_branches(folder: Path) -> dict[str, np.ndarray]:
    """Read the airways of the table of branches."""
    with next(folder.glob("*_branches.csv")).open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "airway"]
    parents = np.array([int(row["parent"]) if row["parent"] else 0 for row in rows])
    lumen = np.array([float(row["diameter_mm"]) for row in rows])
    return {
        "start": np.array([[float(row[f"start_{axis}"]) for axis in "xyz"] for row in rows]),
        "end": np.array([[float(row[f"end_{axis}"]) for axis in "xyz"] for row in rows]),
        "length": np.array([float(row["length_mm"]) for row in rows]),
        "lumen": lumen,
        "wall": np.array([float(row["wall_mm"]) for row in rows]),
        "parent_lumen": lumen[parents],
    }


def pairs(tree: AirwayTree, truth: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    """Pair measured branches with true ones."""
    out = []
    for index, branch in enumerate(tree.branches):
        start = np.linalg.norm(truth["start"] - branch.points[0], axis=1)
        end = np.linalg.norm(truth["end"] - branch.points[-1], axis=1)
        ratio = np.maximum(truth["length"] / branch.length_mm, branch.length_mm / truth["length"])
        cost = np.maximum(start / (NEAR_MM + truth["parent_lumen"]), end / (NEAR_MM + truth["lumen"]))
        cost[ratio > ALIKE] = np.inf
        best = int(np.argmin(cost))
        if cost[best] <= 1:
            out.append((index, best))
    return out


def with_kernel(volume: Volume, kernel: str) -> Volume:
    """Blur or sharpen each slice as the kernels of the phantom do."""
    if not kernel:
        return volume
    hu = np.asarray(volume.hu, np.float32)
    x, y, _ = volume.spacing
    if kernel == "soft":
        hu = gaussian_filter(hu, (0.65 / x, 0.65 / y, 0))
    else:
        hu = hu + 0.45 * (hu - gaussian_filter(hu, (1.0 / x, 1.0 / y, 0)))
    return replace(volume, hu=np.ascontiguousarray(hu, np.float32))


def errors(airways: MeasuredAirways, truth: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Errors of lumen, wall and wall area by bin of the true lumen."""
    rows = []
    for index, match in pairs(airways.tree, truth):
        found = airways.tree.branches[index].calibre
        if found is None:
            continue
        lumen, wall = truth["lumen"][match], truth["wall"][match]
        share = 100 * (1 - (lumen / (lumen + 2 * wall)) ** 2)
        values = (found.lumen_mm, found.wall_mm, found.wall_percent)
        halves = (found.half_lumen_mm, found.half_wall_mm, found.half_wall_percent)
        numbers = [np.nan if value is None else value for value in (*values, *halves)]
        rows.append([lumen, *(np.array(numbers) - np.tile([lumen, wall, share], 2))])
    table = np.array(rows, np.float64).reshape(-1, 7)
    out = {}
    for low, high in BINS:
        mine = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        if not len(mine):
            continue
        entry: dict[str, float] = {"branches": len(mine), "walls": int(np.isfinite(mine[:, 2]).sum())}
        for column, name in enumerate(
            ("lumen", "wall", "wall_area", "half_lumen", "half_wall", "half_wall_area"), 1
        ):
            entry[f"{name}_bias"] = float(np.nanmedian(mine[:, column]))
            entry[f"{name}_error"] = float(np.nanmedian(np.abs(mine[:, column])))
        entry["lumen_p90"] = float(np.nanquantile(np.abs(mine[:, 1]), 0.9))
        out[f"{low:g}-{high:g}"] = entry
    return out


def show(name: str, airways: MeasuredAirways, cpu: float, table: dict[str, dict[str, float]]) -> None:
    """Print the table of a chest."""
    blur, tree = airways.blur, airways.tree
    assumed = "" if blur.measured else " (assumed)"
    print(f"{name}: {len(tree.branches)} branches, {tree.length_mm:.0f} mm, {cpu:.1f} CPU-s")
    print(f"   blur {blur.in_plane_mm:.2f} mm{assumed}, {blur.through_mm:.2f} mm across the slices")
    print("   lumen mm     n walls | fit: lumen  error   p90  wall error  WA % error | half: lumen  WA %")
    for part, row in table.items():
        print(
            f"   {part:8} {row['branches']:5} {row['walls']:5} |"
            f" {row['lumen_bias']:+10.2f} {row['lumen_error']:6.2f} {row['lumen_p90']:5.2f}"
            f" {row['wall_bias']:+5.2f} {row['wall_error']:5.2f} {row['wall_area_error']:11.1f} |"
            f" {row['half_lumen_bias']:+11.2f} {row['half_wall_area_error']:5.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--segment", action="store_true")
    parser.add_argument("--kernel", choices=("soft", "sharp"), default="")
    arguments = parser.parse_args()
    results = {}
    for folder in arguments.folders:
        volume = with_kernel(read(next(folder.glob("*_ct.nii.gz"))), arguments.kernel)
        lungs = np.asarray(nib.load(next(folder.glob("*_lungs.nii.gz"))).dataobj)
        if arguments.segment:
            lumen = segment_airways(volume, lungs).lumen
        else:
            lumen = np.asarray(nib.load(next(folder.glob("*_airways.nii.gz"))).dataobj) == 1
        begin = time.process_time()
        airways = measure_airway_tree(volume, lumen, lungs)
        cpu = time.process_time() - begin
        table = errors(airways, true_branches(folder))
        blur = airways.blur
        show(f"{folder.name} {arguments.kernel}", airways, cpu, table)
        results[f"{folder.name}{arguments.kernel and '-' + arguments.kernel}"] = {
            "branches": len(airways.tree.branches),
            "length_mm": airways.tree.length_mm,
            "blur_mm": blur.in_plane_mm,
            "cpu_s": cpu,
            "bins": table,
        }
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "airway_calibre.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
