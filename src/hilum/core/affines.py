"""Comparison of voxel grids by the position of their corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["corner_distance"]


def corner_distance(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], shape: Sequence[int]
) -> float:
    """Return the largest distance, along an axis of space, between the corners of two voxel grids.

    Args:
        one: 4 x 4 affine from voxel index to mm.
        other: Another one.
        shape: Shape (i, j, k) of the array.

    Returns:
        Largest difference of a coordinate, in the unit of the affines.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1], indexing="ij")).reshape(4, -1)
    return float(np.abs((one - other) @ corners)[:3].max())
