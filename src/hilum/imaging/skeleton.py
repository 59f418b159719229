"""Skeletons: centrelines one voxel wide."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.core.errors import UsageError
from hilum.imaging.morphology import bounding_box, components, depth, distance_to

__all__ = ["centrelines", "skeletonize"]

_Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]
#: A voxel of the mask is left over where it lies farther from the skeleton than this many radii of the tube
#: and two voxels; within a round tube it is one radius.
_COVERED_RADII = 1.5
_COVERED_VOXELS = 2.0


def skeletonize(mask: _Mask) -> _Mask:
    """Thin a mask to lines one voxel wide that keep its topology (Lee 1994, as in scikit-image).

    Thinning counts voxels, not millimetres: on thick slices the lines of oblique tubes are less well centred.
    The line of a tube ends before the tube does, by up to two radii in oblique ones, and may lose a whole
    branch that is straight and an even number of voxels wide; :func:`centrelines` restores both.

    Args:
        mask: Bool array (i, j, k).

    Returns:
        The skeleton, a part of the mask; empty where the mask is.

    Raises:
        UsageError: The mask has not three axes.
    """
    if mask.ndim != 3:
        raise UsageError(f"mask has {mask.ndim} axes, expected three.")
    from skimage.morphology import skeletonize as thin  # takes a second to import

    out = np.zeros(mask.shape, bool)
    box = bounding_box(mask)
    if box is not None:
        out[box] = thin(np.ascontiguousarray(mask[box]), method="lee") > 0
    return out


def centrelines(mask: _Mask, spacing: Spacing) -> _Mask:
    """Thin a mask as :func:`skeletonize` does, and prolong lines into parts that they do not reach.

    Voxels of the mask that lie too far from the skeleton are taken, the farthest first, and joined to it by
    the minimal path through the middle of the mask (cost 1 / radius**2), up to the point whose inscribed ball
    reaches the voxel. It is one round of what TEASAR (Sato 2000) does for a whole tree.

    Args:
        mask: Bool array (i, j, k).
        spacing: Distance between voxels along i, j, k in mm.

    Returns:
        The skeleton, a part of the mask.

    Raises:
        UsageError: The mask has not three axes.
    """
    out = skeletonize(mask)
    box = bounding_box(mask)
    if box is None or not out.any():
        return out
    paths = _missing_lines(out[box], mask[box], spacing)
    if paths:
        out[box][tuple(np.concatenate(paths).T)] = True
        out = skeletonize(out)  # where a path runs beside a line, one of both is enough
    return out


def _missing_lines(skeleton: _Mask, mask: _Mask, spacing: Spacing) -> list[npt.NDArray[np.intp]]:
    """Return the voxels of paths into the parts of the mask far from the skeleton."""
    from scipy.spatial import KDTree

    radius = depth(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    slack = _COVERED_VOXELS * max(spacing)
    away = distance_to(skeleton, spacing)
    far = np.argwhere(mask & (away > slack))
    if not len(far):
        return []
    starts = np.argwhere(skeleton)
    nearest = starts[KDTree(starts * spacing).query(far * spacing)[1]]
    limit = _COVERED_RADII * radius[tuple(nearest.T)] + slack
    left_over = away[tuple(far.T)] > limit
    far, limit = far[left_over], limit[left_over]
    if not len(far):
        return []
    part = np.zeros(mask.shape, bool)
    part[tuple(far.T)] = True
    owner = components(part, 26)[0][tuple(far.T)]
    paths = []
    for number in np.unique(owner):
        mine = far[owner == number]
        # The skeleton is nearest beyond the border of the part, within the limit there.
        margin = np.ceil((float(limit[owner == number].max()) + slack) / np.asarray(spacing)).astype(np.intp)
        low = np.maximum(mine.min(axis=0) - margin, 0)
        high = np.minimum(mine.max(axis=0) + margin + 1, mask.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        found = _lines_into(mine - low, skeleton[box], mask[box], radius[box], spacing)
        paths += [path + low for path in found]
    return paths


def _lines_into(
    part: npt.NDArray[np.intp],
    skeleton: _Mask,
    mask: _Mask,
    radius: npt.NDArray[np.float32],
    spacing: Spacing,
) -> list[npt.NDArray[np.intp]]:
    """Return paths from the skeleton into a part of the mask, until no voxel of it is left over."""
    from scipy.spatial import KDTree
    from skimage.graph import MCP_Geometric

    starts = np.argwhere(skeleton)
    if not len(starts):
        return []
    cost = np.where(mask, 1 / np.maximum(radius, 1e-3) ** 2, -1.0)
    search = MCP_Geometric(cost, sampling=spacing)
    reached = np.isfinite(search.find_costs(starts)[0][tuple(part.T)])
    part = part[reached]
    places = KDTree(part * spacing)
    distance = KDTree(starts * spacing).query(part * spacing)[0]
    slack = _COVERED_VOXELS * max(spacing)
    covered = np.zeros(len(part), bool)
    paths = []
    for index in np.argsort(-distance, kind="stable"):
        if covered[index]:
            continue
        path = np.array(search.traceback(tuple(part[index])), np.intp)
        to_end = np.linalg.norm((path - path[-1]) * spacing, axis=1)
        last = np.flatnonzero(to_end >= radius[tuple(path.T)] - 1e-3).max(initial=0)
        path = path[: last + 1]
        near = places.query_ball_point(path * spacing, _COVERED_RADII * radius[tuple(path.T)] + slack)
        covered[np.concatenate([np.asarray(some, np.intp) for some in near])] = True
        covered[index] = True
        paths.append(path)
    return paths
