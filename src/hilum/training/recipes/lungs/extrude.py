"""Extruded slices: single slices of many patients made into volumes, for the shapes of chests.

A network of three dimensions needs volumes, of which there are few; hand-made masks of single slices are
there for many patients. A slice repeated along z, tapered as a chest is, teaches what lies beside lungs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from scipy import ndimage

from hilum.anatomy.body import find_levels, normalise
from hilum.core.labels import Lung
from hilum.datasets.split import split_subjects
from hilum.datasets.volume_grid import STEP_MM
from hilum.synthesis.lesions import random_injury, random_pleura
from hilum.training.volumes.pleura import label_pleura, labels_of_pleura

__all__ = ["PIXEL_MM", "block_means", "extrude", "in_ras", "read_slice", "sides_of", "slices_of"]

#: The files of the study do not state their pixel size; these give chests of common size, mm.
PIXEL_MM = (0.62, 0.82)
#: Number of planes of an extruded slice, from and below: 56 to 196 mm.
_PLANES = (16, 56)
#: Noise added to the repeated slice, HU: in a scan noise does not repeat from plane to plane.
_MOST_NOISE_HU = 15.0
#: Share of extruded slices with disease of the pleural space in place of injury of the lung.
_PLEURA = 0.3


def slices_of(dataset: Path, part: str, seed: int = 0) -> list[Path]:
    """Return the slices of the patients of one part, by the split that the network of slices has."""
    files = sorted((dataset / "images").glob("*.tiff"))
    ids = [int(f.stem.split("_")[0]) for f in files]
    own = set(getattr(split_subjects(ids, seed=seed), part))
    return [f for f, i in zip(files, ids, strict=True) if i in own]


def in_ras(slice_: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of an axial slice, (rows, columns), in RAS order, (x, y)."""
    return slice_[::-1, ::-1].T


def read_slice(file: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return HU on the scale of true HU and labels of right and left lung of a slice, (x, y) in RAS order."""
    hu = in_ras(tifffile.imread(file)).astype(np.float32)[:, :, None]
    mask = in_ras(np.asarray(Image.open(file.parent.parent / "masks" / f"{file.stem}.png"))) > 0
    return normalise(hu, find_levels(hu))[:, :, 0], sides_of(mask)


def extrude(
    maps: list[npt.NDArray[np.float32]], step: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return HU and labels of a volume made of one slice; most of its lungs have synthetic injury.

    Args:
        maps: HU, and the share of each label from 1 on (right lung, left lung, perhaps fluid and gas), (x, y)
            in RAS order.
        step: Distance of their pixels, mm.
        rng: Source of all draws.
    """
    planes = _stack(maps, step, rng)
    labels = np.zeros(planes[0].shape, np.uint8)
    for value, share in enumerate(planes[1:], 1):
        labels[share > 0.5] = value
    lungs = np.where(labels <= Lung.LEFT, labels, 0).astype(np.uint8)
    noise = rng.uniform(0, _MOST_NOISE_HU) * rng.standard_normal(labels.shape, np.float32)
    hu = (planes[0] + noise).astype(np.float32)
    if rng.random() < _PLEURA and lungs.any() and labels.max() <= Lung.LEFT:
        case = random_pleura(hu, lungs, (STEP_MM,) * 3, rng)
        return case.hu, labels_of_pleura(case)
    made = random_injury(hu, lungs, (STEP_MM,) * 3, rng)
    new = label_pleura(lungs, made.mask, made.hu)
    return made.hu, np.where(labels > Lung.LEFT, labels, new).astype(np.uint8)


def sides_of(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Right is where x is large; pieces go whole to the side of their middle if they lie clearly in one."""
    columns = np.flatnonzero(mask.any(axis=1))
    if not columns.size:
        return np.zeros(mask.shape, np.uint8)
    middle = (columns[0] + columns[-1]) / 2
    x = np.arange(mask.shape[0])[:, None]
    out = np.where(mask, np.where(x > middle, Lung.RIGHT, Lung.LEFT), 0).astype(np.uint8)
    pieces, count = ndimage.label(mask)
    for piece in range(1, count + 1):
        own = pieces == piece
        share = float((out[own] == Lung.RIGHT).mean())
        if not 0.2 < share < 0.8:
            out[own] = Lung.RIGHT if share >= 0.8 else Lung.LEFT
    return out


def block_means(values: npt.NDArray[Any], factor: int) -> npt.NDArray[np.float32]:
    """Return means of blocks of ``factor`` x ``factor`` pixels; incomplete blocks are dropped."""
    x, y = (n // factor for n in values.shape)
    part = values[: x * factor, : y * factor].astype(np.float32)
    out: npt.NDArray[np.float32] = part.reshape(x, factor, y, factor).mean(axis=(1, 3))
    return out


def _stack(
    maps: list[npt.NDArray[np.float32]], step: float, rng: np.random.Generator
) -> list[npt.NDArray[np.float32]]:
    """Repeat maps along z, each plane a little larger or smaller, to isotropic voxels of STEP_MM."""
    count = int(rng.integers(*_PLANES))
    at = np.linspace(0, 1, count)
    zoom = 1 + rng.uniform(-0.25, 0.25) * (at - 0.5) + rng.uniform(-0.15, 0.15) * (at - 0.5) ** 2
    size = [int(np.ceil(n * step / STEP_MM)) for n in maps[0].shape]
    outside = (-1024.0, *[0.0] * (len(maps) - 1))
    out = [np.zeros((*size, count), np.float32) for _ in maps]
    for z in range(count):
        scale = STEP_MM / step / float(zoom[z])
        offset = [(n - 1) / 2 - scale * (m - 1) / 2 for n, m in zip(maps[0].shape, size, strict=True)]
        for target, values, fill in zip(out, maps, outside, strict=True):
            target[:, :, z] = ndimage.affine_transform(
                values, np.diag([scale, scale]), offset, size, order=1, cval=fill
            )
    return out
