"""Resampling to a coarser grid of block means, and back to the native grid.

A lung's shape is decided on a grid of about 2 mm; only its surface needs the native voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.cores import thread_count
from hilum.core.units import WorkingMm, WorkingSpacing
from hilum.imaging.interpolation import Interpolation

__all__ = ["Reduced", "block_factor", "block_share", "native_planes", "reduce_volume"]

#: Block means are of HU clipped to this range: padding stays below air, metal counts no more than bone.
_CLIP = (-1100, 700)
#: Side of a block in mm.
BLOCK_MM = 2.2


@dataclass(frozen=True, eq=False)
class Reduced:
    """Block means of a volume.

    Attributes:
        hu: float32 array (x, y, z), clipped to [-1100, 700]; below :data:`PADDING_HU` is padding.
        factors: Number of native voxels in a block along x, y, z.
        spacing: Size of a block in working mm, which are true ones unless the scan was magnified.
        full_shape: Shape of the native grid.
    """

    hu: npt.NDArray[np.float32]
    factors: tuple[int, int, int]
    spacing: WorkingSpacing
    full_shape: tuple[int, int, int]


def block_factor(spacing_mm: float, target_mm: float = BLOCK_MM) -> int:
    """Return how many voxels of an axis :func:`reduce_volume` averages."""
    return max(1, round(target_mm / spacing_mm))


def reduce_volume(
    hu: npt.NDArray[Any], spacing: tuple[float, float, float], target_mm: float = BLOCK_MM
) -> Reduced:
    """Average blocks of voxels so that each is about ``target_mm`` wide.

    Args:
        hu: Native HU, shape (x, y, z), any strides.
        spacing: Native spacing, in working or true mm like ``target_mm``.
        target_mm: Wanted block size; an axis that is coarser already stays as it is.

    Returns:
        The block means. A border that does not fill a block repeats its last voxels.
    """
    fx, fy, fz = (block_factor(s, target_mm) for s in spacing)
    nx, ny, nz = hu.shape
    shape = (-(-nx // fx), -(-ny // fy), -(-nz // fz))
    out = np.empty(shape, np.float32)
    rows = np.minimum(np.arange(shape[0] * fx), nx - 1) if nx % fx else None
    cols = np.minimum(np.arange(shape[1] * fy), ny - 1) if ny % fy else None

    def one(k: int) -> None:
        total = np.zeros(shape[:2], np.float32)
        for z in range(k * fz, (k + 1) * fz):
            plane = np.clip(hu[:, :, min(z, nz - 1)], *_CLIP)
            if rows is not None:
                plane = plane[rows]
            if cols is not None:
                plane = plane[:, cols]
            # Columns first, then rows: strided sums of few terms are quicker than one over two axes.
            kind = np.int32 if plane.dtype.kind == "i" else np.float32
            columns = sum((plane[:, j::fy] for j in range(1, fy)), plane[:, ::fy].astype(kind))
            total += sum((columns[j::fx] for j in range(1, fx)), columns[::fx])
        out[:, :, k] = total / (fx * fy * fz)

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(one, range(shape[2])))
    sx, sy, sz = spacing
    size = (WorkingMm(sx * fx), WorkingMm(sy * fy), WorkingMm(sz * fz))
    return Reduced(out, (fx, fy, fz), size, (nx, ny, nz))


def block_share(
    mask: npt.NDArray[np.bool_ | np.float32], spacing: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """Return the share of each block that ``mask`` fills, 0 to 1, on the blocks of :func:`reduce_volume`.

    ``mask`` may hold shares itself.
    """
    # Scaled by 500: the means of whole numbers are then exact.
    whole = mask.astype(np.int16) * np.int16(500) if mask.dtype == bool else np.rint(mask * 500)
    return reduce_volume(whole.astype(np.int16), spacing).hu / np.float32(500)


def native_planes(values: npt.NDArray[np.float32], reduced: Reduced) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the axial planes (x, y) of the native grid, interpolated from ``values`` on the blocks."""
    shape = (values.shape[0], values.shape[1], values.shape[2])
    x, y, z = (
        Interpolation.between(coarse, fine, factor)
        for coarse, fine, factor in zip(shape, reduced.full_shape, reduced.factors, strict=True)
    )
    for index in range(reduced.full_shape[2]):
        yield y.rows(x.rows(z.one(values, index)).T).T
