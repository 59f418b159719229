"""Resampling of the lungs to the native grid: the surface follows the native voxels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count
from hilum.core.labels import Lung
from hilum.core.units import WorkingSpacing
from hilum.imaging.blocks import Reduced
from hilum.imaging.interpolation import Interpolation
from hilum.imaging.morphology import Mask, bounding_box, depth, distance_to

__all__ = ["REFINE", "RefineRules", "refine"]


@dataclass(frozen=True)
class RefineRules:
    """Rules for moving the surface from blocks to native voxels.

    Chosen by hand: a surface of blocks is accurate to about one block. No value was searched for or ablated.
    Widths are in blocks in the plane.

    Attributes:
        unscanned_hu: Voxels below this beside the exclusion mask are unscanned padding; elsewhere the
            undershoot of a sharp kernel can be as low.
        inside: Every voxel this deep in the lungs is lung.
        outside: So is an aerated voxel this far outside of them, as a share of ``inside``.
        beyond: Slices with nothing nearer than this are left out, as a multiple of ``inside``.
        dense: A dense voxel inside is lung where at least this share of its surroundings is dense on purpose.
        excluded: No voxel is lung where at least this share of its surroundings is excluded.
        farthest_mm: Distances are clipped to this, working mm; more than any width above.
    """

    unscanned_hu: int = -1500
    inside: float = 1.25
    outside: float = 0.9
    beyond: float = 2.0
    dense: float = 0.5
    excluded: float = 0.5
    farthest_mm: float = 20.0


#: The rules in use.
REFINE = RefineRules()


def refine(
    hu: npt.NDArray[Any],
    reduced: Reduced,
    lungs: npt.NDArray[np.uint8],
    dense: Mask,
    exclusion_mask: Mask,
    threshold: float,
) -> npt.NDArray[np.uint8]:
    """Move the surface of coarse lungs onto the native voxels.

    Deep inside the coarse lungs every voxel is lung, far outside no voxel is. In between, an aerated voxel
    (below ``threshold``, half-way between lung and tissue) is lung, and a dense one only where the coarse
    lungs hold dense tissue on purpose (a vessel at the hilum, a nodule at the pleura).

    Args:
        hu: Native HU (x, y, z).
        reduced: The coarse grid.
        lungs: Whole lungs on the coarse grid.
        dense: The part of them that is not aerated.
        exclusion_mask: Central airways, outside air and gas on the coarse grid.
        threshold: HU between lung and tissue in the scan's own values.

    Returns:
        uint8 labels, native shape, in the memory order of ``hu``.
    """
    out = np.zeros_like(hu, dtype=np.uint8)
    spacing = reduced.spacing
    box = bounding_box(lungs > 0, 3 * max(spacing), spacing)
    if box is None:
        return out
    fields = [_signed_distance((lungs == side)[box], spacing) for side in (Lung.RIGHT, Lung.LEFT)]
    blocked = exclusion_mask[box].astype(np.float32)
    solid = dense[box].astype(np.float32)
    native = tuple(
        slice(s.start * f, min(s.stop * f, n))
        for s, f, n in zip(box, reduced.factors, reduced.full_shape, strict=True)
    )
    along_x, along_y, along_z = (
        Interpolation.between(s.stop - s.start, n.stop - n.start, f)
        for s, n, f in zip(box, native, reduced.factors, strict=True)
    )
    band = REFINE.inside * max(spacing[:2])
    view, target = hu[native], out[native]

    def plane(z: int) -> None:
        coarse = [along_z.one(field, z) for field in (*fields, blocked, solid)]
        if max(coarse[0].max(), coarse[1].max()) < -REFINE.beyond * band:
            return
        right, left, shut, firm = (along_y.rows(along_x.rows(field).T).T for field in coarse)
        inside = np.maximum(right, left)
        aerated = view[:, :, z] < threshold
        take = (
            (inside > band)
            | ((inside > -REFINE.outside * band) & aerated)
            | ((inside > 0) & (firm > REFINE.dense))
        )
        take &= (shut < REFINE.excluded) & ((shut == 0) | (view[:, :, z] > REFINE.unscanned_hu))
        # NumPy would promote an IntEnum member, and the array with it, to int64.
        target[:, :, z] = np.where(right >= left, np.uint8(Lung.RIGHT), np.uint8(Lung.LEFT)) * take

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(plane, range(view.shape[2])))
    return out


def _signed_distance(mask: Mask, spacing: WorkingSpacing) -> npt.NDArray[np.float32]:
    """Distance to the surface in mm, positive inside, at most ``farthest_mm`` either way."""
    out = np.full(mask.shape, np.float32(-REFINE.farthest_mm))
    box = bounding_box(mask, 4 * max(spacing), spacing)
    if box is None:
        return out
    own, half = mask[box], 0.5 * min(spacing)
    inside = depth(own, spacing) - half
    outside = distance_to(own, spacing) - half
    out[box] = np.clip(np.where(own, inside, -outside), -REFINE.farthest_mm, REFINE.farthest_mm)
    return out
