"""Sums of the classes by place: lung, third, lobe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LUNGS, InjuryClass, Lung
from hilum.core.volume import Volume
from hilum.imaging.morphology import bounding_box, components

__all__ = ["LOBES", "THIRDS", "Amounts", "Place", "Sums", "sum_places"]

#: Thirds of a lung by name: the axis (0 from back to front, 1 from foot to head) and which third.
THIRDS: Mapping[str, tuple[int, int]] = {
    "ventral": (0, 2),
    "mid_ap": (0, 1),
    "dorsal": (0, 0),
    "apical": (1, 2),
    "middle": (1, 1),
    "basal": (1, 0),
}
#: Lobes by the values of the label set ``lobes``.
LOBES: Mapping[int, tuple[str, str]] = {
    1: ("left_upper_lobe", "Left upper lobe"),
    2: ("left_lower_lobe", "Left lower lobe"),
    3: ("right_upper_lobe", "Right upper lobe"),
    4: ("right_middle_lobe", "Right middle lobe"),
    5: ("right_lower_lobe", "Right lower lobe"),
}
_CLASSES = len(InjuryClass) + 1


@dataclass(frozen=True)
class Place:
    """A place in the lungs.

    Attributes:
        name: Name in every output; begins with the lung, so that the flags of a lung concern it.
        title: Name for people.
        lungs: Its lungs.
        third: Axis and number of its third; None for whole lungs.
        lobe: Its lobe; 0 for all.
    """

    name: str
    title: str
    lungs: tuple[int, ...]
    third: tuple[int, int] | None = None
    lobe: int = 0

    @classmethod
    def all(cls, lobes: bool) -> tuple[Place, ...]:
        """Return the places in the order of the outputs: lungs, lobes if they are known, thirds."""
        whole = [cls(region.name, region.title, region.values) for region in LUNGS.regions]
        by_lobe = [cls(name, title, tuple(LUNGS), lobe=value) for value, (name, title) in LOBES.items()]
        parts = [
            cls(f"{lung.name}_{name}", f"{lung.title}, {name} third", lung.lungs, third)
            for lung in whole[: len(LUNGS)]
            for name, third in THIRDS.items()
        ]
        return (*whole, *(by_lobe if lobes else ()), *parts)


@dataclass(frozen=True, eq=False)
class Sums:
    """Voxels, tissue and HU of the classes at one place.

    Attributes:
        voxels: Voxels by class, (7,); index 0 is not used.
        tissue: Their tissue in voxels of 1 g/mL, (7,); voxels of metal have none.
        voxel_ml: Volume of a voxel in mL.
    """

    voxels: npt.NDArray[np.float64]
    tissue: npt.NDArray[np.float64]
    voxel_ml: float

    def volume(self, *classes: int) -> float:
        """Volume in mL of some classes, or of all."""
        return float(self.voxels[list(classes) or slice(None)].sum()) * self.voxel_ml

    def mass(self, *classes: int) -> float:
        """Mass in g of some classes, or of all."""
        return float(self.tissue[list(classes) or slice(None)].sum()) * self.voxel_ml


@dataclass(frozen=True, eq=False)
class Amounts:
    """Sums by lung, third from back to front, third from foot to head, and lobe.

    Attributes:
        cells: (2 sums, 2 lungs, 3, 3, 6 lobes with 0 for none, 7 classes).
        voxel_ml: Volume of a voxel in mL.
        lobes: Whether the lobes are known.
        thirds: Whether a lung has thirds along the two axes: not if it is fewer than three layers thick.
        nodules: Number of nodules.
    """

    cells: npt.NDArray[np.float64]
    voxel_ml: float
    lobes: bool
    thirds: npt.NDArray[np.bool_]
    nodules: int

    def at(self, place: Place) -> Sums:
        """Return the sums of a place."""
        part = self.cells[:, [list(LUNGS).index(lung) for lung in place.lungs]]
        if place.third is not None:
            axis, third = place.third
            part = np.take(part, [third], axis=2 + axis)
        if place.lobe:
            part = part[..., [place.lobe], :]
        voxels, tissue = part.reshape(2, -1, _CLASSES).sum(axis=1)
        return Sums(voxels, tissue, self.voxel_ml)

    def has(self, place: Place) -> bool:
        """Whether the lung of a place can be split as the place asks."""
        if place.third is None:
            return True
        return all(self.thirds[list(LUNGS).index(lung), place.third[0]] for lung in place.lungs)


def sum_places(
    volume: Volume, tissue: LabelVolume, lungs: LabelVolume, lobes: LabelVolume | None = None
) -> Amounts:
    """Sum the classes by place.

    The thirds are those of :func:`hilum.measures.collect`: of each lung's extent along the axes of the
    patient.

    Args:
        volume: The scan.
        tissue: Label map of the label set ``injury``.
        lungs: Label map of the lungs.
        lobes: Label map of the lobes, values of :data:`LOBES`; None where they are unknown.
    """
    cells = np.zeros((2, 2, 3, 3, 1 + len(LOBES), _CLASSES))
    cuts, split = _cuts(volume, lungs.data)
    box = bounding_box(lungs.data > 0)
    if box is not None:
        for k in range(box[2].start, box[2].stop):
            inside = np.nonzero(lungs.data[:, :, k])
            if not inside[0].size:
                continue
            where = (*inside, np.full(inside[0].shape, k))
            side = np.where(lungs.data[where] == Lung.RIGHT, 0, 1)
            index = side
            for axis, row in enumerate(volume.affine[1:3]):
                place = row[0] * inside[0] + row[1] * inside[1] + row[2] * k
                third = (place > cuts[side, axis, 0]).astype(np.intp) + (place > cuts[side, axis, 1])
                index = index * 3 + third
            lobe = 0 if lobes is None else np.minimum(lobes.data[where], len(LOBES))
            index = (index * (1 + len(LOBES)) + lobe) * _CLASSES + tissue.data[where]
            hu = volume.hu[where].astype(np.float64)
            mass = np.where(hu > LIMITS.metal_hu, 0.0, np.maximum(hu / 1000.0 + 1.0, 0.0))
            cells[0] += np.bincount(index, minlength=cells[0].size).reshape(cells[0].shape)
            cells[1] += np.bincount(index, mass, minlength=cells[1].size).reshape(cells[1].shape)
    return Amounts(cells, volume.voxel_volume_ml, lobes is not None, split, _count_nodules(tissue))


def _cuts(
    volume: Volume, lungs: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Positions of the cuts (2 lungs, 2 axes, 2) along +y and +z, and whether a lung can be split there."""
    cuts = np.full((2, 2, 2), np.inf)
    split = np.zeros((2, 2), bool)
    for number, side in enumerate(LUNGS):
        mask = lungs == side
        box = bounding_box(mask)
        if box is None:
            continue
        # The extremes of a linear function lie on lines' ends: only the first and last voxel along the
        # last axis.
        i, j = np.nonzero(mask[box].any(axis=2))
        lines = mask[box][i, j]
        first, last = lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
        for axis, row in enumerate(volume.affine[1:3]):
            plane = row[0] * (i + box[0].start) + row[1] * (j + box[1].start)
            ends = [plane + row[2] * (k + box[2].start) for k in (first, last)]
            layer = float(np.abs(row[:3]).sum())
            low = float(min(end.min() for end in ends)) - layer / 2
            extent = float(max(end.max() for end in ends)) + layer / 2 - low
            cuts[number, axis] = low + extent / 3, low + 2 * extent / 3
            split[number, axis] = extent > 2.5 * layer
    return cuts, split


def _count_nodules(tissue: LabelVolume) -> int:
    mask = tissue.data == InjuryClass.NODULE
    box = bounding_box(mask)
    return 0 if box is None else len(components(mask[box], 26)[1]) - 1
