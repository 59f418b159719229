"""Lungs from two sources: their air, which is sure where there is any, and the network, which knows disease.

Air is physics: where there is aerated lung it gives place, surface and side, on any scanner and in any body.
The network adds what is dense and takes away what is no lung, but only in pieces that it is sure of as a
whole: a network that has not seen a body like this one may dream of lung in liver or spleen, and does so with
middling probability, while disease that it knows is called with high probability in its core.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.fill import fill_enclosed
from hilum.core.labels import Lung
from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import (
    Mask,
    bounding_box,
    close_,
    components,
    touching,
)

__all__ = ["Rules", "join_lungs"]

Float = npt.NDArray[np.floating[Any]]
#: Smaller pieces are neither added nor taken away, mL.
_LEAST_ML = 0.3
#: Notches and pockets up to twice this wide in what was added are lung, unless they are surely none: fluid
#: and free gas lie along the chest wall, not in the midst of a lung.
_CLOSING_MM, _POCKET = 6.0, 0.15
#: Notches that are left in a lung, at vessels and dense spots, are closed as far as those of the training's
#: labels are, where the network does not deny it.
_NOTCH_MM, _NOTCH = 9.0, 0.30
#: A piece that touches no aerated lung, or is of a side that has none, is added from this size on only: a
#: lung without air.
_ALONE_ML = 150.0


#: Of the body are blocks above this. Fat usually, how far off it may be, and its highest; how far above it
#: soft tissue lies.
_BODY_HU = -250.0
_USUAL_FAT_HU, _FAT_OFF_HU, _FAT_BELOW_HU, _FAT_TO_TISSUE = -100.0, 90.0, -30.0, (100.0, 190.0)


@dataclass(frozen=True)
class Rules:
    """How sure the network must be; chosen on cases held out of the training (``thresholds`` of the recipe).

    Attributes:
        sure: A piece is added where a quarter of it is called lung with at least this probability: the
            smallest, and one of ``large_ml`` or more. The larger the claim, the surer it must be.
        large_ml: mL.
        loose: The same for a piece of ``large_ml`` or more that lies against lung with less than
            ``least_contact`` of its surface: liver, spleen and bowel do, disease is mostly wrapped in lung.
            No more than ``sure`` by default: a network that learnt domes needs no more.
        least_contact: Share of the surface.
        aloof: A piece that lies against lung with less than the first share of its surface, though its side
            has more aerated lung than it would add, needs the second probability: dense lung lies in a lung.
        fat: Such a piece is none where its median is that of the scan's own fat, so many HU below or above:
            fat of the belly, which lung with disease resembles only where it passes from air to tissue.
        levels: Pieces are bounded by these probabilities in turn: where the whole of one is not sure enough,
            the surer parts of it are tried.
        surely_not: A piece is taken away where three quarters of it are called lung with at most this.
    """

    sure: tuple[float, float] = (0.60, 0.80)
    large_ml: float = 60.0
    loose: float = 0.80
    least_contact: float = 0.40
    aloof: tuple[float, float] = (0.15, 0.95)
    fat: tuple[float, float] = (-30.0, 55.0)
    levels: tuple[float, ...] = (0.50, 0.65, 0.80)
    surely_not: float = 0.20


def join_lungs(
    aerated: npt.NDArray[np.uint8],
    right: Float,
    left: Float,
    keep_out: Mask,
    spacing: WorkingSpacing,
    rules: Rules = Rules(),
    hu: Float | None = None,
) -> npt.NDArray[np.uint8]:
    """Add to the aerated lungs what the network is sure of, and take away what it surely denies.

    Args:
        aerated: Lung labels found by air.
        right: Probability of right lung, same shape.
        left: Probability of left lung.
        keep_out: What no lung may enter: the room, trachea, gas of the bowel.
        spacing: Block size in mm.
        rules: Thresholds.
        hu: Block means on the scale of true HU; None where fat is not to be told.

    Returns:
        Lung labels.
    """
    p = right + left
    out = aerated.copy()
    # All that is changed lies within this box; the rest of the scan need not be looked at.
    margin = 2 * (_CLOSING_MM + max(spacing))
    box = bounding_box((aerated > 0) | (p >= min(rules.levels)), margin, spacing)
    if box is not None:
        near = None if hu is None else hu[box]
        out[box] = _joined(aerated[box], right[box], left[box], keep_out[box], spacing, rules, near)
    return out


def _joined(
    aerated: npt.NDArray[np.uint8],
    right: Float,
    left: Float,
    keep_out: Mask,
    spacing: WorkingSpacing,
    rules: Rules,
    hu: Float | None,
) -> npt.NDArray[np.uint8]:
    ml = float(np.prod(spacing)) / 1000.0
    p = right + left
    out = aerated.copy()
    for piece, size in _pieces((aerated > 0) & (p < 0.5), ml):
        if size >= _LEAST_ML and np.quantile(p[piece], 0.75) <= rules.surely_not:
            out[piece] = Lung.BACKGROUND
    around = touching(out > 0)
    small, large = rules.sure
    present = [side for side in (Lung.RIGHT, Lung.LEFT) if (out == side).any()]
    grown: set[int] = set()

    @cache  # few scans have a piece that asks for it
    def fat() -> float:
        assert hu is not None
        return fat_hu(hu[(hu > _BODY_HU) & (p < rules.surely_not)])

    for level in rules.levels:
        for piece, size in _pieces((out == 0) & (p >= level) & ~keep_out, ml):
            needed = small + (large - small) * min(1.0, size / rules.large_ml)
            sides = np.where(right[piece] >= left[piece], Lung.RIGHT, Lung.LEFT)
            contact = _contact(piece, out) if size >= rules.large_ml else 1.0
            if contact < rules.least_contact:
                if hu is not None and rules.fat[0] < np.median(hu[piece]) - fat() < rules.fat[1]:
                    continue
                side = Lung.RIGHT if (sides == Lung.RIGHT).mean() > 0.5 else Lung.LEFT
                alone = contact < rules.aloof[0] and size < ml * np.count_nonzero(aerated == side)
                needed = rules.aloof[1] if alone else rules.loose
            if np.quantile(p[piece], 0.75) < needed:
                continue
            attached = around[piece].any() and np.isin(sides, present).mean() > 0.5
            if not attached and size < _ALONE_ML:
                continue
            out[piece] = sides
            grown.update(np.unique(sides).tolist())
    for side in (Lung.RIGHT, Lung.LEFT):
        if side in grown:
            closed = close_(out == side, _CLOSING_MM, spacing)
            out[closed & (out == 0) & (p >= _POCKET) & ~keep_out] = side
        notches = close_(out == side, _NOTCH_MM, spacing)
        out[notches & (out == 0) & (p >= _NOTCH) & ~keep_out] = side
        whole = fill_enclosed(out == side, spacing)
        out[whole & (out == 0) & ~keep_out] = side
    return out


def fat_hu(hu: Float) -> float:
    """Return the HU of fat in a scan, by the peaks of its histogram; by that of soft tissue if fat has none.

    Args:
        hu: Of the body without its lungs, any shape.
    """
    counts, edges = np.histogram(hu, bins=100, range=(-250, 250))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 2)
    peaks = [
        k
        for k in range(1, 99)
        if smooth[k - 1] < smooth[k] >= smooth[k + 1] and smooth[k] > 0.1 * smooth.max()
    ]
    if not peaks:
        return _USUAL_FAT_HU
    at = {k: float(edges[k] + edges[k + 1]) / 2 for k in peaks}
    highest = max(peaks, key=lambda k: smooth[k])
    above, below = (
        [k for k in peaks if _FAT_TO_TISSUE[0] < sign * (at[k] - at[highest]) < _FAT_TO_TISSUE[1]]
        for sign in (1, -1)
    )
    found = at[highest] - sum(_FAT_TO_TISSUE) / 2
    if below:
        found = at[below[0]]
    elif above and at[highest] < _FAT_BELOW_HU:  # else muscle, and blood with contrast medium above it
        found = at[highest]
    return found if abs(found - _USUAL_FAT_HU) < _FAT_OFF_HU else _USUAL_FAT_HU


def _contact(piece: tuple[npt.NDArray[np.intp], ...], lungs: npt.NDArray[np.uint8]) -> float:
    """Share of the blocks round a piece that are lung."""
    box = tuple(slice(max(0, int(i.min()) - 1), int(i.max()) + 2) for i in piece)
    own = np.zeros(lungs[box].shape, bool)
    own[tuple(i - s.start for i, s in zip(piece, box, strict=True))] = True
    shell = touching(own) & ~own
    return float((lungs[box][shell] > 0).mean()) if shell.any() else 1.0


def _pieces(mask: Mask, ml: float) -> list[tuple[tuple[npt.NDArray[np.intp], ...], float]]:
    """Return the connected pieces as indices, with their size in mL, largest first."""
    labels, counts = components(mask)
    counts[0] = 0
    boxes = ndimage.find_objects(labels.astype(np.int32))
    found = []
    for label in np.argsort(counts)[::-1]:
        if counts[label] * ml < _LEAST_ML:
            break
        box = boxes[label - 1]
        local = np.nonzero(labels[box] == label)
        index = tuple(i + s.start for i, s in zip(local, box, strict=True))
        found.append((index, float(counts[label] * ml)))
    return found
