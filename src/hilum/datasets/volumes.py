"""Reading a dataset of volumes: its index and its scans on isotropic voxels. No torch here.

A dataset of volumes is a folder made by ``hilum prepare --volumes``::

    dataset.json          voxel size, labels, parameters, subjects by number, refused subjects
    index.csv             one row per volume
    images/0_0_ct.nii     volume 0 of subject 0: int16 HU, RAS order, isotropic voxels
    masks/0_0_labels.nii  its labels, uint8: 1 right lung, 2 left lung, 3 pleural fluid, 4 free pleural gas

The NIfTI files are uncompressed, so that training can memory-map them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from pydantic import Field

from hilum.core.errors import InputError
from hilum.core.sentences import Sentence
from hilum.datasets.index import Refusal
from hilum.io.schema import Count, Length, Record, Sha256, check
from hilum.io.stream import readable
from hilum.io.text import read_json, read_rows, sha256_of, shown

__all__ = [
    "LABELS",
    "VOLUMES_SCHEMA",
    "VOLUME_COLUMNS",
    "VolumeDataset",
    "VolumeRecord",
    "VolumeSubject",
    "load_volumes",
]

VOLUMES_SCHEMA = "hilum.volumes/1"
#: Labels of the masks by name; the first two are those of the task ``lungs``.
LABELS = {"right_lung": 1, "left_lung": 2, "pleural_fluid": 3, "pleural_gas": 4}
#: Columns of ``index.csv``, in this order; the label columns hold numbers of voxels.
VOLUME_COLUMNS = (
    *("subject", "volume", "size_x", "size_y", "size_z"),
    *(f"{name}_voxels" for name in LABELS),
    *("image", "mask", "image_sha256", "mask_sha256"),
)
_MOST_INDEX_BYTES = 2**28
_AGAIN = Sentence("Run {verb:prepare} with the same arguments again: it resumes where it stopped.")


@dataclass(frozen=True)
class VolumeRecord:
    """One row of the index of volumes.

    Attributes:
        subject: Number of the subject.
        volume: Number of the volume among those of the subject, from 0.
        shape: Voxels along x, y and z.
        voxels: Number of voxels of each label, in the order of :data:`LABELS`.
        image: Path of the scan, relative to the dataset.
        mask: Path of the labels, relative to the dataset.
        image_sha256: SHA-256 of the scan file.
        mask_sha256: SHA-256 of the label file.
    """

    subject: int
    volume: int
    shape: tuple[int, int, int]
    voxels: tuple[int, ...]
    image: str
    mask: str
    image_sha256: str
    mask_sha256: str

    @property
    def name(self) -> str:
        """Number of the subject and of the volume."""
        return f"{self.subject}_{self.volume}"


@dataclass(frozen=True)
class VolumeSubject:
    """The entry of a subject in ``dataset.json``; it never holds the subject's name.

    Attributes:
        id: Number of the subject.
        volumes: Number of volumes.
        flags: Codes of its quality flags.
        notes: (code, sentence) pairs on how it was changed.
    """

    id: Count
    volumes: Count
    flags: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


class _About(Record):
    """The content of ``dataset.json``."""

    step_mm: Length
    labels: dict[str, int]
    parameters: dict[str, Any]
    subjects: tuple[VolumeSubject, ...]
    refused: tuple[Refusal, ...]
    index_sha256: Sha256
    hilum: str = Field(max_length=100)


@dataclass(frozen=True)
class VolumeDataset:
    """A dataset of volumes.

    Attributes:
        root: Its folder.
        step_mm: Voxel size in mm.
        subjects: Its subjects, by number.
        refused: Subjects that were refused.
        volumes: All rows of the index, by subject and volume.
        index_sha256: SHA-256 of ``index.csv``, which holds the hashes of all files.
        hilum: Version of hilum that made it.
    """

    root: Path
    step_mm: float
    subjects: tuple[VolumeSubject, ...]
    refused: tuple[Refusal, ...]
    volumes: tuple[VolumeRecord, ...]
    index_sha256: str
    hilum: str

    @property
    def labels(self) -> dict[str, int]:
        """Labels that occur in at least one volume, by name; right and left lung always."""
        held = np.array([record.voxels for record in self.volumes]).sum(axis=0) > 0
        return {
            name: value
            for (name, value), there in zip(LABELS.items(), held, strict=True)
            if there or value <= LABELS["left_lung"]
        }

    def of_subjects(self, ids: Iterable[int]) -> list[VolumeRecord]:
        """Return the volumes of some subjects, in the order of the index."""
        wanted = set(ids)
        return [record for record in self.volumes if record.subject in wanted]

    def image(self, record: VolumeRecord) -> npt.NDArray[np.int16]:
        """Read a scan: HU, int16 (x, y, z) in RAS order, memory-mapped.

        Raises:
            InputError: It is missing or corrupted.
        """
        return _read(self.root / record.image, np.dtype(np.int16), record.shape)

    def mask(self, record: VolumeRecord) -> npt.NDArray[np.uint8]:
        """Read labels: uint8 (x, y, z) in RAS order, memory-mapped.

        Raises:
            InputError: They are missing or corrupted.
        """
        return _read(self.root / record.mask, np.dtype(np.uint8), record.shape)


def _read(path: Path, kind: np.dtype[Any], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    with readable(path):
        try:
            image: Any = nib.load(path)
            array: npt.NDArray[Any] = np.asanyarray(image.dataobj)
        except (ImageFileError, HeaderDataError, ValueError) as error:
            raise InputError(f"{path.name} is truncated or not a valid NIfTI.", _AGAIN) from error
    if array.dtype != kind or array.shape != shape:
        raise InputError(f"{path.name} is not a file of this dataset.", _AGAIN)
    return array


def load_volumes(path: Path | str) -> VolumeDataset:
    """Read ``dataset.json`` and the index of a dataset of volumes; no scan is read.

    Args:
        path: The folder that ``hilum prepare --volumes`` made.

    Raises:
        InputError: It is not a dataset of volumes, it is incomplete, or its files do not match.
    """
    root = Path(path)
    about = _load_about(root)
    digest = sha256_of(root / "index.csv")
    if digest != about.index_sha256:
        raise InputError(f"index.csv and dataset.json of {root.name} do not match.", _AGAIN)
    return VolumeDataset(
        root=root,
        step_mm=about.step_mm,
        subjects=about.subjects,
        refused=about.refused,
        volumes=tuple(_load_index(root)),
        index_sha256=digest,
        hilum=about.hilum,
    )


def _load_about(root: Path) -> _About:
    make = Sentence("Make one with {verb:prepare} and {set:volumes}.")
    if not root.is_dir():
        raise InputError(f"There is no dataset {root.name}.", make)
    if not (root / "dataset.json").is_file():
        if (root / "records").is_dir():
            raise InputError(f"The dataset {root.name} is incomplete.", _AGAIN)
        raise InputError(f"{root.name} is not a dataset: it holds no dataset.json.", make)
    name = f"dataset.json of {root.name}"
    about = read_json(root / "dataset.json", name=name, hint=_AGAIN)
    schema = about.get("schema") if isinstance(about, dict) else None
    if str(schema).startswith("hilum.dataset/"):
        raise InputError(f"The dataset {root.name} holds slices, but volumes are needed here.", make)
    if schema != VOLUMES_SCHEMA:
        raise InputError(
            f"{root.name} was not made by this version of hilum: its schema is not {VOLUMES_SCHEMA}.", make
        )
    return check(_About, about, name=name, hint=_AGAIN)


def _load_index(root: Path) -> list[VolumeRecord]:
    name = f"index.csv of {root.name}"
    rows = read_rows(root / "index.csv", most=_MOST_INDEX_BYTES, name=name, hint=_AGAIN)
    if not rows or tuple(rows[0][1]) != VOLUME_COLUMNS:
        raise InputError(f"{name} is corrupted: its columns are not those of a dataset of volumes.", _AGAIN)
    out = []
    for line, row in rows[1:]:
        try:
            subject, volume, x, y, z, *voxels = (int(cell) for cell in row[:9])
            image, mask, image_sha256, mask_sha256 = row[9:]
        except ValueError as error:
            raise InputError(
                f"Line {line} of {name} is corrupted: {shown(','.join(row))}.", _AGAIN
            ) from error
        shape = (x, y, z)
        out.append(
            VolumeRecord(subject, volume, shape, tuple(voxels), image, mask, image_sha256, mask_sha256)
        )
    return out
