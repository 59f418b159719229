"""Arrays on voxels of 1 mm and back, for the network of the airways."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.imaging.interpolation import along_axis

__all__ = ["from_millimetres", "to_millimetres"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
#: Side of the network's voxels, mm.
STEP_MM = 1.0


def to_millimetres(values: _Floats, spacing: Spacing) -> _Floats:
    """Interpolate linearly on voxels of 1 mm; the centre of the first voxel stays where it is.

    Args:
        values: Array (x, y, z).
        spacing: Distance between its voxels in mm.
    """
    for axis, step in enumerate(spacing):
        count = int((values.shape[axis] - 1) * step / STEP_MM + 1e-6) + 1
        values = along_axis(values, axis, np.arange(count) * STEP_MM / step)
    return values


def from_millimetres(values: _Floats, shape: tuple[int, ...], spacing: Spacing) -> _Floats:
    """Interpolate an array of :func:`to_millimetres` on the voxels that it came from.

    Args:
        values: Array on voxels of 1 mm.
        shape: Shape of the result.
        spacing: Distance between its voxels in mm.
    """
    for axis, step in enumerate(spacing):
        at = np.minimum(np.arange(shape[axis]) * step / STEP_MM, values.shape[axis] - 1)
        values = along_axis(values, axis, at)
    return values
