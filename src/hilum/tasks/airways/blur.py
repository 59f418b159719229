"""How far a scan blurs: the width of the edge at the inner wall of the trachea."""

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
    """Standard deviation of the point spread of a scan, taken as a Gaussian.

    Attributes:
        in_plane_mm: Within the slices, in mm.
        through_mm: Across them, in mm.
        normal: Unit vector across the slices in RAS.
        measured: Whether it was measured at the trachea; else it is assumed.
    """

    in_plane_mm: float
    through_mm: float
    normal: tuple[float, float, float]
    measured: bool

    def along(self, directions: _Values) -> _Values:
        """Return the standard deviation in mm along unit vectors in RAS, shape (..., 3)."""
        across = (directions @ np.asarray(self.normal)) ** 2
        return np.asarray(
            np.sqrt(self.in_plane_mm**2 * (1 - across) + self.through_mm**2 * across), np.float64
        )


def edge_widths(sections: Sections, lumen_hu: float) -> _Values:
    """Return the standard deviation in mm of each ray's edge from air to soft tissue, shape (n, rays).

    The distance between a quarter and three quarters of the height of the edge, as on a Gaussian edge; nan
    where there is no soft tissue behind it.
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
    return np.where(valid, (high - low) / _GAUSS, np.nan)


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

    Within the slices it is the median width of the edge at the inner wall of the trachea, which runs across
    the slices. Across the slices it is that of a profile whose full width at half maximum is the thickness of
    a slice, the meaning of that number.

    Args:
        trachea: Sections of the trachea; None where there are none.
        lumen_hu: HU of air in this scan.
        normal: Unit vector across the slices in RAS.
        thickness_mm: Thickness of a slice in mm.

    Returns:
        The blur; assumed within the slices if too few rays show an edge to soft tissue.
    """
    through = thickness_mm / _FWHM
    x, y, z = normal.tolist()
    if trachea is not None:
        widths = edge_widths(trachea, lumen_hu)
        flat = np.abs(trachea.directions @ normal) < _IN_PLANE
        found = widths[flat & np.isfinite(widths)]
        if len(found) >= _LEAST_RAYS:
            sigma = float(np.clip(np.median(found), *_BOUNDS_MM))
            return Blur(sigma, float(np.clip(through, *_BOUNDS_MM)), (x, y, z), measured=True)
    return Blur(_ASSUMED_MM, float(np.clip(through, *_BOUNDS_MM)), (x, y, z), measured=False)
