"""Labels of pleural fluid and free gas in cases with synthetic injury."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.datasets.volumes import LABELS
from hilum.synthesis.lesions import PleuralCase

__all__ = ["label_pleura", "labels_of_pleura"]

#: Half-way between free gas (-1000 HU) and the densest lung that an injury leaves (0 to 100 HU); fluid lies
#: above, gas below.
_FLUID_FROM_HU = -350.0
#: Voxels along each axis over which HU are averaged before the threshold above is applied.
_SMOOTH_VOXELS = 3


def label_pleura(
    before: npt.NDArray[Any], after: npt.NDArray[Any], hu: npt.NDArray[Any]
) -> npt.NDArray[np.uint8]:
    """Label voxels that an injury took out of the lung as pleural fluid or free gas, by their HU.

    Args:
        before: Lung labels before the injury, (x, y, z).
        after: Lung labels after it, of the same shape.
        hu: HU after it.

    Returns:
        ``after`` with fluid and gas where lung was before.
    """
    out = after.astype(np.uint8)
    gone = (before > 0) & (after == 0)
    if gone.any():
        smooth = ndimage.uniform_filter(hu.astype(np.float32), _SMOOTH_VOXELS)
        out[gone & (smooth > _FLUID_FROM_HU)] = LABELS["pleural_fluid"]
        out[gone & (smooth <= _FLUID_FROM_HU)] = LABELS["pleural_gas"]
    return out


def labels_of_pleura(case: PleuralCase) -> npt.NDArray[np.uint8]:
    """Return the labels of a case with disease of the pleural space: lungs, fluid and free gas."""
    out = case.lungs.astype(np.uint8)
    out[case.fluid] = LABELS["pleural_fluid"]
    out[case.gas] = LABELS["pleural_gas"]
    return out
