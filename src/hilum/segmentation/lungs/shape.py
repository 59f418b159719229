"""From probabilities to two lungs: what hangs together, on the right side, without trachea and free gas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import NotAChestError
from hilum.labels import Lung
from hilum.segmentation.classic.fill import fill_enclosed
from hilum.segmentation.classic.morphology import Mask, Spacing, components
from hilum.segmentation.classic.select import share_of_body

__all__ = ["require_chest", "two_lungs"]

Float = npt.NDArray[np.floating[Any]]
#: Less than this is no lung, mL; a side's smaller pieces below this share of its largest are strays.
_LEAST_ML, _LEAST_PART = 60.0, 0.05
#: A chest has an axial slice with at least this share of lung in the body's cross-section.
_LEAST_SHARE = 0.08


def two_lungs(right: Float, left: Float, spacing: Spacing) -> npt.NDArray[np.uint8]:
    """Decide for each block; keep the main pieces; give a piece to the side that most of it has.

    Args:
        right: Probability of right lung, (x, y, z).
        left: Probability of left lung.
        spacing: Block size in mm.

    Returns:
        Lung labels.
    """
    out = np.zeros(right.shape, np.uint8)
    both = right + left >= 0.5
    out[both] = np.where(right[both] >= left[both], Lung.RIGHT, Lung.LEFT)
    ml = float(np.prod(spacing)) / 1000.0
    for side in (Lung.RIGHT, Lung.LEFT):
        labels, counts = components(out == side)
        counts[0] = 0
        if counts.max(initial=0) == 0:
            continue
        keep = (counts >= _LEAST_PART * counts.max()) & (counts * ml > 2.0)
        stray = ~keep[labels] & (out == side)
        other = Lung.LEFT if side == Lung.RIGHT else Lung.RIGHT
        out[stray] = 0
        out = _hand_over(out, stray, other)
        whole = fill_enclosed(out == side, spacing)
        out[whole & (out == 0)] = side
    return out


def _hand_over(labels: npt.NDArray[np.uint8], stray: Mask, other: Lung) -> npt.NDArray[np.uint8]:
    """Give stray pieces that touch the other lung to it."""
    pieces, counts = components(stray)
    if counts.size < 2:
        return labels
    theirs = labels == other
    touch = np.zeros(counts.size, bool)
    for axis in range(3):
        a, b = np.moveaxis(pieces, axis, 0), np.moveaxis(theirs, axis, 0)
        touch[a[1:][b[:-1]]] = True
        touch[a[:-1][b[1:]]] = True
    touch[0] = False
    out = labels.copy()
    out[touch[pieces]] = other
    return out


def require_chest(lungs: npt.NDArray[np.uint8], filled: Mask, spacing: Spacing) -> None:
    """Raise where no chest is seen.

    Args:
        lungs: Lung labels.
        filled: The body with the air in it, same shape.
        spacing: Block size in mm.

    Raises:
        NotAChestError: There is no lung, or only the tips of the lungs above an abdomen.
    """
    found = lungs > 0
    if found.sum() * float(np.prod(spacing)) / 1000.0 < _LEAST_ML:
        raise NotAChestError(
            "No lung was found in this scan.", "Check that it is a chest CT and not another body part."
        )
    share = share_of_body(found, filled | found)
    planes = np.flatnonzero(found.any(axis=(0, 1)))
    height = found.shape[2]
    tips = planes[-1] >= height - 2 and planes.size < 0.2 * height and share < 0.2
    if share < _LEAST_SHARE or tips:
        raise NotAChestError(
            f"This is not a chest: what looks like lung takes at most {100 * share:.0f} % of the body's "
            f"cross-section, in {planes.size} of {height} slices.",
            "Give a chest CT; an abdomen may show the tips of the lungs, but not enough to measure.",
        )
