"""The fissures of one patient: heights fitted to plates and vessels under the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import Lung
from hilum.tasks.lobes.columns import COLUMN_MM, Columns, Sorted, Surface, columns, offsets
from hilum.tasks.lobes.evidence import Evidence
from hilum.tasks.lobes.frames import Fissure, Frame
from hilum.tasks.lobes.prior import Prior
from hilum.tasks.lobes.registration import ToTemplate
from hilum.tasks.lobes.vessel_trees import VesselTrees

__all__ = ["SIDES", "fit_surfaces", "in_front"]

Floats = npt.NDArray[np.float64]

#: Smoothing of plates along the surface, mm: fissures are sheets, noise is not.
_SMOOTH_MM = 4.0
#: Smoothing of vessels along the surface and along the normal, mm: beside a fissure vessels are few and thin.
_VESSEL_SMOOTH_MM = (8.0, 2.5)
#: Log odds for a fissure per HU of plate response in a column, and most of them.
_PLATE_ODDS, _MOST_ODDS = 0.8, 6.0
#: Log odds against a fissure where vessels are as dense as in the whole column.
_VESSEL_ODDS = 2.0
#: The density of the lung's vessels is added to that of a column with this weight: where there are few
#: vessels anyway their absence says little.
_COMMON_VESSELS = 0.5
#: Least share of vessels in a lung, whose absence somewhere then says nothing.
_LEAST_VASCULARITY = 0.01
#: A vessel this far from the surface belongs to its side of it with a certainty of 0.76, mm.
_UNSURE_MM = 6.0
#: A tree counts fully where its vessels lie on one side of the surface but for a sixth.
_TREE_SLOPE = 1.5
#: Smoothing of trees along the surface and along the normal, mm.
_TREE_SMOOTH_MM = (8.0, 1.0)
#: Log odds against a place that cuts this length of lung with the usual share of vessels off their trees, and
#: the length, mm. Chosen on a 1 mm scan that was made coarser.
_TREE_ODDS, _TREE_MM = 1.5, 5.0
#: Widths of the search about the surface, one after another, mm.
_WIDTHS_MM = (10.0, 10.0, 8.0, 6.5, 5.0, 4.0, 3.0, 2.5, 2.0, 2.0, 1.5, 1.5)
#: Rounds after which the evidence is sorted again along the present surface.
_GATHER_EVERY = 4
#: Smoothing along the surface for telling how much of it is seen, mm.
_FINE_MM = 3.0
#: Neighbouring columns share smoothed evidence; this many count as one.
_SHARED = 8.0
#: The horizontal fissure begins where its surface lies this far above the oblique one, mm.
_ABOVE_MM = -3.0
SIDES = {
    Fissure.RIGHT_OBLIQUE: Lung.RIGHT,
    Fissure.RIGHT_HORIZONTAL: Lung.RIGHT,
    Fissure.LEFT_OBLIQUE: Lung.LEFT,
}


@dataclass(frozen=True, eq=False)
class _Lung:
    """Evidence of a lung for one fissure, in the space of the template."""

    plates: Sorted
    vessels: Sorted
    vascularity: float
    trees: VesselTrees
    mean: Surface

    @classmethod
    def of(cls, evidence: Evidence, to_template: ToTemplate, frame: Frame, mean: Surface) -> _Lung:
        larger = abs(float(np.linalg.det(to_template.matrix)))
        normals = to_template.normals(evidence.normals)
        plates = to_template.points(evidence.plates)
        vessels = to_template.points(evidence.vessels)
        trees = evidence.trees
        return cls(
            Sorted.of(frame, mean, plates, evidence.strengths * larger, normals),
            Sorted.of(frame, mean, vessels, evidence.amounts * larger, None),
            max(evidence.vascularity, _LEAST_VASCULARITY),
            replace(trees, points=to_template.points(trees.points), voxel_mm3=trees.voxel_mm3 * larger),
            mean,
        )

    def columns(
        self, surface: Surface, oblique: Surface | None = None, smooth_mm: float = _SMOOTH_MM
    ) -> Columns:
        """Sort the evidence into columns along a surface; a horizontal one lies above ``oblique``."""
        sheet, (wide, thin) = smooth_mm / COLUMN_MM, _VESSEL_SMOOTH_MM
        plates = ndimage.gaussian_filter(self.plates.stack(surface), (sheet, sheet, 0.5))
        vessels = ndimage.gaussian_filter(
            self.vessels.stack(surface), (wide / COLUMN_MM, wide / COLUMN_MM, thin)
        )
        common = vessels.mean(axis=2, keepdims=True) + _COMMON_VESSELS * self.vascularity
        odds = np.minimum(_PLATE_ODDS * plates, _MOST_ODDS) - _VESSEL_ODDS * vessels / common
        return Columns(odds, plates, surface.heights, self._tree_odds(surface, oblique))

    def _tree_odds(self, surface: Surface, oblique: Surface | None) -> Floats:
        """Log odds of places by what they would cut off the trees, against the best of a column.

        The trees are allotted to the side of the present surface on which most of each lies; then each place
        of a column is judged by the vessels that it would leave on the side of another tree.
        """
        points, tree = self.trees.points, self.trees.tree
        if oblique is not None:
            front = oblique.above(points) > 0
            points, tree = points[front], tree[front]
        if not len(points):
            return np.zeros((*surface.heights.shape, len(offsets())))
        side = np.tanh(surface.above(points) / _UNSURE_MM)
        mean_side = np.bincount(tree, side) / np.maximum(np.bincount(tree), 1)
        belongs = np.clip(_TREE_SLOPE * mean_side, -1, 1)[tree]
        amounts = belongs * self.trees.voxel_mm3
        wide, thin = _TREE_SMOOTH_MM
        stack = Sorted.of(surface.frame, self.mean, points, amounts, None).stack(surface)
        stack = ndimage.gaussian_filter(stack, (wide / COLUMN_MM, wide / COLUMN_MM, thin))
        below = np.cumsum(stack, axis=2)
        right_way = (below[:, :, -1:] - 2 * below + stack) / 2
        odds = _TREE_ODDS / (self.vascularity * _TREE_MM) * right_way
        return np.asarray(odds - odds.max(axis=2, keepdims=True))


def fit_surfaces(
    evidence: Mapping[Lung, Evidence], to_template: ToTemplate, prior: Prior
) -> dict[Fissure, tuple[Surface, Columns]]:
    """Fit the fissures of the lungs that are there.

    In each column the probability of the fissure's height is proportional to the odds of the evidence times
    a Gaussian about the present surface; its mean pulls the coefficients, as strongly as the evidence is
    better than none, and the prior holds them. The Gaussian narrows from round to round.
    """
    fissures = [fissure for fissure in Fissure if SIDES[fissure] in evidence]
    precision = np.linalg.inv(prior.covariance())
    pulled = precision @ prior.mean
    places = {fissure: columns(prior.frames[fissure]) for fissure in fissures}
    bases = {fissure: prior.frames[fissure].basis(places[fissure].reshape(-1, 2)) for fissure in fissures}

    def surface(fissure: Fissure, coefficients: Floats) -> Surface:
        heights = bases[fissure] @ coefficients[prior.part(fissure)]
        return Surface(prior.frames[fissure], heights.reshape(places[fissure].shape[:2]))

    lungs = {
        fissure: _Lung.of(
            evidence[SIDES[fissure]], to_template, prior.frames[fissure], surface(fissure, prior.mean)
        )
        for fissure in fissures
    }
    coefficients = prior.mean
    found: dict[Fissure, Columns] = {}
    for round_, width in enumerate(_WIDTHS_MM):
        square, cross = precision.copy(), pulled.copy()
        now = {fissure: surface(fissure, coefficients) for fissure in fissures}
        for fissure in fissures:
            if round_ % _GATHER_EVERY == 0:
                found[fissure] = lungs[fissure].columns(now[fissure], _behind(fissure, now))
            height, weight = _expect(found[fissure], now[fissure], width)
            if fissure is Fissure.RIGHT_HORIZONTAL:
                weight = weight * in_front(now[fissure], now[Fissure.RIGHT_OBLIQUE])
            part, basis = prior.part(fissure), bases[fissure]
            scaled = basis * (weight.ravel() / (_SHARED * (width**2 + 1)))[:, None]
            square[part, part] += basis.T @ scaled
            cross[part] += scaled.T @ height.ravel()
        coefficients = np.linalg.solve(square, cross)
    now = {fissure: surface(fissure, coefficients) for fissure in fissures}
    return {
        fissure: (now[fissure], lungs[fissure].columns(now[fissure], _behind(fissure, now), _FINE_MM))
        for fissure in fissures
    }


def _behind(fissure: Fissure, surfaces: Mapping[Fissure, Surface]) -> Surface | None:
    """The oblique fissure behind the horizontal one; None for another fissure."""
    return surfaces[Fissure.RIGHT_OBLIQUE] if fissure is Fissure.RIGHT_HORIZONTAL else None


def _expect(found: Columns, now: Surface, width: float) -> tuple[Floats, Floats]:
    """Expected height of the fissure in each column, and how much the evidence changes it, 0 to 1."""
    places = offsets()
    away = places - (now.heights - found.base)[:, :, None]
    gaussian = np.exp(-0.5 * (away / width) ** 2)
    gaussian /= np.maximum(gaussian.sum(axis=2, keepdims=True), 1e-12)
    by_trees = gaussian * np.exp(found.trees)
    likely = by_trees * np.exp(found.odds)
    height = (likely * places).sum(axis=2) / np.maximum(likely.sum(axis=2), 1e-30) + found.base
    ratio = np.maximum((gaussian * np.exp(found.odds)).sum(axis=2), 1e-6)
    weight = 1 - np.minimum(ratio, 1 / ratio)
    return height, np.maximum(weight, _narrowed(gaussian, by_trees, width))


def _narrowed(gaussian: Floats, by_trees: Floats, width: float) -> Floats:
    """How much the trees narrow or move the search in each column, 0 to 1."""
    places = offsets()
    likely = by_trees / np.maximum(by_trees.sum(axis=2, keepdims=True), 1e-30)

    def moments(weights: Floats) -> tuple[Floats, Floats]:
        mean = (weights * places).sum(axis=2)
        return mean, np.maximum((weights * places**2).sum(axis=2) - mean**2, 1e-6)

    (before, wide), (after, narrow) = moments(gaussian), moments(likely)
    return np.clip(np.maximum(1 - narrow / wide, np.abs(after - before) / width), 0, 1)


def in_front(horizontal: Surface, oblique: Surface) -> Floats:
    """1 where the horizontal fissure lies above the oblique one, else 0."""
    uv = columns(horizontal.frame)
    local = np.concatenate([uv, horizontal.heights[:, :, None]], axis=2).reshape(-1, 3)
    above = oblique.above(horizontal.frame.points(local)).reshape(uv.shape[:2])
    return (above > _ABOVE_MM).astype(float)
