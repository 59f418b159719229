"""Reading a data set of slices: its index, its subjects and its pictures. No torch here.

A data set is a folder made by ``hilum prepare``::

    dataset.json     what it is: plane, spacing, parameters, subjects by number, what was refused
    index.csv        one row a slice (also index.parquet)
    images/0_17.tiff slice 17 of subject 0 in HU (int16), spacing in the tags
    masks/0_17.png   its mask: 0 outside, 1 lung (with --sides 1 right lung, 2 left lung)

Pictures are arrays [row, column] as people look at them: axial with the front up, coronal and sagittal with
the head up, the patient's right on the left side of axial and coronal ones.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import InputError
from hilum.io.stream import readable

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
_AGAIN = "Run the same hilum prepare command again: it goes on where it stopped."


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

    id: int
    slices: int
    rows: int
    cols: int
    spacing_mm: tuple[float, float] | None
    slice_spacing_mm: float | None
    volume_voxel_ml: float | None
    flags: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SubjectRecord:
        """Build it from an entry of ``dataset.json``; unknown keys are passed over."""
        spacing = data.get("spacing_mm")
        return cls(
            id=int(data["id"]),
            slices=int(data["slices"]),
            rows=int(data["rows"]),
            cols=int(data["cols"]),
            spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
            slice_spacing_mm=data.get("slice_spacing_mm"),
            volume_voxel_ml=data.get("volume_voxel_ml"),
            flags=tuple(data.get("flags", ())),
            notes=tuple((str(code), str(text)) for code, text in data.get("notes", ())),
        )


@dataclass(frozen=True)
class Refusal:
    """A subject that was not taken, and why, in one sentence."""

    id: int
    reason: str


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
    index = root / "index.csv"
    with readable(index):
        raw = index.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != about.get("index_sha256"):
        raise InputError(f"index.csv and dataset.json of {root.name} do not belong together.", _AGAIN)
    try:
        spacing = about["spacing"]
        parameters = dict(about["parameters"])
        return Dataset(
            root=root,
            plane=str(about["plane"]),
            spacing=spacing if isinstance(spacing, str) else (float(spacing[0]), float(spacing[1])),
            sides=bool(parameters.get("sides", False)),
            parameters=parameters,
            subjects=tuple(SubjectRecord.from_dict(entry) for entry in about["subjects"]),
            refused=tuple(Refusal(int(e["id"]), str(e["reason"])) for e in about["refused"]),
            slices=tuple(_parse_index(raw.decode("utf-8"))),
            index_sha256=digest,
            hilum=str(about["hilum"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"dataset.json or index.csv of {root.name} is damaged.", _AGAIN) from error


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


def _load_about(root: Path) -> dict[str, Any]:
    file = root / "dataset.json"
    if not root.is_dir():
        raise InputError(
            f"There is no data set {root.name}.", "Make one with hilum prepare PAIRS -o DATASET."
        )
    if not file.is_file():
        begun = (root / "records").is_dir()
        if begun:
            raise InputError(f"The data set {root.name} is not complete.", _AGAIN)
        raise InputError(
            f"{root.name} is no data set: it holds no dataset.json.",
            "Make one with hilum prepare PAIRS -o DATASET.",
        )
    with readable(file):
        try:
            about = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"dataset.json of {root.name} is damaged.", _AGAIN) from error
    if not isinstance(about, dict) or about.get("schema") != DATASET_SCHEMA:
        raise InputError(
            f"{root.name} was not made by this version of hilum: its schema is not {DATASET_SCHEMA}.",
            "Make it again with hilum prepare.",
        )
    return about


def _parse_index(text: str) -> list[SliceRecord]:
    rows = csv.reader(text.splitlines())
    if tuple(next(rows, ())) != COLUMNS:
        raise ValueError("columns")
    return [_parse_row(row) for row in rows]


def _parse_row(row: list[str]) -> SliceRecord:
    subject, number, plane, rows, cols, row_mm, col_mm, slice_mm, fraction, *files = row
    image, mask, image_sha256, mask_sha256 = files
    return SliceRecord(
        int(subject),
        int(number),
        plane,
        int(rows),
        int(cols),
        _number(row_mm),
        _number(col_mm),
        _number(slice_mm),
        float(fraction),
        image,
        mask,
        image_sha256,
        mask_sha256,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
