"""Whether a wall stands round a line through an airway: the check of a tree that has no truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RIM", "RimRules", "rim_share", "tangents_of"]

_Points = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class RimRules:
    """What counts as a wall.

    Attributes:
        rays: Rays in the plane across the line.
        beyond_mm: A ray looks this far beyond the edge of the lumen, mm.
        step_mm: Distance between samples, mm.
        rise_hu: Its brightest sample is brighter than the line by at least this, HU.
        rays_share: Share of the rays that find a wall where the line is walled.
    """

    rays: int = 16
    beyond_mm: float = 3.0
    step_mm: float = 0.5
    rise_hu: float = 80.0
    rays_share: float = 0.6


#: The rules in use.
RIM = RimRules()


def tangents_of(points: _Points) -> _Points:
    """Return unit vectors along a line of points, shape (n, 3)."""
    along = np.gradient(points, axis=0) if len(points) > 1 else np.tile([0.0, 0.0, 1.0], (len(points), 1))
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    out: _Points = np.where(lengths > 0, along / np.maximum(lengths, 1e-9), [0.0, 0.0, 1.0])
    return out


def rim_share(
    hu: npt.NDArray[np.float32],
    spacing: Spacing,
    points: _Points,
    tangents: _Points,
    radii: npt.NDArray[np.float64],
    rules: RimRules = RIM,
) -> npt.NDArray[np.float64]:
    """Return the share of rays that find a wall, at each point of a line.

    Args:
        hu: HU, shape (x, y, z).
        spacing: Distance between voxels in mm.
        points: Positions in mm from the centre of the first voxel, shape (n, 3).
        tangents: Unit vectors along the line, shape (n, 3).
        radii: Radius of the lumen in mm, shape (n,).
        rules: What counts as a wall.

    Returns:
        Shares of 0 to 1, shape (n,).
    """
    from scipy import ndimage

    if not len(points):
        return np.zeros(0)
    helper = np.where(np.abs(tangents[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    one = np.cross(tangents, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(tangents, one)
    angles = np.arange(rules.rays) * (2 * np.pi / rules.rays)
    rays = np.cos(angles)[None, :, None] * one[:, None] + np.sin(angles)[None, :, None] * other[:, None]
    reach = radii + rules.beyond_mm
    steps = np.arange(1, int(np.ceil(float(reach.max()) / rules.step_mm)) + 1) * rules.step_mm
    brightest = np.full((len(points), rules.rays), -np.inf)
    scale = 1 / np.array(spacing)
    centre = ndimage.map_coordinates(hu, (points * scale).T, order=1, mode="nearest")
    for step in steps:
        near = np.flatnonzero(step <= reach)
        places = (points[near, None] + step * rays[near]) * scale
        values = ndimage.map_coordinates(hu, places.reshape(-1, 3).T, order=1, mode="nearest")
        brightest[near] = np.maximum(brightest[near], values.reshape(len(near), rules.rays))
    out: npt.NDArray[np.float64] = np.mean(brightest - centre[:, None] >= rules.rise_hu, axis=1)
    return out
