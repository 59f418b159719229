"""Sections across branches: HU along rays in the planes that stand at right angles on the centreline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.paths import arc_length

__all__ = ["Interpolated", "Sections", "sections_of"]

_Floats = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]
#: Rays of a section, evenly round the centre.
RAYS = 20
#: Distance in mm between the planes whose mean is a section, and between the points of a ray.
PLANE_STEP_MM = 0.5
RAY_STEP_MM = 0.5
#: Length of a branch that a section stands for, in mm; the planes within it are averaged.
SECTION_MM = 2.0
#: Tangents are taken over this length to either side, in mm, so that single voxels do not tilt a plane.
TANGENT_MM = 1.5


@dataclass(frozen=True, eq=False)
class Interpolated:
    """A scan that can be sampled anywhere, by cubic B-splines.

    Linear interpolation would blur further, and most between the voxels.

    Attributes:
        coefficients: Spline coefficients, float32 array (i, j, k).
        inverse: 4 x 4 matrix from RAS mm to voxel index.
    """

    coefficients: _Floats
    inverse: npt.NDArray[np.float64]

    @classmethod
    def of(cls, hu: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Interpolated:
        """Prepare a scan.

        Args:
            hu: Array (i, j, k).
            affine: 4 x 4 matrix from voxel index to RAS mm.
        """
        from scipy.ndimage import spline_filter

        made = spline_filter(np.asarray(hu, np.float32), 3, output=np.float32, mode="nearest")
        return cls(made, np.asarray(np.linalg.inv(affine), np.float64))

    def at(self, points: npt.NDArray[np.floating[Any]]) -> _Floats:
        """Return HU at positions in RAS mm, shape (..., 3); beyond the scan its border is repeated."""
        from scipy.ndimage import map_coordinates

        index = points.reshape(-1, 3) @ self.inverse[:3, :3].T + self.inverse[:3, 3]
        values = map_coordinates(
            self.coefficients, index.T, order=3, prefilter=False, mode="nearest", output=np.float32
        )
        return np.asarray(values).reshape(points.shape[:-1])


@dataclass(frozen=True, eq=False)
class Sections:
    """Sections of one or more branches.

    Attributes:
        hu: Mean HU over the planes, shape (sections, rays, points).
        radius_mm: Distance of the points from the centre, shape (points,).
        directions: Unit vectors of the rays in RAS, shape (sections, rays, 3).
        branch: Index of the branch of each section, shape (sections,).
        at_mm: Distance of each section from the start of its branch in mm, shape (sections,).
        mask_radius_mm: Radius of the lumen mask there in mm, shape (sections,).
    """

    hu: _Floats
    radius_mm: _Points
    directions: _Points
    branch: npt.NDArray[np.int64]
    at_mm: _Points
    mask_radius_mm: _Points

    def take(self, chosen: npt.NDArray[Any]) -> Sections:
        """Return some of the sections."""
        return Sections(
            self.hu[chosen],
            self.radius_mm,
            self.directions[chosen],
            self.branch[chosen],
            self.at_mm[chosen],
            self.mask_radius_mm[chosen],
        )


def sections_of(
    scan: Interpolated,
    lines: Sequence[_Points],
    mask_radii: Sequence[_Points],
    indices: Sequence[int],
    reach_mm: float,
) -> Sections:
    """Cut sections through branches.

    Args:
        scan: The scan.
        lines: Smoothed centrelines in RAS mm, each (n, 3).
        mask_radii: Radius of the lumen mask at their points in mm.
        indices: Index of each branch.
        reach_mm: Length of the rays in mm.

    Returns:
        The sections of all branches, in their order, at least one each.
    """
    radius: _Points = np.arange(0.0, reach_mm + RAY_STEP_MM / 2, RAY_STEP_MM, np.float64)
    turns = 2 * np.pi * np.arange(RAYS) / RAYS
    hu, directions, branch, places, widths = [], [], [], [], []
    for line, radii, index in zip(lines, mask_radii, indices, strict=True):
        along = arc_length(line)
        centres, planes = _planes(along[-1])
        across, up = _frames(line, along, centres)
        rays = (
            np.cos(turns)[:, None] * across[:, None] + np.sin(turns)[:, None] * up[:, None]
        )  # (sections, rays, 3)
        offsets = radius[:, None] * rays[:, :, None]  # (sections, rays, points, 3)
        mean = np.zeros(offsets.shape[:3], np.float32)
        for plane in planes:
            at = _along(line, along, np.clip(centres + plane, 0, along[-1]))
            mean += scan.at(at[:, None, None] + offsets)
        hu.append(mean / len(planes))
        directions.append(rays)
        branch.append(np.full(len(centres), index))
        places.append(centres)
        widths.append(np.interp(centres, along, radii))
    return Sections(
        np.concatenate(hu),
        radius,
        np.concatenate(directions),
        np.concatenate(branch),
        np.concatenate(places),
        np.concatenate(widths),
    )


def _planes(length: float) -> tuple[_Points, _Points]:
    """Return the places of the sections along a branch, and those of their planes about each."""
    count = max(1, round(length / SECTION_MM))
    step = length / count
    planes = max(1, round(step / PLANE_STEP_MM))
    centres = (np.arange(count, dtype=np.float64) + 0.5) * step
    offsets = ((np.arange(planes, dtype=np.float64) + 0.5) / planes - 0.5) * step
    return np.asarray(centres, np.float64), np.asarray(offsets, np.float64)


def _along(line: _Points, along: _Points, at: _Points) -> _Points:
    return np.stack([np.interp(at, along, line[:, axis]) for axis in range(3)], axis=-1)


def _frames(line: _Points, along: _Points, at: _Points) -> tuple[_Points, _Points]:
    """Return two directions at right angles to a line, at some places."""
    ahead = _along(line, along, np.minimum(at + TANGENT_MM, along[-1]))
    behind = _along(line, along, np.maximum(at - TANGENT_MM, 0))
    tangents = ahead - behind
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-9)
    # Any direction that is not along the tangent gives the two across it.
    aside = np.eye(3)[np.abs(tangents).argmin(axis=1)]
    across = np.cross(tangents, aside)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return across, np.asarray(np.cross(tangents, across), np.float64)
