"""NRRD and MetaImage through SimpleITK, brought from LPS to RAS.

The text header is read first, because ITK neither tells what the file left out (it fills in identity) nor
refuses a broken header before it takes memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from hilum.errors import GeometryError, InputError
from hilum.io.finish import RawImage, check_size, finish, narrow, spatial_shape
from hilum.io.names import scan_name
from hilum.io.stream import readable
from hilum.volume import ScanMeta, Volume, check_affine

__all__ = ["load_itk", "read_itk"]

_HEADER_BYTES = 256 * 1024
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_CONVERT = "Convert the scan again from DICOM, or correct the header."


def read_itk(path: Path) -> Volume:
    """Read a CT from NRRD (``.nrrd``, ``.nhdr``) or MetaImage (``.mha``, ``.mhd``).

    Raises:
        InputError: Truncated, corrupt, not scalar, more than one volume, or not HU.
        GeometryError: Zero spacing, or directions that do not span space.
    """
    return finish(load_itk(path))


def load_itk(path: Path) -> RawImage:
    """Read array and geometry without a word on the intensities."""
    with readable(path):
        is_nrrd = path.open("rb").read(4) == b"NRRD"
        fields, header_bytes = _header_fields(path, ":" if is_nrrd else "=")
        _check_geometry_fields(fields)
        reader = _reader(path)
        stored = tuple(int(n) for n in reader.GetSize())
        shape = spatial_shape(stored)
        _check_pixels(reader)
        _check_file(path, fields, header_bytes, stored, _itemsize(reader))
        image = _execute(reader, path)
    affine = _affine(image)
    check_affine(affine)
    array = narrow(_view(image)).reshape(shape, order="F")
    flat = len(stored) == 2
    told = ("space" in fields and "space directions" in fields) if is_nrrd else _told_matrix(fields)
    spaced = bool({"space directions", "spacings", "elementspacing", "elementsize"} & fields.keys())
    meta = ScanMeta(
        name=scan_name(path),
        source_format="nrrd" if is_nrrd else "metaimage",
        stored_shape=stored,
        spacing_known=spaced and not flat,
        orientation_known=told and not flat,
        notes=_notes(told=told and not flat, spaced=spaced, flat=flat),
    )
    return RawImage(array, affine, meta)


def _header_fields(path: Path, separator: str) -> tuple[dict[str, str], int]:
    """Return the fields of a text header in lower case, and its length in bytes.

    A NRRD header ends with an empty line, that of MetaImage with ``ElementDataFile``.
    """
    fields: dict[str, str] = {}
    length = 0
    with path.open("rb") as file:
        for line in file.read(_HEADER_BYTES).split(b"\n"):
            length += len(line) + 1
            text = line.decode("latin-1").strip()
            if not text and separator == ":":
                break
            key, found, value = text.partition(separator)
            if found and not text.startswith("#") and not value.startswith("="):  # := is a remark of NRRD
                fields[key.strip().lower()] = value.strip()
            if key.strip().lower() == "elementdatafile":
                break
    return fields, length


def _told_matrix(fields: dict[str, str]) -> bool:
    return bool({"transformmatrix", "rotation", "orientation"} & fields.keys())


def _check_geometry_fields(fields: dict[str, str]) -> None:
    for key in ("elementspacing", "spacings"):
        try:
            values = [float(v) for v in fields.get(key, "").split()]
        except ValueError:
            continue  # ITK says what is wrong
        if any(v == 0 for v in values):
            raise GeometryError(
                "The voxel spacing is zero along an axis, so volumes cannot be measured.", _CONVERT
            )


def _reader(path: Path) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _broken(path, error) from error
    return reader


def _execute(reader: Any, path: Path) -> Any:
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: RuntimeError) -> InputError | GeometryError:
    """Put what ITK says into one sentence."""
    text = str(error)
    if "spacing" in text.lower() and "zero" in text.lower():
        return GeometryError(
            "The voxel spacing is zero along an axis, so volumes cannot be measured.", _CONVERT
        )
    if "Bad direction" in text or "orthonormal" in text.lower():
        return GeometryError("The axes of the scan do not span space: its direction is singular.", _CONVERT)
    if "dimension of space" in text:
        return InputError(
            f"{path.name} is a 2-D picture placed in 3-D space, which ITK cannot read.",
            "Save it as a volume with one slice.",
        )
    return InputError(
        f"{path.name} cannot be read: it is truncated or its header is broken.", "Get the file again."
    )


def _check_pixels(reader: Any) -> None:
    components = reader.GetNumberOfComponents()
    if components > 1:
        raise InputError(
            f"Every voxel holds {components} numbers (colours, vectors or time points), a CT has one.",
            "Save the volume that you want as a scalar image.",
        )
    name = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in name or "label" in name or "unknown" in name.lower():
        raise InputError(f"Voxels of type {name} are not intensities of a CT.", "Save the scan as 16-bit HU.")


def _itemsize(reader: Any) -> int:
    name = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    bits = {"32-bit float": 32, "64-bit float": 64}.get(name) or int(name.split("-")[0])
    return bits // 8


def _check_file(
    path: Path, fields: dict[str, str], header_bytes: int, stored: tuple[int, ...], itemsize: int
) -> None:
    """Compare what the header asks for with the size of the data file, where there is exactly one."""
    compressed = fields.get("compresseddata", "").lower() == "true" or fields.get(
        "encoding", "raw"
    ).lower() in (
        "gzip",
        "gz",
        "bzip2",
        "bz2",
    )
    if fields.get("encoding", "raw").lower() in ("ascii", "text", "txt", "hex"):
        compressed = True  # its size says little; a loose bound is enough
    detached = fields.get("elementdatafile") or fields.get("data file") or fields.get("datafile") or "LOCAL"
    if detached.upper() == "LOCAL":
        check_size(stored, itemsize, path.stat().st_size - header_bytes, compressed=compressed)
        return
    data = path.with_name(detached)
    if detached.upper().startswith("LIST") or "%" in detached:
        check_size(stored, 0, 0, compressed=True)  # several files: only the sane limit holds
        return
    if not data.is_file():
        raise InputError(
            f"The data file {data.name} that {path.name} names is missing.", "Put both files into one folder."
        )
    check_size(stored, itemsize, data.stat().st_size, compressed=compressed)


def _affine(image: Any) -> npt.NDArray[np.float64]:
    """Voxel to RAS mm. A 2-D image gets a third axis of 1 mm along z."""
    size = min(image.GetDimension(), 3)
    direction = np.eye(3)
    n = image.GetDimension()
    direction[:size, :size] = np.reshape(image.GetDirection(), (n, n))[:size, :size]
    spacing, origin = np.ones(3), np.zeros(3)
    spacing[:size] = image.GetSpacing()[:size]
    origin[:size] = image.GetOrigin()[:size]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = origin
    return np.asarray(_LPS_TO_RAS @ affine, np.float64)


class _Buffer:
    """Shows the voxels of an ITK image to numpy and keeps the image alive as long as an array uses them."""

    def __init__(self, image: Any) -> None:
        self.image = image
        view = sitk.GetArrayViewFromImage(image)
        self.__array_interface__ = {**view.__array_interface__, "version": 3}


def _view(image: Any) -> npt.NDArray[Any]:
    """The voxels as a flat array without a copy; ITK stores x fastest, which is Fortran order."""
    array: npt.NDArray[Any] = np.asarray(_Buffer(image))
    return array.reshape(-1)


def _notes(*, told: bool, spaced: bool, flat: bool) -> tuple[tuple[str, str], ...]:
    notes = []
    if not told:
        notes.append(
            (
                "orientation_unknown",
                "The header does not say how the patient lies: right and left may be swapped.",
            )
        )
    if not spaced:
        notes.append(("spacing_unknown", "The header holds no voxel spacing; 1 mm was taken."))
    elif flat:
        notes.append(
            ("slice_thickness_unknown", "The header of the slice holds no thickness; 1 mm was taken.")
        )
    return tuple(notes)
