"""Fissures as heights over planes, in the space of the template.

The template is a pair of mean lungs; see :mod:`hilum.tasks.lobes.prior`. Each fissure has a plane that runs
through it, tilted as the fissure is on average. The fissure is a smooth height over that plane: a cubic
B-spline on a square lattice of coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

__all__ = ["Fissure", "Frame", "smooth_covariance"]

Floats = npt.NDArray[np.float64]

#: Standard deviation of the second difference of neighbouring coefficients of a smooth surface, mm.
_BEND_MM = 4.0
#: Standard deviation of the level of a smooth surface, mm.
_LEVEL_MM = 8.0


class Fissure(IntEnum):
    """The three fissures; the values are their places in the prior."""

    RIGHT_OBLIQUE = 0
    RIGHT_HORIZONTAL = 1
    LEFT_OBLIQUE = 2

    @property
    def words(self) -> str:
        """Name for people."""
        return self.name.lower().replace("_", " ") + " fissure"

    @property
    def region(self) -> str:
        """Name in every output."""
        return self.name.lower() + "_fissure"


@dataclass(frozen=True, eq=False)
class Frame:
    """The plane of one fissure, and the lattice of coefficients on it.

    Attributes:
        origin: A point of the plane, RAS mm of the template, (3,).
        axes: Unit vectors u, v and the normal, from the lower to the upper lobe, as rows, (3, 3).
        low: Where the lattice begins along u and v, mm.
        step: Distance of its coefficients, mm.
        shape: Number of coefficients along u and v.
    """

    origin: Floats
    axes: Floats
    low: Floats
    step: float
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.shape[0] * self.shape[1]

    @property
    def high(self) -> Floats:
        """Where the lattice ends along u and v, mm; beyond, heights are those of its border."""
        out: Floats = self.low + self.step * (np.array(self.shape) - 3)
        return out

    def local(self, points: Floats) -> Floats:
        """Coordinates (u, v, height) of points of the template, (n, 3) mm."""
        out: Floats = (points - self.origin) @ self.axes.T
        return out

    def points(self, local: Floats) -> Floats:
        """Points of the template of coordinates (u, v, height), (n, 3) mm."""
        out: Floats = local @ self.axes + self.origin
        return out

    def basis(self, uv: Floats) -> Floats:
        """Weights of the coefficients for the height at each of n places.

        Args:
            uv: Places, (n, 2) mm.

        Returns:
            Array (n, :attr:`size`); each row adds up to 1.
        """
        along = [
            _spline_weights((uv[:, axis] - self.low[axis]) / self.step, self.shape[axis]) for axis in range(2)
        ]
        return (along[0][:, :, None] * along[1][:, None, :]).reshape(len(uv), -1)


def _spline_weights(at: Floats, count: int) -> Floats:
    """Weights of the cubic B-splines of ``count`` coefficients at places in units of their distance."""
    at = np.clip(at, 0, count - 3 - 1e-9)
    cell = at.astype(np.intp)
    t = at - cell
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    out = np.zeros((len(at), count))
    rows = np.arange(len(at))
    for offset, piece in enumerate(pieces):
        out[rows, cell + offset] = piece / 6
    return out


def smooth_covariance(shape: tuple[int, int]) -> Floats:
    """Covariance of the coefficients of a surface of which only its smoothness is known.

    The inverse of the bending energy (the sum of squared second differences), with a level that is free
    within :data:`_LEVEL_MM`.
    """
    n, m = shape

    def difference(count: int, order: int) -> Floats:
        return np.diff(np.eye(count), order, axis=0)

    parts = (
        np.kron(difference(n, 2), np.eye(m)),
        np.kron(np.eye(n), difference(m, 2)),
        np.sqrt(2) * np.kron(difference(n, 1), difference(m, 1)),
    )
    bending = sum(part.T @ part for part in parts)
    level = 3 * np.eye(n * m) / (n * m)
    out: Floats = np.linalg.inv(bending / _BEND_MM**2 + level / _LEVEL_MM**2)
    return out
