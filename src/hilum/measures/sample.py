"""The voxels of a region as sorted HU with counts, the input of each formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.flag_limits import LIMITS

__all__ = ["EdgeShift", "Sample"]

_Floats = npt.NDArray[np.float64]
#: Values per pass: 0.5 MB in float64, so that a formula over millions of float voxels stays in the cache.
_CHUNK = 2**16


@dataclass(frozen=True)
class EdgeShift:
    """What partial volume at the boundary of the mask changes (see :mod:`hilum.measures.edge`).

    Attributes:
        tissue: Tissue to add to that of the voxels, in voxels of 1 g/mL; negative where wall was counted.
        air: Air to add, in voxels.
    """

    tissue: float
    air: float


@dataclass(frozen=True, eq=False)
class Sample:
    """HU of the voxels of a region.

    Integer scans give one entry per HU step with its number of voxels, which is exact; float
    scans give one entry per voxel.

    Attributes:
        values: HU in ascending order, one axis, integer or float32.
        counts: Number of voxels per value, int64; None if every entry is one voxel.
        metal: Number of metal voxels: part of the volume, but not among ``values``.
        edge: Partial volume at the boundary; None where it is not known.

    Examples:
        >>> sample = Sample(np.array([-900, -800, 0]), np.array([1, 2, 1]))
        >>> sample.size, sample.mean, sample.share(-900, -500)
        (4, -625.0, 75.0)
    """

    values: npt.NDArray[Any]
    counts: npt.NDArray[np.int64] | None = None
    metal: int = 0
    edge: EdgeShift | None = None
    _known: dict[object, float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        values: npt.NDArray[Any],
        counts: npt.NDArray[np.int64] | None = None,
        edge: EdgeShift | None = None,
    ) -> Sample:
        """Separate metal from tissue and air; arguments are as the attributes."""
        end = int(np.searchsorted(values, values.dtype.type(LIMITS.metal_hu), side="right"))
        if end == values.size:
            return cls(values, counts, 0, edge)
        if counts is None:
            return cls(values[:end], None, values.size - end, edge)
        return cls(values[:end], counts[:end], int(counts[end:].sum()), edge)

    @cached_property
    def size(self) -> int:
        """Number of voxels without metal."""
        return int(self.values.size if self.counts is None else self.counts.sum())

    @property
    def voxels(self) -> int:
        """Number of all voxels of the region."""
        return self.size + self.metal

    @property
    def low(self) -> float:
        """Lowest HU. The sample must not be empty."""
        return float(self.values[0])

    @property
    def high(self) -> float:
        """Highest HU. The sample must not be empty."""
        return float(self.values[-1])

    @cached_property
    def mean(self) -> float:
        """Mean HU. The sample must not be empty."""
        return self.total(np.asarray) / self.size

    def total(
        self, of: Callable[[_Floats], _Floats], low: float | None = None, high: float | None = None
    ) -> float:
        """Sum ``of(hu)`` over the voxels with HU in [low, high); an end that is None is open.

        The sum is cached by function, since several measures share the same sums.
        """
        key = (of, low, high)
        if key not in self._known:
            parts = (of(hu) if n is None else of(hu) * n for hu, n in self._chunks(self._slice(low, high)))
            self._known[key] = math.fsum(float(part.sum()) for part in parts)
        return self._known[key]

    def count(self, low: float | None = None, high: float | None = None) -> int:
        """Return the number of voxels with HU in [low, high); an end that is None is open."""
        part = self._slice(low, high)
        return part.stop - part.start if self.counts is None else int(self.counts[part].sum())

    def share(self, low: float | None = None, high: float | None = None) -> float:
        """Return the share of the voxels with HU in [low, high), in %. The sample must not be empty."""
        return 100.0 * self.count(low, high) / self.size

    def moment(self, order: int) -> float:
        """Return the central moment of ``order``: the mean of (HU - mean) ** order."""
        mean, key = self.mean, ("moment", order)

        def power(hu: _Floats) -> _Floats:
            return reduce(np.multiply, [hu - mean] * order)  # fifty times faster than ** on an array

        if key not in self._known:
            self._known[key] = self.total(power) / self.size
        return self._known[key]

    def quantile(self, fraction: float) -> float:
        """Return the quantile by linear interpolation between order statistics.

        This is type 7 of Hyndman and Fan (1996): position (n - 1) * fraction in the n sorted voxels.
        """
        position = (self.size - 1) * fraction
        below = math.floor(position)
        low, high = self._at(below), self._at(min(below + 1, self.size - 1))
        return low + (position - below) * (high - low)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Cumulative number of voxels up to each entry, if entries have counts."""
        ends: npt.NDArray[np.int64] = np.cumsum(np.asarray(self.counts))
        return ends

    def _at(self, rank: int) -> float:
        """Return the HU of the voxel with this rank; rank 0 has the lowest HU."""
        if self.counts is None:
            return float(self.values[rank])
        return float(self.values[int(np.searchsorted(self._ends, rank, side="right"))])

    def _slice(self, low: float | None, high: float | None) -> slice:
        # The key has the dtype of the array: otherwise NumPy converts the whole array.
        kind = self.values.dtype.type
        start = 0 if low is None else int(np.searchsorted(self.values, kind(low), side="left"))
        stop = self.values.size if high is None else int(np.searchsorted(self.values, kind(high), "left"))
        return slice(start, stop)

    def _chunks(self, part: slice) -> Iterator[tuple[_Floats, npt.NDArray[np.int64] | None]]:
        for start in range(part.start, part.stop, _CHUNK):
            now = slice(start, min(start + _CHUNK, part.stop))
            yield self.values[now].astype(np.float64), None if self.counts is None else self.counts[now]
