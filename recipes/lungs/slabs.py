"""Slabs: single slices of many patients drawn out along the body, for the shapes of chests.

A network of three dimensions needs volumes, of which there are few; hand-made masks of single slices are
there for many patients. A slice repeated along z, tapered as a chest is, teaches what lies beside lungs.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from hilum.synthesis.lesions import add_dome, random_injury
from hilum.training.volumes.cases import STEP_MM

#: Pixel size is not known; chests of common size result from these, mm.
_PIXEL_MM = (0.62, 0.82)
_REDUCE = 4


def slices_of(dataset: Path, part: str, seed: int = 0) -> list[Path]:
    """Slices of the patients of one part, the same split as the network of slices has."""
    files = sorted((dataset / "images").glob("*.tiff"))
    ids = [int(f.stem.split("_")[0]) for f in files]
    own = set(getattr(split_subjects(ids, seed=seed), part))
    return [f for f, i in zip(files, ids, strict=True) if i in own]


def in_ras(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of an axial picture, (rows, columns), in RAS order, (x, y)."""
    return picture[::-1, ::-1].T


def make_slab(
    file: Path, rng: np.random.Generator, dome: bool = False, organs: Sequence[npt.NDArray[Any]] = ()
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return HU and lung labels of one slab, (x, y, z) in RAS order, cubes of STEP_MM.

    With ``dome``, the slice cuts the top of a diaphragm; a single slice is drawn out likewise to be judged.
    For ``organs`` see :func:`hilum.synthesis.lesions.add_dome`.
    """
    mask_file = file.parent.parent / "masks" / f"{file.stem}.png"
    picture = in_ras(tifffile.imread(file)).astype(np.float32)
    mask = in_ras(np.asarray(Image.open(mask_file))) > 0
    hu = normalise(picture[:, :, None], find_levels(picture[:, :, None]))[:, :, 0]
    sides = _sides(mask)
    pixel = rng.uniform(*_PIXEL_MM)
    if dome:
        made = add_dome(hu[:, :, None], sides[:, :, None], (pixel,) * 3, rng, organs)
        hu, sides = (a[:, :, 0] for a in made)
    step = pixel * _REDUCE
    return draw_out([_blocks(a) for a in (hu, sides == Lung.RIGHT, sides == Lung.LEFT)], step, rng)


def draw_out(
    maps: list[npt.NDArray[np.float32]], step: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return HU and lung labels of a slab of one slice, most of them injured.

    Args:
        maps: HU, share of right and of left lung, (x, y) in RAS order.
        step: Distance of their pixels, mm.
        rng: Source of all draws.
    """
    planes = _stack(maps, step, rng)
    labels = np.where(planes[1] > 0.5, Lung.RIGHT, np.where(planes[2] > 0.5, Lung.LEFT, 0)).astype(np.uint8)
    slab = planes[0] + rng.uniform(0, 15) * rng.standard_normal(labels.shape, np.float32)
    made = random_injury(slab.astype(np.float32), labels, (STEP_MM,) * 3, rng)
    return made.hu, made.mask


def _sides(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
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


def _blocks(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    x, y = (n // _REDUCE for n in values.shape)
    part = values[: x * _REDUCE, : y * _REDUCE].astype(np.float32)
    out: npt.NDArray[np.float32] = part.reshape(x, _REDUCE, y, _REDUCE).mean(axis=(1, 3))
    return out


def _stack(
    maps: list[npt.NDArray[np.float32]], step: float, rng: np.random.Generator
) -> list[npt.NDArray[np.float32]]:
    """Repeat maps along z, each plane a little larger or smaller, on cubes of STEP_MM."""
    count = int(rng.integers(16, 56))
    at = np.linspace(0, 1, count)
    zoom = 1 + rng.uniform(-0.25, 0.25) * (at - 0.5) + rng.uniform(-0.15, 0.15) * (at - 0.5) ** 2
    size = [int(np.ceil(n * step / STEP_MM)) for n in maps[0].shape]
    outside = (-1024.0, 0.0, 0.0)
    out = [np.zeros((*size, count), np.float32) for _ in maps]
    for z in range(count):
        scale = STEP_MM / step / float(zoom[z])
        offset = [(n - 1) / 2 - scale * (m - 1) / 2 for n, m in zip(maps[0].shape, size, strict=True)]
        for target, values, fill in zip(out, maps, outside, strict=True):
            target[:, :, z] = ndimage.affine_transform(
                values, np.diag([scale, scale]), offset, size, order=1, cval=fill
            )
    return out
