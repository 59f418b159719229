"""Lung labels of scans without masks, for lungs that are aerated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.anatomy.model import Scan, threshold_lungs
from hilum.core.volume import Volume

__all__ = ["own_labels"]

#: Notches of the lungs' surface up to twice this wide are closed: everywhere, and at the hilum.
_SURFACE_MM, _HILUM_MM = 9.0, 18.0
#: How far the hilum reaches behind, below and above the middle of the main bronchi, mm.
_BEHIND_MM, _BELOW_MM, _ABOVE_MM = 12.0, 70.0, 25.0


def own_labels(volume: Volume) -> npt.NDArray[np.uint8]:
    """Label a scan of aerated lungs with ``classic``, the hilum closed as in hand-made masks.

    Large vessels at the hilum are taken in as by hand-made masks: notches up to 36 mm wide are closed where
    the main bronchi enter, not behind them, where the aorta lies against the lung.

    Args:
        volume: A scan whose lungs are aerated; dense disease would be missed.

    Returns:
        Lung labels on its grid. Look at them before you train on them.
    """
    canonical = volume.canonical()
    scan = Scan.of(canonical)
    tight, wide = (scan.refined(*threshold_lungs(scan, mm)) for mm in (_SURFACE_MM, _HILUM_MM))
    return volume.restore(np.where(_hilum(canonical, scan), wide, tight).astype(np.uint8))


def _hilum(canonical: Volume, scan: Scan) -> npt.NDArray[np.bool_]:
    """Where the hila can lie, in canonical order; empty if no main bronchi are found."""
    airways, spacing = scan.airways, [s / scan.magnification for s in scan.reduced.spacing]
    if airways is None or not (airways.lumen & ~airways.trachea).any():
        return np.zeros(canonical.shape, bool)
    bronchi = np.nonzero(airways.lumen & ~airways.trachea)
    y, z = ((float(np.median(bronchi[axis])) + 0.5) * spacing[axis] for axis in (1, 2))
    along_y = (np.arange(canonical.shape[1]) + 0.5) * canonical.spacing[1] > y - _BEHIND_MM
    height = (np.arange(canonical.shape[2]) + 0.5) * canonical.spacing[2] - z
    along_z = (height > -_BELOW_MM) & (height < _ABOVE_MM)
    return np.broadcast_to((along_y[:, None] & along_z)[None], canonical.shape)
