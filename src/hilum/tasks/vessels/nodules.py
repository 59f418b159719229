"""Nodules and masses: bodies that are as long as they are thick, which a vessel is not.

A ball that fills a vessel has neighbours of the same size along the vessel. Round a nodule tissue is thinner:
two radii from its middle there is lung, and the vessels that reach it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.imaging.morphology import Mask
from hilum.tasks.vessels.prepare import Floats

__all__ = ["NODULE_MM", "nodules"]

Spacing = tuple[float, float, float]
#: Radius of the ball that fits into a nodule, mm. A thinner body may be a wide place of a vessel.
NODULE_MM = 2.9
#: The shell lies between these numbers of radii from the middle, each with a part of the border's blur, mm.
_SHELL, _SHELL_MM = (1.6, 2.0), (0.5, 0.7)
#: Deepest tissue in the shell as a share of the radius: 0.16 to 0.65 for 21 of 24 nodules of 6 to 24 mm that
#: were put into a digital chest, from 0.77 on for its vessels, from 0.70 on for those of two patients.
_MOST_THICK = 0.68
#: Largest share of the shell that is tissue: up to 0.13 for 20 of those nodules; others touch the pleura.
_MOST_SHARE = 0.2
#: A nodule reaches this many radii from its middle, and a voxel more.
_REACH = 1.5
#: Places where a ball fits best are this far apart, mm.
_APART_MM = 2.0


def nodules(solid: Mask, solid_depth: Floats, inside: Mask, spacing: Spacing) -> Mask:
    """Find bodies that are as long as they are thick, with the rim that they shine into.

    Args:
        solid: Tissue without air, shape (x, y, z).
        solid_depth: Distance of each of its voxels from what is outside of it, mm.
        inside: Where the shape of tissue is seen: the lungs without their outermost layer.
        spacing: Distance between voxels in mm.
    """
    out = np.zeros(solid.shape, bool)
    steps = np.array(spacing)
    done: list[tuple[npt.NDArray[np.intp], float]] = []
    for peak in _peaks(solid_depth, spacing):
        radius = float(solid_depth[tuple(peak)])
        if any(np.linalg.norm((peak - other) * steps) < reach for other, reach in done):
            continue
        done.append((peak, radius))
        box, away = _around(peak, _SHELL[1] * radius + _SHELL_MM[1], spacing, solid.shape)
        shell = inside[box] & (away > _SHELL[0] * radius + _SHELL_MM[0])
        shell &= away <= _SHELL[1] * radius + _SHELL_MM[1]
        if not shell.any() or solid[box][shell].mean() > _MOST_SHARE:
            continue
        if solid_depth[box][shell].max() <= _MOST_THICK * radius:
            out[box] |= away <= _REACH * radius + max(spacing)
    return out


def _peaks(solid_depth: Floats, spacing: Spacing) -> npt.NDArray[np.intp]:
    """Places where the largest balls fit, largest first."""
    from scipy import ndimage

    where = np.argwhere(solid_depth >= NODULE_MM)
    if not len(where):
        return where
    size = [2 * int(np.ceil(_APART_MM / step)) + 1 for step in spacing]
    top = ndimage.maximum_filter(solid_depth, size=size)
    peaks = where[(top == solid_depth)[tuple(where.T)]]
    order = np.argsort(-solid_depth[tuple(peaks.T)], kind="stable")
    return np.asarray(peaks[order])


def _around(
    peak: npt.NDArray[np.intp], reach: float, spacing: Spacing, shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], Floats]:
    """Return the box round a voxel, and the distance of its voxels from it."""
    box = tuple(
        slice(max(0, int(at - reach / step)), min(n, int(at + reach / step) + 2))
        for at, step, n in zip(peak, spacing, shape, strict=True)
    )
    lines = [
        step * (np.arange(part.start, part.stop) - at)
        for part, at, step in zip(box, peak, spacing, strict=True)
    ]
    x, y, z = np.ix_(*lines)
    return box, np.sqrt(x**2 + y**2 + z**2).astype(np.float32)
