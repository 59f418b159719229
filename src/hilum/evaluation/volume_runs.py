"""Running trained volume networks on datasets of volumes, without pre- or postprocessing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.labels import LUNGS
from hilum.core.sentences import Sentence
from hilum.datasets.volumes import VolumeDataset, VolumeRecord, load_volumes
from hilum.evaluation.cases import Case, Grid, SideChoice
from hilum.evaluation.runs import subjects_of
from hilum.models.card import VolumeInput
from hilum.models.registry import ModelFiles
from hilum.models.volumes import VolumeModel

__all__ = ["VolumePlan", "plan_volumes"]


@dataclass(frozen=True, eq=False)
class VolumePlan:
    """A volume network, a dataset of volumes and the subjects to evaluate it on.

    Attributes:
        files: The network.
        dataset: The dataset.
        part: ``test``, ``validation``, ``train`` or ``all``.
        subjects: Their numbers.
    """

    files: ModelFiles
    dataset: VolumeDataset
    part: str
    subjects: tuple[int, ...]

    @property
    def source(self) -> dict[str, Any]:
        """Origin of the masks, as plain data."""
        return {
            "kind": "run",
            "run": self.files.name,
            "onnx_sha256": self.files.card.onnx_sha256,
            "dataset": self.dataset.root.resolve().name,
            "index_sha256": self.dataset.index_sha256,
            "step_mm": self.dataset.step_mm,
            "part": self.part,
            "subjects": list(self.subjects),
        }

    @cached_property
    def records(self) -> list[VolumeRecord]:
        """The volumes of the subjects."""
        return self.dataset.of_subjects(self.subjects)

    @property
    def size(self) -> int:
        """Number of cases."""
        return len(self.records)

    @cached_property
    def model(self) -> VolumeModel:
        """The open network."""
        return VolumeModel(self.files.open(), self.files.card.channels)

    def cases(self) -> Iterator[Case]:
        """Predict one volume after the other."""
        step = self.dataset.step_mm
        for record in self.records:
            hu, reference = self.dataset.image(record), self.dataset.mask(record)
            yield Case(
                name=record.name,
                subject=str(record.subject),
                prediction=_as_slices(self._lungs(np.asarray(hu, np.float32))),
                reference=_as_slices(_lungs_of(reference)),
                grid=Grid(pixel_mm=(step, step), slice_mm=step, voxel_ml=step**3 / 1000.0),
                hu=_as_slices(hu),
                sides=SideChoice.YES,
            )

    def _lungs(self, hu: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Return the most probable label of each voxel if it is a lung, else 0."""
        found = self.model.probabilities([self.model.scaled(hu)])[0]
        background = 1.0 - found.sum(axis=-1, keepdims=True)
        labels = np.concatenate([background, found], axis=-1).argmax(axis=-1)
        return _lungs_of(labels.astype(np.uint8))


def plan_volumes(files: ModelFiles, run: Path, dataset: Path, part: str) -> VolumePlan:
    """Choose the subjects to evaluate.

    Args:
        files: A volume network.
        run: Its folder.
        dataset: Folder of the dataset of volumes.
        part: ``test``, ``validation``, ``train`` or ``all``.

    Raises:
        InputError: The dataset cannot be read, holds slices, or has voxels of another size.
        UsageError: The part is unknown.
    """
    data = load_volumes(dataset)
    step = files.card.input.step_mm if isinstance(files.card.input, VolumeInput) else None
    if step != data.step_mm:
        raise InputError(
            f"{files.name} was trained on {step:g} mm voxels, but {data.root.name} has {data.step_mm:g} mm.",
            Sentence("Prepare a dataset with {set:volumes} and {set:step_mm=$step}.", step=f"{step:g}"),
        )
    chosen = subjects_of(run, files.name, files.card.data.sha256, data, part)
    return VolumePlan(files, data, part, tuple(chosen))


def _lungs_of(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the labels of the lungs alone."""
    return np.where(labels <= max(LUNGS), labels, 0).astype(np.uint8)


def _as_slices(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert (x, y, z) in RAS order to axial slices in display orientation: (slice, row, column)."""
    return np.ascontiguousarray(np.transpose(array, (2, 1, 0))[:, ::-1, ::-1])
