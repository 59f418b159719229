"""Convert stored pixels to HU, slice by slice into one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.constants import LOWEST_HU
from hilum.core.errors import InputError
from hilum.core.flags import FlagCode
from hilum.io.dicom.decoding import Decoder, undecodable
from hilum.io.dicom.findings import Finding
from hilum.io.dicom.headers import FileHeader, Plane

__all__ = ["Pixels", "read_pixels"]

_INT16 = np.iinfo(np.int16)
#: A padding value that rescales into the range of tissue is not believed: it would erase the patient.
_NO_TISSUE_BELOW, _NO_TISSUE_ABOVE = -900, 4000
#: 16 unsigned bits make values from here on of -1100 to -1: air and lung. Above this share of the
#: voxels, where they would be far denser than bone, that is what they are; padding (-2000) lies below.
_WRAPPED_FROM, _WRAPPED_SHARE = 2**16 - 1100, 0.1


@dataclass(frozen=True, eq=False)
class Pixels:
    """HU of a stack.

    Attributes:
        hu: Shape (k, j, i): slices, rows, columns; C-contiguous, int16 or, where a rescale is not whole,
            float32.
        findings: Findings.
    """

    hu: npt.NDArray[Any]
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    padded: int = 0
    clipped: int = 0
    wrapped: int = 0
    doubted: bool = False


def read_pixels(planes: Sequence[Plane], decoder: Decoder) -> Pixels:
    """Decode planes into HU.

    Each slice is decoded, rescaled by its own slope and intercept and written into the array before the next
    is opened, so that memory is the result and one slice. Padding (PixelPaddingValue up to
    PixelPaddingRangeLimit) becomes its rescaled value or -1024, whichever is lower; a padding value that
    rescales to tissue is not believed. Values beyond int16 are clipped.

    Args:
        planes: In slice order, all of one size.
        decoder: Decodes their files.

    Raises:
        InputError: A file is truncated, corrupt or cannot be decoded (the sentence names it), or negative
            values were stored that the header calls unsigned.
    """
    head = planes[0].head
    dtype = np.int16 if all(_is_whole(p) for p in planes) else np.float32
    hu = np.empty((len(planes), head.rows, head.columns), dtype)
    tally = _Tally()
    for file, places in _by_file(planes).items():
        frames = decoder.frames(file, [planes[place].frame or 0 for place in places])
        for place, raw in zip(places, frames, strict=True):
            if raw.shape != hu.shape[1:]:
                raise undecodable(file)
            _rescale(raw, planes[place], hu[place], tally)
    if tally.wrapped > _WRAPPED_SHARE * hu.size:
        raise _wrong_sign(tally, hu.size)
    return Pixels(hu, tuple(_findings(tally, hu.size)))


def _is_whole(plane: Plane) -> bool:
    return _slope(plane).is_integer() and _intercept(plane).is_integer()


def _slope(plane: Plane) -> float:
    return 1.0 if plane.slope is None else plane.slope


def _intercept(plane: Plane) -> float:
    return 0.0 if plane.intercept is None else plane.intercept


def _by_file(planes: Sequence[Plane]) -> dict[FileHeader, list[int]]:
    """Return places in ``planes`` by file, so that each file is opened once."""
    files: dict[FileHeader, list[int]] = {}
    for place, plane in enumerate(planes):
        files.setdefault(plane.head, []).append(place)
    return files


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
    if plane.head.bits == (16, 16) and slope * _WRAPPED_FROM + intercept > _NO_TISSUE_ABOVE <= high:
        tally.wrapped += int(np.count_nonzero(raw >= _WRAPPED_FROM))


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
    out[inside] = np.minimum(out[inside], LOWEST_HU)


def _as_stored(value: int, head: FileHeader) -> int:
    """Bring a padding value that was written with the wrong sign to the range of the pixels."""
    if head.signed and value > _INT16.max and head.bits[0] == 16:
        return value - 2**16
    if not head.signed and value < 0:
        return value + int(2 ** head.bits[0])
    return value


def _wrong_sign(tally: _Tally, voxels: int) -> InputError:
    share = tally.wrapped / voxels
    return InputError(
        f"The header calls the pixels unsigned, but {share:.0%} of them are negative, as air and lung are "
        "(PixelRepresentation is wrong).",
        "Set PixelRepresentation to 1, or export the original series again.",
    )


def _findings(tally: _Tally, voxels: int) -> Iterator[Finding]:
    if tally.padded:
        share = tally.padded / voxels
        yield Finding(
            FlagCode.PADDING,
            f"{share:.1%} of the voxels are padding outside the scanned circle, set to -1024 HU or lower.",
        )
    if tally.doubted:
        yield Finding(
            FlagCode.PADDING_IGNORED,
            "The padding value in the header lies among the values of tissue, so it was not used.",
        )
    if tally.clipped:
        yield Finding(FlagCode.CLIPPED, f"{tally.clipped} voxels beyond the range of 16 bits were clipped.")
