"""Errors that matter for measures: mass, and missed dense lung."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.evaluation.metrics import DENSE_HU
from hilum.imaging.morphology import distance_to

__all__ = ["deep_dense", "mass_per_ml"]

_Bools = npt.NDArray[np.bool_]


def mass_per_ml(hu: npt.NDArray[Any], mask: _Bools) -> float:
    """Return the sum of (HU + 1000) / 1000 over a mask: its mass in g where a voxel holds 1 mL.

    HU are clamped to at least -1000, as in the measure ``tissue_mass``. NaN voxels have no
    mass.
    """
    values = hu[mask]
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    weight = np.maximum(values, -1000).astype(np.float64) + 1000.0
    return float(weight.sum()) / 1000.0


def deep_dense(
    hu: npt.NDArray[Any], reference: _Bools, spacing_mm: tuple[float, ...], depth_mm: float
) -> _Bools:
    """Mark the dense lung of a reference: consolidation, masses, large vessels.

    Dice is insensitive to it, since it is a small share of the lung, but a threshold or a network trained
    on healthy lungs misses it.

    Args:
        hu: The scan.
        reference: The reference mask. It should have a margin of one voxel, except where the scan
            itself ends: voxels beyond are unknown and do not count as outside.
        spacing_mm: Voxel spacing along each axis.
        depth_mm: Minimum distance to the centre of the nearest voxel outside; nearer voxels are dense by
            partial volume with the chest wall.

    Returns:
        Boolean array.
    """
    dense = reference & (hu > DENSE_HU)
    if not dense.any() or reference.all():
        return dense
    deep: _Bools = dense & (distance_to(~reference, spacing_mm) > depth_mm)
    return deep
