"""Trachea and main bronchi: detected, tracked to the hilum, and excluded from the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import Mask, components, components_2d, dilate

__all__ = ["AIRWAYS", "AirwayRules", "CentralAirways", "find_central_airways", "wall_of"]


@dataclass(frozen=True)
class AirwayRules:
    """Rules for detecting the trachea and segmenting its lumen.

    Chosen by hand on the 214 slices of docs/results/classic.md, so not held out; no value was searched for or
    ablated. Unless stated otherwise a value is the order of magnitude of what it describes. Lengths and
    volumes are in working mm, cm2 and mL, HU on the scale of true HU.

    Attributes:
        area_mm2: (From, to) lumen of a trachea in an axial slice: children to tracheomegaly.
        lumen_hu: Below this a pocket of air may be the trachea: between lung and air.
        thresholds_hu: HU tried in turn, the brightest first, until the lumen no longer leaks into the lung.
        largest_ml: Largest plausible volume of trachea and bronchi; beyond it is a leak.
        wide_mm2: Area of the lumen from which ``largest_ml`` holds; below, the limit scales with
            the cube of the tracheal diameter.
        least_slices: Least number of slices in which a trachea is searched for.
        elongated: Largest ratio of a pocket's sides, plus one block.
        round: Least share of its box that a pocket fills; an ellipse fills 0.79.
        off_centre_mm: Largest distance from the middle of the slice.
        ring: Width in blocks of the ring of tissue round a pocket; the first block is mixed and left out.
        wall_hu: Threshold of tissue.
        walled: Least share of tissue in that ring.
        longest_mm: Length up to which a chain scores: that of a trachea.
        off_centre_weight: Penalty per mm off the middle, mm.
        low_penalty_mm: Penalty of a chain in the lower half of the scan, mm: bowel gas.
        low: Share of the scan's height below which a chain is low.
        chain_slices, chain_mm: Least length of a chain.
        wall_mm: Thickness of the wall, at least a block.
        block_slack: Blocks that count as the wall where they are coarser; just over one.
    """

    area_mm2: tuple[float, float] = (25.0, 800.0)
    lumen_hu: float = -800.0
    thresholds_hu: tuple[float, ...] = (-880.0, -900.0, -920.0, -940.0, -960.0)
    largest_ml: float = 110.0
    wide_mm2: float = 200.0
    least_slices: int = 4
    elongated: float = 2.6
    round: float = 0.45
    off_centre_mm: float = 90.0
    ring: int = 2
    wall_hu: float = -400.0
    walled: float = 0.75
    longest_mm: float = 120.0
    off_centre_weight: float = 0.5
    low_penalty_mm: float = 40.0
    low: float = 0.5
    chain_slices: int = 3
    chain_mm: float = 20.0
    wall_mm: float = 2.0
    block_slack: float = 1.01


#: The rules in use.
AIRWAYS = AirwayRules()


@dataclass(frozen=True, eq=False)
class CentralAirways:
    """Trachea and bronchi, as far as their lumen is darker than lung.

    Attributes:
        lumen: Mask of the lumen on the working grid.
        trachea: The part above the carina, tracked slice by slice.
    """

    lumen: Mask
    trachea: Mask


def find_central_airways(
    hu: npt.NDArray[np.float32], inner: Mask, spacing: WorkingSpacing
) -> CentralAirways | None:
    """Find trachea and bronchi.

    The trachea is the longest chain, from slice to slice, of small round air pockets with tissue all
    round, near the middle of the body. From it the lumen is grown at the highest threshold that does not
    leak into the lung.

    Args:
        hu: Normalised block means (x, y, z), RAS.
        inner: Air inside the body.
        spacing: Block size.

    Returns:
        The airways; None if no trachea is found.
    """
    trachea = _trachea(hu, inner, spacing)
    if trachea is None:
        return None
    ml = float(np.prod(spacing)) / 1000.0
    areas = trachea.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    width = min(1.0, float(np.median(areas[areas > 0])) / AIRWAYS.wide_mm2)
    for threshold in AIRWAYS.thresholds_hu:
        labels, counts = components(((hu < threshold) & inner) | trachea)
        chosen = np.unique(labels[trachea])
        if counts[chosen].sum() * ml <= AIRWAYS.largest_ml * width**1.5:
            return CentralAirways(np.isin(labels, chosen), trachea)
    return CentralAirways(trachea, trachea)


def _trachea(hu: npt.NDArray[np.float32], inner: Mask, spacing: WorkingSpacing) -> Mask | None:
    if hu.shape[2] < AIRWAYS.least_slices:
        return None
    labels, count = components_2d((hu < AIRWAYS.lumen_hu) & inner)
    good = _round_pockets(hu, labels, count, spacing)
    if not good.any():
        return None
    chain = _longest_chain(labels, good, spacing)
    if chain is None:
        return None
    return np.asarray(np.isin(labels, chain))


def _round_pockets(
    hu: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], count: int, spacing: WorkingSpacing
) -> npt.NDArray[np.bool_]:
    """Return, for each 2-D pocket, whether it could be a section of the trachea."""
    from scipy import ndimage

    area_mm2 = spacing[0] * spacing[1]
    areas = np.bincount(labels.ravel(), minlength=count + 1) * area_mm2
    good = (areas >= AIRWAYS.area_mm2[0]) & (areas <= AIRWAYS.area_mm2[1])
    good[0] = False
    middle = hu.shape[0] / 2
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if not good[index] or box is None:
            continue
        width = (box[0].stop - box[0].start) * spacing[0]
        height = (box[1].stop - box[1].start) * spacing[1]
        long = max(width, height) > AIRWAYS.elongated * min(width, height) + spacing[0]
        if long or areas[index] < AIRWAYS.round * width * height:
            good[index] = False
            continue
        off_centre = abs((box[0].start + box[0].stop) / 2 - middle) * spacing[0]
        z = box[2].start
        reach = AIRWAYS.ring
        x0, x1 = max(0, box[0].start - reach), box[0].stop + reach
        y0, y1 = max(0, box[1].start - reach), box[1].stop + reach
        patch = labels[x0:x1, y0:y1, z] == index
        ring = ndimage.binary_dilation(patch, iterations=reach) & ~ndimage.binary_dilation(patch)
        around = hu[x0:x1, y0:y1, z][ring]
        walled = around.size > 0 and float(np.mean(around > AIRWAYS.wall_hu)) > AIRWAYS.walled
        good[index] = off_centre < AIRWAYS.off_centre_mm and walled
    return good


def _longest_chain(
    labels: npt.NDArray[np.int32], good: npt.NDArray[np.bool_], spacing: WorkingSpacing
) -> npt.NDArray[np.int64] | None:
    """Follow pockets from slice to slice; return the labels of the best chain.

    The score is the length minus penalties for the distance from the middle and for a low position, which
    suggests bowel gas.
    """
    depth = labels.shape[2]
    kept = np.where(good[labels], labels, 0)
    above: dict[int, list[int]] = {}
    best: tuple[float, list[int]] = (0.0, [])
    middle = labels.shape[0] / 2
    for z in range(depth - 1, -1, -1):
        plane = kept[:, :, z]
        current: dict[int, list[int]] = {}
        for index in np.unique(plane[plane > 0]):
            here = plane == index
            parent = (
                [above[i] for i in np.unique(kept[:, :, z + 1][here]) if i in above] if z + 1 < depth else []
            )
            chain = [*max(parent, key=len, default=[]), int(index)]
            current[int(index)] = chain
            off = abs(float(np.nonzero(here)[0].mean()) - middle) * spacing[0]
            length = len(chain) * spacing[2]
            top = z + len(chain)
            penalty = AIRWAYS.low_penalty_mm if top < AIRWAYS.low * depth else 0.0
            score = min(length, AIRWAYS.longest_mm) - AIRWAYS.off_centre_weight * off - penalty
            enough = len(chain) >= AIRWAYS.chain_slices and length >= AIRWAYS.chain_mm
            if enough and score > best[0]:
                best = (score, chain)
        above = current
    return np.array(best[1]) if best[1] else None


def wall_of(airways: CentralAirways, spacing: WorkingSpacing) -> Mask:
    """Return the lumen dilated by a wall of about 2 mm."""
    return dilate(airways.lumen, max(AIRWAYS.wall_mm, AIRWAYS.block_slack * min(spacing[:2])), spacing)
