"""Rows for the classifier of the airways: features of voxels, whether they are lumen, and how much they count.

Phantoms give exact truth. Real scans give real texture: there the lumen that grows from the trachea by
threshold is taken as lumen; what a first classifier takes for lumen although no wall stands round it is taken
as no lumen; what it takes for lumen with a wall round it is unsure and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.anatomy.airway_trunk import grow_trunk
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, depth, dilate, distance_to
from hilum.tasks.airways.classifier import Classifier, likelihood
from hilum.tasks.airways.domain import where_airways_are
from hilum.tasks.airways.features import candidates, rim_hu
from hilum.tasks.airways.prepare import AirwayScan, prepare

__all__ = ["Rows", "phantom_rows", "scan_rows"]

_Floats = npt.NDArray[np.float32]
#: Lumens wider than twice this, mm, are left to the growth by threshold.
_THIN_MM = 2.5
#: Weight of a positive row of a real scan, and of a hard negative one.
_REAL_POSITIVE, _REAL_NEGATIVE = 2.0, 2.0
#: What a first classifier gives from here on is doubtful or a hard negative.
_DOUBTFUL = 0.15
#: A wall is brighter than the lumen by this, HU (the rim rule of the judge).
_RIM_HU = 80.0


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


def phantom_rows(volume: Volume, lungs: Mask, lumen: Mask) -> Rows:
    """Return the candidates of a phantom with its exact lumen, all on one grid."""
    scan = prepare(volume, lungs)
    trunk = grow_trunk(scan.smooth, scan.seed, scan.spacing).lumen
    index, curved = candidates(scan.smooth, scan.spacing, where_airways_are(scan, trunk) & ~trunk)
    truth = on_crop(scan, lumen).ravel()[index]
    return Rows(scan, trunk, index, curved, truth, np.ones(len(index), np.float32))


def scan_rows(volume: Volume, lungs: Mask, classifier: Classifier) -> Rows:
    """Return the candidates of a real scan, labelled without hands.

    Args:
        volume: The scan.
        lungs: Its lungs.
        classifier: A first one, trained on phantoms.
    """
    scan = prepare(volume, lungs)
    tree = grow_trunk(scan.smooth, scan.seed, scan.spacing).lumen
    wide = dilate(depth(tree, scan.spacing) > _THIN_MM, _THIN_MM, scan.spacing) & tree
    where = where_airways_are(scan, tree)
    index, curved = candidates(scan.smooth, scan.spacing, where & ~wide)
    likely = likelihood(scan.smooth, scan.spacing, where, tree, classifier).ravel()[index]
    rim = rim_hu(scan.smooth, scan.spacing, index)
    lumen = tree.ravel()[index]
    near = (distance_to(tree, scan.spacing).ravel()[index] <= 1.5 * max(scan.spacing)) & ~lumen
    doubtful = ~lumen & (likely >= _DOUBTFUL)
    hard = doubtful & (rim < _RIM_HU)
    weight = np.ones(len(index), np.float32)
    weight[lumen] = _REAL_POSITIVE
    weight[hard] = _REAL_NEGATIVE
    weight[(doubtful & ~hard) | near] = 0.0
    return Rows(scan, wide, index, curved, lumen, weight)


def on_crop(scan: AirwayScan, mask: npt.NDArray[Any]) -> Mask:
    """Bring a mask from the grid of the scan to its crop."""
    canonical = Volume(np.asarray(mask, np.int16), scan.volume.affine).canonical().hu
    return np.ascontiguousarray(canonical[scan.box]) > 0
