"""A label map with its place in space and the meaning of its values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.core.affines import corner_distance
from hilum.core.errors import GeometryError, UsageError
from hilum.core.labels import LUNGS, LabelSet
from hilum.core.volume import Volume, check_affine, spacing_of, voxel_ml_of

__all__ = ["LabelVolume", "count_values"]

#: Corners of two grids that are one lie at most this far from one another, in mm.
_SAME_GRID_MM = 1e-2


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """A label map with its position in space; a label set gives the meaning of its values.

    Attributes:
        data: uint8 array of shape (i, j, k): 0 for background, else a value of ``label_set``.
        affine: 4 x 4 matrix from voxel index to RAS millimetres, as in :class:`hilum.Volume`.
        label_set: What the values mean.

    Raises:
        UsageError: The array has not three axes, holds no whole numbers, or a value is not in the label set.
        GeometryError: The affine is not 4 x 4, not finite or singular.

    Examples:
        >>> labels = LabelVolume(np.ones((4, 5, 6), np.uint8), np.diag([-1.0, -1.0, 2.0, 1.0]))
        >>> labels.counts()
        {1: 120, 2: 0}
        >>> int(labels.mask("left_lung").sum()), int(labels.mask("lungs").sum())
        (0, 120)
    """

    data: npt.NDArray[np.uint8]
    affine: npt.NDArray[np.float64]
    label_set: LabelSet = LUNGS

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim != 3:
            raise UsageError(f"labels has {data.ndim} axes, expected three.")
        if data.dtype.kind not in "biu":
            raise UsageError(f"labels has type {data.dtype}, expected integers.")
        object.__setattr__(self, "data", _as_uint8(data, self.label_set))
        affine = np.array(self.affine, dtype=np.float64)
        check_affine(affine)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def on_grid_of(
        cls, volume: Volume, data: npt.NDArray[np.integer[Any]], label_set: LabelSet = LUNGS
    ) -> LabelVolume:
        """Place an array of labels on the grid of a scan.

        Args:
            volume: The scan.
            data: Label values of shape ``volume.shape``.
            label_set: What they mean.

        Raises:
            UsageError: The shape is not that of the scan, or a value is not in the label set.
        """
        if data.shape != volume.shape:
            raise UsageError(f"labels has shape {data.shape}, expected that of the volume, {volume.shape}.")
        return cls(data, volume.affine, label_set)  # type: ignore[arg-type]  # made uint8 when it is checked

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in self.shape)
        found = ", ".join(f"{self.label_set[value].name} {n}" for value, n in self.counts().items() if n)
        return f"<LabelVolume {self.label_set.name} {shape}: {found or 'empty'}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (i, j, k) of the array."""
        i, j, k = self.data.shape
        return i, j, k

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along i, j, k in mm."""
        return spacing_of(self.affine)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return voxel_ml_of(self.affine)

    def counts(self) -> dict[int, int]:
        """Return how many voxels each label of the set has."""
        return count_values(self.data, self.label_set)

    def mask(self, region: str) -> npt.NDArray[np.bool_]:
        """Return where a region of the label set is, as a bool array of the same shape.

        Raises:
            UsageError: The label set has no such region.
        """
        try:
            first, *rest = self.label_set.region(region).values
        except KeyError:
            known = ", ".join(one.name for one in self.label_set.regions)
            raise UsageError(f"region is {region!r}, expected one of {known}.") from None
        out: npt.NDArray[np.bool_] = self.data == first
        for value in rest:
            out |= self.data == value
        return out

    def same_grid(self, other: Volume | LabelVolume, tolerance_mm: float = _SAME_GRID_MM) -> bool:
        """Whether another volume has the same shape, and the same corners to ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        return corner_distance(self.affine, other.affine, self.shape) <= tolerance_mm

    def require_grid_of(self, volume: Volume) -> None:
        """Check that a scan lies on the same grid.

        Raises:
            UsageError: It has another shape.
            GeometryError: It lies elsewhere.
        """
        if self.shape != volume.shape:
            raise UsageError(f"labels has shape {self.shape}, expected that of the volume, {volume.shape}.")
        if not self.same_grid(volume):
            raise GeometryError(
                "The labels have the shape of the scan, but another position in space.",
                "Give labels that were made on the grid of this scan.",
            )


def count_values(data: npt.NDArray[np.integer[Any]], values: Iterable[int]) -> dict[int, int]:
    """Return how many voxels of an array have each of some values."""
    slowest = int(np.argmax(np.abs(data.strides)))  # plane by plane in memory, without a copy of the array
    planes = np.moveaxis(data, slowest, 0)
    return {value: sum(int(np.count_nonzero(plane == value)) for plane in planes) for value in values}


def _as_uint8(data: npt.NDArray[Any], label_set: LabelSet) -> npt.NDArray[np.uint8]:
    """Return the labels as uint8, once every value is known to be 0 or in the label set."""
    low, high = (int(data.min()), int(data.max())) if data.size else (0, 0)
    allowed = ", ".join(["0", *(f"{info.value} ({info.title.lower()})" for info in label_set.labels)])
    known = set(label_set) | {0}
    if low < 0 or high > max(known):
        raise UsageError(f"labels holds values from {low} to {high}, expected {allowed}.")
    if known != set(range(max(known) + 1)):  # a set with gaps: the extremes are not enough
        strange = set(np.unique(data).tolist()) - known
        if strange:
            raise UsageError(f"labels holds {sorted(strange)}, expected {allowed}.")
    return data.astype(np.uint8, copy=False)
