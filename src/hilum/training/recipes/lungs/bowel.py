"""Gas and stool below the diaphragm, at random places: the few training patients show too little of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.synthesis.lesions.lung import smooth_step

#: No gas nearer to lung or skin than this, mm.
_OFF_LUNG_MM, _OFF_SKIN_MM = 5.0, 14.0
#: Where bowel can lie: from the lungs' lowest voxel up to this share of their height.
_HIGHEST = 0.4


def add_bowel(
    hu: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], step: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Put one to six loops of bowel into soft tissue that lies low in the scan.

    Args:
        hu: HU, (x, y, z) in RAS order, isotropic.
        labels: Lung labels of the same shape; they stay right.
        step: Side of a voxel in mm.
        rng: Source of all draws.
    """
    body = ndimage.binary_opening(hu > -300, iterations=1) | (labels > 0)
    inside = ndimage.distance_transform_edt(body, sampling=step)
    away = ndimage.distance_transform_edt(labels == 0, sampling=step) if labels.any() else inside * 0 + 1e3
    room = np.minimum(away - _OFF_LUNG_MM, inside - _OFF_SKIN_MM)
    soft = (hu > -150) & (hu < 200) & (room > 0)
    planes = np.flatnonzero(labels.any(axis=(0, 1)))
    if planes.size:
        soft[:, :, int(planes[0] + _HIGHEST * (planes[-1] - planes[0])) :] = False
    if not soft.any():
        return hu
    out = hu.copy()
    centre = _pick(soft, rng)
    for _ in range(int(rng.integers(1, 7))):
        at = np.clip(np.asarray(centre) + rng.normal(0, 35 / step, 3), 0, np.array(hu.shape) - 1)
        distance = np.zeros((1, 1, 1), np.float32)
        for axis in range(3):
            line = (np.arange(hu.shape[axis]) - at[axis]) * (step / rng.uniform(0.6, 1.6))
            distance = distance + (line**2).reshape([-1 if a == axis else 1 for a in range(3)])
        depth = np.minimum(rng.uniform(6, 38) - np.sqrt(distance), room)
        share = smooth_step(depth / 3.0).astype(np.float32)
        out += share * (_content(hu.shape, rng) - out)
    return out


def _pick(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Any, ...]:
    return np.unravel_index(int(rng.choice(np.flatnonzero(mask))), mask.shape)


def _content(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32] | np.float32:
    """Free gas, or stool: grains of gas in something soft."""
    if rng.random() < 0.6:
        return np.float32(rng.uniform(-1000, -930))
    grains = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), rng.uniform(0.6, 1.5))
    grains *= np.float32(rng.uniform(50, 250) / max(float(grains.std()), 1e-3))
    stool: npt.NDArray[np.float32] = np.clip(grains + np.float32(rng.uniform(-800, -50)), -1000, 100)
    return stool
