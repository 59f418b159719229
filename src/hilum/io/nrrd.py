"""The header of NRRD (``.nrrd``, ``.nhdr``), as https://teem.sourceforge.net/nrrd/format.html defines it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError, InputError
from hilum.core.flags import FlagCode, Note
from hilum.core.sentences import Sentence
from hilum.io.headers import mm_per_unit, numbers, read_header_bytes, shape_of, text_of, whole
from hilum.io.raster import DataFile, Encoding, Raster, named_files

__all__ = ["read_nrrd_header"]

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
           "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {
    "raw": Encoding.RAW,
    **dict.fromkeys(("gz", "gzip"), Encoding.DEFLATE),
    **dict.fromkeys(("bz2", "bzip2"), Encoding.BZIP2),
    **dict.fromkeys(("txt", "text", "ascii"), Encoding.TEXT),
    "hex": Encoding.HEX,
}
#: Signs that bring the three axes of a space to right, anterior, superior. Other spaces name no anatomy.
_TO_RAS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}
#: An array without anatomy is taken as ITK takes it.
_AS_LPS = (-1.0, -1.0, 1.0)
#: Kinds of axes along which a voxel lies elsewhere; along all others it holds several numbers.
_DOMAIN_KINDS = ("domain", "space", "time", "???", "none")
_SYNONYMS = {
    "datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip", "centerings": "centers",
    "axismins": "axis mins", "spaceunits": "space units", "spaceorigin": "space origin",
    "spacedirections": "space directions", "spacedimension": "space dimension",
}  # fmt: skip
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
_AGAIN = "Get the file again."
_CORRECT = "Correct the header, or convert the scan again from DICOM."


def read_nrrd_header(path: Path, within: Path | None = None) -> Raster:
    """Read what a NRRD header says.

    Args:
        path: ``.nrrd`` or ``.nhdr``.
        within: A folder that data files must not lie outside of.

    Raises:
        InputError: The header is broken, or asks for what hilum does not read.
        GeometryError: Its geometry is broken.
        OSError: The file cannot be read.
    """
    fields, listed, length = _fields(path)
    shape = shape_of(_needed(fields, "dimension"), _needed(fields, "sizes"), "dimension", "sizes")
    encoding = _encoding(fields)
    dtype = _type(fields, encoding)
    kept, order, layers = _axes(fields, shape)
    with np.errstate(all="ignore"):  # numbers beyond all bounds are refused by check_affine
        affine, oriented, spaced, notes = _geometry(fields, order, len(shape))
    files = _files(path, fields, listed, length, shape, within)
    raster = Raster(kept, dtype, encoding, files, affine, oriented, spaced, notes)
    if layers is None:
        return raster
    axis, count = layers
    return replace(raster, layers=count, layers_before=prod(shape[:axis]))


def _fields(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Return the fields, the lines after ``data file: LIST``, and the length of the header in bytes."""
    fields: dict[str, str] = {}
    listed: list[str] = []
    length, ended = 0, False
    head = read_header_bytes(path)
    for number, line in enumerate(head.split(b"\n")):
        length += len(line) + 1
        text = text_of(line)
        if fields.get("data file", "").upper().startswith("LIST"):
            listed += [text] if text else []
            continue
        if not text:
            ended = True
            break
        if number == 0 or text.startswith("#") or ":=" in text.partition(": ")[0]:
            continue
        key, found, value = text.partition(":")
        key = key.strip().lower()
        key = _SYNONYMS.get(key, key)
        if found and fields.setdefault(key, value.strip()) != value.strip():
            raise InputError(f"The header gives two different values as {key}.", _AGAIN)
    if not ended and "data file" not in fields:
        raise InputError(
            Sentence("{file:path} is truncated: its header does not end.", path=path.name), _AGAIN
        )
    return fields, listed, min(length, len(head))


def _needed(fields: dict[str, str], key: str) -> str:
    if not fields.get(key):
        raise InputError(f"The header is broken: it does not say the {key}.", _AGAIN)
    return fields[key]


def _encoding(fields: dict[str, str]) -> Encoding:
    name = _needed(fields, "encoding").lower()
    if name not in _ENCODINGS:
        raise InputError(
            f"The voxels are packed as {name[:20]}, which hilum does not read.", "Save them with gzip."
        )
    return _ENCODINGS[name]


def _type(fields: dict[str, str], encoding: Encoding) -> np.dtype[Any]:
    name = " ".join(_needed(fields, "type").lower().split())
    if name not in _TYPE_OF:
        raise InputError(
            f"Voxels of type {name[:20]} are not intensities of a CT.", "Save the scan as 16-bit HU."
        )
    dtype = np.dtype(_TYPE_OF[name])
    if dtype.itemsize == 1 or encoding is Encoding.TEXT:
        return dtype
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big"):
        raise InputError("The header does not say the order of bytes (endian), so it is broken.", _AGAIN)
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _axes(
    fields: dict[str, str], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], list[int], tuple[int, int] | None]:
    """Return the sizes of the axes of an image, which of them lie in space, and axis and length of layers.

    An axis of length 1 that lies nowhere, such as the list of a sequence with one entry, is dropped.
    """
    kinds = fields.get("kinds", "").lower().split()
    kinds += ["???"] * (len(shape) - len(kinds))
    vectors = _vectors(fields["space directions"], len(shape)) if "space directions" in fields else None
    nowhere = [axis for axis in range(len(shape)) if kinds[axis] not in _DOMAIN_KINDS]
    rest = [axis for axis in range(len(shape)) if axis not in nowhere]
    order = [axis for axis in rest if vectors is None or _in_space(vectors[axis])][:3]
    if len(order) < min(3, len(rest)):
        raise GeometryError("The space directions of the header leave out an axis of the scan.", _CORRECT)
    # Time points come last, however they are stored: more than one is refused, so only their number matters.
    kept = tuple(shape[axis] for axis in (*order, *(axis for axis in rest if axis not in order)))
    several = [axis for axis in nowhere if shape[axis] > 1]
    if len(several) > 1:
        raise InputError(f"The file has {len(several)} axes that do not lie in space.", _AGAIN)
    return kept, order, (several[0], shape[several[0]]) if several else None


def _in_space(vector: Sequence[float] | None) -> bool:
    """Whether an axis has a direction; that of time has numbers in the fourth place only."""
    return vector is not None and (len(vector) < 4 or any(vector[:3]))


def _vectors(text: str, count: int) -> list[list[float] | None]:
    found = list(_VECTOR.finditer(text))
    if len(found) != count or _VECTOR.sub("", text).strip():
        raise GeometryError(
            f"The space directions of the header are not {count} vectors.",
            _CORRECT,
        )
    return [
        None if match[1] is None else numbers(match[1].replace(",", " "), "space directions")
        for match in found
    ]


def _geometry(
    fields: dict[str, str], order: list[int], axes: int
) -> tuple[npt.NDArray[np.float64], bool, bool, tuple[Note, ...]]:
    """Affine (voxel to RAS mm), whether orientation and spacing are known, and notes."""
    space = fields.get("space", "").lower().removesuffix("-time")
    space = space[:3] if space in ("rast", "last", "lpst") else space
    affine, steps = np.eye(4), np.eye(3)
    directed = "space directions" in fields
    spaced = directed or "spacings" in fields
    if directed:
        steps[:, : len(order)] = _columns(fields, order, axes)
    elif spaced:
        values = numbers(fields["spacings"], "spacings", axes)
        steps[:, : len(order)] *= [values[a] for a in order]
    affine[:3, :3] = steps
    affine[:3, 3] = _origin(fields, order, steps, axes)
    affine[:3] *= np.array(_TO_RAS.get(space, _AS_LPS))[:, None]
    unit, notes = _unit(fields, directed)
    affine[:3] *= unit
    return affine, directed and space in _TO_RAS, spaced, notes


def _columns(fields: dict[str, str], order: list[int], axes: int) -> npt.NDArray[np.float64]:
    vectors = _vectors(fields["space directions"], axes)
    columns = np.zeros((3, len(order)))
    for column, axis in enumerate(order):
        vector = vectors[axis] or []
        if len(order) == 2 and len(vector) == 3:
            raise InputError(
                "The file is a 2-D slice placed in 3-D space, which hilum does not read.",
                "Save it as a volume with one slice.",
            )
        if not len(order) <= len(vector) <= 4:
            raise GeometryError(
                f"The space directions of the header have {len(vector)} numbers, not 3.",
                _CORRECT,
            )
        columns[: min(len(vector), 3), column] = vector[:3]
    return columns


def _origin(
    fields: dict[str, str], order: list[int], steps: npt.NDArray[np.float64], axes: int
) -> npt.NDArray[np.float64]:
    """Place of the first voxel in the space of the header."""
    origin = np.zeros(3)
    if "space origin" in fields:
        values = numbers(re.sub(r"[(),]", " ", fields["space origin"]), "space origin")[:3]
        origin[: len(values)] = values
    elif "axis mins" in fields and "spacings" in fields:
        centers = fields.get("centers", "").lower().split()
        mins = numbers(fields["axis mins"], "axis mins", axes)
        for place, axis in enumerate(order):
            at_node = axis < len(centers) and centers[axis] == "node"
            if np.isfinite(mins[axis]):  # the least border of the first voxel, or its middle
                origin[place] = mins[axis] + (0.0 if at_node else steps[place, place] / 2)
    return origin


def _unit(fields: dict[str, str], directed: bool) -> tuple[float, tuple[Note, ...]]:
    """Return mm in the unit of the header; without one it is mm."""
    text = fields.get("space units" if directed else "units", "")
    names = re.findall(r'"([^"]*)"', text) or text.split()
    units = sorted({name.strip() for name in names[:3]} - {""})
    sizes = {mm_per_unit(name) for name in units}
    if len(sizes) > 1:
        raise GeometryError(
            f"The header gives voxel sizes in different units ({', '.join(units)}).",
            _CORRECT,
        )
    size = sizes.pop() if sizes else 1.0
    if size == 1.0:
        return size, ()
    return size, ((FlagCode.UNITS_CONVERTED, f"The header gives {units[0]}; they were made millimetres."),)


def _files(
    path: Path,
    fields: dict[str, str],
    listed: list[str],
    length: int,
    shape: tuple[int, ...],
    within: Path | None,
) -> tuple[DataFile, ...]:
    lines = whole(fields.get("line skip", "0"), "line skip", 0, 2**20)
    skip = whole(fields.get("byte skip", "0"), "byte skip", -1, 2**40)
    named = fields.get("data file")
    if skip < 0 and _encoding(fields) is not Encoding.RAW:
        raise InputError("The header gives a byte skip of -1, which only raw data can have.", _AGAIN)
    if named is None:
        return (DataFile(path, length, lines, skip),)
    return tuple(DataFile(found, 0, lines, skip) for found in named_files(path, named, listed, shape, within))
