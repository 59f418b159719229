"""Lumen and wall of sections by a fit of a blurred tube.

The model of a section is a lumen of radius R and a wall of thickness w in parenchyma, each with its own HU,
all blurred by a Gaussian (see :mod:`hilum.tasks.airways.blurred_disc`):

    HU(r) = outside + (wall - outside) D(r, R + w) + (lumen - wall) D(r, R)

Where a sharp kernel enhances edges, D is the difference of two blurred discs (see
:mod:`hilum.tasks.airways.blur`).
R, w, the place of the centre and, in wide airways, two harmonics of R around it are found by damped
least squares (Levenberg and Marquardt) on all samples at once. Rays that meet a bright neighbour, such
as the artery beside a bronchus, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.tasks.airways.blur import WIDE_MM, Blur
from hilum.tasks.airways.blurred_disc import Disc, blurred_disc
from hilum.tasks.airways.sections import Sections

__all__ = ["WALL_HU", "Tubes", "fit_solids", "fit_tubes"]

_Floats = npt.NDArray[np.float32]
_Values = npt.NDArray[np.float64]
#: HU of an airway wall: soft tissue without contrast agent. 30 HU too much or too little moves the lumen by
#: 0.05 mm at most.
WALL_HU = 30.0
#: Rounds of leaving out rays, and steps of the fit in each.
_ROUNDS, _STEPS = 3, 6
#: A ray has a bright neighbour where its mean residual beyond the wall is above this, in HU.
_BRIGHT_HU = 110.0
#: Length of the ray behind the wall that is looked at, and the part of it that is fitted, in mm.
_BEHIND_MM, _FITTED_MM = 3.0, 1.5
#: Fewest rays that must be left, as a share; below, a wall cannot be told from what lies beside it.
LEAST_RAYS = 0.25
#: Where what lies outside is denser than this, in HU, the wall has no outer edge.
DENSE_OUTSIDE_HU = -500.0
#: A solid begins this many mm wider than a tube of the same mask.
_SOLID_START_MM = 0.6
#: Bounds of radius and wall in mm, and the largest step of each parameter.
_LEAST_RADIUS, _WALLS, _MOST_STEP = 0.3, (0.15, 4.0), 0.4
#: A centre farther from the centreline than this many mm and this share of the radius is not the branch's.
_OFF_MM, _OFF_SHARE = 0.8, 0.5
#: From this radius of the mask on, in mm, harmonics of the radius are fitted: the section need not be round.
_WIDE_MM = 2.5
#: Standard deviations that keep parameters at home where the samples say nothing, in mm: centre, harmonics.
_PRIOR_CENTRE, _PRIOR_SHAPE, _PRIOR_HU = 1.0, 1.0, 60.0


@dataclass(frozen=True, eq=False)
class Tubes:
    """What was fitted, a value a section; nan where the fit failed.

    Attributes:
        lumen_mm: Diameter of the circle of the area of the lumen, shape (n,).
        wall_mm: Thickness of the wall; nan also where it has no outer edge.
        centre_mm: Place of the centre in the directions of the first ray and of that a quarter turn on.
        rays: Share of rays without a bright neighbour.
        outside_hu: HU of what lies outside.
        residual_hu: Root mean square of the residuals.
    """

    lumen_mm: _Values
    wall_mm: _Values
    centre_mm: _Values
    rays: _Values
    outside_hu: _Values
    residual_hu: _Values


def fit_tubes(sections: Sections, blur: Blur, *, lumen_hu: float) -> Tubes:
    """Fit a blurred tube to each section.

    Args:
        sections: The sections, all narrower or all wider than :data:`_WIDE_MM` for speed.
        blur: The blur of the scan.
        lumen_hu: HU of air in this scan.

    Returns:
        The tubes.
    """
    fit = _Fit(sections, blur, lumen_hu, WALL_HU)
    fit.run()
    return fit.tubes()


def fit_solids(sections: Sections, blur: Blur, *, solid_hu: float) -> _Values:
    """Fit a blurred solid cylinder, such as a vessel, to each section.

    It is the tube whose lumen has the HU of its wall. Rays that meet a bright neighbour, such as the wall of
    the airway beside an artery, are left out.

    Args:
        sections: The sections, all narrower or all wider than :data:`_WIDE_MM` for speed.
        blur: The blur of the scan.
        solid_hu: HU of the cylinder.

    Returns:
        Diameter of the circle of its area in mm, shape (n,); nan where the fit failed, or where dense tissue
        lies round it.
    """
    fit = _Fit(sections, blur, solid_hu, solid_hu)
    # Begin outside the border: from within, all rays meet something bright.
    fit.p[:, 0] += _SOLID_START_MM
    fit.run()
    return fit.solids()


class _Fit:
    """The parameters of all sections while they are fitted: R, w, x, y, then pairs of harmonics."""

    def __init__(self, sections: Sections, blur: Blur, lumen_hu: float, wall_hu: float) -> None:
        self.hu = sections.hu
        self.r = sections.radius_mm.astype(np.float32)
        self.sigma = blur.along(sections.directions).astype(np.float32)
        # Each pair is a share and a width: one Gaussian, and a wider one taken off it by sharp kernels.
        self.spread = [(np.ones_like(self.sigma), self.sigma)]
        if blur.gain:
            gain = blur.gain_along(sections.directions).astype(np.float32)
            self.spread = [(1 + gain, self.sigma), (-gain, np.hypot(self.sigma, np.float32(WIDE_MM)))]
        self.lumen, self.wall = np.float32(lumen_hu), np.float32(wall_hu)
        count, rays, _ = self.hu.shape
        turns = 2 * np.pi * np.arange(rays) / rays
        self.cos, self.sin = np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)
        wide = bool(count) and float(np.median(sections.mask_radius_mm)) >= _WIDE_MM
        orders = (2, 3) if wide else ()
        self.basis = np.array(
            [f(k * turns) for k in orders for f in (np.cos, np.sin)], np.float32
        ).reshape(-1, rays)  # fmt: skip
        self.p = np.zeros((count, 4 + len(self.basis)))
        self.p[:, 0] = np.maximum(sections.mask_radius_mm, 0.8)
        self.p[:, 1] = 0.35 + 0.15 * self.p[:, 0]
        self.damping: _Values = np.full(count, 1e-2)
        self.use = np.ones((count, rays), bool)
        self.outside = np.zeros(count, np.float32)

    def run(self) -> None:
        """Fit all sections."""
        for _ in range(_ROUNDS):
            self.choose_rays()
            for _ in range(_STEPS):
                self.step()
        self.choose_rays()

    def choose_rays(self) -> None:
        """Find what lies outside, and the rays that meet nothing brighter there."""
        outer = (self.p[:, 0] + self.p[:, 1]).astype(np.float32)
        first = outer + 1.5 * self.sigma.mean(axis=1)
        behind = (self.r >= first[:, None]) & (self.r <= first[:, None] + np.float32(_BEHIND_MM))
        count = behind.sum(axis=1)[:, None]
        by_ray = np.where(behind[:, None], self.hu, 0).sum(axis=2) / np.maximum(count, 1)
        # The darker half of the rays is parenchyma even where an artery and its fork lie beside the branch.
        self.outside = np.quantile(by_ray, 0.3, axis=1).astype(np.float32)
        near = (self.r >= outer[:, None]) & (self.r <= first[:, None] + np.float32(_FITTED_MM))
        value, _ = self._model(self.p, len(self.r))
        excess = np.where(near[:, None], self.hu - value, 0).sum(axis=2) / np.maximum(
            near.sum(axis=1)[:, None], 1
        )
        self.use = excess < _BRIGHT_HU
        few = self.use.mean(axis=1) < LEAST_RAYS
        best = excess <= np.quantile(excess, LEAST_RAYS, axis=1)[:, None]
        self.use[few] = best[few]
        self.rays = np.where(few, 0.0, self.use.mean(axis=1))
        reach = (first + np.float32(_FITTED_MM))[:, None, None]
        inside = (self.r[None, None] <= reach) & self.use[:, :, None]
        weight = np.where(inside, np.maximum(self.r, self.r[1] / 4), 0).astype(np.float32)
        weight /= np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1e-6)
        fitted = int(np.count_nonzero(self.r <= reach.max()))  # beyond, no section has a weight
        self.weight, self.near = weight[..., :fitted], self.hu[..., :fitted]
        self.cost, self.normal, self.slope = self._solve(self.p)

    def _model(self, p: _Values, points: int) -> tuple[_Floats, list[_Floats]]:
        """Return the HU of the model at the first points of each ray, and its derivatives."""
        r = self.r[:points]
        q = p.astype(np.float32)[:, :, None]
        radius = q[:, 0] + (q[:, 4:] * self.basis[None]).sum(axis=1)  # (n, rays)
        radius = np.maximum(radius, np.float32(_LEAST_RADIUS / 2))
        x = r * self.cos[:, None] - q[:, 2][..., None]
        y = r * self.sin[:, None] - q[:, 3][..., None]
        place = np.sqrt(x * x + y * y + np.float32(1e-6))
        inner = self._disc(place, radius)
        outer = self._disc(place, radius + q[:, 1])
        rim = (self.wall - self.outside)[:, None, None]
        hole = self.lumen - self.wall
        value = self.outside[:, None, None] + rim * outer.value + hole * inner.value
        by_wall = rim * outer.by_size
        by_radius = by_wall + hole * inner.by_size
        by_place = (rim * outer.by_place + hole * inner.by_place) / place
        parts = [by_radius, by_wall, -by_place * x, -by_place * y]
        return value, parts + [by_radius * one[:, None] for one in self.basis]

    def _disc(self, place: _Floats, radius: _Floats) -> Disc:
        """Return a disc as this scan shows it, its derivatives a mm; radius is one number a ray."""
        value, by_size, by_place = (np.zeros_like(place) for _ in range(3))
        for share, sigma in self.spread:
            scale = (1 / sigma)[..., None]
            part = blurred_disc(place * scale, radius[..., None] * scale)
            value += share[..., None] * part.value
            by_size += share[..., None] * scale * part.by_size
            by_place += share[..., None] * scale * part.by_place
        return Disc(value, by_size, by_place)

    def _prior(self, p: _Values) -> _Values:
        """Weights of the parameters' own squares: centre and shape stay at home unless the samples differ."""
        out = np.zeros(p.shape[1])
        out[2:4] = (_PRIOR_HU / _PRIOR_CENTRE) ** 2
        out[4:] = (_PRIOR_HU / _PRIOR_SHAPE) ** 2
        return out

    def _solve(self, p: _Values) -> tuple[_Values, _Values, _Values]:
        """Return the cost of some parameters, and the normal equations there."""
        value, parts = self._model(p, self.near.shape[2])
        count = len(p)
        rest = (self.near - value).reshape(count, -1)
        weight = self.weight.reshape(count, -1)
        jacobian = np.stack(parts, axis=1).reshape(count, p.shape[1], -1)
        weighted = jacobian * weight[:, None]
        prior = self._prior(p)
        cost = (weight * rest * rest).sum(axis=1, dtype=np.float64) + (prior * p**2).sum(axis=1)
        normal = np.einsum("nis,njs->nij", weighted, jacobian).astype(np.float64)
        slope = np.einsum("nis,ns->ni", weighted, rest).astype(np.float64) - prior * p
        return cost, normal, slope

    def step(self) -> None:
        """Take one damped step; a section whose cost would rise stays and is damped more."""
        index = np.arange(self.p.shape[1])
        normal = self.normal.copy()
        normal[:, index, index] += self._prior(self.p)
        normal[:, index, index] *= 1 + self.damping[:, None]
        normal[:, index, index] += 1e-3
        move = np.linalg.solve(normal, self.slope[..., None])[..., 0]
        there = self.p + np.clip(move, -_MOST_STEP, _MOST_STEP)
        there[:, 0] = np.maximum(there[:, 0], _LEAST_RADIUS)
        there[:, 1] = np.clip(there[:, 1], *_WALLS)
        cost, new_normal, new_slope = self._solve(there)
        better = cost <= self.cost
        self.p[better], self.cost[better] = there[better], cost[better]
        self.normal[better], self.slope[better] = new_normal[better], new_slope[better]
        self.damping = np.where(better, self.damping / 4, self.damping * 8)

    def tubes(self) -> Tubes:
        """Return the result, without what cannot be believed."""
        lumen: _Values = 2 * np.sqrt(self.p[:, 0] ** 2 + self._shape())
        lost = self._lost(self.p[:, 0])
        few = self.rays < LEAST_RAYS
        lumen[lost] = np.nan
        wall: _Values = self.p[:, 1].copy()
        none = wall <= _WALLS[0] + 1e-6  # nothing there is brighter than what lies outside
        wall[lost | few | none | (self.outside > DENSE_OUTSIDE_HU)] = np.nan
        return Tubes(
            lumen,
            wall,
            self.p[:, 2:4].copy(),
            self.rays,
            self.outside.astype(np.float64),
            np.sqrt(np.maximum(self.cost, 0)),
        )

    def solids(self) -> _Values:
        """Return the outer diameters, without what cannot be believed."""
        outer = self.p[:, 0] + self.p[:, 1]  # only their sum is known where lumen and wall have the same HU
        bad = self._lost(outer) | (self.rays < LEAST_RAYS) | (self.outside > DENSE_OUTSIDE_HU)
        return np.asarray(np.where(bad, np.nan, 2 * np.sqrt(outer**2 + self._shape())), np.float64)

    def _shape(self) -> _Values:
        """Mean square of the harmonics: how much they add to the square of the radius."""
        return np.asarray((self.p[:, 4:] ** 2).sum(axis=1) / 2, np.float64)

    def _lost(self, radius: _Values) -> npt.NDArray[np.bool_]:
        """Where the centre left the centreline."""
        off = np.hypot(self.p[:, 2], self.p[:, 3])
        return np.asarray(off > np.maximum(_OFF_MM, _OFF_SHARE * radius), np.bool_)
