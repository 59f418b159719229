"""Bring slices with gaps, uneven steps, a tilted gantry or sideways shifts onto one rectangular grid.

Linear interpolation, along the normal between the two nearest slices, and in the plane where slices are
shifted. Only done when the user asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.constants import LOWEST_HU
from hilum.core.flags import FlagCode
from hilum.io.dicom.findings import Finding
from hilum.io.dicom.geometry import Grid

__all__ = ["Resampled", "resample"]


@dataclass(frozen=True, eq=False)
class Resampled:
    """A stack on a rectangular grid.

    Attributes:
        hu: Shape (k, j, i).
        affine: 4 x 4, voxel (i, j, k) to RAS mm.
        finding: What was done.
    """

    hu: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    finding: Finding


def resample(hu: npt.NDArray[Any], grid: Grid) -> Resampled:
    """Interpolate a stack onto the even, orthogonal grid that covers it.

    The step is the median distance of the slices, the plane is enlarged until every shifted slice fits in,
    and what no slice covers is -1024 HU.

    Args:
        hu: Shape (k, j, i), one plane per slice of ``grid``.
        grid: Where they lie.
    """
    shifts = grid.shifts / np.array(grid.spacing)  # pixels along i and j
    low = np.floor(shifts.min(axis=0) + 1e-6).astype(int)
    high = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    if np.abs(shifts).max() < 0.5:
        low, high, shifts = np.zeros(2, int), np.zeros(2, int), np.zeros_like(shifts)
    span = float(grid.places[-1] - grid.places[0])
    count = max(2, round(span / grid.step) + 1)
    wanted = grid.places[0] + np.linspace(0.0, span, count)
    columns, rows = hu.shape[2] + int(high[0] - low[0]), hu.shape[1] + int(high[1] - low[1])
    out = np.empty((count, rows, columns), hu.dtype)
    laid: dict[int, npt.NDArray[np.float32]] = {}
    made = 0
    for k, place in enumerate(wanted):
        below = int(np.clip(np.searchsorted(grid.places, place, "right") - 1, 0, len(grid.places) - 2))
        for old in [n for n in laid if n < below]:
            del laid[old]
        for n in (below, below + 1):
            if n not in laid:
                laid[n] = _lay(hu[n], shifts[n] - low, (rows, columns))
        part = (place - grid.places[below]) / (grid.places[below + 1] - grid.places[below])
        made += bool(min(part, 1 - part) > 0.02)
        mixed = laid[below] * np.float32(1 - part) + laid[below + 1] * np.float32(part)
        out[k] = np.rint(mixed) if out.dtype == np.int16 else mixed
    return Resampled(out, _affine(grid, low, span / (count - 1)), _finding(made, count, shifts))


def _lay(
    plane: npt.NDArray[Any], shift: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Put a slice into a larger plane, moved by ``shift`` pixels along (i, j), both at least 0."""
    padded = np.full(shape, LOWEST_HU, np.float32)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    if not shift.any():
        return padded
    moved: npt.NDArray[np.float32] = ndimage.shift(
        padded, shift[::-1], order=1, mode="constant", cval=LOWEST_HU
    )
    return moved


def _affine(grid: Grid, low: npt.NDArray[np.int_], step: float) -> npt.NDArray[np.float64]:
    o = grid.orientation
    lps = np.eye(4)
    lps[:3, 0] = o.row * grid.spacing[0]
    lps[:3, 1] = o.column * grid.spacing[1]
    lps[:3, 2] = o.normal * step
    lps[:3, 3] = np.asarray(grid.planes[0].origin) + lps[:3, 0] * low[0] + lps[:3, 1] * low[1]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _finding(made: int, count: int, shifts: npt.NDArray[np.float64]) -> Finding:
    sentence = (
        f"{made} of {count} slices were made by linear interpolation between their neighbours, as asked for."
    )
    if shifts.any():
        sentence += " The slices were shifted in their plane onto a rectangular grid."
    return Finding(FlagCode.RESAMPLED, sentence)
