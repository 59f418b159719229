"""Masks of a model against reference masks, and measures against the truth of digital chests.

Real scans are read from the folder in ``HILUM_DATA`` (or ``../shared/data`` beside the repository); what is
not there is said and left out. Prints a table and writes ``benchmarks/out/accuracy.json``, summed over
cases only.

    python benchmarks/accuracy.py [--model classic]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import edt
import numpy as np
from scipy import ndimage

import hilum
from hilum.core.labels import Lung
from hilum.datasets.prepare import prepare
from hilum.datasets.split import split_subjects
from hilum.imaging.overlap import dice
from hilum.imaging.surface import surface_distances
from hilum.io import read_labels
from hilum.tasks.registry import load_model

HERE = Path(__file__).parent
DATA = Path(os.environ.get("HILUM_DATA", HERE.parent.parent / "shared" / "data"))
#: Dense recall counts reference voxels above this, deeper than either of those. In voxels of 3 mm the lesser
#: depth takes in the outermost layer, where the pleura makes voxels dense.
DENSE_HU, DEEP_MM = -450, (3.0, 5.0)


def nearest_side(labels: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Side of the lung that is nearest to each voxel; for references, which have no sides."""
    nearest = ndimage.distance_transform_edt(
        labels == 0, spacing, return_distances=False, return_indices=True
    )
    return labels[tuple(nearest)]


def dense_recall(
    found: np.ndarray, true: np.ndarray, sides: np.ndarray, volume: hilum.Volume, deep_mm: float
) -> dict[str, float]:
    """Share of the reference's dense voxels that were found: of both lungs, and of each side."""
    deep = edt.edt(true, anisotropy=volume.spacing, black_border=False) > deep_mm
    dense = deep & (volume.hu > DENSE_HU)
    side, found = sides[dense], found[dense]
    parts = {"": np.ones(found.shape, bool), "_right": side == Lung.RIGHT, "_left": side == Lung.LEFT}
    return {name: float(found[own].mean()) if own.any() else float("nan") for name, own in parts.items()}


def volumes(model) -> list[dict[str, object]]:
    rows = []
    for reference in sorted((DATA / "volumes").glob("*_lungs.*")):
        scan = reference.with_name(reference.name.replace("_lungs", ""))
        volume = hilum.read(scan)
        true = read_labels(reference, volume) > 0
        labels = model(volume).labels.data
        found = labels > 0
        off = (np.count_nonzero(found) - np.count_nonzero(true)) * volume.voxel_volume_ml
        distances = surface_distances(found, true, volume.spacing)
        row = {"dice": dice(found, true), "assd": distances.average() if distances else None, "off_ml": off}
        sides = nearest_side(labels, volume.spacing)
        for depth in DEEP_MM:
            for side, share in dense_recall(found, true, sides, volume, depth).items():
                row[f"recall_{depth:g}{side}"] = share
        rows.append(row)
    return rows


def slices(model) -> list[float]:
    """Dice on the slices of the patients whom no shipped model has learned from: the study's test part."""
    scores = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "slices"
        prepare(DATA / "slices" / "images", folder, masks=DATA / "slices" / "masks", plane="axial")
        files = sorted((folder / "images").glob("*.tiff"))
        ids = [int(path.stem.split("_")[0]) for path in files]
        test = set(split_subjects(ids, seed=0).test)
        for path in (f for f, i in zip(files, ids, strict=True) if i in test):
            volume = hilum.read(path)
            true = read_labels(folder / "masks" / f"{path.stem}.png", volume) > 0
            try:
                found = model(volume).labels.data > 0
            except hilum.NotAChestError:
                found = np.zeros(true.shape, bool)
            scores.append(dice(found, true))
    return scores


def phantoms(model_name: str, seeds: int) -> list[dict[str, float]]:
    """Return errors in percent of volume, air and mass: with the true mask, and segmented.

    ``given`` and ``found`` are against the continuous lung, ``in_mask`` is against the exact content of the
    voxels that the true mask marks, which leaves partial volume at the pleura out.
    """
    rows = []
    for seed in range(seeds):
        chest = hilum.phantom(seed=seed, spacing=(1.0, 1.0, 1.0))
        truth = chest.truth.as_dict()["regions"]["lungs"]
        in_mask = chest.truth.as_dict()["labelled"]["lungs"]
        row: dict[str, float] = {}
        for name, result in (
            ("given", hilum.measure(chest.volume, chest.labels)),
            ("found", hilum.segment(chest.volume, model=model_name)),
        ):
            for measure, key in (
                ("volume", "volume_ml"),
                ("air_volume", "air_ml"),
                ("tissue_mass", "mass_g"),
            ):
                value = result.measures["lungs"][measure].value
                row[f"{name}_{measure}"] = float("nan") if value is None else 100 * (value / truth[key] - 1)
                if name == "given" and value is not None:
                    row[f"in_mask_{measure}"] = 100 * (value / in_mask[key] - 1)
        row["dice"] = dice(result.segmentations["lungs"].labels.data > 0, chest.labels > 0)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lungs")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    report: dict[str, object] = {"hilum": hilum.__version__, "model": arguments.model}

    rows = phantoms(arguments.model, arguments.seeds)
    print(f"digital chests, 1 mm, {len(rows)} seeds: error in % (mean, worst)")
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        print(f"  {key:20s} {values.mean():+8.3f} {values[np.abs(values).argmax()]:+8.3f}")
        report[f"phantom_{key}"] = {"mean": values.mean(), "worst": float(values[np.abs(values).argmax()])}

    if not DATA.is_dir():
        print("real scans: not here, left out")
    else:
        found = volumes(model)
        scores = np.array([row["dice"] for row in found], float)
        assd = np.array([row["assd"] for row in found], float)
        print(f"volumes with masks, n={len(found)}: Dice mean {scores.mean():.4f}, worst {scores.min():.4f};")
        print(f"  ASSD mean {assd.mean():.2f} mm, worst {assd.max():.2f} mm")
        for depth in DEEP_MM:
            for side in ("", "_right", "_left"):
                recall = np.array([row[f"recall_{depth:g}{side}"] for row in found], float)
                recall = recall[np.isfinite(recall)]
                word = side.removeprefix("_") or "both"
                print(f"  dense recall below {depth:g} mm, {word:5s}: mean {recall.mean():.3f}, ", end="")
                print(f"worst {recall.min():.3f}")
        flat = np.array(slices(model))
        print(
            f"held-out single slices, n={flat.size}: Dice median {np.median(flat):.4f}, "
            f"mean {flat.mean():.4f}, worst {' '.join(f'{v:.3f}' for v in np.sort(flat)[:3])}, "
            f"below 0.95: {np.count_nonzero(flat < 0.95)}, below 0.90: {np.count_nonzero(flat < 0.90)}"
        )
        report["volumes"] = {"n": len(found), "dice_mean": scores.mean(), "dice_worst": scores.min()}
        report["slices"] = {"n": int(flat.size), "median": float(np.median(flat)), "mean": flat.mean()}
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "accuracy.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
