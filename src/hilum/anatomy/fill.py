"""From aerated lung to whole lung: vessels, nodules and enclosed islands are included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import (
    Mask,
    bounding_box,
    close_,
    components,
    dilate,
)

__all__ = ["FILL", "FillRules", "cut_airways", "fill_enclosed", "fill_lungs"]


@dataclass(frozen=True)
class FillRules:
    """Rules for closing and filling aerated lungs.

    Chosen by hand on the 214 slices of docs/results/classic.md, so not held out; no value was searched for or
    ablated. Unless stated otherwise a value is the order of magnitude of what it describes. Lengths and
    volumes are in working mm, cm2 and mL, HU on the scale of true HU.

    Attributes:
        closing_mm: Notches up to twice this wide belong to the lung: vessels at its surface, nodules at the
            pleura.
        island_cm2: In a single slice an enclosed island up to this size is a vessel or a mass; a larger one
            is liver or heart.
        wall: Width in blocks of the wall of the central airways.
    """

    closing_mm: float = 8.0
    island_cm2: float = 6.0
    wall: float = 1.2


#: The rules in use.
FILL = FillRules()


def fill_lungs(
    sides: npt.NDArray[np.uint8],
    exclusion_mask: Mask,
    spacing: WorkingSpacing,
    closing_mm: float = FILL.closing_mm,
) -> npt.NDArray[np.uint8]:
    """Close each lung separately, so that heart and mediastinum are not included, and fill enclosed holes.

    Args:
        sides: Aerated lung, labels of :class:`hilum.core.labels.Lung`.
        exclusion_mask: Voxels that never become lung: central airways, air outside the body, bowel gas.
        spacing: Block size.
        closing_mm: Radius of the closing.

    Returns:
        Whole lungs on the same grid.
    """
    out = sides.copy()
    for side in (Lung.RIGHT, Lung.LEFT):
        mask = sides == side
        if not mask.any():
            continue
        whole = fill_enclosed(close_(mask, closing_mm, spacing), spacing)
        out[whole & (out == 0) & ~exclusion_mask] = side
    return out


def fill_enclosed(mask: Mask, spacing: WorkingSpacing) -> Mask:
    """Fill what ``mask`` encloses on all sides; in a single slice only islands of limited size."""
    box = bounding_box(mask, 2 * max(spacing[:2]), spacing)
    if box is None:
        return mask
    local = mask[box]
    padded = np.pad(~local, ((1, 1), (1, 1), (0, 0)), constant_values=True)
    if padded.shape[2] > 1:
        padded = np.pad(padded, ((0, 0), (0, 0), (1, 1)), constant_values=True)
    labels, counts = components(padded)
    fill = np.ones(counts.size, bool)
    fill[[0, labels[0, 0, 0]]] = False
    if local.shape[2] == 1:
        fill &= counts * spacing[0] * spacing[1] / 100.0 <= FILL.island_cm2
        inner = fill[labels][1:-1, 1:-1]
    else:
        inner = fill[labels][1:-1, 1:-1, 1:-1]
    out = mask.copy()
    out[box] |= inner
    return out


def cut_airways(lungs: npt.NDArray[np.uint8], lumen: Mask, spacing: WorkingSpacing) -> Mask:
    """Return the part of the airways that lies outside the lungs: trachea, main bronchi, with their walls.

    A bronchus counts as inside where lung surrounds it, that is, where closing the lung covers it; the rest
    is central.
    """
    central = lumen & (lungs == 0)
    labels, counts = components(central)
    if counts.size < 2:
        return np.asarray(central)
    counts[0] = 0
    walled = dilate(labels == counts.argmax(), FILL.wall * max(spacing[:2]), spacing)
    return np.asarray(walled & (lungs == 0), dtype=bool)
