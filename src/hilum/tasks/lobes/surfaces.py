"""The fissures of one patient: heights fitted to plates and vessels under the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
#: Plates that lean further against the plane are not looked at, degrees; surfaces lean against it by 30.
_FAR_DEG = 75.0
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
    return np.arange(-_REACH_MM, _REACH_MM + 0.5, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Evidence near the plane of one fissure, by column.

    Attributes:
        column: Number of the column of each item, (n,).
        beside: Its place beside the column along u and v, (n, 2) mm.
        height: Its height over the plane, (n,) mm.
        amount: What it counts, per mm3 of a bin, (n,).
        normal: Its normal along u, v and the plane's normal, (n, 3); empty for vessels.
    """

    column: npt.NDArray[np.intp]
    beside: Floats
    height: Floats
    amount: Floats
    normal: Floats

    @classmethod
    def of(
        cls, frame: Frame, mean: Surface, points: Floats, amount: Floats, normals: Floats | None
    ) -> _Sorted:
        """Sort items of the template's space; those far from the mean surface are left out."""
        local = frame.local(points)
        shape = mean.heights.shape
        place = np.rint((local[:, :2] - frame.low) / _COLUMN_MM).astype(np.intp)
        near = ((place >= 0) & (place < shape)).all(axis=1)
        turned = None if normals is None else normals @ frame.axes.T
        if turned is not None:
            near &= np.abs(turned[:, 2]) > np.cos(np.deg2rad(_FAR_DEG))
        column = place[near, 0] * shape[1] + place[near, 1]
        local, kept = local[near], np.flatnonzero(near)
        close = np.abs(local[:, 2] - mean.heights.ravel()[column]) < 2 * _REACH_MM
        column, local, kept = column[close], local[close], kept[close]
        beside = local[:, :2] - frame.low - _COLUMN_MM * place[kept]
        normal = np.zeros((0, 3)) if turned is None else turned[kept]
        return cls(column, beside, local[:, 2], amount[kept], normal)

    def stack(self, surface: Surface) -> Floats:
        """Sum the items in bins of the columns along a surface, (u, v, offset), per mm3."""
        slopes = np.stack(np.gradient(surface.heights, _COLUMN_MM), axis=2).reshape(-1, 2)[self.column]
        level = surface.heights.ravel()[self.column] + (slopes * self.beside).sum(axis=1)
        count = len(_offsets())
        offset = np.rint(self.height - level + _REACH_MM).astype(np.intp)
        inside = (offset >= 0) & (offset < count)
        amount = self.amount
        if len(self.normal):
            across = self.normal[:, 2] - (slopes * self.normal[:, :2]).sum(axis=1)
            cosine = np.abs(across) / np.sqrt(1 + (slopes**2).sum(axis=1))
            limit = np.cos(np.deg2rad(_ANGLE_DEG))
            amount = amount * np.clip((cosine - limit) / (1 - limit), 0, 1)
        size = surface.heights.size * count
        cell = self.column[inside] * count + offset[inside]
        sums = np.bincount(cell, amount[inside], minlength=size) / _COLUMN_MM**2
        return sums.reshape(*surface.heights.shape, count)


@dataclass(frozen=True, eq=False)
class _Lung:
    """Evidence of a lung for one fissure."""

    plates: _Sorted
    vessels: _Sorted
    vascularity: float

    @classmethod
    def of(cls, evidence: Evidence, to_template: ToTemplate, frame: Frame, mean: Surface) -> _Lung:
        larger = abs(float(np.linalg.det(to_template.matrix)))
        normals = to_template.normals(evidence.normals)
        plates = to_template.points(evidence.plates)
        vessels = to_template.points(evidence.vessels)
        return cls(
            _Sorted.of(frame, mean, plates, evidence.strengths * larger, normals),
            _Sorted.of(frame, mean, vessels, evidence.amounts * larger, None),
            evidence.vascularity,
        )

    def columns(self, surface: Surface, smooth_mm: float = _SMOOTH_MM) -> Columns:
        """Sort the evidence into columns along a surface."""
        sheet, (wide, thin) = smooth_mm / _COLUMN_MM, _VESSEL_SMOOTH_MM
        plates = ndimage.gaussian_filter(self.plates.stack(surface), (sheet, sheet, 0.5))
        vessels = ndimage.gaussian_filter(
            self.vessels.stack(surface), (wide / _COLUMN_MM, wide / _COLUMN_MM, thin)
        )
        usual = max(self.vascularity, _LEAST_VASCULARITY)
        common = vessels.mean(axis=2, keepdims=True) + _COMMON_VESSELS * usual
        odds = np.minimum(_PLATE_ODDS * plates, _MOST_ODDS) - _VESSEL_ODDS * vessels / common
        return Columns(odds, plates, surface.heights)


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
                found[fissure] = lungs[fissure].columns(now[fissure])
            height, weight = _expect(found[fissure], now[fissure], width)
            if fissure is Fissure.RIGHT_HORIZONTAL:
                weight = weight * in_front(now[fissure], now[Fissure.RIGHT_OBLIQUE])
            part, basis = prior.part(fissure), bases[fissure]
            scaled = basis * (weight.ravel() / (_SHARED * (width**2 + 1)))[:, None]
            square[part, part] += basis.T @ scaled
            cross[part] += scaled.T @ height.ravel()
        coefficients = np.linalg.solve(square, cross)
    now = {fissure: surface(fissure, coefficients) for fissure in fissures}
    return {fissure: (now[fissure], lungs[fissure].columns(now[fissure], _FINE_MM)) for fissure in fissures}


def _expect(found: Columns, now: Surface, width: float) -> tuple[Floats, Floats]:
    """Expected height of the fissure in each column, and how much the evidence changes it, 0 to 1."""
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
