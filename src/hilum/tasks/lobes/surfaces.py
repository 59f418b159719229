"""The fissures of one patient: heights fitted to plates and vessels under the prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.core.labels import Lung
from hilum.tasks.lobes.evidence import Evidence
from hilum.tasks.lobes.frames import Fissure, Frame
from hilum.tasks.lobes.prior import Prior
from hilum.tasks.lobes.registration import ToTemplate

__all__ = ["SIDES", "Columns", "Surface", "columns", "fit_surfaces", "in_front"]

Floats = npt.NDArray[np.float64]

#: Distance of the columns along u and v, mm.
_COLUMN_MM = 3.0
#: Columns reach this far above and below the surface that they are laid along, mm.
_REACH_MM = 36.0
#: Plates whose normal lies within this angle of the surface's count, degrees.
_ANGLE_DEG = 45.0
#: Smoothing along the surface, mm: fissures are sheets, noise is not.
_SMOOTH_MM = 4.0
#: Log odds for a fissure per HU of plate response in a column, and against it where a column is all vessel.
_PLATE_WEIGHT, _VESSEL_WEIGHT = 0.45, 4.0
#: Most log odds of a column.
_MOST_ODDS = 6.0
#: Widths of the search about the surface, one after another, mm.
_WIDTHS_MM = (10.0, 10.0, 8.0, 6.5, 5.0, 4.0, 3.0, 2.5, 2.0, 2.0, 1.5, 1.5)
#: Neighbouring columns share smoothed evidence; this many count as one.
_SHARED = 20.0
#: The horizontal fissure begins where its surface lies this far above the oblique one, mm.
_ABOVE_MM = -3.0
SIDES = {
    Fissure.RIGHT_OBLIQUE: Lung.RIGHT,
    Fissure.RIGHT_HORIZONTAL: Lung.RIGHT,
    Fissure.LEFT_OBLIQUE: Lung.LEFT,
}


@dataclass(frozen=True, eq=False)
class Surface:
    """Heights of a fissure on its columns.

    Attributes:
        frame: The plane.
        heights: (u, v), mm, at :func:`columns` of the frame.
    """

    frame: Frame
    heights: Floats

    def at(self, uv: Floats) -> Floats:
        """Heights at n places, (n, 2) mm."""
        index = ((uv - self.frame.low) / _COLUMN_MM).T
        out: Floats = ndimage.map_coordinates(self.heights, index, order=1, mode="nearest")
        return out

    def above(self, points: Floats) -> Floats:
        """How far points of the template lie above the surface, along the normal of its plane, (n,) mm."""
        local = self.frame.local(points)
        return np.asarray(local[:, 2] - self.at(local[:, :2]))


@dataclass(frozen=True, eq=False)
class Columns:
    """The evidence of one fissure, in columns along the normal of its plane.

    Attributes:
        odds: Log odds for a fissure at each place against none, (u, v, offset from ``base``).
        plates: Mean response of plates, smoothed along the surface, (u, v, offset), HU.
        base: Heights that the columns are laid along, (u, v), mm.
    """

    odds: Floats
    plates: Floats
    base: Floats


def columns(frame: Frame) -> Floats:
    """Places (u, v) of the columns of a frame, (nu, nv, 2) mm."""
    lines = [np.arange(low, high, _COLUMN_MM) for low, high in zip(frame.low, frame.high, strict=True)]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=2)


def _offsets() -> Floats:
    return np.arange(-_REACH_MM, _REACH_MM + 0.5)


@dataclass(frozen=True, eq=False)
class _Moved:
    """Evidence in the space of the template."""

    plates: Floats
    normals: Floats
    strengths: Floats
    vessels: Floats
    voxel_mm3: float

    @classmethod
    def of(cls, evidence: Evidence, to_template: ToTemplate) -> _Moved:
        return cls(
            to_template.points(evidence.plates),
            to_template.normals(evidence.normals),
            evidence.strengths,
            to_template.points(evidence.vessels),
            evidence.voxel_mm3 * abs(float(np.linalg.det(to_template.matrix))),
        )


def gather(moved: _Moved, surface: Surface, smooth_mm: float = _SMOOTH_MM) -> Columns:
    """Sort the evidence of a lung into columns along a surface."""
    frame = surface.frame
    nu, nv = surface.heights.shape
    nk = len(_offsets())
    slopes = np.stack(np.gradient(surface.heights, _COLUMN_MM), axis=2)

    def bins(points: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        local = frame.local(points)
        place = np.rint((local[:, :2] - frame.low) / _COLUMN_MM).astype(np.intp)
        inside = ((place >= 0) & (place < (nu, nv))).all(axis=1)
        place = np.clip(place, 0, (nu - 1, nv - 1))
        offset = np.rint(local[:, 2] - surface.at(local[:, :2]) + _REACH_MM).astype(np.intp)
        inside &= (offset >= 0) & (offset < nk)
        cell = (place[:, 0] * nv + place[:, 1]) * nk + np.clip(offset, 0, nk - 1)
        return cell, inside, place

    per_bin = _COLUMN_MM**2 * 1.0 / moved.voxel_mm3  # voxels in a bin of 1 mm along the normal
    cell, inside, place = bins(moved.plates)
    slope = slopes[place[:, 0], place[:, 1]]
    normal = np.concatenate([-slope, np.ones((len(slope), 1))], axis=1) @ frame.axes
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    cosine = np.abs(np.einsum("ij,ij->i", normal, moved.normals))
    agreement = np.clip(
        (cosine - np.cos(np.deg2rad(_ANGLE_DEG))) / (1 - np.cos(np.deg2rad(_ANGLE_DEG))), 0, 1
    )
    inside &= agreement > 0
    plates = np.bincount(
        cell[inside], (moved.strengths * agreement)[inside] / per_bin, minlength=nu * nv * nk
    ).reshape(nu, nv, nk)
    cell, inside, _ = bins(moved.vessels)
    vessels = np.bincount(cell[inside], minlength=nu * nv * nk).reshape(nu, nv, nk) / per_bin
    width = (smooth_mm / _COLUMN_MM, smooth_mm / _COLUMN_MM, 0.5)
    plates = ndimage.gaussian_filter(plates, width)
    vessels = ndimage.gaussian_filter(np.minimum(vessels, 1.0), width)
    odds = np.minimum(_PLATE_WEIGHT * plates, _MOST_ODDS) - _VESSEL_WEIGHT * vessels
    return Columns(odds, plates, surface.heights)


def fit_surfaces(
    evidence: Mapping[Lung, Evidence], to_template: ToTemplate, prior: Prior
) -> dict[Fissure, tuple[Surface, Columns]]:
    """Fit the fissures of the lungs that are there.

    In each column the probability of the fissure's height is proportional to the odds of the evidence times
    a Gaussian about the present surface; its mean pulls the coefficients, as strongly as the evidence is
    better than none, and the prior holds them. The Gaussian narrows from round to round.
    """
    moved = {side: _Moved.of(one, to_template) for side, one in evidence.items()}
    fissures = [fissure for fissure in Fissure if SIDES[fissure] in moved]
    precision = np.linalg.inv(prior.covariance())
    pulled = precision @ prior.mean
    coefficients = prior.mean
    bases = {
        fissure: prior.frames[fissure].basis(columns(prior.frames[fissure]).reshape(-1, 2))
        for fissure in fissures
    }

    def surface(fissure: Fissure) -> Surface:
        frame = prior.frames[fissure]
        shape = columns(frame).shape[:2]
        return Surface(frame, (bases[fissure] @ coefficients[prior.part(fissure)]).reshape(shape))

    found: dict[Fissure, Columns] = {}
    for round_, width in enumerate(_WIDTHS_MM):
        square, cross = precision.copy(), pulled.copy()
        for fissure in fissures:
            now = surface(fissure)
            if round_ % 4 == 0:
                found[fissure] = gather(moved[SIDES[fissure]], now)
            height, weight = _expect(found[fissure], now, width)
            if fissure is Fissure.RIGHT_HORIZONTAL:
                weight = weight * in_front(now, surface(Fissure.RIGHT_OBLIQUE))
            part, basis = prior.part(fissure), bases[fissure]
            scaled = basis * (weight.ravel() / (_SHARED * (width**2 + 1)))[:, None]
            square[part, part] += basis.T @ scaled
            cross[part] += scaled.T @ height.ravel()
        coefficients = np.linalg.solve(square, cross)
    out = {}
    for fissure in fissures:
        now = surface(fissure)
        fine = gather(moved[SIDES[fissure]], now, smooth_mm=3.0)
        out[fissure] = (now, fine)
    return out


def _expect(found: Columns, now: Surface, width: float) -> tuple[Floats, Floats]:
    """Expected height of the fissure in each column, and how much the evidence is better than none, 0 to 1."""
    offsets = _offsets()
    away = offsets - (now.heights - found.base)[:, :, None]
    gaussian = np.exp(-0.5 * (away / width) ** 2)
    gaussian /= np.maximum(gaussian.sum(axis=2, keepdims=True), 1e-12)
    likely = gaussian * np.exp(found.odds)
    total = likely.sum(axis=2)
    height = (likely * offsets).sum(axis=2) / np.maximum(total, 1e-12) + found.base
    ratio = np.maximum(total, 1e-6)
    weight = 1 - np.minimum(ratio, 1 / ratio)
    return height, weight


def in_front(horizontal: Surface, oblique: Surface) -> Floats:
    """1 where the horizontal fissure lies above the oblique one, else 0."""
    uv = columns(horizontal.frame)
    local = np.concatenate([uv, horizontal.heights[:, :, None]], axis=2).reshape(-1, 3)
    above = oblique.above(horizontal.frame.points(local)).reshape(uv.shape[:2])
    return (above > _ABOVE_MM).astype(float)
