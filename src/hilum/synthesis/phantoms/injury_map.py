"""Exact label map of the injuries of a phantom, with mL and grams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.labels import INJURY, LUNGS, InjuryClass
from hilum.synthesis.phantoms.fields import Array
from hilum.synthesis.phantoms.lung import Tissue

__all__ = ["InjurySums", "InjuryTruth", "label_injury"]

#: Classes in the order in which they are drawn: what is drawn later lies above. Vessels and airways are seen
#: in ground glass and in emphysema, but not in consolidated lung.
_ORDER: tuple[tuple[InjuryClass, tuple[Tissue, ...]], ...] = (
    (InjuryClass.EMPHYSEMA, (Tissue.EMPHYSEMA,)),
    (InjuryClass.GROUND_GLASS, (Tissue.GROUND_GLASS,)),
    (
        InjuryClass.TUBE,
        (Tissue.VESSEL, Tissue.AIRWAY_WALL, Tissue.AIRWAY_LUMEN, Tissue.MUCUS),
    ),
    (InjuryClass.CONSOLIDATION, (Tissue.CONSOLIDATION, Tissue.ATELECTASIS)),
    (InjuryClass.NODULE, (Tissue.NODULE,)),
)


@dataclass(frozen=True, eq=False)
class InjuryTruth:
    """What is true of the lungs' tissue.

    Attributes:
        labels: uint8 map of the label set ``injury`` on the grid of the scan. A voxel has the class that
            fills more than half of its lung.
        amounts: mL and grams in the labelled voxels before kernel and noise, by lung and class.
    """

    labels: npt.NDArray[np.uint8]
    amounts: dict[str, dict[str, dict[str, float]]]


class InjurySums:
    """Running voxels and tissue by lung and class."""

    def __init__(self) -> None:
        self._sums = {side: np.zeros((2, max(INJURY) + 1)) for side in LUNGS}

    def add(self, side: int, classes: npt.NDArray[np.uint8], hu: Array) -> None:
        """Add voxels of one lung: their classes and their noiseless HU."""
        tissue = np.maximum(hu.astype(np.float64) / 1000.0 + 1.0, 0.0)
        size = max(INJURY) + 1
        self._sums[side][0] += np.bincount(classes, minlength=size)
        self._sums[side][1] += np.bincount(classes, tissue, minlength=size)

    def amounts(self, voxel_ml: float) -> dict[str, dict[str, dict[str, float]]]:
        """Scale to mL and g: by region of the lungs and class."""
        out = {}
        for region in LUNGS.regions:
            total = np.sum([self._sums[side] for side in region.values], axis=0) * voxel_ml
            out[region.name] = {
                info.name: {"volume_ml": float(total[0, value]), "mass_g": float(total[1, value])}
                for value, info in INJURY.items()
            }
        return out


def label_injury(shares: Mapping[Tissue, Array], lung: Array) -> npt.NDArray[np.uint8]:
    """Label the voxels of a lung by what fills more than half of it.

    Args:
        shares: Share of each voxel that a tissue of the lung fills.
        lung: Share of each voxel that is lung.

    Returns:
        Values of the label set ``injury`` where more than half of a voxel is lung, 0 elsewhere.
    """
    out = np.where(lung > 0.5, np.uint8(InjuryClass.AERATED), np.uint8(0))
    for value, tissues in _ORDER:
        there = [shares[tissue] for tissue in tissues if tissue in shares]
        if there:
            out[(lung > 0.5) & (sum(there) > 0.5 * lung)] = value
    return out
