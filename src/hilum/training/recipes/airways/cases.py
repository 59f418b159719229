"""Real scans on voxels of 1 mm that train the classifier: as they are, and with airways painted into them.

Their labels: 0 no lumen, 1 lumen, :data:`UNSURE` for what does not count. Lumen is the tree that hilum finds
by growth, rules and the classifier of the round before, where a wall stands round most of a branch.
What that classifier takes for lumen elsewhere is a hard negative without a wall round it, unsure with one.
Painted airways are lumen: their truth is known, and the texture round them is real.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.anatomy.airway_trunk import grow_trunk
from hilum.core.volume import Volume
from hilum.imaging.interpolation import along_axis
from hilum.imaging.morphology import Mask, dilate, erode
from hilum.tasks.airways.classifier import Classifier, likelihood
from hilum.tasks.airways.domain import where_airways_are
from hilum.tasks.airways.features import rim_hu
from hilum.tasks.airways.grow import grow_tree
from hilum.tasks.airways.prepare import AirwayScan, prepare, smoothing_mm
from hilum.tasks.airways.prune import PruningRules, prune_leaks, tree_of
from hilum.training.recipes.airways.branches import Drawn, beside_vessels, transplanted
from hilum.training.recipes.airways.paint import Look, paint

__all__ = ["UNSURE", "Case", "painted_case", "real_case"]

_Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]
_GRID = (1.0, 1.0, 1.0)
#: Label of voxels that do not count.
UNSURE = 255
#: Hard negatives, and vessels that get an airway beside them, are at least this far from airways, mm.
_APART_MM = 3.0
#: What the first classifier gives from here on is unsure or a hard negative.
_DOUBTFUL = 0.1
#: A wall is brighter than the lumen by this, HU.
_RIM_HU = 80.0
#: What lies this near to what is unsure is unsure, too, mm.
_ROUND_MM = 2.0
#: A branch is lumen where it is walled for so much of its length, and that much brighter round it, HU.
_SURE = PruningRules(walled=0.6, rise_hu=50.0)
#: Share of the vessels with an airway painted beside them, and trees painted in other places.
_BESIDE, _ELSEWHERE = 0.3, 25
#: Standard deviation of the point spread of painted airways, mm.
_POINT_SPREAD_MM = (0.6, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A scan on cubic voxels, of 1 mm unless it was made coarser.

    Attributes:
        hu: HU, not smoothed.
        labels: Label of each voxel.
        lungs: Lungs.
        hard: Flat indices of hard negatives.
        noise_hu: Noise of the scan.
        smooth_mm: Gaussian by which it is smoothed before the network sees it.
        ends: Where the tree ends: position and direction, shape (n, 2, 3) in voxels.
        step_mm: Side of a voxel in mm.
    """

    hu: _Floats
    labels: _Bytes
    lungs: Mask
    hard: npt.NDArray[np.intp]
    noise_hu: float
    smooth_mm: float
    ends: npt.NDArray[np.float64]
    step_mm: float = 1.0

    def smoothed(self) -> _Floats:
        """HU as the network sees them."""
        return np.asarray(
            ndimage.gaussian_filter(self.hu, self.smooth_mm / self.step_mm, truncate=3), np.float32
        )


def _positions(scan: AirwayScan, axis: int) -> npt.NDArray[np.float64]:
    """Voxels of 1 mm along an axis, in voxels of the crop; the first voxel keeps its centre."""
    step = scan.spacing[axis]
    return np.arange(int((scan.hu.shape[axis] - 1) * step + 1e-6) + 1) / step


def _linear(values: _Floats, scan: AirwayScan) -> _Floats:
    """Bring HU of the crop to voxels of 1 mm."""
    for axis in range(3):
        values = along_axis(values, axis, _positions(scan, axis))
    return values


def _nearest(values: npt.NDArray[Any], scan: AirwayScan) -> _Bytes:
    """Bring labels of the crop to voxels of 1 mm."""
    out: npt.NDArray[Any] = values
    for axis in range(3):
        at = np.rint(_positions(scan, axis)).astype(int)
        out = np.take(out, np.minimum(at, values.shape[axis] - 1), axis)
    return np.ascontiguousarray(out, np.uint8)


def real_case(volume: Volume, lungs: Mask, classifier: Classifier) -> Case:
    """Return a real scan, labelled without hands by a first classifier."""
    scan = prepare(volume, lungs)
    trunk = grow_trunk(scan.smooth, scan.seed, scan.spacing).lumen
    where = where_airways_are(scan, trunk)
    likely = likelihood(scan.smooth, scan.spacing, where, trunk, classifier)
    grown = grow_tree(likely, trunk, scan.spacing)
    lumen = prune_leaks(grown, trunk, likely, scan, _SURE).lumen
    near = dilate(lumen, _APART_MM, scan.spacing)
    index = np.flatnonzero((likely >= _DOUBTFUL) & ~near)
    hard = np.zeros(lumen.shape, bool)
    hard.ravel()[index[rim_hu(scan.smooth, scan.spacing, index) < _RIM_HU]] = True
    labels = np.zeros(lumen.shape, np.uint8)
    labels[dilate(lumen, max(scan.spacing), scan.spacing)] = UNSURE
    labels[dilate((likely >= _DOUBTFUL) & ~near & ~hard, _ROUND_MM, scan.spacing)] = UNSURE
    labels[hard] = 0
    labels[lumen] = 1
    return Case(
        _linear(scan.hu, scan), _nearest(labels, scan), _nearest(scan.lungs, scan) > 0,
        np.flatnonzero(_nearest(hard, scan)), scan.noise_hu, smoothing_mm(scan.noise_hu),
        _ends(lumen, likely, scan),
    )  # fmt: skip


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
    labels = np.where((marks == 1) & (case.labels != 1), 1, case.labels)
    labels[(marks > 1) & (case.labels != 1)] = 0
    hard = case.hard[(marks.ravel()[case.hard] == 0)]
    return replace(case, hu=hu, labels=labels.astype(np.uint8), hard=hard)
