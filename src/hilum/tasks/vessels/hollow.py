"""Small airways without a lumen to be seen: they are wider than a vessel of their density.

The middle of a blurred vessel of radius r has the contrast ``C (1 - exp(-r^2 / (2 s^2)))``, C that of tissue
and s the blur of the scan. Smoothed by a Gaussian of standard deviation t, ``s^2`` becomes ``s^2 + t^2``. So
``log(1 - middle / C) / log(1 - smoothed middle / C)`` is ``(s^2 + t^2) / s^2`` for each vessel, however thin.
An airway is hollow: its middle is darker than that of a vessel that is as bright once smoothed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, dilate
from hilum.tasks.vessels.prepare import Floats, VesselScan

__all__ = ["hollow"]

#: HU of tissue without contrast agent, as walls have it.
_TISSUE_HU = 40.0
#: Standard deviation of the Gaussian, t, and distance within which the middle of a tube lies, mm.
_SMOOTH_MM, _MIDDLE_MM = 1.0, 1.0
#: Middles between these shares of the contrast of tissue show the ratio of this scan: those of thin vessels.
#: It is the given percentile of at least so many voxels.
_THIN, _PERCENTILE, _LEAST_VOXELS = (0.17, 0.44), 75.0, 1000
#: A voxel is that of an airway below this share of the ratio of the scan. Of digital chests of seed 100 it
#: takes 62 % of the axes in airways, and 0.02 % of those of vessels of 1 mm radius or more.
_SHARE = 0.4
#: Brighter middles, as a share of the contrast of tissue, are no walls of small airways.
_MOST = 0.72
#: Contrasts count up to this share of that of tissue; at 1 the logarithm ends.
_CLIP = 0.97


def hollow(core: Mask, scan: VesselScan) -> Mask:
    """Find voxels near the axes of tubes that are airways rather than vessels.

    Args:
        core: Voxels near the axes of bright tubes, shape of the crop.
        scan: The scan.
    """
    from scipy import ndimage

    out = np.zeros(core.shape, bool)
    contrast = scan.hu - scan.parenchyma
    size = [2 * round(_MIDDLE_MM / step) + 1 for step in scan.spacing]
    sigma = [_SMOOTH_MM / step for step in scan.spacing]
    tissue = np.maximum(_TISSUE_HU - scan.parenchyma[core], np.float32(1))
    middle = ndimage.maximum_filter(contrast, size)[core] / tissue
    smooth = ndimage.gaussian_filter(contrast, sigma, truncate=3)[core] / tissue
    ratio = _logarithm(middle) / _logarithm(smooth)
    thin = ratio[(middle > _THIN[0]) & (middle < _THIN[1])]
    if thin.size < _LEAST_VOXELS:
        return out
    faint = middle < _MOST
    out[core] = faint & (ratio < _SHARE * float(np.percentile(thin, _PERCENTILE)))
    beside = dilate(out, _MIDDLE_MM, scan.spacing)[core] & faint
    out[core] |= beside
    return out


def _logarithm(share: Floats) -> npt.NDArray[np.float32]:
    return np.asarray(np.log1p(-np.clip(share, np.float32(0.005), np.float32(_CLIP))))
