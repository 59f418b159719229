"""From blocks to the voxels of the scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import InjuryClass
from hilum.imaging.morphology import bounding_box
from hilum.tasks.injury.classes import Classes
from hilum.tasks.injury.fields import CLIP_HU, Box, Fields, Floats

__all__ = ["BRIGHT_HU", "draw_classes"]

#: A voxel that is denser than the lung round it by this much is vessel or airway wall, HU.
BRIGHT_HU = 180.0
#: Width of the box whose mean decides on the voxels of emphysema, mm: finer than the blocks, since its holes are
#: small and noise of 40 HU falls to about 10 HU in 27 voxels.
FINE_MM = 2.5
#: Emphysema is drawn where its score on the blocks is above this: up to a block beyond its border there.
_NEAR = -0.6


def draw_classes(
    hu: npt.NDArray[Any], lungs: npt.NDArray[np.uint8], fields: Fields, classes: Classes, edge: Floats
) -> npt.NDArray[np.uint8]:
    """Label every voxel of the lungs.

    Args:
        hu: HU of the scan.
        lungs: Label map of the lungs.
        fields: The lungs on blocks.
        classes: Scores on the blocks.
        edge: HU of the border of emphysema, on the blocks.

    Returns:
        uint8 array of the shape of ``hu``: values of :class:`hilum.core.labels.InjuryClass` in the lungs.
    """
    out = np.zeros(hu.shape, np.uint8)
    view, voxels, inside = out[fields.box], hu[fields.box], lungs[fields.box]
    fine = _fine(voxels, fields, classes)
    scores = (classes.ground_glass, classes.emphysema, edge, classes.consolidation, classes.nodule)
    planes = [fields.planes(score) for score in scores]
    for z, background in enumerate(fields.planes(fields.haze)):
        haze, dark, border, dense, nodule = (next(plane) for plane in planes)
        lung = inside[:, :, z] > 0
        if not lung.any():
            continue
        plane = np.where(lung, np.uint8(InjuryClass.AERATED), np.uint8(0))
        plane[lung & (haze > 0)] = InjuryClass.GROUND_GLASS
        if fine is not None:
            plane[lung & (dark > _NEAR) & (fine[:, :, z] < border)] = InjuryClass.EMPHYSEMA
        plane[lung & (voxels[:, :, z] - background > BRIGHT_HU)] = InjuryClass.TUBE
        plane[lung & (dense > 0)] = InjuryClass.CONSOLIDATION
        plane[lung & (nodule > 0)] = InjuryClass.NODULE
        view[:, :, z] = plane
    return out


def _fine(voxels: npt.NDArray[Any], fields: Fields, classes: Classes) -> Floats | None:
    """Means over boxes of :data:`FINE_MM` where emphysema may be; None where there is none."""
    box = bounding_box(classes.emphysema > _NEAR)
    if box is None:
        return None
    part: Box = tuple(  # type: ignore[assignment]
        slice(max(0, (b.start - 1) * f), (b.stop + 1) * f) for b, f in zip(box, fields.factors, strict=True)
    )
    size = [
        max(1, 2 * round((FINE_MM * f / step - 1) / 2) + 1)
        for f, step in zip(fields.factors, fields.spacing, strict=True)
    ]
    out = np.zeros(voxels.shape, np.float32)
    clipped = np.clip(np.nan_to_num(voxels[part], nan=CLIP_HU[0]), *CLIP_HU).astype(np.float32)
    out[part] = ndimage.uniform_filter(clipped, size, mode="nearest")
    return out
