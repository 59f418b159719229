"""Linear interpolation along one axis. Plain arithmetic and no BLAS: the same bytes on any thread count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Interpolation", "along_axis"]

_Floats = npt.NDArray[np.floating[Any]]
_F = TypeVar("_F", bound=np.floating[Any])


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Where each new point lies between two old ones of an axis.

    Attributes:
        low: Index of the old point below each new one.
        high: Index of the old point above it.
        weight: Share of the way from ``low`` to ``high``, 0 to 1.
    """

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float32]

    @classmethod
    def at(cls, size: int, positions: npt.NDArray[np.floating[Any]]) -> Interpolation:
        """Prepare new points at ``positions``, in units of the ``size`` old ones; the ends are repeated."""
        positions = np.clip(positions, 0, size - 1)
        low = np.minimum(positions.astype(np.intp), max(size - 2, 0))
        return cls(low, np.minimum(low + 1, size - 1), (positions - low).astype(np.float32))

    @classmethod
    def between(cls, coarse: int, fine: int, factor: int) -> Interpolation:
        """Prepare the way from the centres of ``coarse`` blocks to ``fine`` voxels, ``factor`` a block.

        Voxel ``i`` lies at ``(i + 0.5) / factor - 0.5`` in units of blocks.
        """
        return cls.at(coarse, (np.arange(fine) + 0.5) / factor - 0.5)

    def along(self, values: _Floats, axis: int) -> _Floats:
        """Interpolate along one axis."""
        weight = self.weight.reshape([-1] + [1] * (values.ndim - axis - 1))
        return _mixed(np.take(values, self.low, axis), np.take(values, self.high, axis), weight)

    def rows(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Interpolate along the first axis."""
        weight = self.weight.reshape((-1,) + (1,) * (values.ndim - 1))
        return _mixed(values[self.low], values[self.high], weight)

    def one(self, values: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.float32]:
        """Interpolate along the last axis at one new point."""
        below = values[..., self.low[index]]
        out: npt.NDArray[np.float32] = below + self.weight[index] * (values[..., self.high[index]] - below)
        return out


def _mixed(
    below: npt.NDArray[_F], above: npt.NDArray[_F], weight: npt.NDArray[np.float32]
) -> npt.NDArray[_F]:
    """Return ``below + weight * (above - below)``, made in ``above``: no further array is taken."""
    above -= below
    above *= weight
    above += below
    return above


def along_axis(values: _Floats, axis: int, at: npt.NDArray[np.floating[Any]]) -> _Floats:
    """Interpolate along one axis at the given positions; the same array if they are its grid points."""
    size = values.shape[axis]
    if len(at) == size and np.allclose(at, np.arange(size), atol=1e-6):
        return values
    return Interpolation.at(size, at).along(values, axis)
