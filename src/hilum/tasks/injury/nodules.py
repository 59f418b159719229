"""Nodules: round solid bodies of 6 to 30 mm, alone or with vessels and pleura that hang on to them.

A nodule is a peak of the response to blobs that is curved alike in all directions and that has little
dense lung round it. Branching points of vessels are blobs, too, but flat in one direction, and vessels
leave them on all sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.imaging.hessian import Eigenvalues, map_eigenvalues
from hilum.imaging.morphology import Mask, components, depth, dilate
from hilum.tasks.injury.fields import Floats, Spacing

__all__ = ["nodule_blocks"]

#: Scales at which blobs are looked for, mm: a ball of radius r answers most at 0.58 r.
BLOB_SCALES_MM = (1.8, 3.0, 4.5, 6.5)
#: Least response times roundness, HU, and the same near the hila, where vessels branch. In two digital chests
#: (seeds 110 and 112) nodules have at least 110, other peaks with little round them at most 64.
ROUND_HU, HILAR_ROUND_HU = 75.0, 100.0
#: Response below which no peak is looked at, HU.
BLOB_HU = 90.0
#: Diameters, mm. A nodule of 6 mm is a millimetre less wide on blocks without thin structures.
DIAMETER_MM = (5.0, 30.0)
#: A nodule is wider than this many blocks along each axis: what is smaller looks round whatever it is.
RESOLVED_BLOCKS = 2.5
#: A nodule with vessels reaches this many times as far from its middle as the nearest block outside.
ROUND_REACH = 1.4
#: Round it, to this distance, mm, less than this share is dense: vessels, not a larger piece.
SHELL_MM, SHELL_SHARE = 4.0, 0.12
#: Least share of the ball round its centre, with the radius of the farthest block, that a piece fills which
#: is a nodule as a whole.
COMPACT = 0.30


@dataclass(frozen=True, eq=False)
class _Search:
    """Where nodules are looked for: dense blocks without thin vessels, and their distance to others, mm."""

    core: Mask
    inside: Floats
    hila: Mask
    spacing: Spacing
    most_mm: float

    @property
    def least_mm(self) -> float:
        """Smallest diameter that is taken, at least what the blocks resolve."""
        return max(DIAMETER_MM[0], RESOLVED_BLOCKS * max(self.spacing))


def nodule_blocks(
    image: Floats, dense: Mask, hila: Mask, spacing: Spacing, most_mm: float = DIAMETER_MM[1]
) -> Mask:
    """Find nodules among dense blocks.

    Args:
        image: HU of the blocks; beyond the lungs what is expected of lung.
        dense: Blocks that may be nodule.
        hila: Blocks near the hila.
        spacing: Size of a block in mm.
        most_mm: Largest diameter.

    Returns:
        The blocks of all nodules.
    """
    out = np.zeros(dense.shape, bool)
    core = _opened(dense, spacing) if dense.any() else out
    if not core.any():
        return out
    response = map_eigenvalues(image, spacing, BLOB_SCALES_MM, _blob, core)
    roundness = map_eigenvalues(image, spacing, BLOB_SCALES_MM, _roundness, core)
    top = ndimage.maximum_filter(response, 3, mode="nearest")
    score = response * roundness
    least = np.where(hila, np.float32(HILAR_ROUND_HU), np.float32(ROUND_HU))
    peaks = np.argwhere((response == top) & (response >= BLOB_HU) & (score >= least) & core)
    labels, counts = components(core, 26)
    search = _Search(core, np.asarray(depth(core, spacing), np.float32), hila, spacing, most_mm)
    boxes = ndimage.find_objects(labels.astype(np.int32))
    high = np.pi / 6 * most_mm**3 / float(np.prod(spacing))
    for peak in peaks:
        number = int(labels[tuple(peak)])
        part = boxes[number - 1]
        ball = _ball(peak, search)
        if ball is None or part is None:
            continue
        body = labels[part] == number
        if counts[number] <= high and _compact(body, spacing):
            out[part] |= body
        else:
            where, inside = ball
            out[where] |= inside & core[where]
    grown: Mask = dilate(out, 1.01 * max(spacing), spacing) & dense
    return grown


def _opened(dense: Mask, spacing: Spacing) -> Mask:
    """Dense blocks without what is thinner than about 5 mm: the vessels that reach a nodule."""
    radius = 2.2
    inside = depth(dense, spacing) > radius
    return np.asarray(dilate(inside, radius, spacing) & dense)


def _ball(peak: npt.NDArray[np.intp], search: _Search) -> tuple[tuple[slice, ...], Mask] | None:
    """The ball of a nodule round a peak; None where its size is wrong or too much round it is dense."""
    radius = ROUND_REACH * float(search.inside[tuple(peak)])
    if not search.least_mm <= 2 * radius <= search.most_mm:
        return None
    reach = radius + SHELL_MM
    part = tuple(
        slice(max(0, int(at - reach / step)), int(at + reach / step) + 2)
        for at, step in zip(peak, search.spacing, strict=True)
    )
    lines = [
        step * (np.arange(piece.start, min(piece.stop, n)) - at)
        for piece, n, at, step in zip(part, search.core.shape, peak, search.spacing, strict=True)
    ]
    away = np.sqrt(sum(x**2 for x in np.ix_(*lines)))
    shell = (away > radius) & (away <= reach)
    if search.core[part][shell].mean() > SHELL_SHARE:
        return None
    return part, np.asarray(away <= radius)


def _compact(mask: Mask, spacing: Spacing) -> bool:
    points = np.argwhere(mask) * np.array(spacing)
    centre = points.mean(axis=0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(axis=1).max())) + 0.5 * float(np.mean(spacing))
    ball = 4 / 3 * np.pi * radius**3
    return len(points) * float(np.prod(spacing)) >= COMPACT * ball


def _blob(eigenvalues: Eigenvalues) -> Floats:
    """Response to a bright blob: curved in every direction."""
    return np.maximum(-eigenvalues[0], 0)


def _roundness(eigenvalues: Eigenvalues) -> Floats:
    """Least over most curvature of a blob, 0 to 1: 1 for a ball."""
    least, _, most = eigenvalues
    clear = least < -np.float32(BLOB_HU)
    return np.where(clear, least / np.minimum(most, np.float32(-1)), np.float32(0)).astype(np.float32)
