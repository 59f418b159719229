"""Single slices as TIFF: HU in 16 bits, and the geometry if the file gives it.

An image is an array [row, column]. It becomes a volume of shape (rows, columns, 1), so that a label map has
the shape of the image. hilum writes int16 (signed) rather than uint16 with an offset: every reader of TIFF
honours the sample format, while an offset in a tag gets lost with the first program that saves again. The
geometry stands as JSON in the ImageDescription.
"""

from __future__ import annotations

import json
import logging
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile

from hilum.core.errors import InputError, UsageError
from hilum.core.flags import FlagCode, Note
from hilum.core.planes import Plane
from hilum.core.sentences import Sentence
from hilum.core.volume import ScanMeta, Volume, check_affine
from hilum.io.atomic import atomic_file
from hilum.io.checks import RawImage, check_size, narrow, to_volume
from hilum.io.names import scan_name
from hilum.io.stream import open_regular, readable
from hilum.io.voxels import calibrate

__all__ = ["load_tiff", "read_tiff", "write_hu_tiff"]

_SCHEMA = "hilum-ct-slice"
_MM_PER_UNIT = {
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "inch": 25.4,
    "um": 1e-3,
    "µm": 1e-3,
    "micron": 1e-3,
}
#: What image editors write when the resolution is unknown; it is not a voxel size.
_PRINT_DPI = {72, 75, 90, 96, 100, 120, 150, 200, 240, 300, 360, 400, 600, 720, 1200, 2400}
_PLAUSIBLE_MM = (0.05, 10.0)
_EXPORT_HINT = "Export the slice again from DICOM as 16-bit HU."
_TIFF_ERRORS = (
    tifffile.TiffFileError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


#: What unpacks a strip, by the number of the compression: deflate, deflate of old, and LZMA.
_UNPACKERS: dict[int, Callable[[], Any]] = {
    8: zlib.decompressobj,
    32946: zlib.decompressobj,
    34925: lzma.LZMADecompressor,
}
#: tifffile warns on standard error unless it is given another stream.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


#: RAS directions in which rows, columns and the stack grow, by plane; columns of a matrix.
_DIRECTIONS: dict[Plane, npt.NDArray[np.float64]] = {
    Plane.AXIAL: np.array([[0, -1, 0], [-1, 0, 0], [0, 0, 1]], np.float64).T,
    Plane.CORONAL: np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], np.float64).T,
    Plane.SAGITTAL: np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]], np.float64).T,
}


@dataclass(frozen=True, eq=False)
class _Own:
    """What :func:`write_hu_tiff` wrote: spacing and thickness in mm, affine to RAS mm."""

    plane: Plane
    spacing: tuple[float, float] | None
    thickness: float | None
    affine: npt.NDArray[np.float64] | None


def read_tiff(path: Path) -> Volume:
    """Read one CT slice from TIFF: shape (rows, columns, 1).

    Spacing comes from hilum's own description, from ImageJ's, or from the resolution tags where they name a
    unit; otherwise it is 1 mm and ``meta.spacing_known`` is False. A file that does not name its plane is
    taken as axial with the front up and the patient's left on the right, and ``meta.orientation_known`` is
    False.

    Raises:
        InputError: Several pages, colours, 8 bits, truncated, or not HU.
    """
    return to_volume(load_tiff(path))


def load_tiff(path: Path, *, labels: bool = False) -> RawImage:
    """Read array and geometry without checking the intensities.

    Args:
        path: The file.
        labels: Allow 8-bit and 1-bit images, which are masks.
    """
    with readable(path):
        try:
            with open_regular(path) as stream, tifffile.TiffFile(stream, name=path.name) as file:
                page = _single_page(file, path)
                _check_page(page, path, labels=labels)
                _check_segments(page, stream, path)
                image = page.asarray()
                description = str(page.description or "")
                imagej = dict(file.imagej_metadata or {})
                resolution = _imagej_spacing(page, imagej) if imagej else _resolution(page)
        except _TIFF_ERRORS as error:
            if "imagecodecs" in str(error):
                raise InputError(
                    Sentence("{file:path} uses a TIFF compression that hilum does not read.", path=path.name),
                    "Save it uncompressed or with deflate.",
                ) from error
            raise InputError(
                Sentence("{file:path} is truncated or not a valid TIFF.", path=path.name),
                "Get the file again.",
            ) from error
    if image.ndim != 2:
        raise InputError(
            Sentence(
                "{file:path} is not a single 2-D image: its shape is {shape}.",
                path=path.name,
                shape=image.shape,
            ),
            _EXPORT_HINT,
        )
    array = narrow(_calibrated(image, imagej))
    affine, known = _geometry(description, resolution)
    check_affine(affine)
    notes = _notes(known)
    meta = ScanMeta(
        name=scan_name(path),
        source_format="tiff",
        stored_shape=array.shape,
        spacing_known=known["spacing"],
        orientation_known=known["plane"],
        notes=notes,
    )
    return RawImage(array[:, :, np.newaxis], affine, meta)


def write_hu_tiff(
    path: Path | str,
    hu: npt.NDArray[Any],
    spacing: tuple[float, float] | None,
    *,
    plane: Plane | str = Plane.AXIAL,
    thickness: float | None = None,
    affine: npt.NDArray[np.float64] | None = None,
) -> Path:
    """Write one slice in HU so that :func:`read_tiff` gives back exactly the same values and geometry.

    Args:
        path: File to write; it appears whole or not at all.
        hu: Array [row, column]; whole numbers in the range of int16 are stored as int16, float32 as float32.
        spacing: Distance of neighbouring rows and of neighbouring columns in mm; None where it is not known.
        plane: Orientation of the slice.
        thickness: Distance to the next slice in mm, None where it is not known.
        affine: 4 x 4 matrix from (row, column, 0) to RAS mm, to keep the place in the scan; overrides
            ``spacing``, ``plane`` and ``thickness`` when the file is read.

    Returns:
        The path that was written.

    Raises:
        UsageError: An argument is not what it should be.
        OutputError: The file cannot be written.
    """
    if hu.ndim != 2 or hu.size == 0:
        raise UsageError(f"hu must be an array [row, column], it has the shape {hu.shape}.")
    stored = narrow(hu)
    if hu.dtype.kind in "iu" and stored.dtype != np.int16:
        raise UsageError("hu holds whole numbers outside of the range of int16 (-32768 to 32767).")
    if spacing is not None and not (len(spacing) == 2 and all(np.isfinite(s) and s > 0 for s in spacing)):
        raise UsageError(f"spacing must be two positive numbers in mm, it is {spacing}.")
    if thickness is not None and not thickness > 0:
        raise UsageError(f"thickness must be a positive number in mm, it is {thickness}.")
    if affine is not None:
        check_affine(np.asarray(affine, np.float64))
    description = {
        "schema": _SCHEMA,
        "version": 1,
        "unit": "HU",
        "plane": Plane(plane).value,
        "spacing_mm": None if spacing is None else [float(s) for s in spacing],
        "thickness_mm": None if thickness is None else float(thickness),
        "affine_ras_mm": None if affine is None else np.asarray(affine, np.float64).tolist(),
    }
    path = Path(path)
    with atomic_file(path) as part:
        tifffile.imwrite(
            part,
            stored,
            photometric="minisblack",
            compression="zlib",
            predictor=stored.dtype.kind == "i",
            description=json.dumps(description),
            metadata=None,
            software="hilum",
            resolution=None if spacing is None else (10.0 / spacing[1], 10.0 / spacing[0]),
            resolutionunit="NONE" if spacing is None else "CENTIMETER",
        )
    return path


def _single_page(file: Any, path: Path) -> Any:
    pages = len(file.pages)
    if pages != 1:
        raise InputError(
            Sentence(
                "{file:path} holds {pages} images; a TIFF stack does not give the distance of its slices.",
                path=path.name,
                pages=pages,
            ),
            "Give one slice per file, or the scan as NIfTI or DICOM.",
        )
    return file.pages[0]


def _check_page(page: Any, path: Path, *, labels: bool) -> None:
    windowed = InputError(
        Sentence(
            "{file:path} is an 8-bit or colour image, made with a window: HU cannot be recovered from it.",
            path=path.name,
        ),
        _EXPORT_HINT,
    )
    if page.samplesperpixel != 1 or page.photometric in (
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.PALETTE,
        tifffile.PHOTOMETRIC.YCBCR,
    ):
        raise windowed
    if page.dtype is None:
        raise InputError(
            Sentence("{file:path} has a sample type that TIFF does not define.", path=path.name), _EXPORT_HINT
        )
    if page.dtype.itemsize == 1 and not labels:
        raise windowed
    size = path.stat().st_size
    compressed = page.compression != tifffile.COMPRESSION.NONE
    check_size(page.shape, page.dtype.itemsize if page.bitspersample >= 8 else 0, size, compressed=compressed)
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if max(ends, default=0) > size:
        raise InputError(
            Sentence("{file:path} is truncated: it ends before the image does.", path=path.name),
            "Get the file again.",
        )


def _check_segments(page: Any, stream: BinaryIO, path: Path) -> None:
    """Refuse strips that unpack to more than the image, before tifffile unpacks them whole."""
    make = _UNPACKERS.get(int(page.compression))
    if make is None:
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        stream.seek(offset)
        left, engine, block = page.nbytes + 1, make(), stream.read(count)
        while left > 0 and not engine.eof:
            out = engine.decompress(block, min(left, 2**20))
            block = getattr(engine, "unconsumed_tail", b"")
            left -= len(out)
            if not out and not block:
                break  # truncated: tifffile says so
        if left <= 0:
            raise InputError(
                Sentence(
                    "{file:path} unpacks to more than its header says, so it is broken.", path=path.name
                ),
                "Get the file again.",
            )


def _resolution(page: Any) -> tuple[float, float] | None:
    """Spacing of rows and columns in mm from the resolution tags; None where they name no usable unit."""
    tags = page.tags
    unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else None
    mm = {2: 25.4, 3: 10.0}.get(int(unit)) if unit is not None else None
    per_unit = _pixels_per_unit(page)
    if mm is None or per_unit is None:
        return None
    if mm == 25.4 and all(round(v, 3) in _PRINT_DPI for v in per_unit):
        return None
    return _plausible((mm / per_unit[0], mm / per_unit[1]))


def _imagej_spacing(page: Any, imagej: dict[str, Any]) -> tuple[float, float] | None:
    """Spacing of rows and columns in mm from ImageJ, which names its unit in the description."""
    mm = _MM_PER_UNIT.get(str(imagej.get("unit", "")).replace("\\u00B5", "µ").lower())
    per_unit = _pixels_per_unit(page)
    if mm is None or per_unit is None:
        return None
    return _plausible((mm / per_unit[0], mm / per_unit[1]))


def _pixels_per_unit(page: Any) -> tuple[float, float] | None:
    """Pixels per unit along rows (Y) and columns (X)."""
    values = []
    for tag in ("YResolution", "XResolution"):
        if tag not in page.tags:
            return None
        numerator, denominator = page.tags[tag].value
        if not numerator or not denominator:
            return None
        values.append(numerator / denominator)
    return values[0], values[1]


def _plausible(spacing: Sequence[float]) -> tuple[float, float] | None:
    low, high = _PLAUSIBLE_MM
    rows, columns = spacing
    return (float(rows), float(columns)) if all(low <= s <= high for s in spacing) else None


def _calibrated(image: npt.NDArray[Any], imagej: dict[str, Any]) -> npt.NDArray[Any]:
    """Apply ImageJ's straight-line calibration: signed 16-bit images are stored with an offset of 32768."""
    c0, c1 = imagej.get("c0"), imagej.get("c1", 1)
    if c0 is None or imagej.get("cf", 0) != 0:
        return image
    try:
        return calibrate(image, float(c1), float(c0))
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            "The calibration that ImageJ left in the file is not made of numbers.", _EXPORT_HINT
        ) from None


def _geometry(
    description: str, resolution: tuple[float, float] | None
) -> tuple[npt.NDArray[np.float64], dict[str, bool]]:
    """Affine from (row, column, 0) to RAS mm, and which parts of it the file gave."""
    own = _own_description(description)
    if own is not None and own.affine is not None:
        return own.affine, {"spacing": True, "thickness": True, "plane": True}
    spacing, plane, thickness = resolution, Plane.AXIAL, None
    if own is not None:
        spacing, plane, thickness = own.spacing, own.plane, own.thickness
    affine = np.eye(4)
    steps = [*(spacing or (1.0, 1.0)), thickness or 1.0]
    affine[:3, :3] = _DIRECTIONS[plane] * steps
    return affine, {
        "spacing": spacing is not None,
        "thickness": thickness is not None,
        "plane": own is not None,
    }


def _own_description(description: str) -> _Own | None:
    """The JSON that :func:`write_hu_tiff` left; None for the files of others.

    Raises:
        InputError: It holds an invalid geometry.
    """
    if _SCHEMA not in description:
        return None
    try:
        own = json.loads(description)
        plane = Plane(own["plane"])
    except RecursionError as error:
        raise _damaged() from error
    except (ValueError, KeyError, TypeError):
        return None
    spacing = _floats(own.get("spacing_mm"), (2,))
    thickness = _floats(own.get("thickness_mm"), ())
    affine = _floats(own.get("affine_ras_mm"), (4, 4))
    if any(values is not None and not (values > 0).all() for values in (spacing, thickness)):
        raise _damaged()
    return _Own(
        plane,
        None if spacing is None else (float(spacing[0]), float(spacing[1])),
        None if thickness is None else float(thickness),
        affine,
    )


def _floats(value: object, shape: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    """Numbers out of JSON as an array of this shape; None where there are none."""
    if value is None:
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind in "iuf" and array.shape == shape and np.isfinite(array).all():
            return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        pass  # rows of different lengths, or numbers beyond all bounds
    raise _damaged()


def _damaged() -> InputError:
    return InputError(
        "The description of the slice is damaged: the geometry in it is not made of numbers.", _EXPORT_HINT
    )


def _notes(known: dict[str, bool]) -> tuple[Note, ...]:
    notes = []
    if not known["plane"]:
        notes.append(
            (
                FlagCode.ORIENTATION_ASSUMED,
                "The image does not say how the patient lies: it was taken as axial, front up, the "
                "patient's left on the right side.",
            )
        )
    if not known["spacing"]:
        notes.append((FlagCode.SPACING_UNKNOWN, "The image holds no pixel spacing; 1 mm was taken."))
    elif not known["thickness"]:
        notes.append(
            (FlagCode.SLICE_THICKNESS_UNKNOWN, "The image holds no slice thickness; 1 mm was taken.")
        )
    return tuple(notes)
