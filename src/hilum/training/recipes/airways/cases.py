"""Cases for the network of the airways on voxels of 1 mm: phantoms, real scans, and branches painted into those.

Labels: 0 neither, 1 lumen, 2 wall, 3 vessel, :data:`UNSURE` for what does not count. Phantoms give exact
truth. In real scans the lumen is the tree that hilum finds by growth, rules and a first classifier; what that
classifier takes for lumen without a wall round it is a hard negative; with a wall round it, it is unsure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.airway_trunk import grow_trunk
from hilum.core.volume import Volume
from hilum.imaging.morphology import Mask, depth, dilate, erode
from hilum.tasks.airways.classifier import Classifier, likelihood
from hilum.tasks.airways.domain import where_airways_are
from hilum.tasks.airways.features import rim_hu
from hilum.tasks.airways.grow import grow_tree
from hilum.tasks.airways.millimetres import to_millimetres
from hilum.tasks.airways.prepare import AirwayScan, prepare
from hilum.tasks.airways.prune import prune_leaks, tree_of
from hilum.tasks.airways.wall import wall_of
from hilum.training.recipes.airways.branches import Drawn, beside_vessels, transplanted
from hilum.training.recipes.airways.paint import Look, paint

__all__ = ["UNSURE", "Case", "painted_case", "phantom_case", "real_case"]

_Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]
_GRID = (1.0, 1.0, 1.0)
#: Label of voxels that do not count.
UNSURE = 255
#: Smoothed HU of vessels in the lungs of real scans, and how far from airways they are taken, mm.
_VESSEL_HU, _APART_MM = -550.0, 3.0
#: What the first classifier gives from here on is unsure or a hard negative.
_DOUBTFUL = 0.1
#: A wall is brighter than the lumen by this, HU.
_RIM_HU = 80.0
#: Lumens up to this radius are thin, mm.
_THIN_MM = 2.6
#: Share of the vessels with an airway painted beside them, and trees painted in other places.
_BESIDE, _ELSEWHERE = 0.3, 25
#: Standard deviation of the point spread of painted airways, mm.
_POINT_SPREAD_MM = (0.6, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A scan on voxels of 1 mm.

    Attributes:
        hu: HU, not smoothed.
        labels: Label of each voxel.
        lungs: Lungs.
        thin: Flat indices of the lumen of thin airways.
        hard: Flat indices of hard negatives.
        noise_hu: Noise of the scan.
        smooth_mm: Gaussian by which it is smoothed before the network sees it.
        ends: Where the tree ends: position and direction, shape (n, 2, 3) in mm.
    """

    hu: _Floats
    labels: _Bytes
    lungs: Mask
    thin: npt.NDArray[np.intp]
    hard: npt.NDArray[np.intp]
    noise_hu: float
    smooth_mm: float
    ends: npt.NDArray[np.float64]

    def smoothed(self) -> _Floats:
        """HU as the network sees them."""
        return np.asarray(ndimage.gaussian_filter(self.hu, self.smooth_mm, truncate=3), np.float32)


def _nearest(values: npt.NDArray[Any], scan: AirwayScan) -> _Bytes:
    """Bring labels of the crop to voxels of 1 mm."""
    out: npt.NDArray[Any] = values
    for axis, step in enumerate(scan.spacing):
        count = int((values.shape[axis] - 1) * step + 1e-6) + 1
        at = np.minimum(np.rint(np.arange(count) / step).astype(int), values.shape[axis] - 1)
        out = np.take(out, at, axis)
    return np.ascontiguousarray(out, np.uint8)


def _case(scan: AirwayScan, labels: npt.NDArray[Any], hard: Mask | None, ends: Any = None) -> Case:
    marks = _nearest(labels, scan)
    lumen = marks == 1
    thin = lumen & (ndimage.maximum_filter(depth(lumen, _GRID), 5) <= _THIN_MM)
    negatives = np.zeros(0, np.intp) if hard is None else np.flatnonzero(_nearest(hard, scan))
    smooth = min(0.0175 * scan.noise_hu, 0.7)
    return Case(
        to_millimetres(scan.hu, scan.spacing), marks, _nearest(scan.lungs, scan) > 0, np.flatnonzero(thin),
        negatives, scan.noise_hu, smooth, np.zeros((0, 2, 3)) if ends is None else ends,
    )  # fmt: skip


def phantom_case(volume: Volume, lungs: Mask, airways: _Bytes, vessels: _Bytes) -> Case:
    """Return a phantom with its exact labels, all on one grid."""
    scan = prepare(volume, lungs)
    labels = np.where(vessels > 0, 3, 0)
    labels[airways > 0] = airways[airways > 0]
    canonical = Volume(labels.astype(np.int16), volume.affine).canonical().hu
    return _case(scan, canonical[scan.box], None)


def real_case(volume: Volume, lungs: Mask, classifier: Classifier) -> Case:
    """Return a real scan, labelled without hands by a first classifier."""
    scan = prepare(volume, lungs)
    trunk = grow_trunk(scan.smooth, scan.seed, scan.spacing).lumen
    where = where_airways_are(scan, trunk)
    likely = likelihood(scan.smooth, scan.spacing, where, trunk, classifier)
    grown = grow_tree(likely, trunk, scan.spacing)
    lumen = prune_leaks(grown, trunk, likely, scan).lumen
    wall = wall_of(lumen, scan.smooth, scan.spacing)
    doubtful = (likely >= _DOUBTFUL) & ~dilate(lumen, _APART_MM, scan.spacing)
    index = np.flatnonzero(doubtful)
    hard = np.zeros(lumen.shape, bool)
    hard.ravel()[index[rim_hu(scan.smooth, scan.spacing, index) < _RIM_HU]] = True
    labels = np.zeros(lumen.shape, np.uint8)
    away = ~dilate(lumen, _APART_MM, scan.spacing)
    labels[(scan.smooth > _VESSEL_HU) & erode(scan.lungs, 1.5, scan.spacing) & away] = 3
    labels[dilate(lumen, max(scan.spacing), scan.spacing)] = UNSURE
    labels[dilate(doubtful & ~hard, 2.0, scan.spacing)] = UNSURE
    labels[hard] = 0
    labels[wall] = 2
    labels[lumen] = 1
    return _case(scan, labels, hard, _ends(lumen, likely, scan))


def _ends(lumen: Mask, weight: _Floats, scan: AirwayScan) -> npt.NDArray[np.float64]:
    """Where the branches of a tree end, and where they lead there."""
    tree = tree_of(lumen, weight, replace(scan, seed=scan.seed & lumen))
    parents = {branch.parent for branch in tree.branches}
    out = []
    for number, branch in enumerate(tree.branches):
        if number not in parents and len(branch.points) > 3:
            out.append([branch.points[-1], branch.points[-1] - branch.points[-4]])
    return np.array(out).reshape(-1, 2, 3)


def painted_case(case: Case, drawn: Drawn, random: np.random.Generator) -> Case:
    """Return a real scan with made airways in it, whose truth is known, and arteries beside some of them."""
    smooth, taken = case.smoothed(), dilate(case.labels == 1, _APART_MM, _GRID)
    tubes = beside_vessels(smooth, case.lungs, taken, _BESIDE, random)
    inside = np.argwhere(erode(case.lungs, 4.0, _GRID) & (smooth < -750))
    middle = inside.mean(axis=0)
    places = [
        (p + 0.0, (p - middle) + 15 * random.standard_normal(3))
        for p in random.permutation(inside)[:_ELSEWHERE]
    ]
    places += [(e[0] + e[1], e[1]) for e in case.ends if random.random() < 0.6]
    tubes += transplanted(smooth, case.lungs, places, drawn, random)
    sigma = random.uniform(*_POINT_SPREAD_MM)
    look = Look((sigma, sigma, sigma), case.noise_hu, random.uniform(-200, 40), random.uniform(0, 150))
    hu, marks = paint(case.hu, tubes, look, random)
    labels = case.labels.copy()
    marks[case.labels == 1] = 0
    labels[marks > 0] = marks[marks > 0]
    lumen = marks == 1
    hard = case.hard[labels.ravel()[case.hard] == 0]
    thin = np.union1d(case.thin, np.flatnonzero(lumen & (depth(lumen, _GRID) <= _THIN_MM)))
    return replace(case, hu=hu, labels=labels, thin=thin, hard=hard)
