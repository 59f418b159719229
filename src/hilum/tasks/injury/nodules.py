"""Nodules: round solid bodies of 6 to 30 mm that are no part of a vessel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hilum.imaging.hessian import Eigenvalues, map_eigenvalues
from hilum.imaging.morphology import Mask, components, depth, dilate
from hilum.tasks.injury.fields import Floats, Spacing

__all__ = ["nodule_blocks"]

#: Scales at which blobs are looked for, mm: a ball of radius r answers most at 0.58 r.
BLOB_SCALES_MM = (1.8, 3.0, 4.5, 6.5)
#: Response from which a block is the middle of a blob, HU; a ball of 900 HU contrast reaches about 200, 99
#: % of the blocks of vessels of digital chests stay below 90.
BLOB_HU = 110.0
#: Diameters of the ball of the same volume, mm.
DIAMETER_MM = (6.0, 30.0)
#: The same for a piece that is not round as a whole, HU.
ATTACHED_HU = 150.0
#: Such a nodule reaches this many times as far from its middle as the nearest block outside.
ROUND_REACH = 1.4
#: Round it, to this distance, mm, less than this share is dense: vessels, not a larger piece.
SHELL_MM, SHELL_SHARE = 4.0, 0.25
#: Least share of the ball round its centre, with the radius of the farthest block, that a nodule fills.
COMPACT = 0.30


def nodule_blocks(
    image: Floats, dense: Mask, hila: Mask, spacing: Spacing, most_mm: float = DIAMETER_MM[1]
) -> Mask:
    """Find nodules among dense blocks.

    Args:
        image: HU of the blocks; beyond the lungs what is expected of lung.
        dense: Blocks that may be nodule.
        hila: Blocks near the hila: round parts of vessels there are no nodules.
        spacing: Size of a block in mm.
        most_mm: Largest diameter.

    Returns:
        The blocks of all nodules.
    """
    out = np.zeros(dense.shape, bool)
    if not dense.any():
        return out
    core = _opened(dense, spacing)
    labels, counts = components(core, 26)
    if len(counts) < 2:
        return out
    response = map_eigenvalues(image, spacing, BLOB_SCALES_MM, _blob, core)
    strength = ndimage.maximum(response, labels, np.arange(1, len(counts)))
    block = float(np.prod(spacing))
    low, high = (np.pi / 6 * d**3 / block for d in (DIAMETER_MM[0], most_mm))
    boxes = ndimage.find_objects(labels.astype(np.int32))
    for number, (count, peak) in enumerate(zip(counts[1:], strength, strict=True), start=1):
        part = boxes[number - 1]
        if part is None or peak < BLOB_HU or not 0.4 * low <= count <= high:
            continue
        body = labels[part] == number
        if _compact(body, spacing):
            out[part] |= body
    out |= _attached(response, core & ~out, core & ~hila, spacing, most_mm)
    grown: Mask = dilate(out, 1.01 * max(spacing), spacing) & dense
    return grown


def _opened(dense: Mask, spacing: Spacing) -> Mask:
    """Dense blocks without what is thinner than about 5 mm: the vessels that reach a nodule."""
    radius = 2.2
    inside = depth(dense, spacing) > radius
    return np.asarray(dilate(inside, radius, spacing) & dense)


def _attached(response: Floats, core: Mask, allowed: Mask, spacing: Spacing, most_mm: float) -> Mask:
    """Round parts of larger pieces: nodules with the vessels that hang on to them."""
    out = np.zeros(core.shape, bool)
    top = ndimage.maximum_filter(response, 3, mode="nearest")
    peaks = np.argwhere((response == top) & (response >= ATTACHED_HU) & core & allowed)
    inside = depth(core, spacing) if len(peaks) else response
    for peak in peaks:
        radius = ROUND_REACH * float(inside[tuple(peak)])
        if not DIAMETER_MM[0] <= 2 * radius <= most_mm:
            continue
        reach = radius + SHELL_MM
        part = tuple(
            slice(max(0, int(at - reach / step)), int(at + reach / step) + 2)
            for at, step in zip(peak, spacing, strict=True)
        )
        lines = [
            step * (np.arange(piece.start, min(piece.stop, n)) - at)
            for piece, n, at, step in zip(part, core.shape, peak, spacing, strict=True)
        ]
        away = np.sqrt(sum(x**2 for x in np.ix_(*lines)))
        shell = (away > radius) & (away <= reach)
        if core[part][shell].mean() < SHELL_SHARE:
            out[part] |= core[part] & (away <= radius)
    return out


def _compact(mask: Mask, spacing: Spacing) -> bool:
    points = np.argwhere(mask) * np.array(spacing)
    centre = points.mean(axis=0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(axis=1).max())) + 0.5 * float(np.mean(spacing))
    ball = 4 / 3 * np.pi * radius**3
    return len(points) * float(np.prod(spacing)) >= COMPACT * ball


def _blob(eigenvalues: Eigenvalues) -> Floats:
    """Response to a bright blob: curved in every direction."""
    return np.maximum(-eigenvalues[0], 0)
