"""The last step of every reader: check that the voxels are HU and that their geometry is usable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.errors import GeometryError, InputError
from hilum.core.volume import ScanMeta, Volume, check_affine
from hilum.io.memory import free_memory
from hilum.io.units import check_units

__all__ = ["MAX_VOXELS", "HuBuffer", "RawImage", "check_size", "narrow", "spatial_shape", "to_volume"]

#: 1024 x 1024 x 2048: more than the largest chest CT (1024 x 1024 x 1500); above it a header is broken.
MAX_VOXELS = 2**31
#: An image up to here (1024 x 1024 x 512, as int16 1 GiB) may be packed to any degree, as label maps are.
MAX_PACKED_VOXELS = 2**29
#: Above it, the most that a file may unpack by. CT packs by 2 to 5 times, and a large one is never that even.
MAX_LARGE_RATIO = 200
#: deflate cannot shrink data by more than this factor (zlib manual), so a header that asks for more is wrong.
MAX_DEFLATE_RATIO = 1032
_LEAST_BYTES = 2  # per voxel, once it is read
_BLOCK = 4 * 2**20  # voxels per block: small beside a scan, large beside the overhead of a call
_SPACING_MM = (0.01, 100.0)
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class RawImage:
    """An array with the geometry of its file; its intensities are not checked yet.

    Attributes:
        array: Three axes, int16 or float32, file order i, j, k.
        affine: 4 x 4, voxel to RAS millimetres.
        meta: What the file says.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    meta: ScanMeta


def to_volume(raw: RawImage) -> Volume:
    """Check the geometry and intensities of a raw image and convert it to a :class:`Volume`.

    Raises:
        InputError: Voxels that are not numbers, a constant image, or intensities that are not HU.
        GeometryError: Spacing zero or absurd, or an affine that is singular.
    """
    check_affine(raw.affine)
    _check_spacing(raw.affine)
    array = raw.array
    low, high = array.min(), array.max()  # both are NaN where any voxel is, and infinite where one is
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = _count_not_finite(array)
        raise InputError(
            f"{bad} of {array.size} voxels are NaN or infinite, so the measures would be wrong.",
            "Replace them by the padding value of the scan (such as -1024) or convert again from DICOM.",
        )
    if low == high:
        raise InputError(
            f"Every voxel has the same value ({low:g}): the image is empty.",
            "Check the file in a viewer, and convert again from DICOM.",
        )
    check_units(array)
    return Volume(array, raw.affine, raw.meta)


def spatial_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Reduce the shape in a file to three axes, or say why it cannot be.

    Args:
        shape: Two or more axes as stored. Trailing axes of length 1 are dropped; a single slice gets an axis.

    Raises:
        InputError: Fewer than two axes, an axis without length, or more than one time point or channel.
    """
    if len(shape) < 2:
        raise InputError(f"The image has {len(shape)} axis, a scan has two or three.", "Check the file.")
    if any(n < 1 for n in shape):
        raise InputError(
            f"The header gives the shape {tuple(shape)}, which holds no voxel.", "Check the file."
        )
    i, j, k, *rest = [*shape, 1] if len(shape) == 2 else list(shape)
    if prod(rest) > 1:
        raise InputError(
            f"The image has {len(shape)} axes and holds {prod(rest)} volumes "
            "(time points or channels), not one.",
            "Save the volume that you want as a 3-D file and give that.",
        )
    return i, j, k


def check_size(shape: Sequence[int], itemsize: int, file_bytes: int, *, compressed: bool) -> None:
    """Refuse a header that asks for more voxels than the file can hold, before memory is taken for them.

    Args:
        shape: Shape the header gives.
        itemsize: Bytes per voxel.
        file_bytes: Bytes of the file that can be voxels.
        compressed: Whether they may be packed.

    Raises:
        InputError: The file is truncated or its header is broken, or the image needs more
            memory than is free.
    """
    voxels = prod(int(n) for n in shape)
    large = voxels > MAX_PACKED_VOXELS
    held = file_bytes * (1 if not compressed else MAX_LARGE_RATIO if large else MAX_DEFLATE_RATIO)
    dims = " x ".join(str(n) for n in shape)
    if voxels > MAX_VOXELS:
        raise InputError(
            f"The header asks for {dims} voxels, more than any CT has, so it is broken.",
            "Get the file again or convert it again from DICOM.",
        )
    if voxels * itemsize > held:
        raise InputError(
            f"The header asks for {dims} voxels ({_megabytes(voxels * itemsize)}), but the file can hold "
            f"only {_megabytes(held)}: it is truncated or its header is broken.",
            "Get the file again or convert it again from DICOM.",
        )
    free = free_memory()
    if free is not None and voxels * _LEAST_BYTES > free:
        raise InputError(
            f"The scan of {dims} voxels needs more memory ({_megabytes(voxels * _LEAST_BYTES)}) than is free "
            f"({_megabytes(free)}).",
            "Close other programs, or crop the scan.",
        )


def narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give an array the type of :class:`Volume`: int16 where the values are whole and fit, else float32.

    Returns:
        The same array where its type is right already; otherwise a new one with the same memory order.

    Raises:
        InputError: Voxels that are not real numbers (complex, records).
    """
    if array.dtype in (np.dtype(np.int16), np.dtype(np.float32)):
        return array
    if array.dtype.kind not in "iufb":
        raise InputError(
            f"Voxels of type {array.dtype} are not intensities of a CT.", "Save the scan as 16-bit HU."
        )
    if array.dtype.kind == "b":
        return array.astype(np.int16, order="K")
    if array.dtype.kind in "iu" and array.min() >= _INT16.min and array.max() <= _INT16.max:
        return array.astype(np.int16, order="K")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite and is reported by to_volume()
        return array.astype(np.float32, order="K")


class HuBuffer:
    """Collects voxels block by block: int16 while all are whole and fit, else float32.

    Peak memory is the result plus a block; one and a half results if int16 has to be given up.

    Args:
        voxels: Number of voxels to come.
    """

    def __init__(self, voxels: int) -> None:
        self._data: npt.NDArray[Any] = np.empty(voxels, np.int16)
        self._filled = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Append a flat block of real numbers."""
        if self._data.dtype == np.int16 and not _fits_int16(values):
            wide = np.empty(self._data.size, np.float32)
            wide[: self._filled] = self._data[: self._filled]
            self._data = wide
        with np.errstate(over="ignore"):
            self._data[self._filled : self._filled + values.size] = values
        self._filled += values.size

    def take(self) -> npt.NDArray[Any]:
        """Return the flat array of all voxels."""
        return self._data


def _fits_int16(values: npt.NDArray[Any]) -> bool:
    if values.dtype.kind not in "iub":
        return False
    return bool(values.min() >= _INT16.min and values.max() <= _INT16.max)


def _check_spacing(affine: npt.NDArray[np.float64]) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = _SPACING_MM
    if spacing.min() < low or spacing.max() > high:
        text = " x ".join(f"{s:.3g}" for s in spacing)
        raise GeometryError(
            f"The voxel spacing is {text} mm, which no CT has, so volumes cannot be measured.",
            "Check the spacing and its unit in the header, or convert again from DICOM.",
        )


def _count_not_finite(array: npt.NDArray[Any]) -> int:
    flat = array.ravel(order="K")
    return sum(
        int(np.count_nonzero(~np.isfinite(flat[start : start + _BLOCK])))
        for start in range(0, flat.size, _BLOCK)
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
