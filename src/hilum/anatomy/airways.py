"""Trachea and main bronchi: found from above, followed to the hilum, taken out of the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.units import WorkingSpacing
from hilum.imaging.morphology import Mask, components, components_2d, dilate

__all__ = ["CentralAirways", "find_central_airways"]

#: A trachea's lumen in an axial slice, mm2 (children to tracheomegaly).
_AREA_MM2 = (25.0, 800.0)
#: More than this is a leak into the lung, not trachea and bronchi; of a trachea whose lumen has this area or
#: more in most slices. That of a child has less, as the cube of its width.
_LARGEST_ML, _WIDE_MM2 = 110.0, 200.0
_THRESHOLDS = (-880.0, -900.0, -920.0, -940.0, -960.0)


@dataclass(frozen=True, eq=False)
class CentralAirways:
    """Trachea and bronchi as far as their lumen is darker than lung.

    Attributes:
        lumen: Mask of the lumen on the working grid.
        trachea: The part of it above the carina, as it was tracked slice by slice.
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
        The airways; None where no trachea is seen.
    """
    trachea = _trachea(hu, inner, spacing)
    if trachea is None:
        return None
    ml = float(np.prod(spacing)) / 1000.0
    areas = trachea.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    width = min(1.0, float(np.median(areas[areas > 0])) / _WIDE_MM2)
    for threshold in _THRESHOLDS:
        labels, counts = components(((hu < threshold) & inner) | trachea)
        chosen = np.unique(labels[trachea])
        if counts[chosen].sum() * ml <= _LARGEST_ML * width**1.5:
            return CentralAirways(np.isin(labels, chosen), trachea)
    return CentralAirways(trachea, trachea)


def _trachea(hu: npt.NDArray[np.float32], inner: Mask, spacing: WorkingSpacing) -> Mask | None:
    if hu.shape[2] < 4:
        return None
    labels, count = components_2d((hu < -800) & inner)
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
    """Say of each 2-D pocket whether it could be a slice of the trachea."""
    from scipy import ndimage

    area_mm2 = spacing[0] * spacing[1]
    areas = np.bincount(labels.ravel(), minlength=count + 1) * area_mm2
    good = (areas >= _AREA_MM2[0]) & (areas <= _AREA_MM2[1])
    good[0] = False
    middle = hu.shape[0] / 2
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if not good[index] or box is None:
            continue
        width = (box[0].stop - box[0].start) * spacing[0]
        height = (box[1].stop - box[1].start) * spacing[1]
        if max(width, height) > 2.6 * min(width, height) + spacing[0] or areas[index] < 0.45 * width * height:
            good[index] = False
            continue
        off_centre = abs((box[0].start + box[0].stop) / 2 - middle) * spacing[0]
        z = box[2].start
        x0, x1 = max(0, box[0].start - 2), box[0].stop + 2
        y0, y1 = max(0, box[1].start - 2), box[1].stop + 2
        patch = labels[x0:x1, y0:y1, z] == index
        ring = ndimage.binary_dilation(patch, iterations=2) & ~ndimage.binary_dilation(patch)
        around = hu[x0:x1, y0:y1, z][ring]
        good[index] = off_centre < 90 and around.size > 0 and float(np.mean(around > -400)) > 0.75
    return good


def _longest_chain(
    labels: npt.NDArray[np.int32], good: npt.NDArray[np.bool_], spacing: WorkingSpacing
) -> npt.NDArray[np.int64] | None:
    """Follow pockets from slice to slice; return the labels of the best chain.

    Chains are scored by length, less the distance from the middle, and those high in the scan are
    preferred to gas in the bowel, which lies low.
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
            score = min(length, 120.0) - 0.5 * off - (40.0 if top < 0.5 * depth else 0.0)
            if len(chain) >= 3 and length >= 20 and score > best[0]:
                best = (score, chain)
        above = current
    return np.array(best[1]) if best[1] else None


def wall_of(airways: CentralAirways, spacing: WorkingSpacing) -> Mask:
    """Return the lumen with a wall of about 2 mm."""
    return dilate(airways.lumen, max(2.0, 1.01 * min(spacing[:2])), spacing)
