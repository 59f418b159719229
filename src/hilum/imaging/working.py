"""The grid that rules of shape work on: the patient's own, or a magnified one for a small body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.core.units import TrueMl, TrueMm, TrueSpacing, WorkingMl, WorkingMm, WorkingSpacing

__all__ = ["WorkingGrid"]


@dataclass(frozen=True)
class WorkingGrid:
    """Voxel size in working millimetres, and in the patient.

    Attributes:
        working: Voxel size along x, y, z for the rules of shape.
        magnification: Working millimetres a true millimetre; more than 1 where a small body fills an adult's
            frame.

    Examples:
        >>> grid = WorkingGrid.of((TrueMm(1.0), TrueMm(1.0), TrueMm(2.0)), magnification=2.0)
        >>> grid.working, grid.true
        ((2.0, 2.0, 4.0), (1.0, 1.0, 2.0))
        >>> grid.working_ml(1000), grid.true_ml(1000)
        (16.0, 2.0)
    """

    working: WorkingSpacing
    magnification: float = 1.0

    @classmethod
    def of(cls, spacing: TrueSpacing, magnification: float = 1.0) -> WorkingGrid:
        """Magnify a grid whose voxels have the size ``spacing`` in the patient."""
        x, y, z = (WorkingMm(magnification * s) for s in spacing)
        return cls((x, y, z), magnification)

    @property
    def true(self) -> TrueSpacing:
        """Voxel size in the patient."""
        x, y, z = (TrueMm(s / self.magnification) for s in self.working)
        return x, y, z

    def blocks(self, factors: tuple[int, int, int]) -> WorkingGrid:
        """Return the grid of blocks of ``factors`` voxels along x, y, z."""
        x, y, z = (WorkingMm(s * f) for s, f in zip(self.working, factors, strict=True))
        return WorkingGrid((x, y, z), self.magnification)

    def working_ml(self, voxels: int) -> WorkingMl:
        """Volume of a number of voxels for the rules of shape."""
        return WorkingMl(float(voxels * np.prod(self.working)) / 1000.0)

    def true_ml(self, voxels: int) -> TrueMl:
        """Volume of a number of voxels in the patient."""
        return TrueMl(self.working_ml(voxels) / self.magnification**3)
