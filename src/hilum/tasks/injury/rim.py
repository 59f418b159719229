"""Blur beside tissue: how much of a rise in HU the chest wall, heart, diaphragm and vessels explain.

The slice is thick, the heart beats and the diaphragm moves while the scan is taken, so lung beside them
holds a share of tissue that is not in the lung. That share falls with the distance as the integral of a
Gaussian does. It is computed from the tissue round the lung instead of cutting a rim away, so haze that
stands above it is found up to the pleura.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.imaging.morphology import Mask, distance_to
from hilum.tasks.injury.fields import Fields, Floats

__all__ = ["blurred_rise"]

#: Standard deviation of the blur where nothing moves, mm, and beside heart and diaphragm. Together with the
#: slices: see :data:`SLICE_SHARE`. First guess, looked at on six real scans; not tuned.
STILL_MM, MOVING_MM = 2.0, 4.5
#: The same along the slices: this share of their thickness, added in squares.
SLICE_SHARE = 0.5
#: Mean HU above which a block of the lungs blurs its surroundings.
TISSUE_HU = -300.0
#: HU of the tissue that blurs: soft tissue, not what contrast agent and bone add.
SOFT_TISSUE_HU = 40.0
#: Heart and great vessels lie within this distance of both lungs, mm.
BETWEEN_MM = 60.0


def blurred_rise(fields: Fields, affine: npt.NDArray[np.float64], expected: Floats) -> Floats:
    """Rise in HU that blur explains at each block.

    Args:
        fields: The lungs on blocks.
        affine: From the voxels of the scan to RAS mm.
        expected: Expected HU of the blocks.
    """
    lung = sum(fields.share)
    out = np.clip(np.float32(1) - np.asarray(lung, np.float32), 0, 1) * (fields.outside > TISSUE_HU)
    dense = (fields.mean > TISSUE_HU) & fields.lung
    still = np.maximum(out, dense.astype(np.float32))
    moving = out * _moves(fields, affine)
    share = np.maximum(_blurred(still, STILL_MM, fields), _blurred(moving, MOVING_MM, fields))
    rise: Floats = share * (np.float32(SOFT_TISSUE_HU) - expected)
    return rise


def _blurred(tissue: Floats, width_mm: float, fields: Fields) -> Floats:
    thick = int(np.argmax(fields.spacing))
    widths = [
        (width_mm**2 + (SLICE_SHARE * step) ** 2 * (axis == thick)) ** 0.5 / step
        for axis, step in enumerate(fields.spacing)
    ]
    out: Floats = ndimage.gaussian_filter(tissue, widths, mode="nearest", truncate=3.0)
    return out


def _moves(fields: Fields, affine: npt.NDArray[np.float64]) -> Mask:
    """Blocks outside the lungs that move: between both lungs, and below them."""
    lung = fields.lung
    axis = int(np.argmax(np.abs(affine[2, :3])))
    upward = affine[2, axis] > 0
    lines = np.flip(lung, axis) if upward else lung
    # From the head to the foot: below the first block of lung of a column.
    below = np.logical_or.accumulate(lines, axis=axis)
    below = np.flip(below, axis) if upward else below
    moving = below & ~lung
    sides = [share >= 0.5 for share in fields.share]
    if len(sides) == 2 and all(side.any() for side in sides):
        near = [distance_to(side, fields.spacing) <= BETWEEN_MM for side in sides]
        moving |= near[0] & near[1] & ~lung
    return np.asarray(moving)
