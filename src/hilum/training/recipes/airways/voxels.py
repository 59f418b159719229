"""Rows for the classifier of the airways: what it sees of voxels, whether they are lumen, what they count.

Phantoms give exact truth. Real scans give real texture; how they are labelled says
:mod:`hilum.training.recipes.airways.cases`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, depth, dilate
from hilum.tasks.airways.domain import where_airways_are
from hilum.tasks.airways.features import candidates
from hilum.tasks.airways.prepare import AirwayScan, prepare
from hilum.training.recipes.airways.cases import UNSURE, Case
from hilum.training.recipes.airways.coarse import PART, WHOLE, area_means, coarser_volume

__all__ = ["Rows", "case_rows", "phantom_rows"]

_Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
#: Lumens wider than twice this, mm, are left to the growth by threshold.
_THIN_MM = 2.5
#: Weight of a positive row of a real scan, and of a hard negative one.
_REAL_POSITIVE, _REAL_NEGATIVE = 2.0, 2.0


@dataclass(eq=False)
class Rows:
    """Candidates of one scan.

    Attributes:
        scan: The scan.
        trunk: Lumen that is known and no candidate.
        index: Flat indices of the candidates.
        curved: What the first network sees of them.
        truth: Whether each is lumen.
        weight: How much each counts; 0 for unsure.
    """

    scan: AirwayScan
    trunk: Mask
    index: npt.NDArray[np.intp]
    curved: _Floats
    truth: npt.NDArray[np.bool_]
    weight: _Floats


def phantom_rows(volume: Volume, lungs: Mask, lumen: Mask, mm: float | None = None) -> Rows:
    """Return the candidates of a phantom with its exact lumen, all on one grid.

    Args:
        volume: The phantom.
        lungs: Lungs on its grid.
        lumen: Lumen of its airways.
        mm: The phantom is averaged to voxels of this size; None leaves it as it is.
    """
    share = np.asarray(lumen, np.float32)
    if mm is not None:
        volume, factors = coarser_volume(volume, mm)
        lungs, share = area_means(lungs, factors) >= WHOLE, area_means(share, factors)
    scan = prepare(volume, lungs)
    whole, part = (on_crop(scan, share >= least) for least in (WHOLE, PART))
    wide = _wide(whole, scan.spacing)
    index, curved = candidates(scan.smooth, scan.spacing, where_airways_are(scan, wide) & ~wide)
    truth, partly = whole.ravel()[index], part.ravel()[index]
    weight = np.ones(len(index), np.float32)
    weight[partly & ~truth] = 0.0
    return Rows(scan, wide, index, curved, truth, weight)


def case_rows(case: Case) -> Rows:
    """Return the candidates of a real scan, as it is or painted."""
    smooth, lumen = case.smoothed(), case.labels == 1
    grid = (case.step_mm, case.step_mm, case.step_mm)
    wide = _wide(lumen, grid)
    everywhere = (slice(None), slice(None), slice(None))
    volume = Volume(case.hu, np.diag([*grid, 1.0]))
    scan = AirwayScan(case.hu, smooth, grid, case.lungs, wide, case.noise_hu, everywhere, volume)
    index, curved = candidates(smooth, grid, where_airways_are(scan, wide) & ~wide)
    labels = case.labels.ravel()[index]
    hard = np.zeros(case.labels.size, bool)
    hard[case.hard] = True
    weight = np.ones(len(index), np.float32)
    weight[hard[index]] = _REAL_NEGATIVE
    weight[labels == 1] = _REAL_POSITIVE
    weight[labels == UNSURE] = 0.0
    return Rows(scan, wide, index, curved, labels == 1, weight)


def _wide(lumen: Mask, spacing: Spacing) -> Mask:
    """Lumen of wide airways, which is no candidate."""
    return dilate(depth(lumen, spacing) > _THIN_MM, _THIN_MM, spacing) & lumen


def on_crop(scan: AirwayScan, mask: npt.NDArray[Any]) -> Mask:
    """Bring a mask from the grid of the scan to its crop."""
    canonical = Volume(np.asarray(mask, np.int16), scan.volume.affine).canonical().hu
    return np.ascontiguousarray(canonical[scan.box]) > 0
