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
#: A piece up to this many times the largest nodule is a nodule with what hangs on to it.
MOST_ATTACHED = 2.0
#: The nodule then reaches this many times as far from its middle as the nearest block outside.
ROUND_REACH = 1.4
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
        if part is None or peak < BLOB_HU or not 0.4 * low <= count <= MOST_ATTACHED * high:
            continue
        body = labels[part] == number
        if not _compact(body, spacing):
            if peak < ATTACHED_HU or (body & hila[part]).any():
                continue
            body = _round_part(body, response[part], spacing)
        if body.sum() <= high and _compact(body, spacing):
            out[part] |= body
    grown: Mask = dilate(out, 1.01 * max(spacing), spacing) & dense
    return grown


def _opened(dense: Mask, spacing: Spacing) -> Mask:
    """Dense blocks without what is thinner than about 5 mm: the vessels that reach a nodule."""
    radius = 2.2
    inside = depth(dense, spacing) > radius
    return np.asarray(dilate(inside, radius, spacing) & dense)


def _round_part(body: Mask, response: Floats, spacing: Spacing) -> Mask:
    """The part of a piece round the middle of its blob: a nodule without the vessels that hang on to it."""
    peak = np.unravel_index(int(np.argmax(np.where(body, response, -1))), body.shape)
    inside = depth(np.pad(body, 1), spacing)[1:-1, 1:-1, 1:-1]
    lines = [step * (np.arange(n) - at) for n, at, step in zip(body.shape, peak, spacing, strict=True)]
    square = sum(line.reshape([-1 if m == n else 1 for m in range(3)]) ** 2 for n, line in enumerate(lines))
    near = square <= (ROUND_REACH * float(inside[peak])) ** 2
    return np.asarray(body & near)


def _compact(mask: Mask, spacing: Spacing) -> bool:
    points = np.argwhere(mask) * np.array(spacing)
    centre = points.mean(axis=0)
    radius = float(np.sqrt(((points - centre) ** 2).sum(axis=1).max())) + 0.5 * float(np.mean(spacing))
    ball = 4 / 3 * np.pi * radius**3
    return len(points) * float(np.prod(spacing)) >= COMPACT * ball


def _blob(eigenvalues: Eigenvalues) -> Floats:
    """Response to a bright blob: curved in every direction."""
    return np.maximum(-eigenvalues[0], 0)
