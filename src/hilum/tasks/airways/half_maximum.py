"""Lumen and wall of sections by half-maximum, the usual measure of the field.

Along each ray the wall is the highest point near the border of the mask. The inner edge lies where HU are
half way between it and the lowest point inward, the outer edge half way between it and the lowest outward.
Rays whose edge lies far from the median of the section are left out (median rule; as in AirQuant after Kiraly
2005, here without the fit of an ellipse). In narrow airways the blur moves both edges: the lumen is read too
small, by about 1 mm at 3 mm, and the wall too thick.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilum.tasks.airways.sections import Sections

__all__ = ["half_maximum"]

_Values = npt.NDArray[np.float64]
#: The wall is looked for up to this many mm beyond the border of the mask, the lowest point outward up to
#: this many beyond the wall.
_WALL_WITHIN_MM, _OUTWARD_MM = 2.5, 3.0
#: Rays are left out whose edge differs from the median of the section by more than this many scaled median
#: absolute deviations, and at least this many mm.
_DEVIATIONS, _LEAST_MM = 3.0, 0.5
_MAD_TO_SD = 1.4826
#: Share of rays that must be left.
_LEAST_SHARE = 0.25


def half_maximum(sections: Sections) -> tuple[_Values, _Values]:
    """Measure sections by half-maximum.

    Args:
        sections: The sections.

    Returns:
        Diameter of the lumen and thickness of the wall in mm, shape (n,) each; nan where too few rays have
        both edges.
    """
    hu, r = sections.hu.astype(np.float64), sections.radius_mm
    points = np.arange(len(r))
    border = sections.mask_radius_mm[:, None, None]
    near = (r >= border - 1.0) & (r <= border + _WALL_WITHIN_MM)
    peak = np.argmax(np.where(near, hu, -np.inf), axis=2)
    high = np.take_along_axis(hu, peak[..., None], 2)
    inward = points < peak[..., None]
    low = np.where(inward, hu, np.inf).min(axis=2, keepdims=True)
    outward = (points > peak[..., None]) & (r <= r[peak][..., None] + _OUTWARD_MM)
    low_out = np.where(outward, hu, np.inf).min(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        inner = _crossing(hu, r, (high + low) / 2, peak, -1)
        outer = _crossing(hu, r, (high + low_out) / 2, peak, 1)
    inner = _without_outliers(inner)
    outer = _without_outliers(outer)
    both = np.isfinite(inner) & np.isfinite(outer)
    enough = both.mean(axis=1) >= _LEAST_SHARE
    lumen = 2 * np.sqrt(_mean(inner**2))
    wall = np.sqrt(_mean(outer**2)) - lumen / 2
    seen = np.isfinite(inner).mean(axis=1) >= _LEAST_SHARE
    return np.where(seen, lumen, np.nan), np.where(enough & seen, wall, np.nan)


def _crossing(hu: _Values, r: _Values, level: _Values, peak: npt.NDArray[np.intp], direction: int) -> _Values:
    """Return where each ray first falls below a level on the way from its peak; nan where it does not."""
    points = np.arange(len(r))
    beyond = points < peak[..., None] if direction < 0 else points > peak[..., None]
    below = beyond & (hu <= level)
    found = below.any(axis=2)
    if direction < 0:
        at = len(r) - 1 - np.argmax(below[..., ::-1], axis=2)
    else:
        at = np.argmax(below, axis=2)
    before = np.clip(at - direction, 0, len(r) - 1)
    one = np.take_along_axis(hu, at[..., None], 2)[..., 0]
    other = np.take_along_axis(hu, before[..., None], 2)[..., 0]
    with np.errstate(all="ignore"):
        share = np.clip((level[..., 0] - one) / (other - one), 0, 1)
    share = np.where(np.isfinite(share), share, 0.0)
    return np.where(found, r[at] + share * (r[before] - r[at]), np.nan)


def _without_outliers(edge: _Values) -> _Values:
    with np.errstate(all="ignore"):
        middle = _median(edge)[:, None]
        spread = _MAD_TO_SD * _median(np.abs(edge - middle))[:, None]
        far = np.abs(edge - middle) > np.maximum(_DEVIATIONS * spread, _LEAST_MM)
    return np.where(far, np.nan, edge)


def _median(values: _Values) -> _Values:
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    out[some] = np.nanmedian(values[some], axis=1)
    return out


def _mean(values: _Values) -> _Values:
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    out[some] = np.nanmean(values[some], axis=1)
    return out
