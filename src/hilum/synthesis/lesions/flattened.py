"""A diaphragm pressed flat by fluid or gas above it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.imaging.morphology import Spacing

__all__ = ["flatten_diaphragm"]

#: The floor of the lung is pressed down to where this share of its columns ends.
_LOWEST = 0.1
#: Over this length the shift fades beside the lung, and below it, mm.
_FADE_MM, _FADE_BELOW_MM = 12.0, 120.0
#: A lung of fewer planes has no dome to press.
_LEAST_PLANES = 8


def flatten_diaphragm(
    hu: npt.NDArray[np.float32], mask: npt.NDArray[Any], label: int, spacing: Spacing, share: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Draw the base of one lung, and what lies below it, down towards its lowest recess.

    Args:
        hu: HU, (x, y, z) in RAS order.
        mask: Lung labels of the same shape.
        label: The lung.
        spacing: Voxel size in mm.
        share: 0 leaves the dome, 1 makes its floor flat.

    Returns:
        New HU and labels; as they were where the lung has too few planes.
    """
    own = mask == label
    planes = np.flatnonzero(own.any(axis=(0, 1)))
    if planes.size == 0 or planes[-1] - planes[0] < _LEAST_PLANES:
        return hu, mask
    seen = own.any(axis=2)
    floor = own.argmax(axis=2)
    lowest = float(np.quantile(floor[seen], _LOWEST))
    drop = np.where(seen, share * np.clip(floor - lowest, 0, 0.5 * np.ptp(planes)), 0)
    # A column whose floor lies high because the mediastinum is below it drops as its neighbours do.
    drop = ndimage.gaussian_filter(drop.astype(np.float32), [_FADE_MM / s for s in spacing[:2]])
    z = np.arange(mask.shape[2], dtype=np.float32)
    top = float(planes[-1])
    at = np.where(seen, floor, lowest).astype(np.float32)
    at = ndimage.gaussian_filter(at, [_FADE_MM / s for s in spacing[:2]]) - drop
    above = np.clip((top - z) / np.maximum(top - at, 1)[:, :, None], 0, 1)
    below = np.clip(1 - (at[:, :, None] - z) / (_FADE_BELOW_MM / spacing[2]), 0, 1)
    source = z + drop[:, :, None] * np.minimum(above, below)
    x, y = np.ogrid[: mask.shape[0], : mask.shape[1]]
    low = np.clip(np.floor(source).astype(np.intp), 0, mask.shape[2] - 1)
    high = np.minimum(low + 1, mask.shape[2] - 1)
    part = np.clip(source - low, 0, 1).astype(np.float32)
    rows, columns = x[:, :, None], y[:, :, None]
    new = (1 - part) * hu[rows, columns, low] + part * hu[rows, columns, high]
    return new.astype(np.float32), mask[rows, columns, np.where(part < 0.5, low, high)]
