"""Columns along the normal of a fissure's plane, into which evidence is sorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hilum.tasks.lobes.frames import Frame

__all__ = ["COLUMN_MM", "Columns", "Sorted", "Surface", "columns", "offsets"]

Floats = npt.NDArray[np.float64]

#: Distance of the columns along u and v, mm.
COLUMN_MM = 3.0
#: Columns reach this far above and below the surface that they are laid along, mm.
REACH_MM = 36.0
#: Plates whose normal lies within this angle of the surface's count, degrees.
_ANGLE_DEG = 45.0
#: Plates that lean further against the plane are not looked at, degrees; surfaces lean against it by 30.
_FAR_DEG = 75.0


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
        index = ((uv - self.frame.low) / COLUMN_MM).T
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
        trees: Log odds of each place by the trees of vessels that it would divide, against the best one,
            (u, v, offset).
    """

    odds: Floats
    plates: Floats
    base: Floats
    trees: Floats


def columns(frame: Frame) -> Floats:
    """Places (u, v) of the columns of a frame, (nu, nv, 2) mm."""
    lines = [np.arange(low, high, COLUMN_MM) for low, high in zip(frame.low, frame.high, strict=True)]
    return np.stack(np.meshgrid(*lines, indexing="ij"), axis=2)


def offsets() -> Floats:
    """Offsets of the bins of a column from its base, mm."""
    return np.arange(-REACH_MM, REACH_MM + 0.5, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Sorted:
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
    ) -> Sorted:
        """Sort items of the template's space; those far from the mean surface are left out."""
        local = frame.local(points)
        shape = mean.heights.shape
        place = np.rint((local[:, :2] - frame.low) / COLUMN_MM).astype(np.intp)
        near = ((place >= 0) & (place < shape)).all(axis=1)
        turned = None if normals is None else normals @ frame.axes.T
        if turned is not None:
            near &= np.abs(turned[:, 2]) > np.cos(np.deg2rad(_FAR_DEG))
        column = place[near, 0] * shape[1] + place[near, 1]
        local, kept = local[near], np.flatnonzero(near)
        close = np.abs(local[:, 2] - mean.heights.ravel()[column]) < 2 * REACH_MM
        column, local, kept = column[close], local[close], kept[close]
        beside = local[:, :2] - frame.low - COLUMN_MM * place[kept]
        normal = np.zeros((0, 3)) if turned is None else turned[kept]
        return cls(column, beside, local[:, 2], amount[kept], normal)

    def stack(self, surface: Surface) -> Floats:
        """Sum the items in bins of the columns along a surface, (u, v, offset), per mm3."""
        slopes = np.stack(np.gradient(surface.heights, COLUMN_MM), axis=2).reshape(-1, 2)[self.column]
        level = surface.heights.ravel()[self.column] + (slopes * self.beside).sum(axis=1)
        count = len(offsets())
        offset = np.rint(self.height - level + REACH_MM).astype(np.intp)
        inside = (offset >= 0) & (offset < count)
        amount = self.amount
        if len(self.normal):
            across = self.normal[:, 2] - (slopes * self.normal[:, :2]).sum(axis=1)
            cosine = np.abs(across) / np.sqrt(1 + (slopes**2).sum(axis=1))
            limit = np.cos(np.deg2rad(_ANGLE_DEG))
            amount = amount * np.clip((cosine - limit) / (1 - limit), 0, 1)
        size = surface.heights.size * count
        cell = self.column[inside] * count + offset[inside]
        sums = np.bincount(cell, amount[inside], minlength=size) / COLUMN_MM**2
        return sums.reshape(*surface.heights.shape, count)
