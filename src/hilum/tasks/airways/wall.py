"""The wall of the airways: the bright voxels round the lumen, as thick as a wall of this lumen is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask, bounding_box, depth, distance_to

__all__ = ["wall_of"]

Spacing = tuple[float, float, float]
#: Thickness of a wall in mm: a constant and a share of the diameter of the lumen. From the published walls
#: of 0.5 mm at 2 mm to 1.5 mm at 12 mm; it bounds the label, and is no measurement.
_WALL_MM, _WALL_SHARE = 0.4, 0.1
#: The wall is brighter than this, HU: between air and tissue, where partial volume of lung is left out.
_WALL_HU = -700.0
#: Lumens wider than this, mm, count as this wide: the widest trachea.
_WIDEST_MM = 25.0


def wall_of(lumen: Mask, hu: npt.NDArray[np.float32], spacing: Spacing) -> Mask:
    """Return the voxels of the wall.

    Args:
        lumen: Bool array (x, y, z).
        hu: HU of the same shape.
        spacing: Distance between voxels in mm.
    """
    from scipy import ndimage

    out = np.zeros(lumen.shape, bool)
    most = _WALL_MM + _WALL_SHARE * _WIDEST_MM + max(spacing)
    box = bounding_box(lumen, most, spacing)
    if box is None:
        return out
    inside, values = lumen[box], hu[box]
    away = distance_to(inside, spacing)
    near = (away > 0) & (away <= most)
    radius = ndimage.maximum_filter(
        depth(inside, spacing), size=[1 + 2 * int(np.ceil(3 / s)) for s in spacing]
    )
    # The distance runs from centre to centre: half a voxel on either side is not wall.
    thick = _WALL_MM + _WALL_SHARE * np.minimum(2 * radius, _WIDEST_MM) + 0.5 * float(np.mean(spacing))
    out[box] = near & (away <= np.maximum(thick, min(spacing) * 1.01)) & (values > _WALL_HU)
    return out
