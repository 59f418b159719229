"""Metrics of trees: how much of the airways or vessels was found, and how much was added.

Definitions, with R the reference and P the prediction, both in voxels of one grid:

- R is reduced to its largest component, connected by faces, and its holes are filled; P to its largest
  component, connected by corners. Both only for one tree (``one_tree``), such as the airways.
- The **skeleton** S(R) is thinned by the method of Lee 1994. Its voxels with more than 3 of 27 voxels of the
  neighbourhood in the skeleton, itself among them, are junctions; without them it falls into **branches**,
  connected by corners, and those of fewer than 5 voxels are dropped. This is the parser of ATM'22
  (``tree_parse.py``) up to its last step: that gives junctions to the nearest branch and merges branches that
  its adjacency finds to be one, so its count is a little lower.
- **Tree length detected** TD = ``|P and S(R)| / |S(R)|``, junctions included.
- **Branches detected** BD = share of branches with at least 80 % of their voxels in P.
- **Precision** = ``|P and R| / |P|``. **Leakage** = ``|P without R| / |R|``. **Centreline leakage** =
  ``|S(P) without R| / |S(R)|``. TD, BD and precision: ATM'22 (``evaluation_atm_22.py``); leakage and
  centreline leakage: bronchinet (Garcia-Uceda 2021).
- **clDice** = ``2 Tp Ts / (Tp + Ts)`` with ``Tp = |S(P) and R| / |S(P)|`` and ``Ts = |P and S(R)| / |S(R)|``
  (Shit 2021, arXiv:2003.07311).

Voxel counts depend on spacing and direction, so lengths are also given in mm: each voxel of a skeleton stands
for half of the steps to its neighbours. Thinning may lose a tube that is straight along an axis and an even
number of voxels wide, as a drawn trachea can be; lengths and branches then leave it out. None of these says
much without the diameter to which the reference reaches: they are given by bins of diameter too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.evaluation.tree_parts import Centreline, TreeBin, TreePart, ratio
from hilum.imaging.morphology import components, depth
from hilum.imaging.skeleton import skeletonize
from hilum.imaging.skeleton_graph import voxel_neighbours

__all__ = ["DIAMETER_BINS_MM", "Diameters", "TreeScores", "branch_labels", "cl_dice", "score_tree"]

_Mask = npt.NDArray[np.bool_]
#: Gives the diameter in mm at voxels, by their indices (n, 3).
Diameters = Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float64]]
Spacing = tuple[float, float, float]
#: Borders of the bins of diameter in mm; below 1.5 mm few branches are seen on slices of 1 mm.
DIAMETER_BINS_MM = (0.0, 1.5, 2.0, 3.0, 5.0, float("inf"))
#: Pieces of a skeleton with fewer voxels are no branches (ATM'22).
SHORTEST_BRANCH = 5
#: A voxel with more skeleton voxels than this in its neighbourhood of 27, itself among them, is a junction
#: (ATM'22).
_MOST_IN_LINE = 3


@dataclass(frozen=True)
class TreeScores:
    """Metrics of one prediction; see the module for definitions.

    A ratio whose denominator is zero is None.

    Attributes:
        bins: By diameter, thinnest first.
        voxel_ml: Volume of a voxel in mL.
        reference: Voxels of the reference.
        prediction: Voxels of the prediction, ignored ones left out.
        common: Voxels in both.
        skeleton_prediction: Voxels of the skeleton of the prediction, ignored ones left out.
        skeleton_outside: Those outside the reference.
        skeleton_prediction_mm: Length of the skeleton of the prediction in mm, ignored voxels left out.
        skeleton_outside_mm: That outside the reference.
        centreline: The skeleton of the reference.
        prediction_diameter_mm: Diameter at each voxel of the skeleton of the prediction, ignored ones left
            out: twice the distance to the outside.
        prediction_inside: Whether each lies in the reference.
    """

    bins: tuple[TreeBin, ...]
    voxel_ml: float
    reference: int
    prediction: int
    common: int
    skeleton_prediction: int
    skeleton_outside: int
    skeleton_prediction_mm: float
    skeleton_outside_mm: float
    centreline: Centreline
    prediction_diameter_mm: npt.NDArray[np.float32]
    prediction_inside: _Mask

    @property
    def whole(self) -> TreeBin:
        """All diameters together: the TD and BD of ATM'22."""
        return self.from_diameter(0.0)

    def from_diameter(self, low_mm: float) -> TreeBin:
        """Return the bins from a diameter on, together.

        Raises:
            UsageError: The diameter is not the border of a bin.
        """
        if low_mm not in {part.low_mm for part in self.bins}:
            raise UsageError(f"low_mm is {low_mm}, expected the lower border of a bin.")
        parts = [part for part in self.bins if part.low_mm >= low_mm]
        counts = {name: sum(getattr(part, name) for part in parts) for name in TreePart.__dataclass_fields__}
        return TreeBin(low_mm=low_mm, high_mm=parts[-1].high_mm, **counts)

    @property
    def precision(self) -> float | None:
        """Share of the prediction that lies in the reference."""
        return ratio(self.common, self.prediction)

    @property
    def leakage(self) -> float | None:
        """Voxels of the prediction outside the reference, by those of the reference."""
        return ratio(self.prediction - self.common, self.reference)

    @property
    def leakage_ml(self) -> float:
        """Volume of the prediction outside the reference in mL."""
        return (self.prediction - self.common) * self.voxel_ml

    @property
    def centreline_leakage(self) -> float | None:
        """Skeleton of the prediction outside the reference, by the skeleton of the reference, in voxels."""
        return ratio(self.skeleton_outside, self.whole.voxels)

    @property
    def centreline_leakage_mm(self) -> float | None:
        """The same, both lengths in mm."""
        return ratio(self.skeleton_outside_mm, self.whole.length_mm)

    @property
    def dice(self) -> float | None:
        """Dice coefficient of the masks."""
        return ratio(2 * self.common, self.prediction + self.reference)

    @property
    def cl_dice(self) -> float | None:
        """Dice coefficient of the centrelines."""
        inside = ratio(self.skeleton_prediction - self.skeleton_outside, self.skeleton_prediction)
        return _harmonic(inside, self.whole.td)

    def cl_dice_from(self, low_mm: float) -> float | None:
        """Dice coefficient of the parts of the centrelines from a diameter on, each by its own mask.

        Raises:
            UsageError: The diameter is not the border of a bin.
        """
        wide = self.prediction_diameter_mm >= low_mm
        inside = ratio(int((wide & self.prediction_inside).sum()), int(wide.sum()))
        return _harmonic(inside, self.from_diameter(low_mm).td)


def score_tree(
    prediction: _Mask,
    reference: _Mask,
    spacing: Spacing,
    *,
    one_tree: bool = True,
    diameter_mm: npt.NDArray[np.floating[Any]] | Diameters | None = None,
    ignore: _Mask | None = None,
    bins_mm: Sequence[float] = DIAMETER_BINS_MM,
) -> TreeScores:
    """Compare a predicted tree with a reference.

    Args:
        prediction: Bool array (i, j, k), such as the lumen of the airways.
        reference: Bool array of the same shape.
        spacing: Distance between voxels along i, j, k in mm.
        one_tree: Whether both are one tree and are reduced to their largest component. False for vessels.
        diameter_mm: Diameter at each voxel in mm, such as the truth of a phantom, or a function that gives it
            for voxels of the skeleton. None: twice the distance to the outside of the reference, which is up
            to a voxel too small.
        ignore: Voxels that count neither as right nor as wrong where the reference does not hold them, such
            as branches thinner than it reaches. None: none.
        bins_mm: Borders of the bins of diameter in mm, rising.

    Returns:
        The metrics, and what they were computed from.

    Raises:
        UsageError: Shapes differ, or the borders do not rise.
        InputError: The reference is empty.
    """
    _check(prediction, reference, diameter_mm, ignore, bins_mm)
    if one_tree:
        prediction, reference = _largest(prediction, 26), _filled(_largest(reference, 6))
    skeleton, found_line, whole = skeletonize(reference), skeletonize(prediction), prediction
    if ignore is not None:  # after thinning, which needs the whole mask
        counted = ~ignore | reference
        prediction, found_line = prediction & counted, found_line & counted
    centreline = _centreline(prediction, reference, skeleton, diameter_mm, spacing)
    outside = found_line & ~reference
    found_mm = _lengths(found_line, spacing)
    return TreeScores(
        bins=centreline.bins(bins_mm),
        voxel_ml=float(np.prod(spacing)) / 1000,
        reference=int(np.count_nonzero(reference)),
        prediction=int(np.count_nonzero(prediction)),
        common=int(np.count_nonzero(prediction & reference)),
        skeleton_prediction=int(np.count_nonzero(found_line)),
        skeleton_outside=int(np.count_nonzero(outside)),
        skeleton_prediction_mm=float(found_mm.sum()),
        skeleton_outside_mm=float(found_mm[outside[found_line]].sum()),
        centreline=centreline,
        prediction_diameter_mm=2 * depth(whole, spacing)[found_line],
        prediction_inside=reference[found_line],
    )


def _check(
    prediction: _Mask,
    reference: _Mask,
    diameter_mm: npt.NDArray[np.floating[Any]] | Diameters | None,
    ignore: _Mask | None,
    bins_mm: Sequence[float],
) -> None:
    for name, values in (("prediction", prediction), ("diameter_mm", diameter_mm), ("ignore", ignore)):
        if isinstance(values, np.ndarray) and values.shape != reference.shape:
            raise UsageError(f"{name} has shape {values.shape}, expected {reference.shape}.")
    if len(bins_mm) < 2 or not all(a < b for a, b in pairwise(bins_mm)):
        raise UsageError(f"bins_mm is {tuple(bins_mm)}, expected rising borders.")
    if not reference.any():
        raise InputError("The reference holds no tree.", "Give the mask of the tree as the reference.")


def branch_labels(skeleton: _Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Cut a skeleton into branches as the parser of ATM'22 does.

    Args:
        skeleton: Bool array (i, j, k), lines one voxel wide.

    Returns:
        For each voxel the number of its branch, from 1, or 0 at junctions and in short pieces; and how many
        branches there are.
    """
    from scipy import ndimage

    around = ndimage.convolve(skeleton.astype(np.uint8), np.ones((3, 3, 3), np.uint8), mode="constant")
    labels, sizes = components(skeleton & (around <= _MOST_IN_LINE), 26)
    kept = sizes >= SHORTEST_BRANCH
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return number[labels], int(kept.sum())


def cl_dice(prediction: _Mask, reference: _Mask) -> float | None:
    """Dice coefficient of centrelines (Shit 2021); None where a mask is empty.

    Args:
        prediction: Bool array (i, j, k).
        reference: Bool array of the same shape.

    Raises:
        UsageError: Shapes differ.
    """
    if prediction.shape != reference.shape:
        raise UsageError(f"prediction has shape {prediction.shape}, expected {reference.shape}.")
    return _harmonic(_share(skeletonize(prediction), reference), _share(skeletonize(reference), prediction))


def _centreline(
    prediction: _Mask,
    reference: _Mask,
    skeleton: _Mask,
    diameter_mm: npt.NDArray[np.floating[Any]] | Diameters | None,
    spacing: Spacing,
) -> Centreline:
    voxels = np.argwhere(skeleton)
    if diameter_mm is None:
        diameter_mm = 2 * depth(reference, spacing)
    at = diameter_mm[skeleton] if isinstance(diameter_mm, np.ndarray) else diameter_mm(voxels)
    return Centreline(
        voxels,
        _lengths(skeleton, spacing),
        np.asarray(at, np.float64),
        prediction[skeleton],
        branch_labels(skeleton)[0][skeleton],
    )


def _lengths(skeleton: _Mask, spacing: Spacing) -> npt.NDArray[np.float64]:
    """Length in mm that each voxel of a skeleton stands for, in the order of ``skeleton.nonzero()``.

    A voxel without neighbours stands for the cube root of its volume.
    """
    voxels = np.argwhere(skeleton)
    out = np.full(len(voxels), float(np.prod(spacing)) ** (1 / 3))
    if len(voxels):
        places = voxels * np.asarray(spacing)
        for index, near in enumerate(voxel_neighbours(voxels)):
            if near:
                out[index] = np.linalg.norm(places[near] - places[index], axis=1).sum() / 2
    return out


def _largest(mask: _Mask, connectivity: int) -> _Mask:
    labels, sizes = components(mask, connectivity)
    if len(sizes) < 2:
        return mask
    largest: _Mask = labels == 1 + int(np.argmax(sizes[1:]))
    return largest


def _filled(mask: _Mask) -> _Mask:
    from scipy import ndimage

    filled: _Mask = ndimage.binary_fill_holes(mask)
    return filled


def _share(line: _Mask, mask: _Mask) -> float | None:
    return ratio(int(np.count_nonzero(line & mask)), int(np.count_nonzero(line)))


def _harmonic(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    return 2 * one * other / (one + other) if one + other else 0.0
