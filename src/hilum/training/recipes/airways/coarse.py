"""Cases on coarser grids: the mean over larger voxels, as a scanner of lower resolution would give.

A voxel is lumen where lumen fills at least half of it. Where it fills a part, the voxel does not count: it
is neither lumen nor a good example of lung.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.volume import Volume
from hilum.training.recipes.airways.cases import UNSURE, Case

__all__ = ["area_means", "coarser_case", "coarser_volume"]

_Floats = npt.NDArray[np.float32]
#: Share of a voxel from which on it is lumen, and from which on it does not count.
WHOLE, PART = 0.5, 0.25


def area_means(values: npt.NDArray[Any], factors: tuple[float, float, float]) -> _Floats:
    """Return means over blocks of ``factors`` voxels, which need not be whole numbers.

    A voxel that two blocks share counts for its part in each; what is left at the far end is cut off.

    Args:
        values: Array (x, y, z).
        factors: Voxels in a block along each axis, 1 or more.
    """
    out: npt.NDArray[Any] = values
    for axis, factor in enumerate(factors):
        out = np.moveaxis(out, axis, 0)
        edges = np.arange(int(len(out) / factor + 1e-6) + 1) * factor
        low = np.minimum(edges.astype(int), len(out) - 1)
        rest = (edges - low).reshape(-1, 1, 1)
        sums = np.concatenate([np.zeros((1, *out.shape[1:])), np.cumsum(out, 0, np.float64)])
        up_to = sums[low] + rest * out[low]
        out = np.moveaxis(np.diff(up_to, axis=0) / factor, 0, axis).astype(np.float32)
    return np.ascontiguousarray(out, np.float32)


def coarser_volume(volume: Volume, mm: float) -> tuple[Volume, tuple[float, float, float]]:
    """Return a scan on voxels of so many mm, and how many of its voxels go into one along each axis."""
    x, y, z = (mm / step for step in volume.spacing)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    affine[:3, :3] *= [x, y, z]
    hu = area_means(volume.hu, (x, y, z))
    meta = replace(volume.meta, slice_thickness=mm, stored_shape=hu.shape)
    return Volume(hu, affine, meta), (x, y, z)


def coarser_case(case: Case, mm: float) -> Case:
    """Return a case on voxels of so many mm.

    Its noise is taken to fall as the side of a voxel grows: the noise of a scan reaches over neighbouring
    voxels, so that a mean over them lessens it less than that of independent ones.
    """
    factor = mm / case.step_mm
    factors = (factor, factor, factor)
    lumen = area_means(case.labels == 1, factors)
    unsure = area_means(case.labels == UNSURE, factors) + lumen
    labels = np.where(lumen >= WHOLE, 1, np.where(unsure >= PART, UNSURE, 0)).astype(np.uint8)
    hard = np.zeros(case.labels.size, np.uint8)
    hard[case.hard] = 1
    return replace(
        case,
        hu=area_means(case.hu, factors),
        labels=labels,
        lungs=area_means(case.lungs, factors) >= WHOLE,
        hard=np.flatnonzero((area_means(hard.reshape(case.labels.shape), factors) >= PART) & (labels == 0)),
        noise_hu=case.noise_hu / factor,
        smooth_mm=case.smooth_mm / factor,
        ends=case.ends / factor,
        step_mm=mm,
    )
