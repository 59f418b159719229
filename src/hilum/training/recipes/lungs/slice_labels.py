"""Labels of single axial slices in true HU, made by a network of volumes and meant to be looked at.

    python -m hilum.training.recipes.lungs.slice_labels --slices FOLDER --weights START.pt --out LABELS

FOLDER holds slices as NIfTI and ``index.csv`` with the columns ``name`` and ``patient``. A slice is repeated
along z, the network labels the volume, and where lung is aerated its border is set by HU. LABELS gets
``NAME.npz`` (``hu`` and ``labels``, (x, y) in RAS order, ``pixel_mm``, ``patient``); slices named by --drop
get none, those named by --empty hold no lung.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from hilum.core.constants import CT_WINDOW_HU
from hilum.core.errors import UsageError
from hilum.datasets.volume_grid import STEP_MM
from hilum.datasets.volumes import LABELS
from hilum.io import atomic_file, read
from hilum.training.config import load_config
from hilum.training.volumes.initial import load_initial
from hilum.training.volumes.module import predict, scaled_range
from hilum.training.volumes.networks import LungNet3d

__all__ = ["label_slice", "write_slice_labels"]

#: Planes of the repeated slice: 112 mm, as long as the network looks to either side.
_PLANES = 32
#: Aerated lung is darker than the first; the border of a lung is taken by HU where a quarter of its
#: surroundings, the second in mm, is aerated.
_AERATED_HU, _AROUND_MM, _AERATED_SHARE = -500.0, 7.0, 0.25
#: Border between aerated lung and tissue: half-way between -850 and 0 HU.
_BORDER_HU = -450.0
#: Chance of lung from which a voxel is lung whatever its HU (vessels), and from which HU may take it in.
_SURE, _POSSIBLE = 0.75, 0.08


def label_slice(network: LungNet3d, hu: npt.NDArray[Any], pixel_mm: float) -> npt.NDArray[np.uint8]:
    """Label a slice with the lungs, pleural fluid and free gas.

    Args:
        network: A network of volumes with the classes of :data:`hilum.datasets.volumes.LABELS`.
        hu: HU, (x, y) in RAS order.
        pixel_mm: Size of a pixel in mm.

    Returns:
        Labels, (x, y).
    """
    zoom = pixel_mm / STEP_MM
    blurred = ndimage.gaussian_filter(hu.astype(np.float32), max(0.0, 0.35 / zoom - 0.35))
    coarse = ndimage.zoom(blurred, zoom, order=1, mode="nearest", grid_mode=True)
    volume = torch.from_numpy(np.repeat(coarse[:, :, None], _PLANES, axis=2))
    found = 0.5 * (
        predict(network, volume, CT_WINDOW_HU)
        + predict(network, volume.flip(0), CT_WINDOW_HU).flip(1)[[0, 2, 1, *range(3, network.classes)]]
    )
    middle = found[:, :, :, _PLANES // 2 - 2 : _PLANES // 2 + 2].mean(3).numpy()
    factors = [n / m for n, m in zip(hu.shape, middle.shape[1:], strict=True)]
    chances = np.stack([ndimage.zoom(p, factors, order=1, mode="nearest", grid_mode=True) for p in middle])
    labels = chances.argmax(0).astype(np.uint8)
    lung = chances[LABELS["right_lung"]] + chances[LABELS["left_lung"]]
    window = max(1, round(_AROUND_MM / pixel_mm) | 1)
    near_air = ndimage.uniform_filter((hu < _AERATED_HU).astype(np.float32), window) > _AERATED_SHARE
    band = near_air & (lung > _POSSIBLE) & (chances[LABELS["pleural_gas"]] < 0.5)
    mask = np.where(band, (hu < _BORDER_HU) | (lung >= _SURE), lung >= 0.5)
    sides = np.where(chances[1] >= chances[2], 1, 2)
    return np.where(mask, sides, np.where(labels <= LABELS["left_lung"], 0, labels)).astype(np.uint8)


def write_slice_labels(
    slices: Path, weights: Path, out: Path, drop: Sequence[str] = (), empty: Sequence[str] = ()
) -> int:
    """Label the slices of a folder; return how many.

    Args:
        slices: Folder of the slices; see the module.
        weights: First weights as a training takes them.
        out: Folder of the labels; what is there already is kept.
        drop: Names of slices whose labels were looked at and found wrong; files of them are removed.
        empty: Names of slices that hold no lung, whatever the network says; they are written anew.

    Raises:
        InputError: A slice cannot be read.
        ModelError: The weights cannot be read.
        UsageError: The network does not know fluid and gas.
    """
    out.mkdir(parents=True, exist_ok=True)
    network = load_initial(weights, scaled_range(load_config(None, {"model": "volume"}))).eval()
    if network.classes != len(LABELS) + 1:
        raise UsageError(
            f"The network has {network.classes} classes, expected {len(LABELS) + 1}.",
            "Give weights of a network that knows pleural fluid and free gas.",
        )
    with (slices / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    count = 0
    for row in rows:
        file = out / f"{row['name']}.npz"
        if row["name"] in drop:
            file.unlink(missing_ok=True)
            continue
        count += 1
        if file.is_file() and row["name"] not in empty:
            continue
        volume = read(slices / f"{row['name']}.nii.gz").canonical()
        hu, pixel_mm = volume.hu[:, :, 0], float(volume.spacing[0])
        none = np.zeros(hu.shape, np.uint8)
        labels = none if row["name"] in empty else label_slice(network, hu, pixel_mm)
        with atomic_file(file) as part, part.open("wb") as target:
            np.savez_compressed(target, hu=hu, labels=labels, pixel_mm=pixel_mm, patient=row["patient"])
    return count


def main() -> None:
    """Read the command line and label."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--drop", nargs="*", default=[])
    parser.add_argument("--empty", nargs="*", default=[])
    given = parser.parse_args()
    count = write_slice_labels(given.slices, given.weights, given.out, given.drop, given.empty)
    print(f"labels of {count} slices: {given.out}")


if __name__ == "__main__":
    main()
