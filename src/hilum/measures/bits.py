"""Masks with eight voxels a byte: growing one costs a hundredth of a second at the size of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Bits"]

_Bytes = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.intp]
_MOST_STEP = 7  # bits that a byte is shifted by


@dataclass(frozen=True, eq=False)
class Bits:
    """A mask, packed along its last axis.

    Attributes:
        data: Bytes (i, j, ceil(k / 8)); the lowest bit comes first, bits past the end are 0.
        length: Voxels along the last axis.
    """

    data: _Bytes
    length: int

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> Bits:
        """Pack a mask of three axes."""
        return cls(np.packbits(mask, axis=-1, bitorder="little"), mask.shape[-1])

    def __and__(self, other: Bits) -> Bits:
        return Bits(self.data & other.data, self.length)

    def __or__(self, other: Bits) -> Bits:
        return Bits(self.data | other.data, self.length)

    def minus(self, other: Bits) -> Bits:
        """Return the voxels that ``other`` lacks."""
        return Bits(self.data & ~other.data, self.length)

    def dilated(self, layers: Sequence[int]) -> Bits:
        """Grow by a box of ``layers`` voxels to either side of each axis; beyond the grid is nothing."""
        data = self.data
        for axis, wanted in enumerate(layers):
            done = 0
            while done < wanted:  # by 1, 2, 4 ...: what is grown already fills the gap to the next step
                step = min(done + 1, wanted - done, _MOST_STEP)
                data = _shifted(data, axis, step) if axis < 2 else _shifted_bits(data, step)
                done += step
        rest = self.length % 8
        if rest:
            data = data.copy() if data is self.data else data
            data[..., -1] &= np.uint8((1 << rest) - 1)
        return Bits(data, self.length)

    def index(self, layer: slice = slice(None)) -> tuple[_Ints, _Ints, _Ints]:
        """Return the index of each voxel of the mask in a layer of the first axis, one array an axis."""
        data = self.data[layer]
        i, j, byte = np.nonzero(data)
        row, bit = np.nonzero(np.unpackbits(data[i, j, byte][:, None], axis=1, bitorder="little"))
        return i[row] + (layer.start or 0), j[row], byte[row] * 8 + bit


def _shifted(data: _Bytes, axis: int, step: int) -> _Bytes:
    """Add to each voxel those ``step`` before and after it along one of the first two axes."""
    out = data.copy()
    low, high = [slice(None)] * 3, [slice(None)] * 3
    low[axis], high[axis] = slice(None, -step), slice(step, None)
    out[tuple(high)] |= data[tuple(low)]
    out[tuple(low)] |= data[tuple(high)]
    return out


def _shifted_bits(data: _Bytes, step: int) -> _Bytes:
    """Add to each voxel those ``step``, at most 7, before and after it along the last axis."""
    near, far = np.uint8(step), np.uint8(8 - step)
    out: _Bytes = data | (data << near) | (data >> near)
    out[..., 1:] |= data[..., :-1] >> far
    out[..., :-1] |= data[..., 1:] << far
    return out
