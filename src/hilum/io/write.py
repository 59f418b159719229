"""Writers: label maps on exactly the grid that was read, volumes, and JSON, CSV and text.

All files are the same byte for byte when written twice from the same data: no time, no machine, no user.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from hilum.core.affines import corner_distance
from hilum.core.errors import UsageError
from hilum.core.label_volume import LabelVolume
from hilum.core.labels import LabelSet
from hilum.core.volume import Volume
from hilum.io.atomic import atomic_file
from hilum.io.gzip_writer import write_gzip
from hilum.io.label_tables import itk_snap_labels, nifti_extension
from hilum.io.safe_text import utf8_safe, utf8_safe_json
from hilum.io.slicer_header import segmentation_header

__all__ = [
    "LabelFormat",
    "write_csv",
    "write_json",
    "write_label_names",
    "write_labels",
    "write_map",
    "write_text",
    "write_volume",
]

_BLOCK_VOXELS = 8 * 2**20
_SCANNER, _ALIGNED, _UNKNOWN = 1, 2, 0  # NIfTI codes: scanner-based, aligned to something, unknown
#: A qform holds a rotation in float32; it is used where it puts every voxel at its place to this accuracy.
_QFORM_TOLERANCE_MM = 1e-2


class LabelFormat(str, Enum):
    """File formats of label maps."""

    NIFTI = "nifti"
    NRRD = "nrrd"

    @property
    def suffix(self) -> str:
        """Ending of the file name, with the dot."""
        return {"nifti": ".nii.gz", "nrrd": ".seg.nrrd"}[self.value]


def write_labels(
    path: Path | str,
    labels: LabelVolume,
    volume: Volume,
    fmt: LabelFormat | str = LabelFormat.NIFTI,
) -> Path:
    """Write a label map on exactly the grid of the scan.

    NIfTI gets the shape that the scan had in its file (two axes for a slice), its affine to the float32
    precision of the format, and the names of the labels in an extension of its header. NRRD is a segmentation
    of 3D Slicer: three axes, float64 geometry in LPS, and each label a segment with name, colour and terms.

    Args:
        path: File to write; it appears whole or not at all.
        labels: The label map, on the grid of the scan; names and colours come from its label set.
        volume: The scan that was read.
        fmt: ``nifti`` (compressed where the name ends with ``.gz``) or ``nrrd``; 3D Slicer knows a
            segmentation by a name that ends with ``.seg.nrrd``.

    Returns:
        The path that was written.

    Raises:
        UsageError: ``labels`` has another shape than the scan.
        GeometryError: It lies elsewhere.
        OutputError: The file cannot be written.
    """
    labels.require_grid_of(volume)
    path = Path(path)
    if LabelFormat(fmt) is LabelFormat.NRRD:
        with atomic_file(path) as part, part.open("wb") as file:
            file.write(segmentation_header(labels))
            write_gzip(file, _fortran(labels.data))
        return path
    about = labels.label_set
    header = _map_header(labels.data, volume, about.name, f"label contract {about.version}")
    _write_nifti(path, header, labels.data, nifti_extension(about))
    return path


def write_label_names(path: Path | str, labels: LabelSet) -> Path:
    """Write names and colours of a label set as a label description file of ITK-SNAP.

    Raises:
        OutputError: The file cannot be written.
    """
    return write_text(path, itk_snap_labels(labels))


def write_map(path: Path | str, values: npt.NDArray[np.uint8], volume: Volume, title: str) -> Path:
    """Write a map of whole numbers, such as an uncertainty in percent, as NIfTI on the grid of the scan.

    Args:
        path: File to write; it appears whole or not at all.
        values: uint8 array of shape ``volume.shape``.
        volume: The scan that was read.
        title: What the map shows, written into the header.

    Returns:
        The path that was written.

    Raises:
        UsageError: ``values`` has another shape than the scan.
        OutputError: The file cannot be written.
    """
    if values.shape != volume.shape:
        raise UsageError(f"values has shape {values.shape}, expected that of the volume, {volume.shape}.")
    path = Path(path)
    _write_nifti(path, _map_header(values, volume, title), values)
    return path


def _map_header(array: npt.NDArray[np.uint8], volume: Volume, title: str, about: str = "") -> Any:
    nifti = _nifti_header(volume, array.dtype)
    nifti.set_intent("label", name=f"hilum {title}"[:15])
    nifti["descrip"] = f"hilum {title}{', ' if about else ''}{about}".encode()[:79]
    nifti["cal_max"] = int(array.max())
    return nifti


def write_volume(path: Path | str, volume: Volume) -> Path:
    """Write a scan as NIfTI in HU (int16 or float32 as held), in its stored shape.

    Args:
        path: File to write (``.nii`` or ``.nii.gz``); it appears whole or not at all.
        volume: The scan.

    Returns:
        The path that was written.

    Raises:
        OutputError: The file cannot be written.
    """
    path = Path(path)
    header = _nifti_header(volume, volume.hu.dtype)
    header["descrip"] = b"hilum CT in HU"
    _write_nifti(path, header, volume.hu)
    return path


def write_json(path: Path | str, data: Any) -> Path:
    """Write plain data, dataclasses, enums, paths and numpy scalars as indented UTF-8 JSON.

    Raises:
        ValueError: A number is NaN or infinite; what is unknown has to be None.
        OutputError: The file cannot be written.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return write_text(path, utf8_safe_json(text) + "\n")


def write_csv(
    path: Path | str, header: Sequence[str], rows: Iterable[Sequence[object]], *, private: bool = False
) -> Path:
    """Write a table as CSV (RFC 4180 quoting, UTF-8, line feed); None becomes an empty field.

    Args:
        path: File to write; it appears whole or not at all.
        header: Names of the columns.
        rows: Rows as long as the header.
        private: Let only its owner read it.

    Raises:
        UsageError: A row is not as long as the header.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    with atomic_file(path, private=private) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            if len(row) != len(header):
                raise UsageError(f"A row has {len(row)} fields, the header of {path.name} has {len(header)}.")
            writer.writerow([utf8_safe(field) if isinstance(field, str) else field for field in row])
    return path


def write_text(path: Path | str, text: str, *, private: bool = False) -> Path:
    """Write text as UTF-8 with line feeds; ``private`` lets only its owner read it.

    Bytes of file names that are not UTF-8 are escaped.

    Raises:
        OutputError: The file cannot be written.
    """
    path = Path(path)
    with atomic_file(path, private=private) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(utf8_safe(text))
    return path


def _plain(value: object) -> object:
    """Give json what it knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _nifti_header(volume: Volume, dtype: np.dtype[Any]) -> Any:
    """Header with the stored shape and the affine in sform and, where it is a rotation, in qform."""
    shape = volume.meta.stored_shape
    header = nib.Nifti2Header() if max(shape) > np.iinfo(np.int16).max else nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header["pixdim"][:4] = (1.0, *volume.spacing)
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = 1, 0
    if not volume.meta.orientation_known and np.allclose(header.get_base_affine(), volume.affine, atol=1e-3):
        return header  # read from a file that did not give it either: stays unknown, at the same position
    code = _SCANNER if volume.meta.orientation_known else _ALIGNED
    header.set_sform(volume.affine, code=code)
    header.set_qform(volume.affine, code=code, strip_shears=True)
    if corner_distance(header.get_qform(), volume.affine, volume.shape) > _QFORM_TOLERANCE_MM:
        header["qform_code"] = _UNKNOWN
        header["pixdim"][:4] = (1.0, *volume.spacing)
    return header


def _write_nifti(path: Path, header: Any, array: npt.NDArray[Any], extension: bytes = b"") -> None:
    two = isinstance(header, nib.Nifti2Header)
    header["vox_offset"] = (544 if two else 352) + len(extension)
    extended = bytes([bool(extension), 0, 0, 0])
    with atomic_file(path) as part, part.open("wb") as file:
        blocks = chain([header.binaryblock + extended + extension], _fortran(array))
        if path.name.lower().endswith(".gz"):
            write_gzip(file, blocks)
        else:
            file.writelines(blocks)


def _fortran(array: npt.NDArray[Any]) -> Iterator[memoryview]:
    """Give voxels with the first axis fastest, a few slices at a time to spare memory."""
    step = max(1, _BLOCK_VOXELS // max(1, array.shape[0] * array.shape[1]))
    for start in range(0, array.shape[2], step):
        block = np.asfortranarray(array[:, :, start : start + step])
        yield memoryview(cast(Any, block.reshape(-1, order="F"))).cast("B")
