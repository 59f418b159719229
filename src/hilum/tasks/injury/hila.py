"""The neighbourhood of the hila, where wide vessels, nodes and bronchi lie side by side in healthy lungs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, distance_to
from hilum.tasks.injury.fields import Fields

__all__ = ["hilar_blocks"]

#: The mediastinum lies between the lungs: within this distance of both, mm.
BETWEEN_MM = 45.0
#: The hila lie in these parts of the lungs' height (from the foot) and depth (from the back).
HEIGHT, DEPTH = (0.30, 0.78), (0.28, 0.75)
#: They reach this far into the lungs, mm.
REACH_MM = 30.0


def hilar_blocks(fields: Fields, affine: npt.NDArray[np.float64]) -> Mask:
    """Return the blocks of lung near a hilum; none where only one lung is there.

    Args:
        fields: The lungs on blocks.
        affine: From the voxels of the scan to RAS mm.
    """
    lung = fields.lung
    none = np.zeros(lung.shape, bool)
    sides = [share >= 0.5 for share in fields.share]
    if len(sides) < 2 or not all(side.any() for side in sides):
        return none
    near = [distance_to(side, fields.spacing) <= BETWEEN_MM for side in sides]
    middle = near[0] & near[1] & ~lung
    for axis, (low, high) in ((1, DEPTH), (2, HEIGHT)):
        place = np.broadcast_to(fields.places(affine, axis), lung.shape)
        first, last = float(place[lung].min()), float(place[lung].max())
        part = (place - first) / max(last - first, 1e-3)
        middle &= (part > low) & (part < high)
    if not middle.any():
        return none
    return np.asarray(lung & (distance_to(middle, fields.spacing) <= REACH_MM))
