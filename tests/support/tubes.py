"""Tubes and plates with exact positions, on voxels of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def places(shape: tuple[int, int, int], spacing: Sequence[float]) -> Floats:
    """Position of each voxel in mm, shape (i, j, k, 3); voxel (0, 0, 0) lies at the origin."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * np.asarray(spacing, float)


def grid_affine(spacing: Sequence[float]) -> Floats:
    return np.diag([*map(float, spacing), 1.0])


def unit(direction: Sequence[float]) -> Floats:
    axis = np.asarray(direction, float)
    return axis / np.linalg.norm(axis)


def distance_to_segment(at: Floats, start: Sequence[float], end: Sequence[float]) -> Floats:
    start, along = np.asarray(start, float), np.asarray(end, float) - np.asarray(start, float)
    share = np.clip(((at - start) @ along) / (along @ along), 0, 1)
    return np.linalg.norm(at - start - share[..., None] * along, axis=-1)


def draw_tubes(
    shape: tuple[int, int, int],
    spacing: Sequence[float],
    segments: Sequence[tuple[Sequence[float], Sequence[float], float]],
) -> npt.NDArray[np.bool_]:
    """Mask of round tubes, each from start to end (mm) with a radius in mm and round ends."""
    at = places(shape, spacing)
    mask = np.zeros(shape, bool)
    for start, end, radius in segments:
        mask |= distance_to_segment(at, start, end) <= radius
    return mask


def gaussian_tube(shape: tuple[int, int, int], spacing: Sequence[float], direction, sigma: float) -> Floats:
    """Endless tube of contrast 1 through the middle, with a Gaussian cross-section."""
    at = places(shape, spacing) - (np.asarray(shape) - 1) / 2 * np.asarray(spacing)
    axis = unit(direction)
    across = (at**2).sum(axis=-1) - (at @ axis) ** 2
    return np.exp(-across / (2 * sigma**2))


def gaussian_plate(shape: tuple[int, int, int], spacing: Sequence[float], normal, sigma: float) -> Floats:
    """Endless plate of contrast 1 through the middle, with a Gaussian profile."""
    at = places(shape, spacing) - (np.asarray(shape) - 1) / 2 * np.asarray(spacing)
    return np.exp(-((at @ unit(normal)) ** 2) / (2 * sigma**2))
