"""The header of MetaImage (``.mha``, ``.mhd``): https://itk.org/Wiki/ITK/MetaIO/Documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError, InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.sentences import Sentence
from hilum.io.headers import mm_per_unit, numbers, read_header_bytes, shape_of, text_of, whole
from hilum.io.raster import DataFile, Encoding, Raster, named_files

__all__ = ["read_metaimage_header"]

#: MET_LONG has 4 bytes in a file on every system.
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
#: Fields of one meaning.
_MATRIX = ("transformmatrix", "rotation", "orientation")
_ORIGIN = ("offset", "position", "origin", "imageposition")
_BIG_ENDIAN = ("binarydatabyteordermsb", "elementbyteordermsb")
#: Fields that hilum uses; the others may stand there twice.
_USED = {
    "ndims", "dimsize", "elementtype", "elementspacing", "elementsize", "headersize", "compresseddata",
    "binarydata", "elementnumberofchannels", "distanceunits", "elementtointensityfunctionslope",
    "elementtointensityfunctionoffset", *_MATRIX, *_ORIGIN, *_BIG_ENDIAN,
}  # fmt: skip
_MOST_LAYERS = 2**16
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AGAIN = "Get the file again."
_CORRECT = "Correct the header, or convert the scan again from DICOM."


def read_metaimage_header(path: Path, within: Path | None = None) -> Raster:
    """Read what a MetaImage header says.

    Args:
        path: ``.mha`` or ``.mhd``.
        within: A folder that data files must not lie outside of.

    Raises:
        InputError: The header is broken, or asks for what hilum does not read.
        GeometryError: Its geometry is broken.
        OSError: The file cannot be read.
    """
    fields, listed, length = _fields(path)
    shape = shape_of(
        _needed(fields, "ndims", "NDims"), _needed(fields, "dimsize", "DimSize"), "NDims", "DimSize"
    )
    layers = whole(fields.get("elementnumberofchannels", "1"), "ElementNumberOfChannels", 1, _MOST_LAYERS)
    encoding = _encoding(fields)
    with np.errstate(all="ignore"):  # numbers beyond all bounds are refused by check_affine
        affine, notes = _affine(fields, shape)
    return Raster(
        shape,
        _type(fields),
        encoding,
        _files(path, fields, listed, length, shape, within),
        affine,
        orientation_known=any(key in fields for key in _MATRIX),
        spacing_known="elementspacing" in fields or "elementsize" in fields,
        notes=notes,
        layers=layers,
    )


def _fields(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Return the fields, the lines after ``ElementDataFile``, and the length of the header in bytes."""
    fields: dict[str, str] = {}
    length = 0
    head = read_header_bytes(path)
    lines = head.split(b"\n")
    for number, line in enumerate(lines):
        length += len(line) + 1
        key, found, value = text_of(line).partition("=")
        key, value = key.strip().lower(), value.strip()
        if not found:
            continue
        if fields.setdefault(key, value) != value and key in _USED:
            raise InputError(f"The header gives two different values as {key}.", _AGAIN)
        if key == "elementdatafile":
            listed = []
            if value.upper().startswith("LIST"):
                listed = [text for later in lines[number + 1 :] if (text := text_of(later))]
            return fields, listed, min(length, len(head))
    raise InputError(
        Sentence(
            "{file:path} is truncated: its header does not name the data (ElementDataFile).", path=path.name
        ),
        _AGAIN,
    )


def _needed(fields: dict[str, str], key: str, shown: str) -> str:
    if not fields.get(key):
        raise InputError(f"The header is broken: it does not say {shown}.", _AGAIN)
    return fields[key]


def _one_of(fields: dict[str, str], keys: tuple[str, ...]) -> str | None:
    """Return the value of fields with one meaning, of which programs write one or the other."""
    values = {" ".join(fields[key].split()) for key in keys if key in fields}
    if len(values) > 1:
        raise GeometryError(
            f"The header gives two different values as {' and '.join(k for k in keys if k in fields)}.",
            _CORRECT,
        )
    return values.pop() if values else None


def _is_true(text: str | None) -> bool:
    return text is not None and text[:1] in ("T", "t", "1")


def _encoding(fields: dict[str, str]) -> Encoding:
    if _is_true(fields.get("compresseddata")):
        return Encoding.DEFLATE
    return Encoding.RAW if _is_true(fields.get("binarydata")) else Encoding.TEXT  # text is the default


def _type(fields: dict[str, str]) -> np.dtype[Any]:
    name = _needed(fields, "elementtype", "ElementType")
    if name not in _TYPES:
        raise InputError(
            f"Voxels of type {name[:20]} are not intensities of a CT.", "Save the scan as 16-bit HU."
        )
    big = {_is_true(fields[key]) for key in _BIG_ENDIAN if key in fields}
    if len(big) > 1:
        raise InputError("The header gives two different orders of bytes, so it is broken.", _AGAIN)
    return np.dtype(_TYPES[name]).newbyteorder(">" if True in big else "<")


def _affine(
    fields: dict[str, str], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], tuple[Note, ...]]:
    """Voxel to RAS mm, with a third axis of 1 mm if there are two; and notes."""
    axes, used = len(shape), min(len(shape), 3)
    affine, spacing = np.eye(4), np.ones(3)
    matrix = _one_of(fields, _MATRIX)
    if matrix is not None:
        # A line of the matrix is the direction of an axis.
        given = np.reshape(numbers(matrix, "TransformMatrix", axes * axes), (axes, axes)).T
        affine[:used, :used] = given[:used, :used]
    steps = fields.get("elementspacing", fields.get("elementsize"))
    if steps is not None:
        spacing[:used] = numbers(steps, "ElementSpacing", axes)[:used]
    affine[:3, :3] *= spacing
    origin = _one_of(fields, _ORIGIN)
    if origin is not None:
        affine[:used, 3] = numbers(origin, "Offset", axes)[:used]
    unit = fields.get("distanceunits", "")
    size = mm_per_unit(unit)
    affine[:used] *= size
    notes: tuple[Note, ...] = ()
    if size != 1.0:
        notes = ((FlagCode.UNITS_CONVERTED, f"The header gives {unit}; they were made millimetres."),)
    return _LPS_TO_RAS @ affine, notes


def _files(
    path: Path,
    fields: dict[str, str],
    listed: list[str],
    length: int,
    shape: tuple[int, ...],
    within: Path | None,
) -> tuple[DataFile, ...]:
    named = _needed(fields, "elementdatafile", "ElementDataFile")
    skip = whole(fields.get("headersize", "0"), "HeaderSize", -1, 2**40)
    if skip < 0 and _encoding(fields) is not Encoding.RAW:
        raise InputError("The header gives a HeaderSize of -1, which only raw data can have.", _AGAIN)
    start = max(skip, 0)
    skip = min(skip, 0)
    if named.upper() == "LOCAL":
        if 0 < start < length:
            raise InputError("The header gives a HeaderSize that lies within the header.", _AGAIN)
        return (DataFile(path, max(start, length), 0, skip),)
    return tuple(DataFile(found, start, 0, skip) for found in named_files(path, named, listed, shape, within))
