"""Lines in space: smoothing, length, and minimal paths over a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError

__all__ = ["arc_length", "minimal_path", "path_length", "smooth_path"]

_Points = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]
#: Standard deviation of the smoothing of a centreline, in points. It takes the steps of the voxel grid out:
#: of 400 digital lines of 20 to 60 voxels in random directions the mean is then 0.2 % too long and the worst
#: 0.9 %; raw they are 10 and 18 % too long. Half a circle of radius 8 voxels becomes 0.1 % too short.
SMOOTHING_POINTS = 2.0


def smooth_path(points: _Points, sigma: float = SMOOTHING_POINTS) -> _Points:
    """Smooth a line of points; its ends stay where they are.

    A Gaussian over the points. Beyond an end the line is continued by its reflection at the end point, so
    that straight lines stay straight up to the end.

    Args:
        points: Array (n, 3), in order.
        sigma: Standard deviation in points. It is reduced for lines with few points.

    Returns:
        Array (n, 3).
    """
    count = len(points)
    sigma = min(sigma, (count - 1) / 4)
    if count < 3 or sigma <= 0:
        return points.astype(np.float64)
    reach = min(count - 1, int(np.ceil(4 * sigma)))
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    longer = np.concatenate([before, points, after])
    out = np.stack([np.convolve(column, kernel, "valid") for column in longer.T], axis=1)
    out[0], out[-1] = points[0], points[-1]
    return out


def arc_length(points: _Points) -> _Points:
    """Return the distance along a line from its first point to each of its points, shape (n,)."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])[: len(points)]


def path_length(points: _Points) -> float:
    """Return the length of a line of points, in their unit."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def minimal_path(
    cost: npt.NDArray[np.floating[Any]],
    start: tuple[int, int, int],
    end: tuple[int, int, int],
    spacing: Spacing,
) -> tuple[npt.NDArray[np.intp], float] | None:
    """Find the path between two voxels that has the smallest integral of a cost.

    Dijkstra over the 26 neighbours (scikit-image's MCP_Geometric): a step costs its length in mm times the
    mean of the cost at both ends.

    Args:
        cost: Cost a mm at each voxel (i, j, k). Where it is negative or not finite no path goes.
        start: Index of the first voxel.
        end: Index of the last voxel.
        spacing: Distance between voxels along i, j, k in mm.

    Returns:
        The voxels of the path, shape (n, 3), and its cost; None where there is no path.

    Raises:
        UsageError: A voxel lies outside the array.
    """
    for name, voxel in (("start", start), ("end", end)):
        if not all(0 <= index < size for index, size in zip(voxel, cost.shape, strict=True)):
            raise UsageError(f"{name} is {tuple(voxel)}, outside the array of shape {cost.shape}.")
    from skimage.graph import MCP_Geometric

    passable = np.where(np.isfinite(cost) & (cost >= 0), cost, -1.0)
    if passable[tuple(start)] < 0 or passable[tuple(end)] < 0:
        return None
    search = MCP_Geometric(passable, sampling=spacing)
    total, _ = search.find_costs([tuple(start)], [tuple(end)])
    if not np.isfinite(total[tuple(end)]):
        return None
    return np.array(search.traceback(tuple(end)), np.intp), float(total[tuple(end)])
