"""Reading a data set of slices: its index, its subjects and its pictures. No torch here.

A data set is a folder made by ``hilum prepare``::

    dataset.json     what it is: plane, spacing, parameters, subjects by number, what was refused
    index.csv        one row a slice (also index.parquet)
    images/0_17.tiff slice 17 of subject 0 in HU (int16), spacing in the tags
    masks/0_17.png   its mask: 0 outside, 1 lung (with ``sides`` 1 right lung, 2 left lung)

Pictures are arrays [row, column] as people look at them: axial with the front up, coronal and sagittal with
the head up, the patient's right on the left side of axial and coronal ones.
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
#: Bytes of an index: a row has 250, so this is four million slices.
_MOST_INDEX_BYTES = 2**30
_AGAIN = Sentence("Run {verb:prepare} with the same arguments again: it goes on where it stopped.")


@dataclass(frozen=True)
class SliceRecord:
    """One row of the index.

    Attributes:
        subject: Number of the subject.
        slice: Number of the slice along the plane's axis, from 0: axial to the head, coronal to the front,
            sagittal to the patient's right.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        rows: Height of the picture.
        cols: Width of the picture.
        spacing_row_mm: Distance of neighbouring rows, None where it is not known.
        spacing_col_mm: Distance of neighbouring columns, None where it is not known.
        slice_spacing_mm: Distance to the next slice, None where it is not known.
        lung_fraction: Share of the picture's pixels that the mask holds, 0 to 1.
        image: Path of the picture, relative to the data set.
        mask: Path of the mask, relative to the data set.
        image_sha256: SHA-256 of the picture's file.
        mask_sha256: SHA-256 of the mask's file.
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
        """Distance of neighbouring rows and columns in mm, None where it is not known."""
        if self.spacing_row_mm is None or self.spacing_col_mm is None:
            return None
        return self.spacing_row_mm, self.spacing_col_mm


#: Columns of ``index.csv`` and ``index.parquet``, in this order.
COLUMNS = tuple(field.name for field in fields(SliceRecord))


@dataclass(frozen=True)
class SubjectRecord:
    """What ``dataset.json`` tells of a subject; never its name.

    Attributes:
        id: Number of the subject.
        slices: How many slices it has.
        rows: Height of its pictures.
        cols: Width of its pictures.
        spacing_mm: Distance of rows and of columns, None where it is not known.
        slice_spacing_mm: Distance of slices, None where it is not known.
        volume_voxel_ml: Volume that one pixel stands for, None where it is not known.
        flags: Codes of the quality gate.
        notes: (code, sentence) pairs of what was done to it, such as a resampled mask.
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
    """A subject that was not taken, and why, in one sentence."""

    id: Count
    reason: str


class _About(Record):
    """What ``dataset.json`` holds."""

    plane: Literal["axial", "coronal", "sagittal"]
    spacing: Literal["keep", "square"] | tuple[Length, Length]
    parameters: dict[str, Any]
    subjects: tuple[SubjectRecord, ...]
    refused: tuple[Refusal, ...]
    index_sha256: Sha256
    hilum: str = Field(max_length=100)


@dataclass(frozen=True)
class Dataset:
    """A data set that was read.

    Attributes:
        root: Its folder.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        spacing: ``keep``, ``square`` or the distance of rows and columns in mm that all pictures have.
        sides: Whether the masks tell right (1) from left (2).
        parameters: How it was made, as plain data.
        subjects: Its subjects, by number.
        refused: What was not taken.
        slices: All rows of the index, by subject and slice.
        index_sha256: SHA-256 of ``index.csv``, which names the content of all files by their hashes.
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
        """Read the picture of a slice; see :func:`read_image`."""
        return read_image(self.root / record.image)

    def mask(self, record: SliceRecord) -> npt.NDArray[np.uint8]:
        """Read the mask of a slice; see :func:`read_mask`."""
        return read_mask(self.root / record.mask)


def load_dataset(path: Path | str) -> Dataset:
    """Read ``dataset.json`` and the index of a data set; pictures are not touched.

    Args:
        path: The folder that ``hilum prepare`` made.

    Raises:
        InputError: It is no data set, it is not complete, or its files do not belong together.
    """
    root = Path(path)
    about = _load_about(root)
    digest = sha256_of(root / "index.csv")
    if digest != about.index_sha256:
        raise InputError(f"index.csv and dataset.json of {root.name} do not belong together.", _AGAIN)
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
    """Read the index of a data set: one record a slice, by subject and slice.

    Args:
        path: The folder that ``hilum prepare`` made.

    Raises:
        InputError: As :func:`load_dataset`.
    """
    return list(load_dataset(path).slices)


def read_image(path: Path | str) -> npt.NDArray[np.int16]:
    """Read a picture of a data set: int16 array [row, column] in HU.

    Raises:
        InputError: It is missing or damaged.
    """
    import tifffile

    path = Path(path)
    with readable(path):
        try:
            picture = tifffile.imread(path)
        except (ValueError, KeyError, IndexError, TypeError, RuntimeError) as error:
            raise InputError(f"{path.name} is truncated or not a valid TIFF.", _AGAIN) from error
    if picture.ndim != 2 or picture.dtype != np.int16:
        raise InputError(f"{path.name} is no slice of a data set: it is {picture.dtype}.", _AGAIN)
    array: npt.NDArray[np.int16] = picture
    return array


def read_mask(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read a mask of a data set: uint8 array [row, column], 0 outside and 1 (or 1 and 2) inside.

    Raises:
        InputError: It is missing or damaged.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    with readable(path):
        try:
            with Image.open(path) as picture:
                array = np.array(picture)
        except (UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise InputError(f"{path.name} is truncated or not a valid PNG.", _AGAIN) from error
    if array.ndim != 2 or array.dtype != np.uint8:
        raise InputError(f"{path.name} is no mask of a data set.", _AGAIN)
    return array


def _load_about(root: Path) -> _About:
    file = root / "dataset.json"
    if not root.is_dir():
        raise InputError(f"There is no data set {root.name}.", Sentence("Make one with {verb:prepare}."))
    if not file.is_file():
        begun = (root / "records").is_dir()
        if begun:
            raise InputError(f"The data set {root.name} is not complete.", _AGAIN)
        raise InputError(
            f"{root.name} is no data set: it holds no dataset.json.",
            Sentence("Make one with {verb:prepare}."),
        )
    name = f"dataset.json of {root.name}"
    about = read_json(file, name=name, hint=_AGAIN)
    if isinstance(about, dict) and str(about.get("schema")).startswith("hilum.volumes/"):
        raise InputError(
            f"The data set {root.name} holds volumes, and slices are needed here.",
            Sentence("Make one of slices with {verb:prepare}; volumes are for {set:model=volume}."),
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
        raise InputError(f"{name} is damaged: its columns are not those of a data set.", _AGAIN)
    out = []
    for line, row in rows[1:]:
        try:
            record = _parse_row(row)
        except ValueError as error:
            raise InputError(f"Line {line} of {name} is damaged: {shown(','.join(row))}.", _AGAIN) from error
        if record.subject not in subjects:
            raise InputError(
                f"Line {line} of {name} is of a subject that dataset.json does not hold.", _AGAIN
            )
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
