"""From stored pixels to HU, slice by slice into one array."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from hilum.errors import InputError
from hilum.io.dicom.findings import Finding
from hilum.io.dicom.headers import FileHeader, Plane

__all__ = ["Pixels", "read_pixels"]

_INT16 = np.iinfo(np.int16)
_AIR = -1024
#: A padding value that rescales into the range of tissue is not believed: it would erase the patient.
_NO_TISSUE_BELOW, _NO_TISSUE_ABOVE = -900, 4000
_PIXEL_TAGS: list[Any] = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pixels:
    """HU of a stack.

    Attributes:
        hu: Shape (k, j, i): slices, rows, columns; C-contiguous, int16 or, where a rescale is not whole,
            float32.
        findings: What was met.
    """

    hu: npt.NDArray[Any]
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    padded: int = 0
    clipped: int = 0
    doubted: bool = False


def read_pixels(planes: Sequence[Plane]) -> Pixels:
    """Decode planes into HU.

    Each slice is decoded, rescaled by its own slope and intercept and written into the array before the next
    is opened, so that memory is the result and one slice. Padding (PixelPaddingValue up to
    PixelPaddingRangeLimit) becomes its rescaled value or -1024, whichever is lower; a padding value that
    rescales to tissue is not believed. Values beyond int16 are clipped.

    Args:
        planes: In slice order, all of one size.

    Raises:
        InputError: A file is truncated, corrupt or cannot be decoded; the sentence names it.
    """
    head = planes[0].head
    dtype = np.int16 if all(_is_whole(p) for p in planes) else np.float32
    hu = np.empty((len(planes), head.rows, head.columns), dtype)
    tally = _Tally()
    for place, raw in _decode(planes):
        if raw.shape != hu.shape[1:]:
            raise _undecodable(planes[place].head)
        _rescale(raw, planes[place], hu[place], tally)
    return Pixels(hu, tuple(_findings(tally, hu.size)))


def _is_whole(plane: Plane) -> bool:
    return _slope(plane).is_integer() and _intercept(plane).is_integer()


def _slope(plane: Plane) -> float:
    return 1.0 if plane.slope is None else plane.slope


def _intercept(plane: Plane) -> float:
    return 0.0 if plane.intercept is None else plane.intercept


def _decode(planes: Sequence[Plane]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield (place in ``planes``, stored values) file by file."""
    files: dict[FileHeader, list[int]] = {}
    for place, plane in enumerate(planes):
        files.setdefault(plane.head, []).append(place)
    for head, places in files.items():
        frames = [planes[place].frame or 0 for place in places]
        try:
            with warnings.catch_warnings():
                # pydicom warns of padding bytes and the like; what matters is checked here.
                warnings.simplefilter("ignore", UserWarning)
                plugin = _plugin(head.transfer_syntax)
                decoded = iter_pixels(_source(head), indices=frames, raw=True, decoding_plugin=plugin)
                yield from zip(places, decoded, strict=True)
        except OSError as error:
            raise InputError(
                f"{head.path.name} cannot be read: {error.strerror}.", "Get the file again."
            ) from None
        except InputError:
            raise
        except Exception as error:  # decoders raise whatever broken bytes make them raise
            raise _undecodable(head) from error


@cache
def _plugin(syntax: str) -> str:
    """Return the decoder to use, empty for pydicom's choice.

    GDCM ends the whole process on some broken JPEG 2000 streams where Pillow raises; both take as long.
    """
    if syntax not in (JPEG2000, JPEG2000Lossless):
        return ""
    return "pillow" if "pillow" in get_decoder(UID(syntax)).available_plugins else ""


def _source(head: FileHeader) -> Any:
    """Return what pydicom decodes from: the path; of a deflated file or one without meta header a dataset."""
    if head.transfer_syntax and not UID(head.transfer_syntax).is_deflated:
        return head.path
    ds = pydicom.dcmread(head.path, force=True, specific_tags=_PIXEL_TAGS)
    if head.transfer_syntax:
        return ds
    implicit, little = ds.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return ds


def _undecodable(head: FileHeader) -> InputError:
    return InputError(
        f"{head.path.name} is truncated or corrupt: its pixels cannot be decoded.", "Get the file again."
    )


def _rescale(raw: npt.NDArray[Any], plane: Plane, out: npt.NDArray[Any], tally: _Tally) -> None:
    """Write slope * raw + intercept into ``out``, both of shape (rows, columns)."""
    slope, intercept = _slope(plane), _intercept(plane)
    low, high = sorted((slope * float(raw.min()) + intercept, slope * float(raw.max()) + intercept))
    if out.dtype == np.float32:
        out[...] = raw * np.float64(slope) + intercept
    elif slope == 1 and low >= _INT16.min and high <= _INT16.max and raw.dtype.itemsize <= 2:
        # The sum fits, so 16-bit arithmetic that wraps gives it exactly and needs no wider copy.
        np.copyto(out, raw, casting="unsafe")
        out += np.int64(intercept).astype(np.int16)
    else:
        wide = raw.astype(np.int64) * int(slope) + int(intercept)
        tally.clipped += int(np.count_nonzero((wide < _INT16.min) | (wide > _INT16.max)))
        np.clip(wide, _INT16.min, _INT16.max, out=wide)
        out[...] = wide
    _pad(raw, plane, out, tally)


def _pad(raw: npt.NDArray[Any], plane: Plane, out: npt.NDArray[Any], tally: _Tally) -> None:
    if plane.head.padding is None:
        return
    low, high = (_as_stored(v, plane.head) for v in plane.head.padding)
    inside = (raw >= min(low, high)) & (raw <= max(low, high))
    count = int(np.count_nonzero(inside))
    if not count:
        return
    values = sorted(_slope(plane) * v + _intercept(plane) for v in (low, high))
    if values[1] > _NO_TISSUE_BELOW and values[0] < _NO_TISSUE_ABOVE:
        tally.doubted = True
        return
    tally.padded += count
    out[inside] = np.minimum(out[inside], _AIR)


def _as_stored(value: int, head: FileHeader) -> int:
    """Bring a padding value that was written with the wrong sign to the range of the pixels."""
    if head.signed and value > _INT16.max and head.bits[0] == 16:
        return value - 2**16
    if not head.signed and value < 0:
        return value + int(2 ** head.bits[0])
    return value


def _findings(tally: _Tally, voxels: int) -> Iterator[Finding]:
    if tally.padded:
        share = tally.padded / voxels
        yield Finding(
            "padding",
            f"{share:.1%} of the voxels are padding outside the scanned circle, set to -1024 HU or lower.",
        )
    if tally.doubted:
        yield Finding(
            "padding_ignored",
            "The padding value in the header lies among the values of tissue, so it was not used.",
        )
    if tally.clipped:
        yield Finding("clipped", f"{tally.clipped} voxels beyond the range of 16 bits were clipped.")
