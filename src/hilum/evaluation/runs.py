"""Running trained slice networks on the subjects of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError, UsageError
from hilum.core.sentences import Sentence
from hilum.datasets.index import load_dataset
from hilum.evaluation.cases import Case, Grid, SideChoice
from hilum.io.schema import Count, Record, check
from hilum.io.text import read_json
from hilum.models.card import SliceInput
from hilum.models.registry import find_model
from hilum.models.slices import SliceModel

if TYPE_CHECKING:
    from hilum.datasets.index import Dataset, SliceRecord
    from hilum.datasets.volumes import VolumeDataset

__all__ = ["PARTS", "Plan", "Run", "subjects_of"]

PARTS = ("test", "validation", "train", "all")
#: Batch size of the network in slices: enough to keep all cores busy, small in memory.
BATCH = 16


class _Split(Record):
    """The content of ``split.json``: numbers of subjects by part."""

    train: tuple[Count, ...] | None = None
    validation: tuple[Count, ...] | None = None
    test: tuple[Count, ...] | None = None


class Run:
    """A folder made by ``hilum train``.

    Args:
        path: The folder.

    Raises:
        ModelError: It is not such a folder, the training has not ended, or the card is corrupted.
        InputError: It is a volume network.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = find_model(path)
        self.card = self.files.card
        if not isinstance(self.card.input, SliceInput) or self.card.threshold is None:
            raise InputError(
                f"{self.name} is a volume network, which cannot be evaluated on a dataset of slices.",
                "Give the folder of a slice network.",
            )
        self.plane, self.threshold = self.card.input.plane, self.card.threshold

    @property
    def name(self) -> str:
        """Name of the network in tables: the name of its folder."""
        return self.path.resolve().name

    @cached_property
    def model(self) -> SliceModel:
        """The open network."""
        return SliceModel(self.files.open())

    @property
    def index_sha256(self) -> str | None:
        """SHA-256 of the index of the dataset that it was trained on."""
        return self.card.data.sha256

    def masks(
        self, slices: npt.NDArray[Any], spacing: tuple[float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Predict the masks of slices.

        Args:
            slices: HU, shape (slices, rows, columns).
            spacing: Row and column spacing in mm; None if unknown.
        """
        out = np.zeros(slices.shape, np.uint8)
        for start in range(0, len(slices), BATCH):
            part = slice(start, start + BATCH)
            out[part] = self.model.probabilities(slices[part], spacing) >= self.threshold
        return out

    def subjects(self, dataset: Dataset, part: str) -> list[int]:
        """Return the numbers of the subjects of a part.

        Raises:
            UsageError: The part is unknown.
            InputError: It is empty, or it belongs to another dataset.
        """
        return subjects_of(self.path, self.name, self.index_sha256, dataset, part)

    def plan(self, dataset: Path, part: str) -> Plan:
        """Choose the subjects to evaluate.

        Raises:
            InputError: The dataset cannot be read, or does not match.
            UsageError: The part is unknown.
        """
        loaded = load_dataset(dataset)
        plane = self.plane.value
        if plane != loaded.plane:
            raise InputError(
                f"{self.name} takes {plane} slices, but {loaded.root.name} holds {loaded.plane} ones.",
                Sentence("Prepare a dataset with {set:plane=$plane}.", plane=plane),
            )
        return Plan(self, loaded, part, tuple(self.subjects(loaded, part)))


@dataclass(frozen=True, eq=False)
class Plan:
    """A network, a dataset and the subjects to evaluate it on."""

    run: Run
    dataset: Dataset
    part: str
    subjects: tuple[int, ...]

    @property
    def source(self) -> dict[str, Any]:
        """Origin of the masks, as plain data."""
        return {
            "kind": "run",
            "run": self.run.name,
            "onnx_sha256": self.run.card.onnx_sha256,
            "threshold": self.run.threshold,
            "dataset": self.dataset.root.resolve().name,
            "index_sha256": self.dataset.index_sha256,
            "plane": self.dataset.plane,
            "part": self.part,
            "subjects": list(self.subjects),
        }

    @cached_property
    def groups(self) -> list[list[SliceRecord]]:
        """The slices of each case: a subject if its slices form a volume, else a single slice."""
        out: list[list[SliceRecord]] = []
        records = self.dataset.of_subjects(self.subjects)
        for _, group in groupby(records, key=lambda record: record.subject):
            slices = sorted(group, key=lambda record: record.slice)
            out += [slices] if is_volume(slices) else [[record] for record in slices]
        return out

    @property
    def size(self) -> int:
        """Number of cases."""
        return len(self.groups)

    def cases(self) -> Iterator[Case]:
        """Predict one case after the other."""
        for group in self.groups:
            yield self.case(group)

    def case(self, group: list[SliceRecord]) -> Case:
        """Read the slices of a case and run the network on them."""
        hu = np.stack([self.dataset.image(record) for record in group])
        reference = np.stack([self.dataset.mask(record) for record in group])
        first = group[0]
        return Case(
            name=self._name(group),
            subject=str(first.subject),
            prediction=self.run.masks(hu, first.spacing_mm),
            reference=reference,
            grid=_grid(first, self._voxel_ml(first)),
            hu=hu,
            sides=SideChoice.NO,  # slice networks do not separate right and left
        )

    def group(self, name: str) -> list[SliceRecord]:
        """Return the slices of the case with a name."""
        return next(group for group in self.groups if self._name(group) == name)

    @cached_property
    def _counts(self) -> Counter[int]:
        return Counter(record.subject for record in self.dataset.slices)

    def _name(self, group: list[SliceRecord]) -> str:
        """Return the number of the subject, and of the slice if the subject has several cases."""
        first = group[0]
        if len(group) == self._counts[first.subject]:
            return str(first.subject)
        return f"{first.subject}_{first.slice}"

    def _voxel_ml(self, record: SliceRecord) -> float | None:
        subject = next(s for s in self.dataset.subjects if s.id == record.subject)
        return subject.volume_voxel_ml


def subjects_of(
    run: Path, name: str, index_sha256: str | None, dataset: Dataset | VolumeDataset, part: str
) -> list[int]:
    """Return the numbers of the subjects of a part of the split of a run.

    Args:
        run: The folder of the run.
        name: Name of the run in messages.
        index_sha256: SHA-256 of the index of its training dataset; None if the card does not state it.
        dataset: The dataset.
        part: ``test``, ``validation``, ``train`` or ``all``.

    Raises:
        UsageError: The part is unknown.
        InputError: It is empty, or it belongs to another dataset.
    """
    if part not in PARTS:
        raise UsageError(f"part is {part!r}, expected one of {', '.join(PARTS)}.")
    there = {subject.id for subject in dataset.subjects}
    if part == "all":
        return sorted(there)
    if index_sha256 not in (None, dataset.index_sha256):
        raise InputError(
            f"{name} was trained on another dataset than {dataset.root.name}, so its {part} part "
            "is not defined there.",
            Sentence(
                "Give the dataset that it was trained on, or use {set:part=all} for an external dataset."
            ),
        )
    split = run / "split.json"
    if not split.is_file():
        raise InputError(
            f"{name} holds no split.json, so its {part} part is unknown.", Sentence("Use {set:part=all}.")
        )
    named: tuple[int, ...] | None = getattr(_load_split(split, name), part)
    if named is None:
        raise InputError(f"split.json of {name} names no {part} part.", Sentence("Use {set:part=all}."))
    wanted = sorted(set(named))
    if not wanted:
        raise InputError(f"The {part} part of {name} is empty.", Sentence("Choose another{with:part}."))
    missing = [number for number in wanted if number not in there]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(wanted)} {part} subjects are not in {dataset.root.name}.",
            "Give the dataset that it was trained on.",
        )
    return wanted


def is_volume(slices: list[SliceRecord]) -> bool:
    """Whether slices of one subject are consecutive and of known spacing."""
    first = slices[0]
    if len(slices) < 2 or first.spacing_mm is None or first.slice_spacing_mm is None:
        return False
    numbers = [record.slice for record in slices]
    shapes = {(record.rows, record.cols, record.spacing_mm) for record in slices}
    return len(shapes) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _grid(record: SliceRecord, voxel_ml: float | None) -> Grid:
    spacing, step = record.spacing_mm, record.slice_spacing_mm
    if voxel_ml is None and spacing is not None and step is not None:
        voxel_ml = spacing[0] * spacing[1] * step / 1000
    return Grid(pixel_mm=spacing, slice_mm=step, voxel_ml=voxel_ml)


def _load_split(path: Path, name: str) -> _Split:
    title, hint = f"split.json of {name}", Sentence("Use {set:part=all}, or copy the run again.")
    return check(_Split, read_json(path, name=title, hint=hint), name=title, hint=hint)
