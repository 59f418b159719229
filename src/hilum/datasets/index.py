"""Reading a dataset of slices: its index, its subjects and its slices. No torch here.

A dataset is a folder made by ``hilum prepare``::

    dataset.json     plane, spacing, parameters, subjects by number, refused subjects
    index.csv        one row per slice (also index.parquet)
    images/0_17.tiff slice 17 of subject 0 in HU (int16), spacing in the tags
    masks/0_17.png   its mask: 0 outside, 1 lung (with ``sides`` 1 right lung, 2 left lung)

Slices are arrays [row, column] in display orientation: anterior up in axial slices, superior up in coronal
and sagittal ones, and the patient's right on the left side of axial and coronal ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hilum.core.errors import InputError
from hilum.core.planes import Plane
from hilum.core.sentences import Sentence
from hilum.io.schema import Count, Length, Record, Sha256, check
from hilum.io.stream import readable
from hilum.io.text import read_json, read_rows, sha256_of, shown

__all__ = [
    "COLUMNS",
    "DATASET_SCHEMA",
    "Dataset",
    "Refusal",
    "SliceRecord",
    "SubjectRecord",
    "load_dataset",
    "load_index",
    "read_image",
    "read_mask",
]

DATASET_SCHEMA = "hilum.dataset/1"
#: Largest index file in bytes: a row has 250 bytes, so this allows four million slices.
_MOST_INDEX_BYTES = 2**30
_AGAIN = Sentence("Run {verb:prepare} with the same arguments again: it resumes where it stopped.")


@dataclass(frozen=True)
class SliceRecord:
    """One row of the index.

    Attributes:
        subject: Number of the subject.
        slice: Number of the slice along the plane's axis, from 0: axial towards superior, coronal towards
            anterior, sagittal towards the patient's right.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        rows: Height of the slice in pixels.
        cols: Width of the slice in pixels.
        spacing_row_mm: Distance between neighbouring rows; None if unknown.
        spacing_col_mm: Distance between neighbouring columns; None if unknown.
        slice_spacing_mm: Distance to the next slice; None if unknown.
        lung_fraction: Share of the slice's pixels inside the mask, 0 to 1.
        image: Path of the image, relative to the dataset.
        mask: Path of the mask, relative to the dataset.
        image_sha256: SHA-256 of the image file.
        mask_sha256: SHA-256 of the mask file.
    """

    subject: int
    slice: int
    plane: str
    rows: int
    cols: int
    spacing_row_mm: float | None
    spacing_col_mm: float | None
    slice_spacing_mm: float | None
    lung_fraction: float
    image: str
    mask: str
    image_sha256: str
    mask_sha256: str

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Distance between neighbouring rows and columns in mm; None if unknown."""
        if self.spacing_row_mm is None or self.spacing_col_mm is None:
            return None
        return self.spacing_row_mm, self.spacing_col_mm


#: Columns of ``index.csv`` and ``index.parquet``, in this order.
COLUMNS = tuple(field.name for field in fields(SliceRecord))


@dataclass(frozen=True)
class SubjectRecord:
    """The entry of a subject in ``dataset.json``; it never holds the subject's name.

    Attributes:
        id: Number of the subject.
        slices: Number of slices.
        rows: Height of its slices in pixels.
        cols: Width of its slices in pixels.
        spacing_mm: Row and column spacing; None if unknown.
        slice_spacing_mm: Distance between slices; None if unknown.
        volume_voxel_ml: Volume that one pixel represents, in mL; None if unknown.
        flags: Codes of its quality flags.
        notes: (code, sentence) pairs on how it was changed, such as a resampled mask.
    """

    id: Count
    slices: Count
    rows: Count
    cols: Count
    spacing_mm: tuple[Length, Length] | None = None
    slice_spacing_mm: Length | None = None
    volume_voxel_ml: Length | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A refused subject, with the reason in one sentence."""

    id: Count
    reason: str


class _About(Record):
    """The content of ``dataset.json``."""

    plane: Literal["axial", "coronal", "sagittal"]
    spacing: Literal["keep", "square"] | tuple[Length, Length]
    parameters: dict[str, Any]
    subjects: tuple[SubjectRecord, ...]
    refused: tuple[Refusal, ...]
    index_sha256: Sha256
    hilum: str = Field(max_length=100)


@dataclass(frozen=True)
class Dataset:
    """A dataset of slices.

    Attributes:
        root: Its folder.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        spacing: ``keep``, ``square`` or the row and column spacing of all slices in mm.
        sides: Whether the masks label the right (1) and the left (2) lung separately.
        parameters: Parameters it was prepared with, as plain data.
        subjects: Its subjects, by number.
        refused: Subjects that were refused.
        slices: All rows of the index, by subject and slice.
        index_sha256: SHA-256 of ``index.csv``, which holds the hashes of all files.
        hilum: Version of hilum that made it.
    """

    root: Path
    plane: str
    spacing: str | tuple[float, float]
    sides: bool
    parameters: dict[str, Any]
    subjects: tuple[SubjectRecord, ...]
    refused: tuple[Refusal, ...]
    slices: tuple[SliceRecord, ...]
    index_sha256: str
    hilum: str

    def of_subjects(self, ids: Iterable[int]) -> list[SliceRecord]:
        """Return the slices of some subjects, in the order of the index."""
        wanted = set(ids)
        return [record for record in self.slices if record.subject in wanted]

    def image(self, record: SliceRecord) -> npt.NDArray[np.int16]:
        """Read the image of a slice; see :func:`read_image`."""
        return read_image(self.root / record.image)

    def mask(self, record: SliceRecord) -> npt.NDArray[np.uint8]:
        """Read the mask of a slice; see :func:`read_mask`."""
        return read_mask(self.root / record.mask)


def load_dataset(path: Path | str) -> Dataset:
    """Read ``dataset.json`` and the index of a dataset; no image is read.

    Args:
        path: The folder that ``hilum prepare`` made.

    Raises:
        InputError: It is not a dataset, it is incomplete, or its files do not match.
    """
    root = Path(path)
    about = _load_about(root)
    digest = sha256_of(root / "index.csv")
    if digest != about.index_sha256:
        raise InputError(f"index.csv and dataset.json of {root.name} do not match.", _AGAIN)
    return Dataset(
        root=root,
        plane=about.plane,
        spacing=about.spacing,
        sides=bool(about.parameters.get("sides", False)),
        parameters=about.parameters,
        subjects=about.subjects,
        refused=about.refused,
        slices=tuple(_load_index(root, {subject.id for subject in about.subjects})),
        index_sha256=digest,
        hilum=about.hilum,
    )


def load_index(path: Path | str) -> list[SliceRecord]:
    """Read the index of a dataset: one record per slice, by subject and slice.

    Args:
        path: The folder that ``hilum prepare`` made.

    Raises:
        InputError: As :func:`load_dataset`.
    """
    return list(load_dataset(path).slices)


def read_image(path: Path | str) -> npt.NDArray[np.int16]:
    """Read the image of a slice: int16 array [row, column] in HU.

    Raises:
        InputError: It is missing or corrupted.
    """
    import tifffile

    path = Path(path)
    with readable(path):
        try:
            image = tifffile.imread(path)
        except (ValueError, KeyError, IndexError, TypeError, RuntimeError) as error:
            raise InputError(f"{path.name} is truncated or not a valid TIFF.", _AGAIN) from error
    if image.ndim != 2 or image.dtype != np.int16:
        raise InputError(
            f"{path.name} is not a slice of a dataset: its type is {image.dtype}, expected int16.", _AGAIN
        )
    array: npt.NDArray[np.int16] = image
    return array


def read_mask(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a mask of a dataset: uint8 array [row, column], 0 outside and 1 (or 1 and 2) inside.

    Raises:
        InputError: It is missing or corrupted.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    with readable(path):
        try:
            with Image.open(path) as image:
                array = np.array(image)
        except (UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise InputError(f"{path.name} is truncated or not a valid PNG.", _AGAIN) from error
    if array.ndim != 2 or array.dtype != np.uint8:
        raise InputError(f"{path.name} is not a mask of a dataset.", _AGAIN)
    return array


def _load_about(root: Path) -> _About:
    file = root / "dataset.json"
    if not root.is_dir():
        raise InputError(f"There is no dataset {root.name}.", Sentence("Make one with {verb:prepare}."))
    if not file.is_file():
        begun = (root / "records").is_dir()
        if begun:
            raise InputError(f"The dataset {root.name} is incomplete.", _AGAIN)
        raise InputError(
            f"{root.name} is not a dataset: it holds no dataset.json.",
            Sentence("Make one with {verb:prepare}."),
        )
    name = f"dataset.json of {root.name}"
    about = read_json(file, name=name, hint=_AGAIN)
    if isinstance(about, dict) and str(about.get("schema")).startswith("hilum.volumes/"):
        raise InputError(
            f"The dataset {root.name} holds volumes, but slices are needed here.",
            Sentence("Make a dataset of slices with {verb:prepare}; volumes are for {set:model=volume}."),
        )
    if not isinstance(about, dict) or about.get("schema") != DATASET_SCHEMA:
        raise InputError(
            f"{root.name} was not made by this version of hilum: its schema is not {DATASET_SCHEMA}.",
            Sentence("Make it again with {verb:prepare}."),
        )
    return check(_About, about, name=name, hint=_AGAIN)


def _load_index(root: Path, subjects: set[int]) -> list[SliceRecord]:
    name = f"index.csv of {root.name}"
    rows = read_rows(root / "index.csv", most=_MOST_INDEX_BYTES, name=name, hint=_AGAIN)
    if not rows or tuple(rows[0][1]) != COLUMNS:
        raise InputError(f"{name} is corrupted: its columns are not those of a dataset.", _AGAIN)
    out = []
    for line, row in rows[1:]:
        try:
            record = _parse_row(row)
        except ValueError as error:
            raise InputError(
                f"Line {line} of {name} is corrupted: {shown(','.join(row))}.", _AGAIN
            ) from error
        if record.subject not in subjects:
            raise InputError(f"Line {line} of {name} names a subject that is not in dataset.json.", _AGAIN)
        out.append(record)
    return out


def _parse_row(row: list[str]) -> SliceRecord:
    subject, number, plane, rows, cols, row_mm, col_mm, slice_mm, fraction, *files = row
    image, mask, image_sha256, mask_sha256 = files
    return SliceRecord(
        _whole(subject),
        _whole(number),
        Plane(plane).value,
        _whole(rows, 1),
        _whole(cols, 1),
        _length(row_mm),
        _length(col_mm),
        _length(slice_mm),
        float(fraction),
        image,
        mask,
        image_sha256,
        mask_sha256,
    )


def _whole(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise ValueError(text)
    return int(text)


def _length(text: str) -> float | None:
    if not text:
        return None
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value
