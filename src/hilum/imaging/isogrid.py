"""Resampling to isotropic voxels for the network, and back to the block means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.imaging.interpolation import along_axis

__all__ = ["IsoGrid"]

Float = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class IsoGrid:
    """Two grids over the same box: ``shape`` voxels of ``spacing`` mm, and isotropic voxels of ``step`` mm.

    Both are centred on the box; the isotropic grid may exceed it by less than one voxel.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    step: float

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of isotropic voxels along x, y, z."""
        x, y, z = (
            max(1, int(np.ceil(n * s / self.step - 1e-6)))
            for n, s in zip(self.shape, self.spacing, strict=True)
        )
        return x, y, z

    def to_iso(self, values: Float) -> Float:
        """Interpolate linearly to the isotropic voxels; outside, the border is repeated."""
        for axis, (n, s, m) in enumerate(zip(self.shape, self.spacing, self.size, strict=True)):
            at = ((np.arange(m) - (m - 1) / 2) * self.step) / s + (n - 1) / 2
            values = along_axis(values, axis, at)
        return values

    def from_iso(self, values: Float) -> Float:
        """Interpolate linearly from the isotropic voxels. Leading axes, such as classes, are kept."""
        lead = values.ndim - 3
        for axis, (n, s, m) in enumerate(zip(self.shape, self.spacing, self.size, strict=True)):
            at = ((np.arange(n) - (n - 1) / 2) * s) / self.step + (m - 1) / 2
            values = along_axis(values, lead + axis, at)
        return values
