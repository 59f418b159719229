"""Exact truth of a phantom: volume, air and mass of its continuous lungs.

The integrals run over a separate lattice, the same for every rendering, so they do not depend on the
voxels, kernel, noise or orientation of the rendered scan.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import numpy as np

from hilum.core.labels import LUNGS
from hilum.synthesis.phantoms.anatomy import LUNG_BOX
from hilum.synthesis.phantoms.fields import Array, Lattice
from hilum.synthesis.phantoms.lung import ChestModel, LungPart, Tissue, lung_part

__all__ = ["RegionTruth", "Truth", "integrate", "integrate_at"]

_REGIONS = tuple(region.name for region in LUNGS.regions)
#: Distances of the points of the two truth lattices in mm, in the frame of a chest of size 1.
TRUTH_STEPS_MM = (1.5, 2.25)
#: Points are taken chunk by chunk, so that memory stays small.
CHUNK_PLANES = 12


@dataclass(frozen=True)
class RegionTruth:
    """Volume, air and mass of one region.

    Attributes:
        volume_ml: Volume in mL.
        air_ml: Volume of air in mL: the integral of -HU / 1000, zero where HU is above 0.
        mass_g: Mass in g: the integral of (HU + 1000) / 1000.
    """

    volume_ml: float
    air_ml: float
    mass_g: float

    def as_dict(self) -> dict[str, float]:
        """Return plain data."""
        return {"volume_ml": self.volume_ml, "air_ml": self.air_ml, "mass_g": self.mass_g}


@dataclass(frozen=True)
class Truth:
    """Exact content of the lungs of a phantom.

    Attributes:
        regions: The continuous lungs: ``right_lung``, ``left_lung``, ``lungs``.
        labelled: The same measures of the continuous tissue inside the voxels that the label map marks,
            before kernel and noise. It differs from ``regions`` by partial volume: a voxel that is 60 %
            lung is marked as a whole. None for a truth without a rendering.
        tissues_ml: Volume in mL of airways, vessels and injuries; effusion and pneumothorax lie outside
            the lungs, all others inside.
    """

    regions: dict[str, RegionTruth]
    tissues_ml: dict[str, float] = field(default_factory=dict)
    labelled: dict[str, RegionTruth] | None = None

    @property
    def right_lung(self) -> RegionTruth:
        """The right lung."""
        return self.regions["right_lung"]

    @property
    def left_lung(self) -> RegionTruth:
        """The left lung."""
        return self.regions["left_lung"]

    @property
    def lungs(self) -> RegionTruth:
        """Both lungs."""
        return self.regions["lungs"]

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        data: dict[str, object] = {
            "regions": {name: region.as_dict() for name, region in self.regions.items()},
            "tissues_ml": dict(self.tissues_ml),
        }
        if self.labelled is not None:
            data["labelled"] = {name: region.as_dict() for name, region in self.labelled.items()}
        return data


class Sums:
    """Running volume, air and mass by side, in cells."""

    def __init__(self) -> None:
        self._sums = {1: np.zeros(3), -1: np.zeros(3)}

    def add(self, side: int, part: Array, hu: Array) -> None:
        """Add cells: ``part`` of each lies in the lung of ``side`` and has ``hu`` there."""
        air = np.clip(hu * np.float32(-0.001), 0, None)
        mass = np.clip(hu * np.float32(0.001) + np.float32(1), 0, None)
        self._sums[side] += [
            part.sum(dtype=np.float64),
            np.einsum("ijk,ijk->", part, air, dtype=np.float64),
            np.einsum("ijk,ijk->", part, mass, dtype=np.float64),
        ]

    def regions(self, cell_ml: float) -> dict[str, RegionTruth]:
        """Scale to mL and g."""
        right, left = self._sums[1] * cell_ml, self._sums[-1] * cell_ml
        rows = zip(_REGIONS, (right, left, right + left), strict=True)
        return {name: RegionTruth(*(float(v) for v in row)) for name, row in rows}


def integrate(model: ChestModel, steps_mm: tuple[float, float] = TRUTH_STEPS_MM) -> Truth:
    """Integrate volume, air and mass over the continuous lungs.

    A surface drawn as a ramp one step wide errs by the square of the step (fine vessels side by side most),
    so two steps are extrapolated to step zero (Richardson, 1911). Pairs of steps from 0.8 to 2 mm agree to
    0.1 % in volume, air and mass.

    Args:
        model: The phantom.
        steps_mm: Distances of the points of a fine and a coarse lattice, in the frame of a chest of size 1.
    """
    fine, coarse = (integrate_at(model, step) for step in steps_mm)
    gain = 1 / ((steps_mm[1] / steps_mm[0]) ** 2 - 1)

    def limit(a: float, b: float) -> float:
        return max(0.0, a + gain * (a - b))

    regions = {
        name: RegionTruth(
            *(
                limit(a, b)
                for a, b in zip(astuple(fine.regions[name]), astuple(coarse.regions[name]), strict=True)
            )
        )
        for name in _REGIONS
    }
    tissues = {
        name: limit(value, coarse.tissues_ml.get(name, 0.0)) for name, value in fine.tissues_ml.items()
    }
    return Truth(regions, tissues)


def integrate_at(model: ChestModel, step_mm: float) -> Truth:
    """Integrate on one lattice of points ``step_mm`` apart."""
    low, high = LUNG_BOX[0] * 1.08, LUNG_BOX[1] * 1.08
    counts = np.ceil((high - low) / step_mm).astype(int)
    sums = Sums()
    tissues: dict[Tissue, float] = dict.fromkeys(Tissue, 0.0)
    # Array order z, y, x: x runs fastest.
    matrix = np.array([[0, 0, step_mm], [0, step_mm, 0], [step_mm, 0, 0]], float)
    for first in range(0, int(counts[2]), CHUNK_PLANES):
        height = min(CHUNK_PLANES, int(counts[2]) - first)
        origin = low + step_mm * np.array([0.5, 0.5, first + 0.5])
        lattice = Lattice(matrix, origin, (height, int(counts[1]), int(counts[0])))
        for side in (1, -1):
            part = lung_part(model, lattice, side)
            if part is not None:
                sums.add(side, part.lung, part.hu)
                _add_tissues(tissues, part)
    cell_ml = (step_mm * model.body.size) ** 3 / 1000
    return Truth(
        sums.regions(cell_ml),
        {tissue.name.lower(): float(cells * cell_ml) for tissue, cells in tissues.items() if cells > 0},
    )


def _add_tissues(total: dict[Tissue, float], part: LungPart) -> None:
    for tissue, share in part.tissues.items():
        outside = tissue in (Tissue.EFFUSION, Tissue.PNEUMOTHORAX)
        cells = (
            share.sum(dtype=np.float64)
            if outside
            else np.einsum("ijk,ijk->", share, part.lung, dtype=np.float64)
        )
        total[tissue] += float(cells)
