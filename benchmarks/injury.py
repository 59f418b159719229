"""Accuracy against the severity of injury, on real scans that no model was trained on.

Diseases are put into scans whose lungs were drawn by hand; the truth is the hand-made mask less what fluid
and free gas took. Prints one line a model and severity, and writes benchmarks/out/injury.json.

    python benchmarks/injury.py --models lungs classic RUN     # RUN: a U-Net trained without injury

In the first draw lungs that touch in the reference have one disease together; with --draws 3 there are two
more, in which each lung has its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import hilum
from accuracy import nearest_side
from hilum.core.errors import NotAChestError
from hilum.core.labels import Lung
from hilum.io import read_labels
from hilum.synthesis.lesions import add_injury
from hilum.synthesis.pathology import Pathology
from hilum.tasks.registry import load_model

HERE = Path(__file__).parent
DATA = Path(os.environ.get("HILUM_DATA", HERE.parent.parent / "shared" / "data")) / "volumes"
SCANS = ("imlab-001", "imlab-002", "imlab-003", "elastix-hemithorax")
KINDS = (
    Pathology.CONSOLIDATION,
    Pathology.ATELECTASIS,
    Pathology.GROUND_GLASS,
    Pathology.OEDEMA,
    Pathology.EFFUSION,
    Pathology.FIBROSIS,
)
SEVERITIES = (0.0, 0.25, 0.5, 0.75)


def scan_and_lungs(name: str) -> tuple[hilum.Volume, Any]:
    """Read a scan and its hand-made mask, both in RAS order."""
    volume = hilum.read(next(DATA.glob(f"{name}.[nm]*")))
    mask = read_labels(next(DATA.glob(f"{name}_lungs*")), volume)
    own = hilum.Volume(mask.astype(np.int16), volume.affine, volume.meta).canonical().hu > 0
    return volume.canonical(), own


def sides_of(volume: hilum.Volume, own: Any) -> Any:
    """Side of each voxel of a mask without sides: that of the nearest lung found in the healthy scan."""
    return np.where(own, nearest_side(load_model("lungs")(volume).labels.data, volume.spacing), 0)


def scores(volume: hilum.Volume, found: Any, truth: Any, sides: Any) -> dict[str, float]:
    """Dice, dense recall (also of each side) and error of the tissue mass in percent."""
    both = 2 * (found & truth).sum() / max(1, found.sum() + truth.sum())
    deep = ndimage.distance_transform_edt(truth, sampling=volume.spacing) > 3
    dense = deep & (volume.hu > -450)
    weight = np.clip(1 + volume.hu.astype(np.float64) / 1000, 0, None)
    grams, true = (float(weight[m].sum()) for m in (found, truth))
    recall = float((found & dense).sum() / dense.sum()) if dense.any() else float("nan")
    out = {"dice": float(both), "dense_recall": recall, "mass_error": 100 * (grams - true) / true}
    for side in (Lung.RIGHT, Lung.LEFT):
        part = dense & (sides == side)
        name = f"dense_recall_{side.name.lower()}"
        out[name] = float((found & part).sum() / part.sum()) if part.any() else float("nan")
    return out


def cases_of(draws: int) -> list[tuple[float, Pathology, int, int]]:
    """Severity, disease, number of the draw, and seed of each case; without disease there is one."""
    drawn = itertools.product(SEVERITIES[1:], range(draws), enumerate(KINDS))
    sick = [(severity, kind, draw, 100 + number + 1000 * draw) for severity, draw, (number, kind) in drawn]
    return [(SEVERITIES[0], KINDS[0], 0, 100), *sick]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["lungs", "classic"])
    parser.add_argument("--scans", nargs="+", default=list(SCANS))
    parser.add_argument("--draws", type=int, default=1, help="of each disease and severity")
    parser.add_argument("--out", type=Path, default=HERE / "out" / "injury.json")
    arguments = parser.parse_args()
    models = {Path(name).name: load_model(name) for name in arguments.models}
    table: dict[tuple[str, float], list[dict[str, float]]] = defaultdict(list)
    refused: dict[tuple[str, float], int] = defaultdict(int)
    begin = time.time()
    for scan in arguments.scans:
        ras, own = scan_and_lungs(scan)
        sides = sides_of(ras, own)
        together, _ = ndimage.label(own)
        for severity, kind, draw, seed in cases_of(arguments.draws):
            parts = sides if draw else together
            made = add_injury(ras.hu, parts, ras.spacing, kind=kind, severity=severity, seed=seed)
            sick = hilum.Volume(made.hu, ras.affine, ras.meta)
            for name, model in models.items():
                try:
                    found = model(sick).labels.data > 0
                except NotAChestError:
                    found = np.zeros(sick.shape, bool)
                    refused[name, severity] += 1
                table[name, severity].append(
                    {"kind": kind.value, **scores(sick, found, made.mask > 0, sides)}  # type: ignore[dict-item]
                )
    rows = []
    for (name, severity), found_rows in sorted(table.items()):
        row: dict[str, Any] = {"model": name, "severity": severity, "cases": len(found_rows)}
        for key in ("dice", "dense_recall", "dense_recall_right", "dense_recall_left", "mass_error"):
            values = np.array([r[key] for r in found_rows])
            row[key] = float(np.nanmean(values))
            if key == "mass_error":
                row["mass_error_abs"] = float(np.nanmean(np.abs(values)))
        row["dice_worst"] = min(r["dice"] for r in found_rows)
        row["refused"] = refused[name, severity]
        row["by_kind"] = {
            k.value: float(np.mean([r["dice"] for r in found_rows if r["kind"] == k.value]))
            for k in KINDS
            if any(r["kind"] == k.value for r in found_rows)
        }
        rows.append(row)
        print(
            f"{name:20s} severity {severity:.2f}  n {row['cases']:3d}  Dice {row['dice']:.3f} "
            f"(worst {row['dice_worst']:.3f})  dense recall {row['dense_recall']:.3f} "
            f"(right {row['dense_recall_right']:.3f}, left {row['dense_recall_left']:.3f})  "
            f"mass {row['mass_error']:+.1f} % (abs {row['mass_error_abs']:.1f} %)  refused {row['refused']}"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"seconds": time.time() - begin, "rows": rows}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
