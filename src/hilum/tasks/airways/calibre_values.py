"""Lumen and wall of a branch, as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BranchCalibre", "Stations"]

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stations:
    """Lumen and wall at places along a branch; nan where they are not known.

    Attributes:
        at_mm: Distance from the start of the branch in mm, shape (n,).
        lumen_mm: Diameter of the lumen by the fit, shape (n,).
        wall_mm: Thickness of the wall by the fit, shape (n,).
        half_lumen_mm: Diameter of the lumen by half-maximum, shape (n,).
        half_wall_mm: Thickness of the wall by half-maximum, shape (n,).
        rays: Share of the rays without a bright neighbour, shape (n,).
    """

    at_mm: _Values
    lumen_mm: _Values
    wall_mm: _Values
    half_lumen_mm: _Values
    half_wall_mm: _Values
    rays: _Values


@dataclass(frozen=True, eq=False)
class BranchCalibre:
    """Lumen and wall of a branch: medians over its middle part; None where they are not known.

    Attributes:
        lumen_mm: Diameter of the lumen by the fit, of a circle of the same area.
        wall_mm: Thickness of the wall by the fit.
        half_lumen_mm: Diameter of the lumen by half-maximum.
        half_wall_mm: Thickness of the wall by half-maximum.
        taper_percent_per_mm: Decrease of the diameter along the branch, in % of that at its start a mm.
        stations: The values along the branch.
        narrowing_percent: How much narrower the lumen is than that of the parent, in % of the latter.
        middle_mm: Where the middle part begins and ends, in mm from the start of the branch.
        artery_mm: Diameter of the artery beside the branch.
    """

    lumen_mm: float | None
    wall_mm: float | None
    half_lumen_mm: float | None
    half_wall_mm: float | None
    taper_percent_per_mm: float | None
    stations: Stations
    narrowing_percent: float | None = None
    middle_mm: tuple[float, float] = (0.0, 0.0)
    artery_mm: float | None = None

    @property
    def lumen_mm2(self) -> float | None:
        """Area of the lumen in mm2."""
        return None if self.lumen_mm is None else float(np.pi * self.lumen_mm**2 / 4)

    @property
    def wall_mm2(self) -> float | None:
        """Area of the wall in mm2."""
        if self.lumen_mm is None or self.wall_mm is None:
            return None
        return float(np.pi * self.wall_mm * (self.lumen_mm + self.wall_mm))

    @property
    def artery_ratio(self) -> float | None:
        """Diameter of the lumen by that of the artery."""
        return self.lumen_mm / self.artery_mm if self.lumen_mm is not None and self.artery_mm else None

    @property
    def wall_percent(self) -> float | None:
        """Area of the wall in % of the area within its outer border."""
        return _wall_percent(self.lumen_mm, self.wall_mm)

    @property
    def half_wall_percent(self) -> float | None:
        """The same by half-maximum."""
        return _wall_percent(self.half_lumen_mm, self.half_wall_mm)


def _wall_percent(lumen_mm: float | None, wall_mm: float | None) -> float | None:
    if lumen_mm is None or wall_mm is None:
        return None
    outer = lumen_mm + 2 * wall_mm
    return float(100 * (1 - (lumen_mm / outer) ** 2)) if outer > 0 else None
