"""Masks from files, of any program: label maps, folders of one file per structure, segmentations.

A mask is read in three steps: :func:`load_mask` reads the file, :func:`as_lungs` says what its values mean,
and :func:`hilum.io.mask_grid.place` brings it to the grid of its scan. :func:`read_lungs` does all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import InputError
from hilum.core.flags import FlagCode
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta, Volume
from hilum.io.dicom.seg_read import load_dicom_seg
from hilum.io.dispatch import FileKind, kind_of
from hilum.io.itk import load_itk
from hilum.io.mask import Mask, Notes, count_values, out_of_range, whole_values
from hilum.io.mask_folder import load_folder, load_structures
from hilum.io.mask_grid import place
from hilum.io.mask_segments import LungParts, Parts
from hilum.io.nifti import load_nifti
from hilum.io.nifti_names import label_names
from hilum.io.png import load_png
from hilum.io.slicer import load_segmentation
from hilum.io.tiff import load_tiff
from hilum.io.vocabulary import LabelMap, meaning_of

__all__ = [
    "Lungs",
    "array_lungs",
    "as_lungs",
    "load_mask",
    "load_parts",
    "read_labels",
    "read_lungs",
]


@dataclass(frozen=True, eq=False)
class Lungs:
    """A mask on the grid of its scan.

    Attributes:
        labels: uint8 of the scan's shape: 0, 1 (right), 2 (left), or BOTH (lung, side unknown).
        mapped: Whether names or the user gave the meaning of the values; False if the label contract alone
            did.
        notes: (code, sentence) pairs of what was done.
    """

    labels: npt.NDArray[np.uint8]
    mapped: bool
    notes: Notes = ()


def read_lungs(path: Path | str, volume: Volume, labels: LabelMap | None = None) -> Lungs:
    """Read the lungs of a mask of any program onto the grid of a scan.

    Args:
        path: A file, or a folder with one file per structure.
        volume: The scan.
        labels: What its values or names mean; None if the file names them or follows the label contract.

    Raises:
        InputError: It cannot be read, holds no lung, or the meaning of its values is unknown.
        GeometryError: It lies on another grid than the scan.
    """
    path = Path(path)
    mask = as_lungs(load_mask(path, labels), labels, path.name)
    if not mask.array.any():
        raise InputError(
            Sentence("{file:path} is empty: it holds no lung.", path=path.name),
            "Check that it is the right file.",
        )
    array, notes = place(mask, volume, path.name)
    return Lungs(array, mask.mapped, (*mask.notes, *notes))


def read_labels(path: Path | str, volume: Volume | None = None) -> npt.NDArray[np.uint8]:
    """Read a label map from NIfTI, NRRD, MetaImage, TIFF or PNG, with its values as they are.

    Args:
        path: The file. TIFF and PNG are masks of a single slice, [row, column].
        volume: The scan that the labels belong to. Labels whose axes are permuted or flipped against it, or
            that fill a part of its grid, are brought to its grid; nothing is interpolated.

    Returns:
        uint8 array of ``volume.shape``, or of the (three-axis) shape in the file where no volume is given.

    Raises:
        InputError: The file cannot be read, or holds values that are not labels.
        GeometryError: The labels lie on another grid than the scan.
    """
    path = Path(path)
    mask = load_mask(path)
    if mask.array.dtype != np.uint8:
        raise out_of_range(path.name, mask.array, 255)
    return mask.array if volume is None else place(mask, volume, path.name)[0]


def array_lungs(array: npt.NDArray[Any], labels: LabelMap | None = None) -> Lungs:
    """Read the lungs of a mask in memory, whose grid is the scan's; see :func:`read_lungs`.

    Raises:
        InputError: It holds no lung, values that are not labels, or values whose meaning is unknown.
    """
    if array.dtype.kind not in "biuf":
        raise InputError(f"A mask of type {array.dtype} holds no labels.", "Save it as uint8.")
    plain = Mask(whole_values(array, "The mask"), np.eye(4), ScanMeta())
    mask = as_lungs(plain, labels, "The mask")
    if not mask.array.any():
        raise InputError("The mask is empty: it holds no lung.", "Check that it is the right one.")
    return Lungs(mask.array, mask.mapped, mask.notes)


def load_mask(path: Path, labels: LabelMap | None = None) -> Mask:
    """Read a mask with its place in space.

    Args:
        path: A file, or a folder with one file per structure.
        labels: What the segments mean, for the formats that keep each apart (folders, layers, DICOM SEG);
            those come back as lungs.

    Raises:
        InputError: It cannot be read, or holds values that are not labels.
    """
    return load_parts(path, LungParts(labels))


def load_parts(path: Path, parts: Parts) -> Mask:
    """Read a mask with its place in space, and separate segments as the parts of any task.

    Args:
        path: A file, or a folder with one file per structure.
        parts: What the segments mean, for the formats that keep each apart (folders, layers, DICOM SEG).

    Returns:
        Separate segments merged, with ``mapped`` set; any other label map with its values as they are.

    Raises:
        InputError: It cannot be read, holds values that are not labels, or no segment means anything.
    """
    if path.is_dir():
        if isinstance(parts, LungParts):
            return load_folder(path, parts.labels, load_parts)
        return load_structures(path, parts, load_parts)
    kind = kind_of(path)
    if kind is FileKind.NIFTI:
        raw = load_nifti(path)
        return Mask(whole_values(raw.array, path.name), raw.affine, raw.meta, label_names(path))
    if kind is FileKind.NRRD:
        return load_segmentation(path, parts)
    if kind is FileKind.METAIMAGE:
        raw = load_itk(path)
        return Mask(whole_values(raw.array, path.name), raw.affine, raw.meta)
    if kind is FileKind.DICOM:
        return load_dicom_seg(path, parts)
    return _load_slice(path, kind)


def _load_slice(path: Path, kind: FileKind) -> Mask:
    """Read a mask of a single slice, which has no place in space."""
    if kind is FileKind.TIFF:
        array = load_tiff(path, labels=True).array
    elif kind is FileKind.PNG:
        array = load_png(path)[:, :, np.newaxis]
    else:
        raise InputError(
            Sentence("{file:path} is not a label map that hilum can read.", path=path.name),
            "Give NIfTI, NRRD, MHA/MHD, DICOM SEG, a folder of one file per structure, or PNG/TIFF for a "
            "slice.",
        )
    meta = ScanMeta(
        source_format=kind.value.lower(),
        stored_shape=array.shape[:2],
        spacing_known=False,
        orientation_known=False,
    )
    return Mask(whole_values(array, path.name), np.eye(4), meta)


def as_lungs(mask: Mask, labels: LabelMap | None, what: str, option: str = "labels") -> Mask:
    """Bring the values of a mask to 0, 1 (right lung), 2 (left lung) and BOTH.

    Args:
        mask: From :func:`load_mask`.
        labels: What its values mean; None where the file names them, or it follows the label contract.
        what: What the mask is called in an error.
        option: The parameter that an error names.

    Returns:
        The mask as uint8; ``mapped`` says whether names or the user gave the sides.

    Raises:
        InputError: It holds values whose meaning is unknown.
    """
    if mask.mapped:
        return mask
    zero = labels is not None and 0 in dict(labels.values)
    present = [int(value) for value in np.flatnonzero(count_values(mask.array)) if value or zero]
    if labels is None:
        meaning, mapped = meaning_of(present, mask.names, what, option)
        # Names in NIfTI that repeat the label contract, as those of hilum do, tell no more than it does: a
        # program that joins both lungs under one value hands on the header with the names.
        mapped &= mask.meta.source_format != "nifti" or any(v != part for v, part in meaning.items())
    else:
        meaning, mapped = labels.of_values(present, mask.names, what), True
    if all(value == part for value, part in meaning.items()) and mask.array.dtype == np.uint8:
        return replace(mask, mapped=mapped)
    table = np.zeros(int(mask.array.max()) + 1, np.uint8)
    for value, part in meaning.items():
        table[value] = part
    pairs = LabelMap(values=tuple(meaning.items())).describe() if meaning else "none"
    shown = pairs if len(meaning) <= _MOST_SHOWN else _lungs_only(meaning)
    note = (FlagCode.LABELS_MAPPED, f"Values of the mask were read as {shown}.")
    return replace(mask, array=table[mask.array], mapped=True, notes=(*mask.notes, note))


_MOST_SHOWN = 8


def _lungs_only(meaning: Mapping[int, int]) -> str:
    lungs = LabelMap(values=tuple((v, part) for v, part in meaning.items() if part))
    return LabelMap(values=lungs.values, rest=0).describe()
