"""How a scan blurs: the edge from air to soft tissue at the inner wall of the trachea.

The point spread is taken as a Gaussian of standard deviation s that a sharp kernel enhances by a gain g:

    (1 + g) G(s) - g G(sqrt(s**2 + wide**2))

with a fixed width of 1 mm. Enhancement is seen as a dark seam in the air before the wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.tasks.airways.sections import Sections

__all__ = ["Blur", "estimate_blur"]

_Values = npt.NDArray[np.float64]
#: Soft tissue lies behind the edge where HU stay above this for this many mm: with lung behind a thin wall
#: the blurred wall does not reach its own HU, and the edge seems narrow.
_TISSUE_HU, _BEHIND_MM = -250.0, 3.0
#: Width of the enhancement in mm. Kernels for the lung act on details of about this size; the gain is fitted.
WIDE_MM = 1.0
#: Gains below this are the ripple of the interpolation.
_LEAST_GAIN = 0.1
#: Part of the mean edge that is fitted, in mm from half its height: air, seam and rise, not the wall.
_FITTED_MM = (-3.0, 0.5)
#: Standard deviations in mm and gains that are tried.
_SIGMAS, _GAINS = np.arange(0.25, 1.5, 0.01), np.arange(0.0, 1.55, 0.05)
#: Levels between which the edge is measured, as shares of its height, and their distance on a Gaussian edge
#: of standard deviation 1.
_LOW, _HIGH, _GAUSS = 0.25, 0.75, 1.34898
#: Fewest rays that an estimate is made from.
_LEAST_RAYS = 100
#: Standard deviation in mm of the blur of a medium kernel, taken where it cannot be measured.
_ASSUMED_MM = 0.6
#: What estimates are kept to, in mm: finer than any kernel for the chest, and coarser.
_BOUNDS_MM = (0.25, 1.5)
#: Full width at half maximum of a Gaussian in standard deviations.
_FWHM = 2.35482
#: Rays whose direction has less than this part across the slices lie within them, to 17 degrees.
_IN_PLANE = 0.3


@dataclass(frozen=True)
class Blur:
    """The point spread of a scan.

    Attributes:
        in_plane_mm: Standard deviation within the slices, in mm.
        through_mm: Standard deviation across them, in mm.
        normal: Unit vector across the slices in RAS.
        measured: Whether it was measured at the trachea; else it is assumed.
        gain: Gain of the edge enhancement within the slices; 0 for none.
    """

    in_plane_mm: float
    through_mm: float
    normal: tuple[float, float, float]
    measured: bool
    gain: float = 0.0

    def gain_along(self, directions: _Values) -> _Values:
        """Return the gain along unit vectors in RAS, shape (..., 3); across the slices there is none."""
        return np.asarray(self.gain * (1 - (directions @ np.asarray(self.normal)) ** 2), np.float64)

    def along(self, directions: _Values) -> _Values:
        """Return the standard deviation in mm along unit vectors in RAS, shape (..., 3)."""
        across = (directions @ np.asarray(self.normal)) ** 2
        return np.asarray(
            np.sqrt(self.in_plane_mm**2 * (1 - across) + self.through_mm**2 * across), np.float64
        )


def _edges(sections: Sections, lumen_hu: float) -> tuple[_Values, _Values, _Values]:
    """Return width in mm, place in mm and height in HU of each ray's edge from air to tissue, (n, rays).

    The width is the standard deviation of a Gaussian edge with the same distance between a quarter and three
    quarters of its height; nan where there is no soft tissue behind it.
    """
    hu, r = sections.hu.astype(np.float64), sections.radius_mm
    middle = (lumen_hu + 0.0) / 2
    edge = np.argmax(hu > middle, axis=2)
    at = r[edge]
    behind = (r > at[..., None] + 1.5) & (r <= at[..., None] + _BEHIND_MM)
    count = np.maximum(behind.sum(axis=2), 1)
    with np.errstate(all="ignore"):
        lowest = np.where(behind, hu, np.inf).min(axis=2)
        plateau = np.where(behind, hu, 0).sum(axis=2) / count
    valid = (edge > 1) & (lowest > _TISSUE_HU) & (plateau < 150) & np.isfinite(lowest)
    low = _first_above(hu, r, lumen_hu + _LOW * (plateau - lumen_hu), edge)
    high = _first_above(hu, r, lumen_hu + _HIGH * (plateau - lumen_hu), edge)
    half = _first_above(hu, r, (lumen_hu + plateau) / 2, edge)
    return np.where(valid, (high - low) / _GAUSS, np.nan), half, plateau - lumen_hu


def _mean_edge(
    hu: _Values, r: _Values, half: _Values, height: _Values, lumen_hu: float
) -> tuple[_Values, _Values]:
    """Return distances from half the height in mm, and the mean of many edges there: 0 in air, 1 behind."""
    at: _Values = np.asarray(np.arange(_FITTED_MM[0], _FITTED_MM[1] + 1e-6, 0.25), np.float64)
    rows = [
        (np.interp(place + at, r, row) - lumen_hu) / high
        for row, place, high in zip(hu, half, height, strict=True)
    ]
    return at, np.asarray(np.mean(rows, axis=0), np.float64)


def _fitted(at: _Values, edge: _Values) -> tuple[float, float]:
    """Return standard deviation and gain of the enhanced Gaussian edge nearest to an edge."""
    from scipy.special import ndtr

    sigma, gain = _SIGMAS[:, None, None], _GAINS[None, :, None]
    shape = (1 + gain) * ndtr(at / sigma) - gain * ndtr(at / np.hypot(sigma, WIDE_MM))
    height = (shape * edge).sum(axis=2, keepdims=True) / (shape**2).sum(axis=2, keepdims=True)
    rest = ((height * shape - edge) ** 2).sum(axis=2)
    row, column = np.unravel_index(int(np.argmin(rest)), rest.shape)
    return float(_SIGMAS[row]), float(_GAINS[column])


def _first_above(hu: _Values, r: _Values, level: _Values, edge: npt.NDArray[np.intp]) -> _Values:
    """Return where each ray crosses a level nearest to its edge, going outward."""
    points = np.arange(len(r))
    window = np.abs(points - edge[..., None]) <= 6
    above = window & (hu > level[..., None])
    at = np.maximum(np.argmax(above, axis=2), 1)
    one = np.take_along_axis(hu, at[..., None] - 1, 2)[..., 0]
    other = np.take_along_axis(hu, at[..., None], 2)[..., 0]
    with np.errstate(all="ignore"):
        share = np.clip((level - one) / (other - one), 0, 1)
    share = np.where(np.isfinite(share), share, 0.5)
    return np.asarray(r[at - 1] + share * (r[at] - r[at - 1]), np.float64)


def estimate_blur(
    trachea: Sections | None,
    lumen_hu: float,
    normal: npt.NDArray[np.float64],
    thickness_mm: float,
) -> Blur:
    """Estimate the blur of a scan.

    Within the slices it is that of the mean edge at the inner wall of the trachea, which runs across the
    slices: without enhancement the median of the widths, with it the best fit. Across the slices it is that
    of a profile whose full width at half maximum is the thickness of a slice, the meaning of that number.

    Args:
        trachea: Sections of the trachea; None where there are none.
        lumen_hu: HU of air in this scan.
        normal: Unit vector across the slices in RAS.
        thickness_mm: Thickness of a slice in mm.

    Returns:
        The blur; assumed within the slices if too few rays show an edge to soft tissue.
    """
    through = float(np.clip(thickness_mm / _FWHM, *_BOUNDS_MM))
    x, y, z = normal.tolist()
    if trachea is not None:
        widths, half, height = _edges(trachea, lumen_hu)
        good = np.isfinite(widths) & (np.abs(trachea.directions @ normal) < _IN_PLANE)
        if np.count_nonzero(good) >= _LEAST_RAYS:
            hu = trachea.hu[good].astype(np.float64)
            sigma, gain = _fitted(*_mean_edge(hu, trachea.radius_mm, half[good], height[good], lumen_hu))
            if gain < _LEAST_GAIN:
                sigma, gain = float(np.median(widths[good])), 0.0
            sigma = float(np.clip(sigma, *_BOUNDS_MM))
            return Blur(sigma, through, (x, y, z), measured=True, gain=gain)
    return Blur(_ASSUMED_MM, through, (x, y, z), measured=False)
