"""Where training cases of volumes come from: scans of a data set as they are, or with synthetic injury."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hilum.core.labels import Lung
from hilum.datasets.volumes import VolumeDataset, VolumeRecord, load_volumes
from hilum.synthesis.lesions import random_injury
from hilum.training.volumes.pleura import label_pleura

__all__ = ["CaseSource", "DatasetSource", "VolumeCase", "case_of"]

#: HU that a case may hold: what int16 and any scanner give.
_HU_RANGE = (-3000, 3000)
#: First and last voxel of lung along an axis; None without lung.
Extent = tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class VolumeCase:
    """One volume with labels, and where its lungs lie.

    Attributes:
        hu: HU, int16 (x, y, z) in RAS order, isotropic.
        labels: Labels, uint8 of the same shape; see :data:`hilum.datasets.volumes.LABELS`.
        extents: Along x, y and z: of all labels, of the right lung, of the left lung.
    """

    hu: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    extents: tuple[tuple[Extent, Extent, Extent], ...]


class CaseSource(Protocol):
    """Makes cases. It goes to worker processes, so it must be picklable and small."""

    def make(self, index: int) -> VolumeCase:
        """Return a case, which is a function of its index alone."""
        ...


def case_of(hu: npt.NDArray[Any], labels: npt.NDArray[Any]) -> VolumeCase:
    """Make a case of HU and labels, (x, y, z) in RAS order."""
    drawn = np.ascontiguousarray(labels, np.uint8)
    masks = (drawn > 0, drawn == Lung.RIGHT, drawn == Lung.LEFT)
    whole = np.rint(np.clip(hu, *_HU_RANGE)).astype(np.int16)
    return VolumeCase(np.ascontiguousarray(whole), drawn, tuple(_extents(mask) for mask in masks))


def _extents(mask: npt.NDArray[np.bool_]) -> tuple[Extent, Extent, Extent]:
    out: list[Extent] = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        out.append((int(hit[0]), int(hit[-1])) if hit.size else None)
    return out[0], out[1], out[2]


class DatasetSource:
    """Volumes of some subjects of a data set; a share of the cases has synthetic injury.

    Args:
        dataset: The data set.
        subjects: Numbers of the subjects.
        injury: Share of cases with injury. Voxels that it takes out of the lung are labelled as pleural fluid
            or free gas by their HU.
        seed: Of all draws.
    """

    def __init__(self, dataset: VolumeDataset, subjects: tuple[int, ...], injury: float, seed: int) -> None:
        self.root, self.subjects, self.injury, self.seed = dataset.root, subjects, injury, seed
        self._data: VolumeDataset | None = dataset

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_data": None, "root": Path(self.root)}

    @property
    def data(self) -> VolumeDataset:
        """The data set; a worker process reads it again."""
        if self._data is None:
            self._data = load_volumes(self.root)
        return self._data

    def make(self, index: int) -> VolumeCase:
        """Return a case, which is a function of its index alone."""
        rng = np.random.default_rng([self.seed, 30, index])
        records = self.data.of_subjects(self.subjects)
        record = records[int(rng.integers(len(records)))]
        hu, labels = self.load(record)
        if rng.random() >= self.injury:
            return case_of(hu, labels)
        lungs = np.where(labels <= Lung.LEFT, labels, 0).astype(np.uint8)
        made = random_injury(hu.astype(np.float32), lungs, (self.data.step_mm,) * 3, rng)
        new = label_pleura(lungs, made.mask, made.hu)
        return case_of(made.hu, np.where(labels > Lung.LEFT, labels, new))

    def load(self, record: VolumeRecord) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """Read one volume and its labels."""
        return np.array(self.data.image(record)), np.array(self.data.mask(record))
